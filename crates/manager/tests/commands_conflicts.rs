// SPDX-License-Identifier: Apache-2.0
//! What may stand beside what on one public address: static NAT, port forwarding and firewall rules.

#![allow(clippy::unwrap_used, reason = "helpers of tests")]

mod common;

use std::time::Instant;

use common::{World, ports, tcp};
use outgate_manager::command::RULES_PER_NETWORK;
use outgate_manager::command::request::{
    CreateEgressRule, CreateFirewallRule, DeletePortForwarding, DisableStaticNat, DisassociateIp,
};
use outgate_manager::{CommandError, CommitError};
use outgate_model::id::{FirewallRuleId, GuestId, NetworkId, PortForwardingRuleId, PublicIpId};
use outgate_model::object::{FirewallRule, Network, PortForwardingRule};
use outgate_model::{IcmpMatch, Match, PortRange, Protocol};

struct Net {
    world: World,
    network: NetworkId,
    guest: GuestId,
    address: PublicIpId,
}

impl Net {
    async fn new() -> Self {
        let world = World::new(16).await;
        let network = world.network("net").await;
        let guest = world.guest(network, "vm-1").await;
        let address = world.address(network).await;
        Self {
            world,
            network,
            guest,
            address,
        }
    }

    async fn forward(&self, public: PortRange) -> Result<PortForwardingRuleId, CommandError> {
        self.forward_with(public, |_| ()).await
    }

    async fn forward_with(
        &self,
        public: PortRange,
        change: impl FnOnce(&mut outgate_manager::command::request::CreatePortForwarding),
    ) -> Result<PortForwardingRuleId, CommandError> {
        let mut request = self.world.forward(self.address, self.guest, public, public);
        change(&mut request);
        let started = self
            .world
            .manager
            .create_port_forwarding(&self.world.admin, request)
            .await?;
        Ok(PortForwardingRuleId(started.id.unwrap_or_default()))
    }

    async fn open(&self, matches: Match, sources: &[&str]) -> Result<FirewallRuleId, CommandError> {
        let sources = sources.iter().filter_map(|net| net.parse().ok()).collect();
        let request = CreateFirewallRule {
            public_ip: self.address,
            matches,
            sources,
        };
        let started = self
            .world
            .manager
            .create_firewall_rule(&self.world.admin, request)
            .await?;
        Ok(FirewallRuleId(started.id.unwrap_or_default()))
    }

    async fn egress(&self, matches: Match, destinations: &[&str]) -> Result<FirewallRuleId, CommandError> {
        let destinations = destinations.iter().filter_map(|net| net.parse().ok()).collect();
        let request = CreateEgressRule {
            network: self.network,
            matches,
            sources: Vec::new(),
            destinations,
        };
        let started = self
            .world
            .manager
            .create_egress_rule(&self.world.admin, request)
            .await?;
        Ok(FirewallRuleId(started.id.unwrap_or_default()))
    }

    fn firewall_rules(&self) -> Vec<FirewallRule> {
        let view = self.world.manager.view();
        view.firewall_rules_of_ip(self.address)
            .map(|rule| FirewallRule::clone(rule))
            .collect()
    }

