// SPDX-License-Identifier: Apache-2.0
//! Where packets come from and where they go: the router's sides, and what a VPC lets pass between them.

use std::net::Ipv4Addr;

use outgate_model::RouterSpec;
use outgate_model::router_spec::{
    AclAction, AclDirection, AclItem, GuestNetwork, NetworkAcl, PrivateGateway, VpcSide,
};

use crate::packet::{Header, Reason};
use crate::rights;

/// A side of the router.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Side<'a> {
    Control,
    Public,
    Guests(&'a GuestNetwork),
    Gateway(&'a PrivateGateway),
}

impl<'a> Side<'a> {
    /// The interface that leads there.
    pub(crate) fn interface(self, spec: &'a RouterSpec) -> &'a str {
        match self {
            Self::Control => &spec.control.interface,
            Self::Public => &spec.public.interface,
            Self::Guests(network) => &network.interface,
            Self::Gateway(gateway) => &gateway.interface,
        }
    }

    /// The side that an interface leads to.
    pub(crate) fn of_interface(spec: &'a RouterSpec, interface: &str) -> Option<Self> {
        let guests = spec.guest_networks.iter().map(Self::Guests);
        let gateways = spec.private_gateways().iter().map(Self::Gateway);
        let mut all = guests.chain(gateways).chain([Self::Control, Self::Public]);
        all.find(|side| side.interface(spec) == interface)
    }
}

/// The side whose own network holds `address`; the public side where none does.
pub(crate) fn neighbour(spec: &RouterSpec, address: Ipv4Addr) -> Side<'_> {
    let guests = || rights::network_of(spec, address).map(Side::Guests);
    let gateway = || {
        let mut all = spec.private_gateways().iter();
        all.find(|g| g.address.contains(&address)).map(Side::Gateway)
    };
    let control = || spec.control.address.contains(&address).then_some(Side::Control);
    guests().or_else(gateway).or_else(control).unwrap_or(Side::Public)
}

/// The side that packets to `address` are sent to.
pub(crate) fn towards(spec: &RouterSpec, address: Ipv4Addr) -> Side<'_> {
    let routes = spec.static_routes().iter().filter(|r| r.to.contains(&address));
    match (neighbour(spec, address), routes.max_by_key(|r| r.to.prefix_len())) {
        // No static route leads to a network that the router is connected to.
        (Side::Public, Some(route)) => neighbour(spec, route.via),
        (side, _) => side,
    }
}

/// A new session on its way through a VPC's router, with the destination as translated and the source as sent.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Passage<'a> {
    pub(crate) from: Side<'a>,
    pub(crate) to: Side<'a>,
    pub(crate) source: Ipv4Addr,
    pub(crate) destination: Ipv4Addr,
    pub(crate) header: Header,
    /// Whether its destination was a public address.
    pub(crate) translated: bool,
}

impl<'a> Passage<'a> {
    /// Whether the VPC lets it pass: the ACL of the side that it comes from first, then that of the side that it goes
    /// to, then whether these sides may meet at all.
    pub(crate) fn judge(&self, spec: &RouterSpec, vpc: &VpcSide) -> Result<(), Reason> {
        let enters = match self.to {
            Side::Guests(tier) => self.allowed(tier.acl.as_ref(), AclDirection::Ingress),
            Side::Gateway(gateway) => self.allowed(Some(&gateway.acl), AclDirection::Egress),
            Side::Control | Side::Public => true,
        };
        if !(self.may_leave() && enters) {
            return Err(Reason::Acl);
        }
        let may_meet = match (self.from, self.to) {
            (Side::Public, Side::Guests(_)) => self.translated,
            (Side::Guests(a), Side::Guests(b)) => {
                self.translated || a.interface != b.interface || !b.gateway.contains(&self.destination)
            }
            (Side::Guests(_), Side::Gateway(_)) | (Side::Gateway(_), Side::Guests(_)) => !self.translated,
            (Side::Guests(_), Side::Public) => {
                !vpc.cidr.contains(&self.destination) && rights::network_of(spec, self.source).is_some()
            }
            _ => false,
        };
        if may_meet {
            Ok(())
        } else {
            Err(Reason::NotForwarded)
        }
    }

    /// Whether the ACL of the side that it comes from lets it pass, wherever it goes.
    pub(crate) fn may_leave(&self) -> bool {
        match self.from {
            Side::Guests(tier) => self.allowed(tier.acl.as_ref(), AclDirection::Egress),
            Side::Gateway(gateway) => self.allowed(Some(&gateway.acl), AclDirection::Ingress),
            Side::Control | Side::Public => true,
        }
    }

    fn allowed(&self, acl: Option<&NetworkAcl>, direction: AclDirection) -> bool {
        acl.is_some_and(|acl| self.decide(self.from, acl, direction).allowed)
    }

    /// The ACLs on the way that judge it, the sender's side first, up to the one that denies. What goes to a balancer
    /// meets the sender's only.
    pub(crate) fn acls(&self) -> Vec<Decision<'a>> {
        let sender = match self.from {
            Side::Guests(tier) => tier.acl.as_ref().map(|acl| (acl, AclDirection::Egress)),
            Side::Gateway(gateway) => Some((&gateway.acl, AclDirection::Ingress)),
            Side::Control | Side::Public => None,
        };
        let receiver = match self.to {
            Side::Guests(tier) => tier.acl.as_ref().map(|acl| (acl, AclDirection::Ingress)),
            Side::Gateway(gateway) => Some((&gateway.acl, AclDirection::Egress)),
            Side::Control | Side::Public => None,
        };
        let mut met = Vec::new();
        for (side, (acl, direction)) in [(self.from, sender), (self.to, receiver)]
            .into_iter()
            .filter_map(|(side, acl)| Some((side, acl?)))
        {
            let decision = self.decide(side, acl, direction);
            met.push(decision);
            if !decision.allowed {
                break;
            }
        }
        met
    }

    fn decide<'b>(&self, side: Side<'b>, acl: &'b NetworkAcl, direction: AclDirection) -> Decision<'b> {
        let other = match direction {
            AclDirection::Ingress => self.source,
            AclDirection::Egress => self.destination,
        };
        let items = || acl.items.iter().filter(|item| item.direction == direction);
        let item = items().find(|item| {
            rights::matches(item.matches, self.header) && item.cidrs.iter().any(|c| c.contains(&other))
        });
        let allowed = match item {
            Some(item) => item.action == AclAction::Allow,
            None => direction == AclDirection::Egress && items().next().is_none(),
        };
        Decision {
            side,
            acl,
            direction,
            item,
            allowed,
        }
    }
}

/// What a network ACL says of a new session.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Decision<'a> {
    /// Whose ACL it is.
    pub(crate) side: Side<'a>,
    pub(crate) acl: &'a NetworkAcl,
    pub(crate) direction: AclDirection,
    /// The item that decides; `None` when none is about it.
    pub(crate) item: Option<&'a AclItem>,
    pub(crate) allowed: bool,
}
