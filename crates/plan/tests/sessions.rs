// SPDX-License-Identifier: Apache-2.0
//! Which sessions a change cuts.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    reason = "a test that cannot go on must fail"
)]

mod support;

use outgate_model::RouterSpec;
use outgate_model::router_spec::{AclAction, AclItem, EgressPolicy, NetworkAcl};
use outgate_plan::packet::{Packet, Verdict, verdict};
use outgate_plan::sessions::{Flow, Session, may_live, narrowed};
use proptest::prelude::*;
use support::random::{packets, specs};
use support::vpc::{vpc_packets, vpc_spec, vpc_specs};
use support::{public, spec};

/// The session that a packet opens, if the router lets it.
fn opened(spec: &RouterSpec, packet: &Packet) -> Option<Session> {
    let original = Flow {
        source: packet.source,
        destination: packet.destination,
    };
    let port = packet.header.ports().map(|(_, port)| port);
    match verdict(spec, packet) {
        Verdict::Forward {
            source,
            destination,
            destination_port,
            ..
        } => Some(Session {
            original,
            header: packet.header,
            reply: Flow {
                source: destination,
                destination: source,
            },
            reply_port: destination_port,
        }),
        Verdict::Deliver => Some(Session {
            original,
            header: packet.header,
            reply: Flow {
                source: packet.destination,
                destination: packet.source,
            },
            reply_port: port,
        }),
        Verdict::Drop { .. } | Verdict::AsSession => None,
    }
}

fn outgoing(external: [u8; 4]) -> Session {
    Session {
        original: Flow {
            source: [10, 1, 1, 5].into(),
            destination: [198, 51, 100, 7].into(),
        },
        header: outgate_plan::packet::Header::Tcp {
            source: 40_000,
            destination: 443,
        },
        reply: Flow {
            source: [198, 51, 100, 7].into(),
            destination: external.into(),
        },
        reply_port: Some(443),
    }
}

#[test]
fn sessions_on_the_former_source_nat_address_live_until_it_is_released() {
    let old = spec();
    let mut new = spec();
    new.public.addresses[0].source_nat = false;
    new.public
        .addresses
        .push(outgate_model::router_spec::PublicAddress {
            source_nat: true,
            ..public(11)
        });
    assert!(!narrowed(&old, &new));
    assert!(may_live(&new, &outgoing([203, 0, 113, 10])));
    let mut released = new.clone();
    released.public.addresses.remove(0);
    assert!(narrowed(&new, &released));
    assert!(!may_live(&released, &outgoing([203, 0, 113, 10])));
    assert!(may_live(&released, &outgoing([203, 0, 113, 11])));
}

#[test]
fn sessions_on_an_address_of_the_pool_live_when_it_is_removed_until_it_is_released() {
    let mut pool = spec();
    pool.public
        .addresses
        .push(outgate_model::router_spec::PublicAddress {
            source_nat_pool: true,
            ..public(11)
        });
    let mut removed = pool.clone();
    removed.public.addresses[1].source_nat_pool = false;
    let additional = outgoing([203, 0, 113, 11]);
    for (old, new) in [(&spec(), &pool), (&pool, &removed)] {
        assert!(!narrowed(old, new) && may_live(new, &outgoing([203, 0, 113, 10])));
        assert!(may_live(new, &additional));
    }
    assert!(narrowed(&removed, &spec()) && !may_live(&spec(), &additional));
}

#[test]
fn an_address_given_to_one_guest_is_no_longer_anothers() {
    let mut new = spec();
    new.public
        .addresses
        .push(outgate_model::router_spec::PublicAddress {
            static_nat: Some([10, 1, 1, 6].into()),
            ..public(11)
        });
    assert!(!may_live(&new, &outgoing([203, 0, 113, 11])));
    new.public.addresses[1].static_nat = Some([10, 1, 1, 5].into());
    assert!(may_live(&new, &outgoing([203, 0, 113, 11])));
}

#[test]
fn an_egress_default_of_deny_cuts_what_leaves_but_not_the_routers_own_sessions() {
    let mut new = spec();
    new.guest_networks[0].egress.default = EgressPolicy::Deny;
    assert!(narrowed(&spec(), &new));
    assert!(!may_live(&new, &outgoing([203, 0, 113, 10])));
    let mut own = outgoing([203, 0, 113, 10]);
    own.original.source = [203, 0, 113, 10].into();
    assert!(may_live(&new, &own));
}

/// A few allowances more, a few denials less, or something that takes away.
fn edited(acl: &NetworkAcl, other: &NetworkAcl, edits: &[u8]) -> NetworkAcl {
    let mut items = Vec::new();
    let mut extra = other.items.iter().cloned();
    for (item, edit) in acl.items.iter().zip(edits.iter().cycle()) {
        match edit {
            0 if item.action == AclAction::Deny => {}
            1 => items.extend(extra.next().filter(|i| i.action == AclAction::Allow)),
            2 => items.extend(extra.next()),
            _ => {}
        }
        if !(*edit == 0 && item.action == AclAction::Deny) && *edit != 3 {
            items.push(item.clone());
        }
    }
    for (item, number) in items.iter_mut().zip(1..) {
        item.number = number;
    }
    support::vpc::acl(items)
}

