// SPDX-License-Identifier: Apache-2.0
//! Policies of load balancer rules: how a client stays with its guest, and how it is found out whether a guest serves.

use std::collections::BTreeMap;

use outgate_model::FieldError;
use outgate_model::id::{HealthCheckPolicyId, StickinessPolicyId};
use outgate_model::object::{HealthCheckPolicy, LoadBalancerRule, StickinessPolicy};
use outgate_model::router_spec::load_balancer::{AppCookieMode, HealthCheck, LbCookieMode, Stickiness};

use super::balancing::save;
use super::checks;
use super::request::{
    CreateHealthCheck, CreateStickiness, DeleteHealthCheck, DeleteStickiness, Started, UpdateHealthCheck,
    UpdateStickiness,
};
use super::tx::Tx;
use crate::CommandError;
use crate::mirror::Stored;

/// CloudStack's default of `length`, in characters.
const APP_COOKIE_LENGTH: u32 = 52;
/// CloudStack's default of `holdtime`: 3 hours.
const HOLD_SECS: u32 = 10_800;
/// CloudStack's default of `tablesize`: 200k.
const TABLE_SIZE: u32 = 204_800;
/// CloudStack's default of `expire`: 30 minutes.
const EXPIRE_SECS: u32 = 1_800;

/// `createLBStickinessPolicy`.
pub(crate) fn create(tx: &mut Tx<'_>, request: &CreateStickiness) -> Result<Started, CommandError> {
    checks::name("name", &request.name)?;
    let rule = tx.own::<LoadBalancerRule>("lbruleid", request.rule)?;
    if let Some(other) = &rule.stickiness {
        return Err(CommandError::InUse {
            what: format!("load balancer rule {}", rule.id),
            by: format!("stickiness policy {}; delete it first", other.id),
        });
    }
    let policy = StickinessPolicy {
        id: StickinessPolicyId::new(),
        name: request.name.clone(),
        description: request.description.clone(),
        params: request.params.clone(),
        method: method(&request.method, &request.params)?,
    };
    let (id, mut next) = (policy.id, LoadBalancerRule::clone(&rule));
    let text = format!("clients of {} stay by {}", rule.name, request.method);
    next.stickiness = Some(policy);
    let what = ("createLBStickinessPolicy", "LB.STICKINESSPOLICY.CREATE", text);
    Ok(save(tx, &rule, next, what)?.made(id.0))
}

/// What a method's parameters mean.
///
/// # Errors
/// The parameter that is missing, unknown or wrong.
pub fn method(name: &str, params: &BTreeMap<String, String>) -> Result<Stickiness, CommandError> {
    let given = Given(params);
    match name.to_ascii_lowercase().as_str() {
        "lbcookie" => lb_cookie(&given),
        "appcookie" => app_cookie(&given),
        "sourcebased" => {
            given.only(&["tablesize", "expire"])?;
            Ok(Stickiness::SourceBased {
                table_size: given.number("tablesize", TABLE_SIZE, size)?,
                expire_secs: given.number("expire", EXPIRE_SECS, seconds)?,
            })
        }
        _ => Err(CommandError::invalid(
            "methodname",
            name,
            "one of LbCookie, AppCookie, SourceBased",
        )),
    }
}

fn lb_cookie(given: &Given<'_>) -> Result<Stickiness, CommandError> {
    given.only(&["cookie-name", "mode", "nocache", "indirect", "postonly", "domain"])?;
    let mode = match given.text("mode") {
        None | Some("insert") => LbCookieMode::Insert,
        Some("rewrite") => LbCookieMode::Rewrite,
        Some("prefix") => LbCookieMode::Prefix,
        Some(other) => return Err(CommandError::invalid("mode", other, "insert, rewrite or prefix")),
    };
    let indirect = given.flag("indirect")?;
    if indirect && mode == LbCookieMode::Rewrite {
        let expected = "left out in mode rewrite: the guest sets the cookie, so it must see it";
        return Err(CommandError::invalid("indirect", true, expected));
    }
    Ok(Stickiness::LbCookie {
        name: given.text("cookie-name").unwrap_or("OUTGATELB").parse()?,
        mode,
        nocache: given.flag("nocache")?,
        indirect,
        postonly: given.flag("postonly")?,
        domain: given.text("domain").map(str::parse).transpose()?,
    })
}

fn app_cookie(given: &Given<'_>) -> Result<Stickiness, CommandError> {
    given.only(&["cookie-name", "length", "holdtime", "request-learn", "mode"])?;
    let mode = match given.text("mode") {
        None => None,
        Some("path-parameters") => Some(AppCookieMode::PathParameters),
        Some("query-string") => Some(AppCookieMode::QueryString),
        Some(other) => {
            return Err(CommandError::invalid(
                "mode",
                other,
                "path-parameters or query-string",
            ));
        }
    };
    let name = given
        .text("cookie-name")
        .ok_or_else(|| CommandError::missing("param cookie-name"))?;
    let plain = |text: &str| text.parse().ok().filter(|n| (1..=1_024).contains(n));
    let length = given.number("length", APP_COOKIE_LENGTH, plain)?;
    Ok(Stickiness::AppCookie {
        name: name.parse()?,
        length: u16::try_from(length).unwrap_or(u16::MAX),
        hold_secs: given.number("holdtime", HOLD_SECS, seconds)?,
        request_learn: given.flag("request-learn")?,
        mode,
    })
}

