// SPDX-License-Identifier: Apache-2.0
//! What is done, in which order, and what people are told.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    reason = "a test that cannot go on must fail"
)]

mod support;

use outgate_model::router_spec::{Lease, PublicAddress};
use outgate_model::{MacAddr, RouterSpec};
use outgate_plan::router_plan::{Link, Service, Sysctl};
use outgate_plan::{Changes, RouterPlan, Ruleset, ServiceAction, Step, diff, plan};
use proptest::prelude::*;
use support::random::specs;
use support::vpc::{vpc_spec, vpc_specs};
use support::{public, spec};

/// What a router holds that has only been plugged in.
fn fresh(spec: &RouterSpec) -> RouterPlan {
    let wanted = plan(spec);
    let bare = |link: &Link| Link {
        up: false,
        addresses: Default::default(),
        ..link.clone()
    };
    RouterPlan {
        links: wanted
            .links
            .iter()
            .map(|(name, link)| (name.clone(), bare(link)))
            .collect(),
        sysctls: [(
            "net.ipv4.ip_forward".to_owned(),
            Sysctl {
                value: "0".to_owned(),
                required: true,
            },
        )]
        .into(),
        ..RouterPlan::default()
    }
}

/// Carries out everything but the ruleset's script, on a value.
fn apply(mut held: RouterPlan, changes: Changes, wanted: &RouterPlan) -> RouterPlan {
    for step in changes.steps {
        let link =
            |held: &mut RouterPlan, name: &str, f: &dyn Fn(&mut Link)| f(held.links.get_mut(name).unwrap());
        match step {
            Step::SetMac { interface, mac } => link(&mut held, &interface, &|l| l.mac = mac),
            Step::SetMtu { interface, mtu } => link(&mut held, &interface, &|l| l.mtu = mtu),
            Step::SetUp { interface } => link(&mut held, &interface, &|l| l.up = true),
            Step::AddAddress { interface, address } => link(&mut held, &interface, &|l| {
                l.addresses.insert(address);
            }),
            Step::DeleteAddress { interface, address } => link(&mut held, &interface, &|l| {
                l.addresses.remove(&address);
            }),
            Step::Sysctl {
                name,
                value,
                required,
            } => drop(held.sysctls.insert(name, Sysctl { value, required })),
            Step::Nft(_) => held.ruleset = wanted.ruleset.clone(),
            Step::Iptables(_) => held.iptables_postrouting = wanted.iptables_postrouting.clone(),
            Step::ReplaceRoute(route) => {
                held.routes.retain(|r| r.to != route.to);
                held.routes.insert(route);
            }
            Step::DeleteRoute(route) => drop(held.routes.remove(&route)),
            Step::Service { name, write, action } => match action {
                ServiceAction::Stop => drop(held.services.remove(&name)),
                action => {
                    let planned = &wanted.services[&name];
                    let service = held.services.entry(name).or_insert(Service {
                        argv: Vec::new(),
                        files: write.clone(),
                        check: planned.check.clone(),
                        control: planned.control.clone(),
                    });
                    service.files.extend(write);
                    if let ServiceAction::Start { argv } = action {
                        service.argv = argv;
                    }
                }
            },
        }
    }
    held
}

fn position(changes: &Changes, which: impl Fn(&Step) -> bool) -> usize {
    changes
        .steps
        .iter()
        .position(which)
        .expect("there is such a step")
}

fn says(changes: &Changes, sentence: &str) {
    assert!(
        changes.differences.iter().any(|d| d == sentence),
        "{sentence} not in {:#?}",
        changes.differences
    );
}

#[test]
fn filters_stand_before_addresses_and_addresses_before_forwarding() {
    let spec = spec();
    let changes = diff(&fresh(&spec), &plan(&spec));
    let nft = position(&changes, |s| matches!(s, Step::Nft(_)));
    let up = position(&changes, |s| matches!(s, Step::SetUp { .. }));
    let address = position(&changes, |s| matches!(s, Step::AddAddress { .. }));
    let route = position(&changes, |s| matches!(s, Step::ReplaceRoute(_)));
    let forward = position(
        &changes,
        |s| matches!(s, Step::Sysctl { name, .. } if name == "net.ipv4.ip_forward"),
    );
    let service = position(&changes, |s| matches!(s, Step::Service { .. }));
    assert!(nft < up && up < address && address < route && route < forward && forward < service);
    says(&changes, "table ip outgate is missing");
    says(&changes, "sysctl net.ipv4.ip_forward is 0, should be 1");
    says(&changes, "address 203.0.113.10/24 is missing on eth2");
    says(
        &changes,
        "route default via 203.0.113.1 dev eth2 src 203.0.113.10 is missing",
    );
    says(&changes, "eth2 is down");
    says(&changes, "sshd does not run");
}

