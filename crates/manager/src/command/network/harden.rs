// SPDX-License-Identifier: Apache-2.0
//! `hardenNetwork`: the hardened profile in one transaction. Nothing leaves but what the reference text names (80, 443,
//! 53), limits are on, sessions are recorded. What is open from outside stays: only its owner knows whether it is meant.

use outgate_model::id::{NetworkOfferingId, SettingId};
use outgate_model::object::{
    Direction, FirewallRule, Network, NetworkOffering, OfferingState, Setting, SettingScope,
};
use outgate_model::router_spec::EgressPolicy;
use outgate_model::{Match, PortRange, Protocol};

use super::update;
use crate::CommandError;
use crate::bootstrap::OFFERING_DENY;
use crate::command::conflicts::{self, WantedPass};
use crate::command::firewall;
use crate::command::request::{HardenNetwork, Started, UpdateNetwork};
use crate::command::tx::Tx;
use crate::command::vpc::tier;
use crate::mirror::Stored;
use crate::settings::{self, Known};

/// What may leave: the web and names.
const OUT: [(Protocol, u16); 4] = [
    (Protocol::Tcp, 80),
    (Protocol::Tcp, 443),
    (Protocol::Tcp, 53),
    (Protocol::Udp, 53),
];
/// What is set for the network where nothing narrower than a default holds.
const PROFILE: [(&Known, i64); 5] = [
    (&settings::GUEST_SESSIONS, 5_000),
    (&settings::GUEST_RATE, 200),
    (&settings::SOURCE_RATE, 100),
    (&settings::PING_RATE, 50),
    (&settings::NAT_LOG, 1),
];

/// `hardenNetwork`.
pub(crate) fn harden(tx: &mut Tx<'_>, request: &HardenNetwork) -> Result<Started, CommandError> {
    let network = tx.own::<Network>("id", request.id)?;
    if let Some(vpc) = tier::vpc_of(&network) {
        let expected = format!(
            "an isolated network: what leaves a tier of VPC {vpc} its network ACL list decides (createNetworkACL), and its \
             router's limits are the VPC's settings (updateConfiguration vpcid={vpc})"
        );
        return Err(CommandError::invalid("id", network.id, expected));
    }
    let offering = tx.known::<NetworkOffering>(network.offering)?;
    let turns = offering.egress_default == EgressPolicy::Allow;
    close(tx, &network, turns);
    limit(tx, &network);
    let text = format!("hardening network {}", network.name);
    tx.event::<Network>("NETWORK.HARDEN", network.account, network.id.0, text);
    if turns {
        let update = UpdateNetwork {
            offering: Some(denying(tx, request.offering)?),
            ..UpdateNetwork::of(network.id)
        };
        return update::update(tx, &update);
    }
    let generation = tx.touch(&network);
    Ok(tx.applied::<Network>("hardenNetwork", network.id.0, network.realm(), generation))
}

/// The offering to change to: the one that was asked for, or CloudStack's default one.
fn denying(tx: &mut Tx<'_>, asked: Option<NetworkOfferingId>) -> Result<NetworkOfferingId, CommandError> {
    const FIELD: &str = "networkofferingid";
    if let Some(id) = asked {
        let offering = tx.provided::<NetworkOffering>(FIELD, id)?;
        if offering.egress_default == EgressPolicy::Deny {
            return Ok(id);
        }
        let expected = format!(
            "an offering that denies egress by default; {} allows it",
            offering.name
        );
        return Err(CommandError::invalid(FIELD, id, expected));
    }
    let mut offerings = tx.view.all::<NetworkOffering>();
    let usable = |o: &Stored<NetworkOffering>| o.name == OFFERING_DENY && o.state == OfferingState::Enabled;
    offerings
        .find(|offering| usable(offering))
        .map(|o| o.id)
        .ok_or_else(|| {
            let expected =
                format!("an offering that denies egress by default, since {OFFERING_DENY} is not enabled");
            CommandError::invalid(FIELD, "none", expected)
        })
}

/// Has only what the profile names leave. Where the default turns from allow to deny, rules that denied would allow from
/// then on, so all of them go.
fn close(tx: &mut Tx<'_>, network: &Stored<Network>, turns: bool) {
    let rules: Vec<_> = tx.view.firewall_rules_of_network(network.id).cloned().collect();
    let egress = rules.iter().filter(|rule| rule.direction == Direction::Egress);
    let (gone, kept): (Vec<_>, Vec<_>) = egress.partition(|rule| turns || is_everything(rule));
    gone.into_iter().for_each(|rule| tx.draft.delete(rule));
    for (protocol, port) in OUT {
        let Ok(ports) = PortRange::new(port, port) else {
            continue;
        };
        let matches = Match::Ports { protocol, ports };
        let (sources, destinations) = (vec![network.cidr()], vec![firewall::everywhere()]);
        let wanted = WantedPass {
            matches,
            sources: &sources,
            destinations: &destinations,
        };
        if !kept.iter().any(|rule| conflicts::covers(rule, wanted)) {
            firewall::add_egress(tx, network, matches, sources, destinations);
        }
    }
}

/// Whether a rule lets anything out to anywhere.
fn is_everything(rule: &FirewallRule) -> bool {
    rule.matches == Match::All && rule.destinations.contains(&firewall::everywhere())
}

/// Sets what the profile sets, where nothing holds yet.
fn limit(tx: &mut Tx<'_>, network: &Network) {
    let scopes = [
        SettingScope::Network(network.id),
        SettingScope::Offering(network.offering),
        SettingScope::Zone(network.zone),
    ];
    for (known, value) in PROFILE {
        if tx.view.setting_in(known, &scopes) != 0 {
            continue;
        }
        let scope = SettingScope::Network(network.id);
        let setting = Setting {
            id: SettingId::of(scope, known.name),
            name: known.name.to_owned(),
            scope,
            value: known.text(value),
        };
        match tx.view.get::<Setting>(setting.id).cloned() {
            Some(old) => tx.draft.update(&old, setting),
            None => tx.draft.create(&setting),
        }
    }
}
