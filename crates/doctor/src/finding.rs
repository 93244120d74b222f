// SPDX-License-Identifier: Apache-2.0
//! What is wrong: causes in the order in which packets and the reference text's steps meet them.

use serde::Serialize;

/// A stretch of the way from the books to the outside.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Link {
    /// The router exists and runs: step 1.
    Router,
    /// Its interfaces, addresses, routes and kernel parameters: steps 3 and 5.
    Configuration,
    /// Its rules: step 4.
    Rules,
    /// The guest's own settings, and its wire to the router.
    Guest,
    /// The public segment up to the upstream gateway.
    Upstream,
    /// Virtual addresses on the router's wires have one master each.
    Masters,
    /// Connection tracking and ports: step 6.
    Capacity,
    /// What may leave.
    Policy,
    /// The way of a guest's packets out and back: step 7.
    Path,
    /// Large packets.
    Mtu,
    /// Names.
    Dns,
    /// Who looks after the router: its engine, SSH (step 2), the books.
    Control,
    /// The host beneath.
    Host,
}

impl Link {
    /// All of them, in order.
    pub const ALL: [Self; 13] = [
        Self::Router,
        Self::Configuration,
        Self::Rules,
        Self::Guest,
        Self::Upstream,
        Self::Masters,
        Self::Capacity,
        Self::Policy,
        Self::Path,
        Self::Mtu,
        Self::Dns,
        Self::Control,
        Self::Host,
    ];

    /// What it is, for people.
    pub fn words(self) -> &'static str {
        match self {
            Self::Router => "router runs, source NAT address assigned (step 1)",
            Self::Configuration => "interfaces, addresses, routes, forwarding (steps 3, 5)",
            Self::Rules => "NAT and filter rules (step 4)",
            Self::Guest => "guest's settings and its wire to the router",
            Self::Upstream => "public segment and upstream gateway",
            Self::Masters => "one master of each virtual address (VRRP)",
            Self::Capacity => "connection tracking and ports (step 6)",
            Self::Policy => "egress policy",
            Self::Path => "packets of a guest, out and back (step 7)",
            Self::Mtu => "large packets",
            Self::Dns => "names",
            Self::Control => "router's engine, SSH, generation (step 2)",
            Self::Host => "host beneath: links, and what of its hardware can be read",
        }
    }
}

/// What Outgate can do about it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Fix {
    /// Start the router.
    StartRouter,
    /// Replace the router by a fresh one of the same spec.
    RestartNetwork,
    /// Have the guest with this id ask for its address, gateway, DNS and MTU again.
    RenewLease(String),
    /// Start the guest with this id.
    StartGuest(String),
    /// Reboot the guest with this id: its interfaces are plugged in again.
    RebootGuest(String),
}

macro_rules! causes {
    ($($(#[$doc:meta])* $name:ident $id:literal $link:ident: $title:literal, $remedy:literal;)+) => {
        /// A cause. Earlier ones are named first.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub enum Cause {$(
            $(#[$doc])*
            #[doc = $title]
            $name,
        )+}

        impl Cause {
            /// Every cause, in order.
            pub const ALL: &'static [Self] = &[$(Self::$name,)+];

            /// Its name for programs: `forwarding-off`.
            pub fn id(self) -> &'static str {
                match self { $(Self::$name => $id,)+ }
            }

            /// Where it lies.
            pub fn link(self) -> Link {
                match self { $(Self::$name => Link::$link,)+ }
            }

            /// What it is, in a few words.
            pub fn title(self) -> &'static str {
                match self { $(Self::$name => $title,)+ }
            }

            /// What to do about it.
            pub fn remedy(self) -> &'static str {
                match self { $(Self::$name => $remedy,)+ }
            }
        }
    };
}