/// A policy's parameters as they were given.
struct Given<'a>(&'a BTreeMap<String, String>);

impl Given<'_> {
    fn only(&self, known: &[&str]) -> Result<(), CommandError> {
        match self.0.keys().find(|name| !known.contains(&name.as_str())) {
            None => Ok(()),
            Some(name) => Err(CommandError::invalid(
                "param",
                name,
                format!("one of {}", known.join(", ")),
            )),
        }
    }

    fn text(&self, name: &str) -> Option<&str> {
        let text = self.0.get(name).map(|text| text.trim());
        text.filter(|text| !text.is_empty())
    }

    /// A flag that is there means true, whatever its case; an empty one too.
    fn flag(&self, name: &str) -> Result<bool, CommandError> {
        match self.0.get(name).map(|text| text.trim().to_ascii_lowercase()) {
            None => Ok(false),
            Some(text) => match text.as_str() {
                "" | "true" => Ok(true),
                "false" => Ok(false),
                _ => Err(CommandError::invalid(name, text, "true or false")),
            },
        }
    }

    fn number(
        &self,
        name: &str,
        default: u32,
        read: impl Fn(&str) -> Option<u32>,
    ) -> Result<u32, CommandError> {
        let Some(text) = self.text(name) else {
            return Ok(default);
        };
        read(text).ok_or_else(|| {
            let expected =
                "a number from 1 on in bounds, such as 200k of clients, 30m or 3h of time, or 52 characters";
            CommandError::from(FieldError::new(name, text, expected))
        })
    }
}

/// haproxy's sizes: `200k`, `1m`, at most 1,048,576.
fn size(text: &str) -> Option<u32> {
    let (digits, factor) = match text.as_bytes().last()? {
        b'k' | b'K' => (text.get(..text.len() - 1)?, 1_024),
        b'm' | b'M' => (text.get(..text.len() - 1)?, 1_048_576),
        _ => (text, 1),
    };
    let size = digits.parse::<u32>().ok()?.checked_mul(factor)?;
    Some(size).filter(|size| (1..=1_048_576).contains(size))
}

/// haproxy's durations: `30m`, `3h`, `2d`, `90s`, and milliseconds without a unit; 1 second to 30 days.
fn seconds(text: &str) -> Option<u32> {
    let units = [("ms", 0), ("s", 1), ("m", 60), ("h", 3_600), ("d", 86_400)];
    let unit = units.iter().find(|(unit, _)| {
        text.strip_suffix(unit)
            .is_some_and(|digits| digits.bytes().all(|b| b.is_ascii_digit()))
    });
    let (digits, factor) = match unit {
        Some((unit, factor)) => (text.strip_suffix(unit)?, *factor),
        None => (text, 0),
    };
    let number = digits.parse::<u32>().ok()?;
    let seconds = if factor == 0 {
        number.div_ceil(1_000)
    } else {
        number.checked_mul(factor)?
    };
    Some(seconds).filter(|seconds| (1..=30 * 86_400).contains(seconds))
}

fn with_stickiness(
    tx: &mut Tx<'_>,
    id: StickinessPolicyId,
) -> Result<Stored<LoadBalancerRule>, CommandError> {
    let rule = tx.view.balancer_of_stickiness(id).map(|rule| rule.id);
    let rule = rule.ok_or_else(|| CommandError::not_found("id", id))?;
    tx.own::<LoadBalancerRule>("id", rule)
        .map_err(|_| CommandError::not_found("id", id))
}

fn with_health_check(
    tx: &mut Tx<'_>,
    id: HealthCheckPolicyId,
) -> Result<Stored<LoadBalancerRule>, CommandError> {
    let rule = tx.view.balancer_of_health_check(id).map(|rule| rule.id);
    let rule = rule.ok_or_else(|| CommandError::not_found("id", id))?;
    tx.own::<LoadBalancerRule>("id", rule)
        .map_err(|_| CommandError::not_found("id", id))
}

/// `updateLBStickinessPolicy`.
pub(crate) fn update(tx: &mut Tx<'_>, request: UpdateStickiness) -> Result<Started, CommandError> {
    let rule = with_stickiness(tx, request.id)?;
    let next = LoadBalancerRule::clone(&rule);
    let text = format!("stickiness policy of {} stays as it is", rule.name);
    let what = ("updateLBStickinessPolicy", "LB.STICKINESSPOLICY.UPDATE", text);
    save(tx, &rule, next, what)
}