#[test]
fn a_released_address_goes_last_and_its_rules_before() {
    let mut old = spec();
    old.public.addresses.push(PublicAddress {
        static_nat: Some([10, 1, 1, 6].into()),
        ..public(11)
    });
    let changes = diff(&plan(&old), &plan(&spec()));
    assert!(
        matches!(&changes.steps[..], [Step::Nft(_), Step::DeleteAddress { .. }]),
        "{changes:#?}"
    );
    says(
        &changes,
        "element 203.0.113.11 : 10.1.1.6 should not be in map static_nat_in",
    );
    says(&changes, "address 203.0.113.11/24 should not be on eth2");
}

/// Nothing restarts, so nobody's DNS or SSH session notices.
#[test]
fn a_new_guest_is_a_hangup_and_a_new_key_only_a_file() {
    let mut new = spec();
    let lease = Lease {
        address: [10, 1, 1, 7].into(),
        hostname: "vm-7".to_owned(),
        default_route: true,
    };
    new.guest_networks[0]
        .leases
        .insert(MacAddr([2, 0, 0, 0, 0, 7]), lease);
    let changes = diff(&plan(&spec()), &plan(&new));
    let [Step::Service { name, write, action }] = &changes.steps[..] else {
        panic!("{changes:#?}")
    };
    assert_eq!(
        (name.as_str(), write.len(), action),
        ("dnsmasq", 2, &ServiceAction::Hangup)
    );
    let mut new = spec();
    new.ssh
        .authorized_keys
        .push("ssh-ed25519 AAAA other@lab".to_owned());
    let changes = diff(&plan(&spec()), &plan(&new));
    let [Step::Service { name, action, .. }] = &changes.steps[..] else {
        panic!("{changes:#?}")
    };
    assert_eq!((name.as_str(), action), ("sshd", &ServiceAction::None));
}

#[test]
fn a_missing_interface_is_named_and_the_rest_is_still_done() {
    let wanted = plan(&spec());
    let mut held = wanted.clone();
    held.links.remove("eth2");
    held.routes.clear();
    held.sysctls.retain(|name, _| !name.contains(".eth2."));
    held.ruleset = Ruleset::default();
    let changes = diff(&held, &wanted);
    assert!(changes.missing_links.contains("eth2") && !changes.is_empty());
    let [Step::Nft(script)] = &changes.steps[..] else {
        panic!("{changes:#?}")
    };
    // nft would take none of it.
    assert!(
        script.contains("\"eth0\"") && !script.contains("\"eth2\""),
        "{script}"
    );
    says(&changes, "Interface eth2 not found");
}

#[test]
fn what_somebody_changed_in_the_table_is_named_and_only_that_is_mended() {
    let wanted = plan(&spec());
    let mut held = wanted.clone();
    let gate = held.ruleset.chains.get_mut("gate").unwrap();
    gate.rules.pop();
    gate.rules.push("accept".to_owned());
    let changes = diff(&held, &wanted);
    says(
        &changes,
        "rule missing in chain gate: counter name \"dropped_unsolicited\" drop",
    );
    says(&changes, "rule should not be in chain gate: accept");
    let [Step::Nft(script)] = &changes.steps[..] else {
        panic!("{changes:#?}")
    };
    assert!(
        script.starts_with("flush chain ip outgate gate\n") && !script.contains("delete table"),
        "{script}"
    );
}

#[test]
fn a_table_of_another_shape_is_replaced_as_a_whole() {
    let wanted = plan(&spec());
    let mut held = wanted.clone();
    held.ruleset
        .chains
        .get_mut("forward")
        .unwrap()
        .hook
        .as_mut()
        .unwrap()
        .policy = "accept".to_owned();
    let changes = diff(&held, &wanted);
    says(
        &changes,
        "chain forward of table ip outgate has another hook or policy",
    );
    let [Step::Nft(script)] = &changes.steps[..] else {
        panic!("{changes:#?}")
    };
    assert!(
        script.starts_with("table ip outgate { }\ndelete table ip outgate\ntable ip outgate {\n"),
        "{script}"
    );
}

#[test]
fn many_differences_are_summed_up() {
    let mut new = spec();
    new.public.addresses[0].firewall = Vec::new();
    let mut held = plan(&new);
    let extra = (0..5_000).map(|n| (format!("203.0.113.10 . 6 . {n}"), None));
    held.ruleset.sets.get_mut("open_ports").unwrap().elements = extra.collect();
    let changes = diff(&held, &plan(&new));
    assert_eq!(changes.differences.len(), 11);
    says(
        &changes,
        "the same is true of 4990 more: an element should not be in set open_ports",
    );
}

