// SPDX-License-Identifier: Apache-2.0
//! Sessions through a VPC's router.

use std::collections::HashSet;

use outgate_model::RouterSpec;
use outgate_model::router_spec::{AclAction, AclDirection, AclItem, GuestNetwork, NetworkAcl, VpcSide};

use super::{Flow, Judge, Session};
use crate::rights;
use crate::sides::{Passage, Side, towards};

impl Judge<'_> {
    /// Whether a session may go on that neither begins nor ends at the router itself.
    pub(super) fn may_live_in_vpc(&self, vpc: &VpcSide, session: &Session) -> bool {
        let Flow { source, destination } = session.original;
        let (from, to) = (
            towards(self.spec, source),
            towards(self.spec, session.reply.source),
        );
        let passage = Passage {
            from,
            to,
            source,
            destination: session.reply.source,
            header: session.header.to_port(session.reply_port),
            translated: session.reply.source != destination,
        };
        let balanced = self
            .public
            .get(&destination)
            .is_some_and(|p| p.is_balanced(session));
        if balanced && !matches!(from, Side::Gateway(_)) {
            return passage.may_leave();
        }
        let leads_there = match self.public.get(&destination) {
            Some(public) => !matches!(from, Side::Gateway(_)) && public.leads_to_guest(session),
            // Where the destination was translated, it was a public address that the router has no more.
            None => !passage.translated,
        };
        leads_there && passage.judge(self.spec, vpc).is_ok() && self.source_is_fine(&passage, session)
    }

    /// Whether the session has the source that a new one like it would get, or another of the guest's.
    fn source_is_fine(&self, passage: &Passage<'_>, session: &Session) -> bool {
        let kept = session.reply.destination == passage.source;
        let is_guest = rights::network_of(self.spec, passage.source).is_some();
        match passage.to {
            Side::Public => self.external_is_fine(session),
            // Whether it translates may have changed: sessions keep what they have.
            Side::Gateway(gateway) => kept || session.reply.destination == gateway.address.addr(),
            Side::Guests(_) if passage.translated && is_guest => self.external_is_fine(session),
            Side::Guests(_) | Side::Control => kept,
        }
    }
}

/// Whether the VPC's part of a change may have taken any session's right.
pub(super) fn narrowed(old: &RouterSpec, new: &RouterSpec) -> bool {
    let (before, after) = match (&old.vpc, &new.vpc) {
        (None, None) => return false,
        (Some(before), Some(after)) => (before, after),
        _ => return true,
    };
    let lost = |tier: &GuestNetwork| {
        let kept = new.guest_networks.iter().find(|n| n.interface == tier.interface);
        kept.is_none_or(|kept| match (&tier.acl, &kept.acl) {
            (Some(before), Some(after)) => acl_narrowed(before, after),
            (before, after) => before != after,
        })
    };
    before != after || old.guest_networks.iter().any(lost)
}

/// Nothing is lost while what is new only allows and what is gone only denied.
fn acl_narrowed(old: &NetworkAcl, new: &NetworkAcl) -> bool {
    let egress = |acl: &NetworkAcl| acl.items.iter().any(|i| i.direction == AclDirection::Egress);
    // The first egress item turns the default.
    if !egress(old) && egress(new) {
        return true;
    }
    let kept: HashSet<_> = new.items.iter().map(rule).collect();
    let mut new = new.items.iter().map(rule);
    for item in &old.items {
        let wanted = rule(item);
        if !kept.contains(&wanted) {
            if item.action == AclAction::Allow {
                return true;
            }
            continue;
        }
        loop {
            match new.next() {
                Some(next) if next == wanted => break,
                Some((_, AclAction::Allow, ..)) => {}
                // A new denial, or the old items in another order.
                _ => return true,
            }
        }
    }
    new.any(|(_, action, ..)| action == AclAction::Deny)
}

type Rule<'a> = (
    AclDirection,
    AclAction,
    outgate_model::Match,
    &'a [ipnet::Ipv4Net],
);

/// What an item says, whatever its name and number.
fn rule(item: &AclItem) -> Rule<'_> {
    (item.direction, item.action, item.matches, &item.cidrs)
}