/// `deleteLBStickinessPolicy`.
pub(crate) fn delete(tx: &mut Tx<'_>, request: DeleteStickiness) -> Result<Started, CommandError> {
    let rule = with_stickiness(tx, request.id)?;
    let mut next = LoadBalancerRule::clone(&rule);
    next.stickiness = None;
    let text = format!("clients of {} no longer stay", rule.name);
    let what = ("deleteLBStickinessPolicy", "LB.STICKINESSPOLICY.DELETE", text);
    save(tx, &rule, next, what)
}

/// `createLBHealthCheckPolicy`.
pub(crate) fn create_check(tx: &mut Tx<'_>, request: &CreateHealthCheck) -> Result<Started, CommandError> {
    let rule = tx.own::<LoadBalancerRule>("lbruleid", request.rule)?;
    if let Some(other) = &rule.health_check {
        return Err(CommandError::InUse {
            what: format!("load balancer rule {}", rule.id),
            by: format!("health check policy {}; delete it first", other.id),
        });
    }
    let check = HealthCheck {
        ping_path: request.ping_path.as_deref().unwrap_or("/").parse()?,
        interval_secs: request.interval_secs.unwrap_or(5),
        timeout_secs: request.timeout_secs.unwrap_or(2),
        healthy: request.healthy.unwrap_or(2),
        unhealthy: request.unhealthy.unwrap_or(2),
    };
    if check.timeout_secs > check.interval_secs {
        let expected = format!("at most intervaltime, {} s", check.interval_secs);
        return Err(CommandError::invalid(
            "responsetimeout",
            check.timeout_secs,
            expected,
        ));
    }
    let (id, mut next) = (HealthCheckPolicyId::new(), LoadBalancerRule::clone(&rule));
    let text = format!("members of {} are asked for {}", rule.name, check.ping_path);
    next.health_check = Some(HealthCheckPolicy {
        id,
        description: request.description.clone(),
        check,
    });
    let what = ("createLBHealthCheckPolicy", "LB.HEALTHCHECKPOLICY.CREATE", text);
    Ok(save(tx, &rule, next, what)?.made(id.0))
}

/// `updateLBHealthCheckPolicy`.
pub(crate) fn update_check(tx: &mut Tx<'_>, request: UpdateHealthCheck) -> Result<Started, CommandError> {
    let rule = with_health_check(tx, request.id)?;
    let next = LoadBalancerRule::clone(&rule);
    let text = format!("health check policy of {} stays as it is", rule.name);
    let what = ("updateLBHealthCheckPolicy", "LB.HEALTHCHECKPOLICY.UPDATE", text);
    save(tx, &rule, next, what)
}

/// `deleteLBHealthCheckPolicy`.
pub(crate) fn delete_check(tx: &mut Tx<'_>, request: DeleteHealthCheck) -> Result<Started, CommandError> {
    let rule = with_health_check(tx, request.id)?;
    let mut next = LoadBalancerRule::clone(&rule);
    next.health_check = None;
    let text = format!("members of {} are asked for nothing", rule.name);
    let what = ("deleteLBHealthCheckPolicy", "LB.HEALTHCHECKPOLICY.DELETE", text);
    save(tx, &rule, next, what)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn params(given: &[(&str, &str)]) -> BTreeMap<String, String> {
        given
            .iter()
            .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()))
            .collect()
    }

    #[test]
    fn sizes_and_durations_are_read_as_haproxy_does() {
        assert_eq!(
            ["200k", "1m", "10"].map(size),
            [Some(204_800), Some(1_048_576), Some(10)]
        );
        assert_eq!(["0", "2m", "", "k", "-1", "9999999k"].map(size), [None; 6]);
        let fine = ["30m", "3h", "2d", "90s", "1500", "500ms"].map(seconds);
        assert_eq!(fine, [1_800, 10_800, 172_800, 90, 2, 1].map(Some));
        assert_eq!(["", "h", "31d", "0", "1x", "1 h"].map(seconds), [None; 6]);
    }

    #[test]
    fn each_method_takes_its_own_parameters_only() {
        let source = method("SourceBased", &params(&[("tablesize", "200k")])).unwrap();
        assert_eq!(
            source,
            Stickiness::SourceBased {
                table_size: 204_800,
                expire_secs: 1_800
            }
        );
        let cookie = params(&[("cookie-name", "SRV"), ("nocache", "true"), ("indirect", "")]);
        assert!(matches!(
            method("lbcookie", &cookie).unwrap(),
            Stickiness::LbCookie {
                nocache: true,
                indirect: true,
                postonly: false,
                ..
            }
        ));
        for (name, given) in [
            ("LbCookie", &[("tablesize", "1")][..]),
            ("LbCookie", &[("cookie-name", "a\nserver evil")]),
            ("LbCookie", &[("mode", "rewrite"), ("indirect", "true")]),
            ("AppCookie", &[]),
            ("AppCookie", &[("cookie-name", "a"), ("length", "0")]),
            ("SourceBased", &[("expire", "soon")]),
            ("Other", &[]),
        ] {
            let error = method(name, &params(given)).unwrap_err();
            assert_eq!(error.code(), 431, "{name} {given:?}: {error}");
        }
    }
}