causes! {
    NoRouter "no-router" Router: "the network has no router",
        "deploy a guest on the network or restart it with cleanup=true: that makes one";
    RouterStopped "router-stopped" Router: "the router was stopped",
        "start it: startRouter";
    BootFailed "boot-failed" Router: "the router could not be configured at its start",
        "mend what the error names, then restart the network with cleanup=true; see the router's /var/log/cloud.log";
    RouterDown "router-down" Router: "the router is not running",
        "the server starts it again by itself; if it does not, look at the host and at the server's log, then restart the network with cleanup=true";
    NoSourceNat "no-source-nat" Router: "no source NAT address is assigned to the network",
        "assign one: updateNetwork sourcenatipaddress=ADDRESS, or restart the network";
    RepairsUndone "repairs-undone" Configuration: "somebody undoes what the router repairs, again and again",
        "find and end whatever changes the router behind Outgate's back (the programs that are named, a cron job, another tool)";
    InterfaceMissing "interface-missing" Configuration: "an interface is missing in the router",
        "the host plugs it in again by itself if its bridge is there: look at the bridge that the error names, then restart the network with cleanup=true";
    InterfaceDown "interface-down" Configuration: "an interface of the router is down",
        "switch it on: ip link set INTERFACE up; if it has no carrier, its cable on the host is down";
    AddressNotBound "address-not-bound" Configuration: "a public address is not bound to the router's public interface",
        "a router that works binds it by itself; restart the network with cleanup=true";
    GatewayNotBound "gateway-not-bound" Configuration: "the guests' gateway address is not on the router's guest interface",
        "a router that works binds it by itself; restart the network with cleanup=true";
    InterfaceDiffers "interface-differs" Configuration: "an interface of the router has another MTU or Ethernet address than it should",
        "a router that works sets it by itself; restart the network with cleanup=true";
    ForwardingOff "forwarding-off" Configuration: "the router does not forward (ip_forward is off)",
        "sysctl -w net.ipv4.ip_forward=1 in the router; a router that works does so by itself; restart the network with cleanup=true";
    DefaultRoute "default-route" Configuration: "the router's default route is missing or wrong",
        "ip route replace default via GATEWAY in the router; a router that works does so by itself; restart the network with cleanup=true";
    ForeignRoute "foreign-route" Configuration: "the router has a route that is not its own",
        "remove it: ip route del ROUTE in the router; restart the network with cleanup=true";
    RulesMissing "rules-missing" Rules: "the router's rules are gone",
        "restart the network with cleanup=true: the rules are written again from the database";
    RulesForeign "rules-foreign" Rules: "somebody else's rules stand in the way of the router's",
        "remove them in the router (nft delete table ...); restart the network with cleanup=true";
    RulesDiffer "rules-differ" Rules: "rules of the router are missing or changed",
        "restart the network with cleanup=true: the rules are written again from the database";
    NatRuleMissing "nat-rule-missing" Rules: "iptables -t nat -S POSTROUTING does not show the source NAT rule",
        "restart the network with cleanup=true: the rule is written again from the database";
    ParameterDiffers "parameter-differs" Configuration: "a kernel parameter of the router is not as it should be",
        "set it as named; a router that works does so by itself; restart the network with cleanup=true";
    DhcpDown "dhcp-down" Configuration: "the router's DHCP and DNS server does not run",
        "a router that works starts it by itself; restart the network with cleanup=true";
    UplinkDown "uplink-down" Upstream: "the uplink of the public bridge is down",
        "switch it on (ip link set UPLINK up on the host), or look at its cable and the switch behind it";
    LinkFailing "link-failing" Upstream: "an interface of the host loses a good part of the frames",
        "CRC and frame errors mean a bad cable, optics or attenuation: check the link's light levels; drops mean an overloaded or limited link";
    KeepalivedSplit "keepalived-split" Masters: "two machines both say that they are master of one virtual address",
        "let their adverts (IP protocol 112 to 224.0.0.18) through between the two, which a firewall, a switch or a broken wire holds back; both need the same version, virtual router id, password and addresses; until then end keepalived on one of them";
    AddressConflict "address-conflict" Upstream: "another machine on the public segment has the source NAT address",
        "find the Ethernet address that is named on the public segment and take the address from it, or give the network another source NAT address";
    GatewaySilent "gateway-silent" Upstream: "the upstream gateway does not answer ARP",
        "check the upstream gateway, the VLAN and the uplink of the public bridge: nothing beyond the router works";
    GuestStopped "guest-stopped" Guest: "the guest does not run",
        "start it: startVirtualMachine";
    GuestNoNic "guest-no-nic" Guest: "the guest has no interface on the network",
        "reboot the guest: its interface is plugged in again";
    GuestLinkDown "guest-link-down" Guest: "the guest's interface is down",
        "switch it on in the guest: ip link set INTERFACE up";
    GuestNoLease "guest-no-lease" Guest: "the guest has no address: it got no lease",
        "have the guest ask by DHCP again (dhclient, udhcpc, systemctl restart networking), or reboot it";
    GuestAddress "guest-address" Guest: "the guest has another address than its lease",
        "remove the address that was set by hand and use DHCP: others are dropped as spoofed";
    GuestNetmask "guest-netmask" Guest: "the guest has a wrong netmask",
        "use the netmask that DHCP hands out";
    GuestGateway "guest-gateway" Guest: "the guest has a wrong gateway, or none",
        "use the gateway that DHCP hands out: the router's address on the guest network";
    GuestMtu "guest-mtu" Guest: "the guest's MTU is above the network's",
        "use the MTU that DHCP hands out: larger packets are fragmented or lost";
    GatewayStolen "gateway-stolen" Guest: "another machine on the guest network claims the gateway's address",
        "find the machine with the Ethernet address that is named and take the address from it";
    GuestLimited "guest-limited" Guest: "the router refuses the guest's new sessions: they are beyond its limit",
        "look at what the guest opens them for; if it may, raise the setting that is named, for the network";
    GuestCutOff "guest-cut-off" Guest: "the guest does not reach the router",
        "look at the wire between: the guest's own firewall, its port on the host's bridge, the bridge";
    ConntrackFull "conntrack-full" Capacity: "the connection tracking table is full",
        "raise nf_conntrack_max, lower nf_conntrack_tcp_timeout_established, or limit the guest with the most sessions";
    PortsExhausted "ports-exhausted" Capacity: "no port of the source NAT address is left for a destination",
        "add a source NAT address (addSourceNatAddress), give the guest that uses most of them static NAT, or shorten the timeouts";
    EgressDenies "egress-denies" Policy: "the egress policy denies it",
        "add or remove the egress rule that decides: createEgressFirewallRule, deleteEgressFirewallRule";
    AclDenies "acl-denies" Policy: "a network ACL denies it",
        "add an item before the one that decides, or change that: createNetworkACL, updateNetworkACLItem, deleteNetworkACL";
    ReversePath "reverse-path" Path: "the router drops replies because they come in on another interface than it would answer on (rp_filter)",
        "remove the route or routing rule that leads elsewhere: replies must come back on the interface that requests leave on";
    NeverEnters "never-enters" Path: "the guest's packets never enter the router",
        "look at the guest's own firewall and routes, and at its port on the host's bridge";
    NeverLeaves "never-leaves" Path: "packets enter the router and never leave it",
        "the rules or the forwarding of the router drop them: restart the network with cleanup=true";
    ReplyLost "reply-lost" Path: "replies reach the router and never leave it towards the guest",
        "the rules of the router drop them: restart the network with cleanup=true";
    ReplyIgnored "reply-ignored" Path: "replies leave the router and the guest does not take them",
        "look at the guest's own firewall and at its port on the host's bridge";
    NextHopSilent "next-hop-silent" Path: "the next hop beyond the router does not answer ARP",
        "look at the machine with that address: it is down, has another address, or its port on the host's bridge is blocked";
    NoReply "no-reply" Path: "packets leave the router and no reply comes back: the trouble is outside",
        "ask the provider: a firewall or a route beyond the upstream gateway drops them, or the destination is down";
    PacketsLost "packets-lost" Path: "some packets are lost on the way",
        "look at the stretch that is named: errors on a link, an overloaded firewall or provider";
    IcmpFiltered "icmp-filtered" Mtu: "ICMP 'fragmentation needed' is filtered before it reaches the guest",
        "let ICMP type 3 code 4 through where it is lost, or lower the guests' MTU";
    PathMtu "path-mtu" Mtu: "large packets vanish on the path and nobody says why (path MTU black hole)",
        "lower the guests' MTU to what gets through, or have the provider send ICMP type 3 code 4";
    DnsGuest "dns-guest" Dns: "the guest asks no resolver, or one that does not answer",
        "use the resolver that DHCP hands out: the router's address on the guest network";
    DnsBroken "dns-broken" Dns: "names do not resolve while addresses can be reached",
        "look at the resolvers that the zone names; they must answer the router's public address";
    Ipsec "ipsec" Path: "IPsec without NAT traversal",
        "switch NAT traversal on at both ends (UDP 4500): ESP has no ports, so only one guest can use it to a peer, and AH never passes a translation";
    InsertFailed "insert-failed" Capacity: "connection tracking could not take new sessions in",
        "two sessions wanted the same ports at once or none was left: add a source NAT address (addSourceNatAddress)";
    DatabaseDiffers "database-differs" Control: "the router has not taken over what the database says",
        "restart the network with cleanup=true; the error says why it could not be applied";
    SshUnreachable "ssh-unreachable" Control: "the router's sshd cannot be reached on the control network",
        "a router that works starts it by itself; check the control bridge of the host, or restart the network with cleanup=true";
    EngineDown "engine-down" Control: "the router's engine does not answer: nothing is applied and nothing is repaired",
        "restart the network with cleanup=true";
    ConntrackNear "conntrack-near" Capacity: "the connection tracking table is nearly full",
        "raise nf_conntrack_max, lower nf_conntrack_tcp_timeout_established, or limit the guest with the most sessions";
    PortsNear "ports-near" Capacity: "the ports of the source NAT address towards a destination are nearly used up",
        "add a source NAT address (addSourceNatAddress), give the guest that uses most of them static NAT, or shorten the timeouts";
    PublicLimited "public-limited" Capacity: "the router refuses new sessions or pings from outside: they are beyond a limit",
        "somebody outside floods a public address, or its users are many: raise the setting that is named, for the network, or name in its firewall rules who may come";
    PolicyRoute "policy-route" Configuration: "the router has routing rules that are not its own",
        "remove them: ip rule del in the router; restart the network with cleanup=true";
    LinkErrors "link-errors" Host: "an interface of the host loses some frames",
        "watch it (ip -s link); CRC and frame errors mean a bad cable, optics or attenuation, drops an overloaded or limited link";
    PortBlocked "port-blocked" Host: "a bridge port of the host does not forward",
        "set it forwarding: bridge link set dev PORT state 3";
    HostTrouble "host-trouble" Host: "the host's hardware is in trouble",
        "look after the host, or move its routers elsewhere";
}

