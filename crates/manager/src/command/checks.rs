// SPDX-License-Identifier: Apache-2.0
//! Checks that several commands share.

use std::net::Ipv4Addr;

use ipnet::Ipv4Net;
use outgate_model::id::{DomainId, NetworkId, NicId, VpcId, ZoneId};
use outgate_model::object::{Domain, Guest, Network, PublicIp, Zone};
use outgate_model::{IcmpMatch, Match, Realm};

use super::conflicts::join;
use super::request::ChosenSettings;
use super::tx::{Owned, Tx};
use crate::CommandError;
use crate::mirror::Stored;

/// How many firewall, egress, port forwarding, load balancer and IP forwarding rules a network may have together.
pub const RULES_PER_NETWORK: usize = 20_000;
/// How many CIDRs one rule may list.
pub const CIDRS_PER_RULE: usize = 256;
/// How many pairs of a source and a destination CIDR the firewall and egress rules of a network may list together: each
/// is an element of a set in the router.
pub const CIDR_PAIRS_PER_NETWORK: usize = 65_536;
/// How long names and display texts may be, in characters, as in CloudStack.
const TEXT_MAX: usize = 255;

/// A name or a display text: not blank, at most 255 characters, no control characters.
pub(crate) fn name(field: &str, value: &str) -> Result<(), CommandError> {
    let fine =
        !value.trim().is_empty() && value.chars().count() <= TEXT_MAX && !value.chars().any(char::is_control);
    if fine {
        Ok(())
    } else {
        Err(CommandError::invalid(
            field,
            value,
            "1 to 255 characters, none of them a control character",
        ))
    }
}

/// IPv4's smallest MTU, RFC 791.
const MTU_MIN: u32 = 68;

/// Where an offering may be used: domains and zones that there are.
pub(crate) fn known_places(
    tx: &mut Tx<'_>,
    domains: &[DomainId],
    zones: &[ZoneId],
) -> Result<(), CommandError> {
    for id in domains {
        tx.provided::<Domain>("domainid", *id)?;
    }
    for id in zones {
        tx.provided::<Zone>("zoneid", *id)?;
    }
    Ok(())
}

/// An MTU of at most `most`, which is what `of` says.
pub(crate) fn mtu(field: &str, mtu: u32, most: u32, of: &str) -> Result<(), CommandError> {
    if (MTU_MIN..=most).contains(&mtu) {
        return Ok(());
    }
    let expected = format!("{MTU_MIN} to {most} bytes, {of}");
    Err(CommandError::invalid(field, mtu, expected))
}

/// Refuses for a tier what is its VPC's.
pub(crate) fn not_of_tiers(
    vpc: VpcId,
    source_nat: Option<Ipv4Addr>,
    chosen: &ChosenSettings,
) -> Result<(), CommandError> {
    let text = |address: Option<Ipv4Addr>| address.map(|address| address.to_string());
    let given = [
        ("sourcenatipaddress", text(source_nat)),
        ("dns1", text(chosen.dns1)),
        ("dns2", text(chosen.dns2)),
        ("publicmtu", chosen.public_mtu.map(|mtu| mtu.to_string())),
    ];
    let mut given = given
        .into_iter()
        .filter_map(|(field, value)| value.map(|value| (field, value)));
    match given.next() {
        Some((field, value)) => {
            let expected = format!("nothing: tiers have their VPC's (updateVPC id={vpc})");
            Err(CommandError::invalid(field, value, expected))
        }
        None => Ok(()),
    }
}

/// A DNS label, RFC 1123.
pub(crate) fn hostname(field: &str, value: &str) -> Result<(), CommandError> {
    if is_label(value) {
        return Ok(());
    }
    Err(CommandError::invalid(
        field,
        value,
        "1 to 63 letters, digits and inner hyphens (RFC 1123)",
    ))
}

/// A DNS domain, RFC 1123.
pub(crate) fn domain(field: &str, value: &str) -> Result<(), CommandError> {
    // A guest's name and a dot go before it; 253 is the longest name there is.
    if value.len() <= 253 - 64 && value.split('.').all(is_label) {
        return Ok(());
    }
    Err(CommandError::invalid(
        field,
        value,
        "a DNS domain of at most 189 characters such as cs1cloud.internal",
    ))
}

fn is_label(label: &str) -> bool {
    (1..=63).contains(&label.len())
        && label
            .bytes()
            .all(|byte| byte.is_ascii_alphanumeric() || byte == b'-')
        && !label.starts_with('-')
        && !label.ends_with('-')
}

/// Refuses an address that has static NAT or port forwarding as a source NAT address.
pub(crate) fn free_for_source_nat(tx: &Tx<'_>, ip: &PublicIp) -> Result<(), CommandError> {
    super::conflicts::source_nat(tx.view, ip)
}

/// Refuses more rules than a router is meant to carry. `rules` and `pairs` of CIDRs are to be added.
pub(crate) fn room_for_rules(
    tx: &Tx<'_>,
    network: &Network,
    rules: usize,
    pairs: usize,
) -> Result<(), CommandError> {
    let limits = [
        (
            tx.view.count_rules(network.id) + rules,
            RULES_PER_NETWORK,
            "rules",
        ),
        (
            tx.view.count_cidr_pairs(network.id) + pairs,
            CIDR_PAIRS_PER_NETWORK,
            "pairs of a source and a destination CIDR",
        ),
    ];
    match limits.into_iter().find(|(then, limit, _)| then > limit) {
        None => Ok(()),
        Some((_, limit, of)) => Err(CommandError::Limit {
            what: format!("Network {}", network.id),
            limit,
            of,
        }),
    }
}

