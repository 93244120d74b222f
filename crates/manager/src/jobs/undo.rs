// SPDX-License-Identifier: Apache-2.0
//! Takes back what a failed job's transaction wrote, as long as nobody built on it since.

use outgate_model::job::{Job, Undo};
use outgate_model::key::{self, Object};
use outgate_model::object::{FirewallRule, IpForwardingRule, LoadBalancerRule, PortForwardingRule, PublicIp};
use outgate_model::object::{NetworkAclItem, StaticRoute};
use outgate_store::Revision;

use crate::draft::Draft;
use crate::mirror::{Row, Stored, View};

/// Drafts the way back; false (and nothing drafted) when there is none.
pub(super) fn take_back(view: &View<'_>, draft: &mut Draft, job: &Stored<Job>) -> bool {
    // A pending job is written once, by the transaction that it belongs to.
    let possible = !job.undo.is_empty() && job.undo.iter().all(|step| is_possible(view, step, job.modified));
    if possible {
        job.undo.iter().for_each(|step| take_step(view, draft, step));
    }
    possible
}

fn split(step: &Undo) -> (&str, Option<&str>) {
    match step {
        Undo::Remove { key } => (key, None),
        Undo::Restore { key, value } => (key, Some(value)),
    }
}

/// The object of kind `O` under `key`, if it is one.
fn find<'v, O: Row>(view: &'v View<'_>, key: &str) -> Option<&'v Stored<O>> {
    let (kind, id) = key.strip_prefix(key::DESIRED)?.split_once('/')?;
    if kind != O::KIND {
        return None;
    }
    view.get::<O>(id.parse::<O::Id>().ok()?)
}

fn is_possible(view: &View<'_>, step: &Undo, at: Revision) -> bool {
    let (key, value) = split(step);
    if key.starts_with(key::CLAIMS) {
        return view.claimed(key) == Some(at);
    }
    if let Some(ip) = find::<PublicIp>(view, key) {
        let used = view.firewall_rules_of_ip(ip.id).next().is_some()
            || view.forwards_of_ip(ip.id).next().is_some()
            || view.balancers_of_ip(ip.id).next().is_some()
            || view.ip_forwards_of_ip(ip.id).next().is_some();
        return ip.modified == at && (value.is_some() || !used);
    }
    let rule = find::<FirewallRule>(view, key).map(|r| r.modified);
    let rule = rule.or_else(|| find::<PortForwardingRule>(view, key).map(|r| r.modified));
    let rule = rule.or_else(|| find::<NetworkAclItem>(view, key).map(|r| r.modified));
    let rule = rule.or_else(|| find::<StaticRoute>(view, key).map(|r| r.modified));
    let rule = rule.or_else(|| find::<LoadBalancerRule>(view, key).map(|r| r.modified));
    rule.or_else(|| find::<IpForwardingRule>(view, key).map(|r| r.modified)) == Some(at)
}

fn take_step(view: &View<'_>, draft: &mut Draft, step: &Undo) {
    let (key, value) = split(step);
    if key.starts_with(key::CLAIMS) {
        draft.release(key.to_owned());
    } else if let Some(ip) = find::<PublicIp>(view, key) {
        put_back(draft, ip, value);
    } else if let Some(rule) = find::<FirewallRule>(view, key) {
        put_back(draft, rule, value);
    } else if let Some(rule) = find::<PortForwardingRule>(view, key) {
        put_back(draft, rule, value);
    } else if let Some(item) = find::<NetworkAclItem>(view, key) {
        put_back(draft, item, value);
    } else if let Some(route) = find::<StaticRoute>(view, key) {
        put_back(draft, route, value);
    } else if let Some(rule) = find::<LoadBalancerRule>(view, key) {
        put_back(draft, rule, value);
    } else if let Some(rule) = find::<IpForwardingRule>(view, key) {
        put_back(draft, rule, value);
    }
}

fn put_back<O: Row + Object>(draft: &mut Draft, now: &Stored<O>, value: Option<&str>) {
    match value.map(serde_json::from_str::<O>) {
        None => draft.delete(now),
        Some(Ok(before)) => draft.update(now, before),
        Some(Err(error)) => {
            tracing::error!(%error, "an object's former state cannot be read; it stays as it is")
        }
    }
}
