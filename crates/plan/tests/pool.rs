// SPDX-License-Identifier: Apache-2.0
//! What the rules of a source NAT pool are told of the sessions there are.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    reason = "a test that cannot go on must fail"
)]

mod support;

use std::collections::BTreeSet;
use std::net::Ipv4Addr;

use outgate_model::RouterSpec;
use outgate_model::router_spec::PublicAddress;
use outgate_plan::packet::Header;
use outgate_plan::pool::{SHORT_FROM, Tally};
use outgate_plan::sessions::{Flow, Session};
use outgate_plan::{parse_ruleset, plan};
use proptest::prelude::*;
use support::{nft, public, spec};

/// 203.0.113.10, then .11 and .12.
fn pool() -> RouterSpec {
    let mut spec = spec();
    for n in [11, 12] {
        spec.public.addresses.push(PublicAddress {
            source_nat_pool: true,
            ..public(n)
        });
    }
    spec
}

/// A guest's session through 203.0.113.`external`.
fn session(guest: u8, external: u8, port: u16) -> Session {
    let destination = Ipv4Addr::new(198, 51, 100, 7);
    Session {
        original: Flow {
            source: Ipv4Addr::new(10, 1, 1, guest),
            destination,
        },
        header: Header::Tcp {
            source: 40_000,
            destination: port,
        },
        reply: Flow {
            source: destination,
            destination: Ipv4Addr::new(203, 0, 113, external),
        },
        reply_port: Some(port),
    }
}

fn script(spec: &RouterSpec, sessions: impl IntoIterator<Item = Session>) -> Option<String> {
    let mut tally = Tally::new(spec)?;
    sessions.into_iter().for_each(|session| tally.add(&session));
    tally.script()
}

#[test]
fn a_pool_of_one_has_nothing_to_remember() {
    assert_eq!(script(&spec(), [session(5, 10, 443)]), None);
}

#[test]
fn a_guest_at_the_default_address_is_not_noted_and_one_at_another_is() {
    assert_eq!(script(&pool(), [session(5, 10, 443)]), None);
    let told = script(
        &pool(),
        [session(5, 10, 443), session(6, 12, 443), session(6, 12, 80)],
    );
    assert_eq!(
        told.unwrap(),
        "add element ip outgate pool_moved_203.0.113.12 { 10.1.1.6 timeout 3600s }\n"
    );
}

#[test]
fn sessions_of_nobody_behind_the_router_or_through_no_address_of_the_pool_count_for_nothing() {
    let mut foreign = session(5, 11, 443);
    foreign.original.source = [192, 0, 2, 5].into();
    assert_eq!(script(&pool(), [foreign, session(5, 13, 443)]), None);
}

#[test]
fn a_destination_that_nearly_all_ports_of_an_address_are_used_for_is_short_there_and_nowhere_else() {
    let many = |count: u32| (0..count).map(|_| session(5, 10, 443));
    assert_eq!(script(&pool(), many(SHORT_FROM - 1)), None);
    let told = script(&pool(), many(SHORT_FROM).chain([session(5, 10, 80)]));
    assert_eq!(
        told.unwrap(),
        "add element ip outgate pool_short_203.0.113.10 { 198.51.100.7 . 6 . 443 timeout 60s }\n"
    );
}

/// What packets and the engine note down is no difference from the plan.
#[test]
fn the_kernel_takes_what_it_is_told_twice_and_the_table_is_as_planned_still() {
    let spec = pool();
    let wanted = plan(&spec).ruleset;
    let many = (0..SHORT_FROM).map(|_| session(5, 10, 443));
    let told = script(&spec, many.chain([session(6, 11, 443)])).unwrap();
    let listing = nft(&[wanted.to_script(), told.clone(), told]).unwrap();
    assert!(
        listing.contains("10.1.1.6") && listing.contains("198.51.100.7 . 6 . 443"),
        "{listing}"
    );
    assert_eq!(parse_ruleset(&listing).unwrap().unwrap(), wanted);
}

proptest! {
    /// Whatever the sessions: noted is exactly who has one through an additional address.
    #[test]
    fn exactly_the_guests_with_a_session_through_an_additional_address_are_noted(
        sessions in proptest::collection::vec((5_u8..9, 10_u8..14, 1_u16..4), 0..40),
    ) {
        let told = script(&pool(), sessions.iter().map(|(guest, external, port)| session(*guest, *external, *port)));
        let noted: BTreeSet<String> = told.unwrap_or_default().lines().map(str::to_owned).collect();
        let moved = sessions.iter().filter(|(_, external, _)| matches!(external, 11 | 12));
        let wanted = moved.map(|(guest, external, _)| {
            format!("add element ip outgate pool_moved_203.0.113.{external} {{ 10.1.1.{guest} timeout 3600s }}")
        });
        prop_assert_eq!(noted, wanted.collect::<BTreeSet<_>>());
    }
}