    fn forwards(&self) -> Vec<PortForwardingRule> {
        let view = self.world.manager.view();
        view.forwards_of_ip(self.address)
            .map(|rule| PortForwardingRule::clone(rule))
            .collect()
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn forwards_of_one_address_share_no_port_of_a_protocol() {
    let net = Net::new().await;
    let first = net.forward(ports(80, 90)).await.unwrap().to_string();
    for overlap in [
        ports(80, 90),
        ports(90, 90),
        ports(70, 80),
        ports(85, 85),
        ports(1, 65_535),
    ] {
        let words = ["tcp 80-90", first.as_str(), "203.0.113."];
        net.world.refused(537, &words, net.forward(overlap)).await;
    }
    net.forward(ports(91, 91)).await.unwrap();
    net.forward(ports(79, 79)).await.unwrap();
    net.forward_with(ports(80, 90), |r| r.protocol = Protocol::Udp)
        .await
        .unwrap();
    net.address_takes_the_same_ports_on_another_address().await;
}

impl Net {
    async fn address_takes_the_same_ports_on_another_address(&self) {
        let other = self.world.address(self.network).await;
        self.forward_with(ports(80, 90), |request| request.public_ip = other)
            .await
            .unwrap();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn static_nat_and_port_forwarding_exclude_each_other() {
    let net = Net::new().await;
    net.world.static_nat(net.address, net.guest).await.unwrap();
    let guest = net.guest.to_string();
    net.world
        .refused(537, &["static NAT", &guest], net.forward(ports(80, 80)))
        .await;
    let disable = DisableStaticNat {
        public_ip: net.address,
    };
    net.world
        .manager
        .disable_static_nat(&net.world.admin, disable)
        .await
        .unwrap();
    let rule = net.forward(ports(80, 80)).await.unwrap().to_string();
    net.world
        .refused(
            537,
            &["tcp 80", &rule],
            net.world.static_nat(net.address, net.guest),
        )
        .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn static_nat_is_one_to_one() {
    let net = Net::new().await;
    let (world, address) = (&net.world, net.address);
    world.static_nat(address, net.guest).await.unwrap();
    let other_guest = world.guest(net.network, "vm-2").await;
    world
        .refused(
            537,
            &[&net.guest.to_string()],
            world.static_nat(address, other_guest),
        )
        .await;
    let other_address = world.address(net.network).await;
    world
        .refused(
            537,
            &[&address.to_string()],
            world.static_nat(other_address, net.guest),
        )
        .await;
    world.static_nat(other_address, other_guest).await.unwrap();
    let before = world.written().await;
    world
        .static_nat(address, net.guest)
        .await
        .expect("what is so already is fine");
    assert!(world.written().await == before);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_firewall_rule_that_says_again_what_another_says_is_refused() {
    let net = Net::new().await;
    let rule = net
        .open(tcp(80, 90), &["192.0.2.0/24", "198.51.100.0/24"])
        .await
        .unwrap()
        .to_string();
    let words = [rule.as_str(), "tcp 80-90", "192.0.2.0/24"];
    net.world
        .refused(
            537,
            &words,
            net.open(tcp(80, 90), &["192.0.2.0/24", "198.51.100.0/24"]),
        )
        .await;
    net.world
        .refused(537, &words, net.open(tcp(85, 100), &["198.51.100.0/24"]))
        .await;
    net.open(tcp(80, 90), &["203.0.113.0/24"])
        .await
        .expect("other sources");
    net.open(tcp(91, 95), &["192.0.2.0/24"])
        .await
        .expect("other ports");
    net.open(
        Match::Icmp {
            icmp: IcmpMatch::default(),
        },
        &[],
    )
    .await
    .expect("another protocol");
    let ping = Match::Icmp {
        icmp: IcmpMatch {
            kind: Some(8),
            code: None,
        },
    };
    net.world.refused(537, &["icmp"], net.open(ping, &[])).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn egress_rules_conflict_only_when_their_destinations_do() {
    let net = Net::new().await;
    let rule = net
        .egress(tcp(80, 80), &["192.0.2.0/24"])
        .await
        .unwrap()
        .to_string();
    net.world
        .refused(
            537,
            &[&rule, "192.0.2.0/24"],
            net.egress(tcp(80, 80), &["192.0.2.0/24"]),
        )
        .await;
    net.egress(tcp(80, 80), &["198.51.100.0/24"]).await.unwrap();
    net.egress(tcp(80, 80), &[]).await.unwrap();
    net.egress(Match::All, &[]).await.unwrap();
    net.world
        .refused(537, &["all"], net.egress(Match::All, &[]))
        .await;
    net.open(tcp(80, 80), &[])
        .await
        .expect("ingress and egress have nothing to do with each other");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_forward_opens_the_firewall_for_itself_and_closes_it_again() {
    let net = Net::new().await;
    let forward = net.forward(ports(80, 80)).await.unwrap();
    let opened: Vec<_> = net
        .firewall_rules()
        .iter()
        .map(|rule| (rule.matches, rule.sources.len()))
        .collect();
    assert_eq!(opened, [(tcp(80, 80), 1)]);
    let request = DeletePortForwarding { id: forward };
    net.world
        .manager
        .delete_port_forwarding(&net.world.admin, request)
        .await
        .unwrap();
    assert!(net.firewall_rules().is_empty() && net.forwards().is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_forward_without_openfirewall_leaves_the_firewall_shut() {
    let net = Net::new().await;
    net.forward_with(ports(80, 80), |request| request.open_firewall = Some(false))
        .await
        .unwrap();
    assert!(net.firewall_rules().is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_forward_uses_a_firewall_rule_that_covers_it_and_leaves_that_one_alone() {
    let net = Net::new().await;
    let rule = net.open(tcp(1, 1000), &[]).await.unwrap();
    let forward = net.forward(ports(80, 80)).await.unwrap();
    let request = DeletePortForwarding { id: forward };
    net.world
        .manager
        .delete_port_forwarding(&net.world.admin, request)
        .await
        .unwrap();
    assert_eq!(
        net.firewall_rules()
            .iter()
            .map(|rule| rule.id)
            .collect::<Vec<_>>(),
        [rule]
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_forward_whose_firewall_rule_would_conflict_is_refused_whole() {
    let net = Net::new().await;
    let rule = net.open(tcp(85, 95), &[]).await.unwrap().to_string();
    net.world
        .refused(537, &[&rule, "tcp 85-95"], net.forward(ports(80, 90)))
        .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_address_without_a_network_gets_it_by_its_first_forward() {
    let net = Net::new().await;
    let (manager, admin) = (&net.world.manager, &net.world.admin);
    let request = outgate_manager::command::request::AssociateIp {
        network: None,
        zone: Some(net.world.zone),
        address: None,
        owner: None,
    };
    let free = PublicIpId(manager.associate_ip(admin, request).await.unwrap().id.unwrap());
    assert_eq!(net.world.public_ip(free).network, None);
    net.forward_with(ports(80, 80), |request| request.public_ip = free)
        .await
        .unwrap();
    assert_eq!(net.world.public_ip(free).network, Some(net.network));
    manager
        .disassociate_ip(admin, DisassociateIp { id: free })
        .await
        .unwrap();
    assert!(
        manager
            .view()
            .get::<outgate_model::object::PublicIp>(free)
            .is_none()
    );
}

impl Net {
    /// Forwards of ports 1 to `count`, written at once.
    async fn many_forwards(&self, count: u16) {
        let nic = self.world.guest_now(self.guest).nics.remove(0);
        let (network, account, public_ip) = (self.network, self.world.admin.account, self.address);
        let stored = self.world.manager.commit(|view, draft| {
            let since = draft.touch(view, outgate_model::Realm::Network(network));
            for port in 1..=count {
                draft.create(&PortForwardingRule {
                    id: PortForwardingRuleId::new(),
                    network,
                    account,
                    public_ip,
                    protocol: Protocol::Tcp,
                    public_ports: ports(port, port),
                    private_ports: ports(port, port),
                    guest: self.guest,
                    nic: nic.id,
                    guest_address: nic.address,
                    opened: None,
                    since,
                    created: jiff::Timestamp::now(),
                });
            }
            Ok::<_, CommitError>(())
        });
        stored.await.unwrap();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn one_more_forward_beside_ten_thousand_takes_no_time_worth_waiting_for() {
    let net = Net::new().await;
    net.many_forwards(10_000).await;
    let mut times = Vec::new();
    for port in 20_001..=20_015 {
        let began = Instant::now();
        net.forward_with(ports(port, port), |request| request.open_firewall = Some(false))
            .await
            .unwrap();
        times.push(began.elapsed());
    }
    times.sort();
    println!(
        "one more forward beside 10,000: median {:?}, worst {:?}",
        times[7], times[14]
    );
    // Generous: an unoptimised build on a busy machine. What it guards against is anything quadratic.
    assert!(times[7] < std::time::Duration::from_secs(2), "{times:?}");
    net.world
        .refused(537, &["tcp 9999"], net.forward(ports(9_999, 9_999)))
        .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_network_holds_a_bounded_number_of_rules() {
    let net = Net::new().await;
    net.many_forwards(u16::try_from(RULES_PER_NETWORK).unwrap()).await;
    net.world
        .refused(535, &["20000", "delete some"], net.forward(ports(30_000, 30_000)))
        .await;
    net.world
        .refused(535, &["20000"], net.open(tcp(30_000, 30_000), &[]))
        .await;
    net.world
        .refused(535, &["20000"], net.egress(tcp(30_000, 30_000), &[]))
        .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_network_s_rules_list_a_bounded_number_of_cidrs_together() {
    let net = Net::new().await;
    let (manager, admin) = (&net.world.manager, net.world.admin);
    let hosts = |start: &str| {
        (0..=255)
            .map(|i| format!("{start}.{i}/32").parse().unwrap())
            .collect()
    };
    let prefix = manager
        .view()
        .get::<Network>(net.network)
        .unwrap()
        .cidr()
        .network()
        .to_string();
    let request = CreateEgressRule {
        network: net.network,
        matches: tcp(1, 1),
        sources: hosts(prefix.trim_end_matches(".0")),
        destinations: hosts("198.51.100"),
    };
    let most = manager.create_egress_rule(&admin, request).await.unwrap();
    net.world.done(most).await;
    net.world
        .refused(535, &["65536 pairs"], net.egress(tcp(2, 2), &[]))
        .await;
    net.world
        .refused(535, &["65536 pairs"], net.open(tcp(2, 2), &[]))
        .await;
    net.world
        .refused(535, &["65536 pairs"], net.forward(ports(2, 2)))
        .await;
    let id = FirewallRuleId(most.id.unwrap());
    let request = outgate_manager::command::request::DeleteEgressRule { id };
    net.world
        .done(manager.delete_egress_rule(&admin, request).await.unwrap())
        .await;
    net.egress(tcp(2, 2), &[]).await.unwrap();
}