/// Neither the other tiers' rules nor a set nor a service.
#[test]
fn a_table_without_the_counters_gets_them_and_is_not_made_anew() {
    let wanted = plan(&spec());
    let mut held = wanted.clone();
    held.ruleset.counters = ["mine".to_owned()].into();
    let changes = diff(&held, &wanted);
    says(&changes, "counter dropped_egress is missing in table ip outgate");
    says(&changes, "counter mine should not be in table ip outgate");
    let [Step::Nft(script)] = &changes.steps[..] else {
        panic!("{changes:#?}")
    };
    assert!(
        script.contains("\tcounter dropped_egress { }\n")
            && script.ends_with("delete counter ip outgate mine\n")
            && !script.contains("delete table"),
        "{script}"
    );
}

#[test]
fn a_replaced_acl_rewrites_the_chains_of_its_tier_only() {
    let mut new = vpc_spec();
    let acl = new.guest_networks[1].acl.as_mut().unwrap();
    acl.items.remove(0);
    let changes = diff(&plan(&vpc_spec()), &plan(&new));
    let [Step::Nft(script)] = &changes.steps[..] else {
        panic!("{changes:#?}")
    };
    assert_eq!(
        script,
        "flush chain ip outgate acl_in_eth3\n\
         add rule ip outgate acl_in_eth3 counter name \"dropped_acl\" drop\n"
    );
    says(&changes, "rule should not be in chain acl_in_eth3: return");
}

#[test]
fn a_new_tier_is_an_interface_more_and_dnsmasq_learns_of_it() {
    let mut old = vpc_spec();
    old.guest_networks.pop();
    old.vpc.as_mut().unwrap().static_routes.remove(2);
    let changes = diff(&plan(&old), &plan(&vpc_spec()));
    assert!(changes.missing_links.contains("eth4"), "it is not plugged in yet");
    says(&changes, "chain acl_in_eth4 is missing in table ip outgate");
    let Step::Nft(script) = &changes.steps[0] else {
        panic!("{changes:#?}")
    };
    let expected = "table ip outgate {\n\tchain acl_in_eth4 {\n";
    assert!(
        script.starts_with(expected) && !script.contains("delete"),
        "{script}"
    );
    says(&changes, "dnsmasq's file /run/outgate-vr/dnsmasq.conf differs");
}

/// While a base chain is taken away its policy drops packets: other tiers would lose some.
#[test]
fn a_tier_less_takes_its_own_chains_and_no_base_chain() {
    let mut new = vpc_spec();
    new.guest_networks.pop();
    new.vpc.as_mut().unwrap().static_routes.remove(2);
    let changes = diff(&plan(&vpc_spec()), &plan(&new));
    says(&changes, "chain acl_in_eth4 should not be in table ip outgate");
    let script = changes.steps.iter().find_map(|step| match step {
        Step::Nft(script) => Some(script),
        _ => None,
    });
    let script = script.unwrap();
    assert!(
        script.contains("delete chain ip outgate acl_in_eth4\n"),
        "{script}"
    );
    assert!(!script.contains("delete table"), "{script}");
}

#[test]
fn a_vpc_without_tiers_runs_no_dnsmasq() {
    let mut bare = vpc_spec();
    bare.guest_networks.clear();
    bare.vpc.as_mut().unwrap().static_routes.remove(2);
    let changes = diff(&plan(&vpc_spec()), &plan(&bare));
    says(&changes, "dnsmasq runs and should not");
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn a_difference_applied_leads_to_the_plan(from in specs(), to in specs()) {
        let (from, to) = (plan(&from), plan(&to));
        let changes = diff(&from, &to);
        prop_assert_eq!(changes.steps.is_empty(), changes.differences.is_empty());
        let held = apply(from, changes, &to);
        prop_assert!(diff(&held, &to).is_empty());
        prop_assert_eq!(held, to);
    }

    #[test]
    fn a_difference_between_vpcs_applied_leads_to_the_plan(from in vpc_specs(), to in vpc_specs()) {
        let (from, to) = (plan(&from), plan(&to));
        let changes = diff(&from, &to);
        prop_assert_eq!(changes.steps.is_empty(), changes.differences.is_empty());
        let held = apply(from, changes, &to);
        prop_assert!(diff(&held, &to).is_empty());
        prop_assert_eq!(held, to);
    }

    #[test]
    fn a_fresh_router_gets_all_of_the_plan(spec in specs()) {
        let wanted = plan(&spec);
        let held = fresh(&spec);
        let changes = diff(&held, &wanted);
        prop_assert_eq!(apply(held, changes, &wanted), wanted);
    }
}
