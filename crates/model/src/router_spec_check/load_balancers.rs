// SPDX-License-Identifier: Apache-2.0
//! Load balancers of one public address.

use std::collections::BTreeSet;

use super::{Check, Field};
use crate::Protocol;
use crate::router_spec::load_balancer::{HealthCheck, LbCookieMode, Stickiness};
use crate::router_spec::{LoadBalancer, PublicAddress, RouterSpec};

/// 30 days: longer than any session should be remembered.
const HOLD_SECS_MAX: u32 = 30 * 24 * 3_600;

pub(super) fn check(spec: &RouterSpec, address: &PublicAddress, check: &mut Check<'_>) {
    if let Some(guest) = address.static_nat.filter(|_| !address.load_balancers.is_empty()) {
        check.require(false, "static_nat", guest, "an address without load balancing");
    }
    let tcp = address
        .port_forwarding
        .iter()
        .filter(|f| f.protocol == Protocol::Tcp);
    let mut forwarded: Vec<_> = tcp
        .map(|f| (f.public_ports.first(), f.public_ports.last()))
        .collect();
    forwarded.sort_unstable();
    let mut ports = BTreeSet::new();
    for (i, balancer) in address.load_balancers.iter().enumerate() {
        let mut check = check.at(Field::Item("load_balancers", i));
        let port = balancer.public_port;
        let before = forwarded.partition_point(|(first, _)| *first <= port);
        let clash = before
            .checked_sub(1)
            .and_then(|i| forwarded.get(i))
            .is_some_and(|(_, last)| *last >= port);
        check.require(port != 0, "public_port", port, "a port from 1 to 65535");
        check.require(!clash, "public_port", port, "a port that is not forwarded");
        check.require(
            ports.insert(port),
            "public_port",
            port,
            "a port balanced only once",
        );
        one(spec, balancer, &mut check);
    }
}

fn one(spec: &RouterSpec, balancer: &LoadBalancer, check: &mut Check<'_>) {
    check.require(
        balancer.private_port != 0,
        "private_port",
        balancer.private_port,
        "a port from 1 to 65535",
    );
    check.require(!balancer.sources.is_empty(), "sources", "[]", "at least one CIDR");
    for member in &balancer.members {
        check.require(
            spec.is_guest_address(*member),
            "members",
            member,
            "a guest's address in a guest network",
        );
    }
    let sorted = balancer.members.windows(2).all(|pair| pair[0] < pair[1]);
    check.require(
        sorted,
        "members",
        format!("{:?}", balancer.members),
        "each address once, the lowest first",
    );
    if let Some(stickiness) = &balancer.stickiness {
        check_stickiness(stickiness, &mut check.at("stickiness"));
    }
    if let Some(health) = &balancer.health_check {
        check_health(health, &mut check.at("health_check"));
    }
}

fn check_stickiness(stickiness: &Stickiness, check: &mut Check<'_>) {
    let hold = |check: &mut Check<'_>, field, secs: u32| {
        check.require(
            (1..=HOLD_SECS_MAX).contains(&secs),
            field,
            secs,
            "1 second to 30 days",
        );
    };
    match stickiness {
        Stickiness::LbCookie { mode, indirect, .. } => check.require(
            !(*mode == LbCookieMode::Rewrite && *indirect),
            "indirect",
            indirect,
            "false for a cookie that the guest sets and the router rewrites",
        ),
        Stickiness::AppCookie {
            length, hold_secs, ..
        } => {
            check.require(
                (1..=1_024).contains(length),
                "length",
                length,
                "1 to 1024 characters",
            );
            hold(check, "hold_secs", *hold_secs);
        }
        Stickiness::SourceBased {
            table_size,
            expire_secs,
        } => {
            check.require(
                (1..=1_048_576).contains(table_size),
                "table_size",
                table_size,
                "1 to 1048576 clients",
            );
            hold(check, "expire_secs", *expire_secs);
        }
    }
}

fn check_health(health: &HealthCheck, check: &mut Check<'_>) {
    check.require(
        (1..=20_940).contains(&health.interval_secs),
        "interval_secs",
        health.interval_secs,
        "1 to 20940 seconds",
    );
    check.require(
        (1..=60).contains(&health.timeout_secs),
        "timeout_secs",
        health.timeout_secs,
        "1 to 60 seconds",
    );
    check.require(health.healthy != 0, "healthy", health.healthy, "1 to 255 answers");
    check.require(
        health.unhealthy != 0,
        "unhealthy",
        health.unhealthy,
        "1 to 255 answers",
    );
}