/// A match that a packet can meet.
pub(crate) fn matches(matches: Match) -> Result<(), CommandError> {
    match matches {
        Match::Icmp {
            icmp: IcmpMatch {
                kind: None,
                code: Some(code),
            },
        } => Err(CommandError::invalid("icmpcode", code, "-1 when icmptype is -1")),
        Match::Number {
            number: number @ (1 | 6 | 17),
        } => Err(CommandError::invalid(
            "protocol",
            number,
            "the name icmp, tcp or udp for these protocols",
        )),
        _ => Ok(()),
    }
}

/// The CIDRs of a rule, each once, in the caller's order; `default` when there are none.
pub(crate) fn cidrs(field: &str, given: &[Ipv4Net], default: Ipv4Net) -> Result<Vec<Ipv4Net>, CommandError> {
    if given.len() > CIDRS_PER_RULE {
        return Err(CommandError::invalid(
            field,
            given.len(),
            format!("at most {CIDRS_PER_RULE} CIDRs"),
        ));
    }
    if let Some(net) = given.iter().find(|net| net.trunc() != **net) {
        return Err(CommandError::invalid(
            field,
            net,
            format!("a CIDR without host bits: {}", net.trunc()),
        ));
    }
    let mut each: Vec<Ipv4Net> = Vec::with_capacity(given.len().max(1));
    for net in given {
        if !each.contains(net) {
            each.push(*net);
        }
    }
    if each.is_empty() {
        each.push(default);
    }
    Ok(each)
}

/// Sources of an egress rule lie in the network, or are everywhere.
pub(crate) fn inside(network: &Network, sources: &[Ipv4Net]) -> Result<(), CommandError> {
    let cidr = network.cidr();
    if sources
        .iter()
        .all(|net| net.prefix_len() == 0 || cidr.contains(net))
    {
        return Ok(());
    }
    Err(CommandError::invalid(
        "cidrlist",
        join(sources),
        format!("CIDRs inside the network's {cidr}"),
    ))
}

/// Which network a rule for `ip` and `guest` is about, given parameter `networkid`. An address without a network gets
/// it by the rule.
pub(crate) fn network_for(
    tx: &mut Tx<'_>,
    ip: &PublicIp,
    wanted: Option<NetworkId>,
    guest: &Guest,
) -> Result<Stored<Network>, CommandError> {
    if ip.reserved {
        let expected = format!(
            "an acquired address; {} is only reserved (associateIpAddress ipaddress={} first)",
            ip.address, ip.address
        );
        return Err(CommandError::invalid("ipaddressid", ip.id, expected));
    }
    let id = match (ip.network, wanted) {
        (Some(id), None) => id,
        (Some(id), Some(wanted)) if id == wanted => id,
        (Some(id), Some(wanted)) => {
            return Err(CommandError::invalid(
                "networkid",
                wanted,
                format!("the address's network {id}"),
            ));
        }
        (None, Some(wanted)) => wanted,
        (None, None) => match guest.nics.as_slice() {
            [only] => only.network,
            _ => return Err(CommandError::missing("networkid")),
        },
    };
    let network = tx.own::<Network>("networkid", id)?;
    if network.zone != ip.zone {
        return Err(CommandError::invalid(
            "networkid",
            id,
            format!("a network of the address's zone {}", ip.zone),
        ));
    }
    if network.account() != ip.account {
        return Err(CommandError::permission("IpAddress", ip.id));
    }
    if ip.network.is_none() && ip.vpc.is_none() {
        super::pick::same_subnet(tx, "ipaddressid", ip, network.realm())?;
    }
    if let Some(vpc) = ip.vpc.filter(|vpc| network.realm() != Realm::Vpc(*vpc)) {
        let expected = format!("a tier of the address's VPC {vpc}");
        return Err(CommandError::invalid("networkid", id, expected));
    }
    Ok(network)
}

/// Where a rule leads to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Target {
    /// The guest's NIC.
    pub nic: NicId,
    /// The NIC's own address or one of its secondary ones.
    pub address: Ipv4Addr,
}

/// The guest's NIC on `network` with its own address, or with `wanted` if that is one of its secondary ones.
pub(crate) fn target(
    guest: &Guest,
    network: &Network,
    wanted: Option<Ipv4Addr>,
) -> Result<Target, CommandError> {
    if guest.destroyed.is_some() {
        let expected = "a guest that is not destroyed: recoverVirtualMachine first";
        return Err(CommandError::invalid("virtualmachineid", guest.id, expected));
    }
    let nic = guest.nics.iter().find(|nic| nic.network == network.id);
    let nic = nic.ok_or_else(|| {
        CommandError::invalid(
            "virtualmachineid",
            guest.id,
            format!("a guest with a NIC on network {}", network.id),
        )
    })?;
    let address = wanted.unwrap_or(nic.address);
    if nic.addresses().any(|has| has == address) {
        return Ok(Target { nic: nic.id, address });
    }
    let expected = match nic.secondary.as_slice() {
        [] => format!("the guest's address on that network, {}", nic.address),
        _ => format!(
            "one of the guest's addresses on that network: {}",
            join(&nic.addresses().collect::<Vec<_>>())
        ),
    };
    Err(CommandError::invalid("vmguestip", address, expected))
}

/// The same address, as one of `network`'s.
pub(crate) fn attached(ip: &PublicIp, network: &Network) -> PublicIp {
    PublicIp {
        network: Some(network.id),
        vpc: super::vpc::tier::vpc_of(network),
        ..ip.clone()
    }
}
