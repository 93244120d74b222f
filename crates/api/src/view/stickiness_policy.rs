// SPDX-License-Identifier: Apache-2.0
//! `stickinesspolicies`: a load balancer rule with its stickiness policy, and `healthcheckpolicies` likewise.

use outgate_manager::read;
use outgate_model::object::{HealthCheckPolicy, LoadBalancerRule, PublicIp, StickinessPolicy};
use outgate_model::router_spec::load_balancer::Stickiness;
use serde_json::{Value, json};

use crate::view::view;

/// CloudStack's name of a method.
pub fn method_name(method: &Stickiness) -> &'static str {
    match method {
        Stickiness::LbCookie { .. } => "LbCookie",
        Stickiness::AppCookie { .. } => "AppCookie",
        Stickiness::SourceBased { .. } => "SourceBased",
    }
}

fn policy(policy: &StickinessPolicy, state: &str) -> Value {
    json!({
        "id": policy.id,
        "name": policy.name,
        "description": policy.description,
        "methodname": method_name(&policy.method),
        "params": policy.params,
        "state": state,
        "fordisplay": true,
    })
}

view! {
    /// A load balancer rule with its stickiness policy, if it has one.
    (look, rule: &LoadBalancerRule) {
        let state = read::rule_state_name(look.view.balancer_state(rule));
        let policies: Vec<Value> = rule.stickiness.iter().map(|p| policy(p, state)).collect();
    }
    "lbruleid" string = rule.id;
    "name" string = rule.stickiness.as_ref().map(|p| &p.name);
    "description" string = rule.stickiness.as_ref().map(|p| &p.description);
    "state" string = state;
    "stickinesspolicy" list = policies;
    "zoneid" string = look.view.get::<PublicIp>(rule.public_ip).map(|ip| ip.zone);
    owned by rule.account;
}

/// `healthcheckpolicies`.
pub mod health_check {
    use super::*;

    fn policy(policy: &HealthCheckPolicy, state: &str) -> Value {
        json!({
            "id": policy.id,
            "description": policy.description,
            "pingpath": policy.check.ping_path,
            "healthcheckinterval": policy.check.interval_secs,
            "responsetime": policy.check.timeout_secs,
            // The two misspelt names are CloudStack's.
            "healthcheckthresshold": policy.check.healthy,
            "unhealthcheckthresshold": policy.check.unhealthy,
            "state": state,
            "fordisplay": true,
        })
    }

    view! {
        /// A load balancer rule with its health check policy, if it has one.
        (look, rule: &LoadBalancerRule) {
            let state = read::rule_state_name(look.view.balancer_state(rule));
            let policies: Vec<Value> = rule.health_check.iter().map(|p| policy(p, state)).collect();
        }
        "lbruleid" string = rule.id;
        "healthcheckpolicy" list = policies;
        "zoneid" string = look.view.get::<PublicIp>(rule.public_ip).map(|ip| ip.zone);
        owned by rule.account;
    }
}
