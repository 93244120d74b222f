// SPDX-License-Identifier: Apache-2.0
//! `migrateNetwork` with `vpcid`: an isolated network becomes a tier of a VPC, in one transaction.
//!
//! Guests keep their addresses, the network its public ones, and the rules lead where they led. The VPC's router takes
//! the network's interface and addresses; once it serves, sessions that live in the network's own router are handed
//! over, and that router goes (`Tier::moved_from`, see the reconciler).

use jiff::Timestamp;
use outgate_model::Realm;
use outgate_model::id::{NetworkAclItemId, NetworkAclListId};
use outgate_model::job::Goal;
use outgate_model::object::{
    Direction, FirewallRule, LoadBalancerRule, Network, NetworkAclItem, NetworkOffering, NetworkPhase,
    NetworkSettings, PortForwardingRule, PublicIp, Router, Service, Tier, Vpc, Zone,
};

use super::migrate_rules::{self, Address, Item};
use super::{acl, tier};
use crate::CommandError;
use crate::command::request::{MigrateNetwork, Started};
use crate::command::tx::Tx;
use crate::command::{implement, pick};
use crate::mirror::Stored;

/// Steps between the numbers of the items, for others to come between.
const STEP: u16 = 10;

/// `migrateNetwork`.
pub(crate) fn migrate(tx: &mut Tx<'_>, request: MigrateNetwork) -> Result<Started, CommandError> {
    let network = tx.own::<Network>("networkid", request.network)?;
    let vpc = tx.own::<Vpc>("vpcid", request.vpc)?;
    check_place(tx, &network, &vpc)?;
    let offering = tier::offering(tx, request.offering, &vpc)?;
    check_services(tx, &network, &offering)?;
    let acl = match request.acl {
        Some(acl) => tier::usable_acl(tx, "aclid", acl, vpc.id)?.id,
        None => list_of_rules(tx, &network, &vpc)?,
    };
    let router = tx.view.router_of(Realm::Network(network.id)).cloned();
    // The network is read whole: whoever changes a rule of it meanwhile writes it too.
    tx.draft.touch(tx.view, Realm::Network(network.id));
    let generation = tx.draft.touch(tx.view, Realm::Vpc(vpc.id));
    move_rules(tx, &network, generation)?;
    move_addresses(tx, &network, &vpc)?;
    become_tier(tx, &network, &vpc, (&offering, acl), router.as_deref())?;
    if network.phase == NetworkPhase::Implemented {
        implement::with_source_nat(tx, Realm::Vpc(vpc.id), router.as_ref().map(|r| r.host))?;
    }
    let text = format!("migrating network {} into VPC {}", network.name, vpc.name);
    tx.event::<Network>("NETWORK.MIGRATE", network.account, network.id.0, text);
    let goal = Goal::NetworkMoved {
        network: network.id,
        vpc: vpc.id,
        generation,
    };
    Ok(Started {
        job: tx.job::<Network>("migrateNetwork", network.id.0, goal),
        id: None,
    })
}

fn check_place(tx: &Tx<'_>, network: &Network, vpc: &Vpc) -> Result<(), CommandError> {
    if let Some(now) = tier::vpc_of(network) {
        let expected = format!("an isolated network; this one is a tier of VPC {now}");
        return Err(CommandError::invalid("networkid", network.id, expected));
    }
    if (network.zone, network.account) != (vpc.zone, vpc.account) {
        let expected = format!("a VPC of the network's zone {} and its owner's", network.zone);
        return Err(CommandError::invalid("vpcid", vpc.id, expected));
    }
    let tiers: Vec<_> = tx.view.tiers_of_vpc(vpc.id).map(|tier| tier.cidr()).collect();
    tier::fits(vpc, &tiers, network.gateway, "networkid")
}

/// What its rules need, its offering must still have.
fn check_services(tx: &Tx<'_>, network: &Network, offering: &NetworkOffering) -> Result<(), CommandError> {
    let id = network.id;
    let needed = [
        (
            Service::PortForwarding,
            tx.view.forwards_of_network(id).next().is_some(),
        ),
        (Service::Lb, tx.view.balancers_of_network(id).next().is_some()),
        (
            Service::StaticNat,
            tx.view
                .public_ips_of_network(id)
                .any(|ip| ip.static_nat.is_some()),
        ),
    ];
    let lacking = needed
        .iter()
        .find(|(service, used)| *used && !offering.has(*service));
    lacking.map_or(Ok(()), |(service, _)| {
        let expected = format!(
            "an offering with {}, which the network's rules need",
            service.name()
        );
        Err(CommandError::invalid("networkofferingid", offering.id, expected))
    })
}

/// A list of the VPC that means what the network's firewall and egress rules mean.
fn list_of_rules(tx: &mut Tx<'_>, network: &Network, vpc: &Vpc) -> Result<NetworkAclListId, CommandError> {
    let items = items(tx, network, vpc)?;
    acl::room(tx, vpc)?;
    let name = format!("{} before its migration", network.name);
    let name: String = name.chars().take(255).collect();
    let list = acl::new(tx, vpc, &name, "Made from firewall and egress rules");
    for (item, number) in items.into_iter().zip((STEP..).step_by(STEP.into())) {
        tx.draft.create(&NetworkAclItem {
            id: NetworkAclItemId::new(),
            list: list.id,
            number,
            direction: item.direction,
            action: item.action,
            matches: item.matches,
            cidrs: item.cidrs,
            reason: item.reason,
            created: Timestamp::now(),
        });
    }
    Ok(list.id)
}