#[test]
fn an_acl_takes_a_right_unless_it_only_allows_more() {
    let old = vpc_spec();
    let with = |change: &dyn Fn(&mut Vec<AclItem>)| {
        let mut new = old.clone();
        let items = &mut new.guest_networks[0].acl.as_mut().unwrap().items;
        change(items);
        for (item, number) in items.iter_mut().zip(1..) {
            item.number = number;
        }
        assert_eq!(new.validate(), Ok(()));
        new
    };
    let narrow = |items: &mut Vec<AclItem>, action| {
        let cidrs = vec!["10.0.2.0/24".parse().unwrap()];
        items.insert(
            0,
            AclItem {
                action,
                cidrs,
                ..items[0].clone()
            },
        );
    };
    assert!(!narrowed(&old, &old));
    assert!(!narrowed(&old, &with(&|items| narrow(items, AclAction::Allow))));
    let denying = with(&|items| narrow(items, AclAction::Deny));
    assert!(narrowed(&old, &denying) && !narrowed(&denying, &old));
    assert!(narrowed(&old, &with(&|items| drop(items.remove(0)))));
    assert!(narrowed(
        &denying,
        &with(&|items| {
            narrow(items, AclAction::Deny);
            items.swap(0, 1);
        })
    ));
    let no_egress = with(&|items| items.truncate(1));
    assert!(narrowed(&old, &no_egress), "in doubt yes");
    assert!(
        narrowed(&no_egress, &old),
        "the first egress item turns the default"
    );
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 1024, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn what_a_vpc_lets_open_may_live_under_it(spec in vpc_specs(), packet in vpc_packets()) {
        if let Some(session) = opened(&spec, &packet) {
            prop_assert!(may_live(&spec, &session), "{session:?}");
        }
    }

    #[test]
    fn a_session_through_a_vpc_lives_on_only_where_it_could_be_opened_again(
        old in vpc_specs(), new in vpc_specs(), packet in vpc_packets(),
    ) {
        if let (Some(session), Verdict::Forward { .. }) = (opened(&old, &packet), verdict(&old, &packet)) {
            let again = opened(&new, &packet).is_some_and(|s| s.reply == session.reply);
            let another_address_of_the_guests = matches!(
                verdict(&new, &packet),
                Verdict::Forward { source, destination, .. }
                    if source != session.reply.destination && destination == session.reply.source
            );
            prop_assert!(again || another_address_of_the_guests || !may_live(&new, &session), "{session:?}");
        }
    }

    #[test]
    fn a_change_of_acls_that_narrows_nothing_cuts_nothing(
        old in vpc_specs(), other in vpc_specs(), edits in proptest::collection::vec(0_u8..12, 8),
        packets in proptest::collection::vec(vpc_packets(), 32),
    ) {
        let mut new = old.clone();
        for (tier, theirs) in new.guest_networks.iter_mut().zip(&other.guest_networks) {
            tier.acl = Some(edited(tier.acl.as_ref().unwrap(), theirs.acl.as_ref().unwrap(), &edits));
        }
        prop_assert_eq!(new.validate(), Ok(()));
        let narrowed = narrowed(&old, &new);
        for session in packets.iter().filter_map(|packet| opened(&old, packet)) {
            prop_assert!(narrowed || may_live(&new, &session), "{session:?}");
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 1024, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn what_a_spec_lets_open_may_live_under_it(spec in specs(), packet in packets()) {
        if let Some(session) = opened(&spec, &packet) {
            prop_assert!(may_live(&spec, &session), "{session:?}");
        }
    }

    /// A forwarded session outlives a change only if the new spec would lead its first packet to the same place.
    #[test]
    fn a_session_lives_on_only_where_it_could_be_opened_again(old in specs(), new in specs(), packet in packets()) {
        if let (Some(session), Verdict::Forward { .. }) = (opened(&old, &packet), verdict(&old, &packet)) {
            let again = opened(&new, &packet).is_some_and(|s| {
                (s.reply.source, s.reply_port) == (session.reply.source, session.reply_port)
            });
            prop_assert!(again || !may_live(&new, &session), "{session:?}");
        }
    }

    #[test]
    fn a_change_that_narrows_nothing_cuts_nothing(
        old in specs(), other in specs(), from_other in any::<[bool; 4]>(), packet in packets(),
    ) {
        // Half-changed specs: most parts stay, so that additions alone happen often.
        let mut new = old.clone();
        for (address, taken) in new.public.addresses.iter_mut().zip(from_other) {
            let found = other.public.addresses.iter().find(|a| a.address == address.address);
            if let (true, Some(found)) = (taken, found) {
                address.firewall.extend(found.firewall.clone());
            }
        }
        if from_other[3] {
            new.guest_networks[0].egress.rules.extend(other.guest_networks[0].egress.rules.clone());
        }
        if let (Some(session), false) = (opened(&old, &packet), narrowed(&old, &new)) {
            prop_assert!(may_live(&new, &session), "{session:?}");
        }
    }
}
