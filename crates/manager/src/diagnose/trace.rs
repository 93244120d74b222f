// SPDX-License-Identifier: Apache-2.0
//! Has a router explain one packet, and tells who made the rules that decide.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use jiff::Timestamp;
use outgate_model::Realm;
use outgate_model::id::{
    AccountId, FirewallRuleId, LoadBalancerRuleId, NetworkAclItemId, PortForwardingRuleId, RouterId,
};
use outgate_model::object::{
    Account, FirewallRule, LoadBalancerRule, NetworkAclItem, NetworkAclList, PortForwardingRule, Power,
};
use outgate_model::trace::{RuleKind, TraceQuery, TraceRule, Traced};
use uuid::Uuid;

use super::{Patient, TURN, realm_of};
use crate::command::Caller;
use crate::mirror::View;
use crate::{CommandError, Manager};

/// So many packets are followed at once.
pub(crate) const AT_ONCE: usize = 8;

/// Who made a rule, and when.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Maker {
    /// The name of the account that it belongs to; `None` for what everybody has.
    pub account: Option<String>,
    /// When.
    pub created: Timestamp,
}

/// The way of a packet through a router.
#[derive(Debug, Clone)]
pub struct Explained {
    /// What the router serves.
    pub realm: Realm,
    /// The name of the network or VPC.
    pub name: String,
    /// The router.
    pub router: (RouterId, String),
    /// Its answer.
    pub traced: Traced,
    /// Who made the rules of the answer, by their ids; those that are gone meanwhile are missing.
    pub makers: BTreeMap<Uuid, Maker>,
    /// How long it took.
    pub took: Duration,
}

impl Manager {
    /// Follows one packet through the router of a network, by the model of its spec and by its kernel.
    ///
    /// # Errors
    /// When there is no such thing for the caller, its router does not run or cannot answer, or too many packets are
    /// followed at once.
    pub async fn trace_flow(
        &self,
        caller: &Caller,
        patient: Patient,
        query: &TraceQuery,
    ) -> Result<Explained, CommandError> {
        let unavailable = |what: String| CommandError::Unavailable { what };
        let turn = tokio::time::timeout(TURN, self.inner.traces.acquire()).await;
        let Ok(Ok(_turn)) = turn else {
            let what = format!("{AT_ONCE} packets are being followed; try again in a few seconds");
            return Err(unavailable(what));
        };
        let started = Instant::now();
        let (realm, name, router, host) = {
            let view = self.view();
            let (realm, _) = realm_of(&view, caller, patient)?;
            let standing = view.standing(realm);
            let standing = standing.ok_or_else(|| CommandError::not_found("networkid", realm))?;
            let router = view.router_of(realm).filter(|router| router.power == Power::On);
            let router = router.ok_or_else(|| {
                unavailable(format!(
                    "{} has no router that runs; outgate doctor says why",
                    standing.name
                ))
            })?;
            let named = (router.id, router.name.clone());
            (realm, standing.name.clone(), named, router.host)
        };
        let driver = self
            .host(host)
            .ok_or_else(|| unavailable(format!("host {host} has no driver")))?;
        let traced = driver.trace_flow(router.0, query).await;
        let traced = traced.map_err(|error| unavailable(error.to_string()))?;
        let view = self.view();
        let rules = traced.model.steps.iter().filter_map(|step| step.rule.as_ref());
        let makers = rules
            .filter_map(|rule| Some((rule.id, maker(&view, rule)?)))
            .collect();
        Ok(Explained {
            realm,
            name,
            router,
            traced,
            makers,
            took: started.elapsed(),
        })
    }
}

fn maker(view: &View<'_>, rule: &TraceRule) -> Option<Maker> {
    let (account, created): (Option<AccountId>, Timestamp) = match rule.kind {
        RuleKind::Firewall | RuleKind::Egress => {
            let rule = view.get::<FirewallRule>(FirewallRuleId(rule.id))?;
            (Some(rule.account), rule.created)
        }
        RuleKind::PortForwarding => {
            let rule = view.get::<PortForwardingRule>(PortForwardingRuleId(rule.id))?;
            (Some(rule.account), rule.created)
        }
        RuleKind::LoadBalancer => {
            let rule = view.get::<LoadBalancerRule>(LoadBalancerRuleId(rule.id))?;
            (Some(rule.account), rule.created)
        }
        RuleKind::AclItem => {
            let item = view.get::<NetworkAclItem>(NetworkAclItemId(rule.id))?;
            let list = view.get::<NetworkAclList>(item.list)?;
            (list.account, item.created)
        }
    };
    let account = account.and_then(|id| view.get::<Account>(id));
    Some(Maker {
        account: account.map(|account| account.name.clone()),
        created,
    })
}