fn items(tx: &mut Tx<'_>, network: &Network, vpc: &Vpc) -> Result<Vec<Item>, CommandError> {
    let default = tx.known::<NetworkOffering>(network.offering)?.egress_default;
    let rules = || {
        tx.view
            .firewall_rules_of_network(network.id)
            .map(|rule| &*rule.object)
    };
    let mut egress: Vec<&FirewallRule> = rules().filter(|r| r.direction == Direction::Egress).collect();
    egress.sort_by_key(|rule| (rule.created, rule.id));
    let ips = tx.view.public_ips_of_network(network.id);
    let addresses: Vec<Address<'_>> = ips
        .map(|ip| Address {
            id: ip.id,
            static_nat: ip.static_nat.is_some(),
            firewall: tx
                .view
                .firewall_rules_of_ip(ip.id)
                .map(|rule| &*rule.object)
                .collect(),
            forwards: tx.view.forwards_of_ip(ip.id).map(|rule| &*rule.object).collect(),
        })
        .collect();
    let mut items = migrate_rules::apart(network.cidr(), vpc.cidr);
    items.extend(migrate_rules::ingress(&addresses)?);
    items.extend(migrate_rules::egress(&egress, default, network.cidr())?);
    if items.len() > super::acl_item::ITEMS_PER_LIST {
        return Err(migrate_rules::too_many());
    }
    Ok(items)
}

/// Firewall and egress rules go: the ACL list stands for them. The others stay, and open no firewall any more.
fn move_rules(tx: &mut Tx<'_>, network: &Network, since: u64) -> Result<(), CommandError> {
    let balancers: Vec<_> = tx.view.balancers_of_network(network.id).cloned().collect();
    for rule in balancers {
        let firewall: Vec<_> = tx
            .view
            .firewall_rules_of_ip(rule.public_ip)
            .map(|rule| &*rule.object)
            .collect();
        let sources = migrate_rules::balancer_sources(&rule, &firewall)?;
        let next = LoadBalancerRule {
            sources,
            opened: None,
            since,
            ..LoadBalancerRule::clone(&rule)
        };
        tx.draft.update(&rule, next);
    }
    let forwards: Vec<_> = tx.view.forwards_of_network(network.id).cloned().collect();
    for rule in forwards {
        let next = PortForwardingRule {
            opened: None,
            since,
            ..PortForwardingRule::clone(&rule)
        };
        tx.draft.update(&rule, next);
    }
    // Static NAT leads every port, and the list lets in what they let in.
    let legacy: Vec<_> = tx.view.ip_forwards_of_network(network.id).cloned().collect();
    legacy.iter().for_each(|rule| tx.draft.delete(rule));
    let rules: Vec<_> = tx.view.firewall_rules_of_network(network.id).cloned().collect();
    rules.iter().for_each(|rule| tx.draft.delete(rule));
    Ok(())
}

/// The network's addresses become the VPC's. Its source NAT address stays one where no other tier leaves through the
/// VPC's: who knows the guests by it goes on to know them.
fn move_addresses(tx: &mut Tx<'_>, network: &Network, vpc: &Vpc) -> Result<(), CommandError> {
    let of_vpc = tx.view.source_nat_of(Realm::Vpc(vpc.id)).cloned();
    let ips: Vec<_> = tx.view.public_ips_of_network(network.id).cloned().collect();
    let has_own = ips.iter().any(|ip| ip.source_nat);
    let alone = tx.view.tiers_of_vpc(vpc.id).next().is_none();
    let keeps = of_vpc.is_none() || (alone && has_own);
    for ip in ips {
        pick::same_subnet(tx, "networkid", &ip, Realm::Vpc(vpc.id))?;
        let tied = ip.static_nat.is_some()
            || tx.view.forwards_of_ip(ip.id).next().is_some()
            || tx.view.balancers_of_ip(ip.id).next().is_some();
        let next = PublicIp {
            vpc: Some(vpc.id),
            network: tied.then_some(network.id),
            source_nat: ip.source_nat && keeps,
            source_nat_pool: ip.source_nat_pool && keeps,
            ..PublicIp::clone(&ip)
        };
        tx.draft.update(&ip, next);
    }
    if let Some(old) = of_vpc.filter(|_| keeps) {
        let next = PublicIp {
            source_nat: false,
            ..PublicIp::clone(&old)
        };
        tx.draft.update(&old, next);
    }
    Ok(())
}

fn become_tier(
    tx: &mut Tx<'_>,
    network: &Stored<Network>,
    vpc: &Vpc,
    (offering, acl): (&NetworkOffering, NetworkAclListId),
    router: Option<&Router>,
) -> Result<(), CommandError> {
    let zone = tx.known::<Zone>(vpc.zone)?;
    let next = Network {
        offering: offering.id,
        // A tier has its VPC's.
        settings: NetworkSettings {
            dns: Vec::new(),
            public_mtu: None,
            ..network.settings.clone()
        },
        mtu: network.mtu.min(vpc.public_mtu.unwrap_or(zone.public_mtu)),
        phase: NetworkPhase::Implemented,
        tier: Some(Tier {
            moved_from: router.map(|router| router.id),
            ..tier::part(tx, vpc.id, acl, network.number)?
        }),
        ..Network::clone(network)
    };
    tx.draft.update(network, next);
    Ok(())
}