impl Serialize for Cause {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.id())
    }
}

impl Cause {
    /// Whether it only says where packets are lost. Any cause that says why takes its place.
    pub fn is_symptom(self) -> bool {
        matches!(self.link(), Link::Path | Link::Mtu | Link::Dns) && self != Self::Ipsec
            || matches!(self, Self::GuestCutOff | Self::GatewaySilent | Self::InsertFailed)
    }

    /// Whether it stops traffic, so that symptoms need no other explanation.
    pub fn explains(self) -> bool {
        let stops = matches!(
            self.link(),
            Link::Router | Link::Configuration | Link::Rules | Link::Guest | Link::Upstream | Link::Capacity
        );
        let slight = matches!(
            self,
            Self::PolicyRoute | Self::ConntrackNear | Self::PortsNear | Self::PublicLimited
        );
        (stops && !self.is_symptom() && !slight) || matches!(self, Self::PortBlocked | Self::KeepalivedSplit)
    }
}

/// A cause with what speaks for it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Finding {
    /// What is wrong.
    pub cause: Cause,
    /// Where: `router r-12-VM, eth2`, `guest guest1`.
    pub place: String,
    /// What was seen, one sentence each.
    pub evidence: Vec<String>,
    /// What Outgate can do.
    pub fix: Option<Fix>,
}

/// Whether a stretch of the way is sound.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum LinkState {
    /// It was looked at and is sound.
    Ok,
    /// Something is wrong with it.
    Broken,
    /// Nothing is known of it.
    NotTested,
}

/// The doctor's answer.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Diagnosis {
    /// What is wrong, the first broken link first; empty when nothing is.
    pub findings: Vec<Finding>,
    /// Each stretch of the way.
    pub links: Vec<(Link, LinkState)>,
    /// What is worth knowing and is no fault: repairs of late.
    pub notes: Vec<String>,
    /// What this machine has nothing to measure with.
    pub not_available: Vec<String>,
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn every_cause_has_a_name_of_its_own_and_a_remedy() {
        let ids: BTreeSet<_> = Cause::ALL.iter().map(|c| c.id()).collect();
        assert_eq!(ids.len(), Cause::ALL.len());
        for cause in Cause::ALL {
            assert!(!cause.remedy().is_empty() && !cause.title().is_empty());
            assert!(!(cause.is_symptom() && cause.explains()), "{}", cause.id());
        }
    }
}
