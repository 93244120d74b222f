// SPDX-License-Identifier: Apache-2.0
//! Runs the doctor's programs, all side by side, each with a deadline. What fails is no evidence.

use std::collections::BTreeSet;
use std::net::Ipv4Addr;
use std::sync::Arc;
use std::time::Duration;

use outgate_doctor::evidence::{Evidence, FlowSeen, GuestSeen, PortsUsed, RouterSeen};
use outgate_doctor::probe::{self, Flow};
use outgate_doctor::read::{arping, dns, files, ip, ping, tcpdump, vrrp};
use outgate_host::Host;
use outgate_model::RouterSpec;
use outgate_model::host::{Run, RunOutput};
use outgate_model::id::{GuestId, RouterId};
use outgate_model::refusal::Refusal;
use outgate_model::router_spec::GuestNetwork;
use outgate_model::stats::{Census, DestinationUse, PORTS, RouterStats};
use tokio::task::JoinHandle;

/// What a program may take beyond its own deadline before nobody waits for it any more.
const GRACE: Duration = Duration::from_millis(1_500);
/// How long the host is watched: about as long as the captures last.
const WINDOW: Duration = Duration::from_millis(3_000);
/// So many resolvers are asked.
const RESOLVERS: usize = 2;
/// With fewer sessions no destination can run short of ports, and they are not looked at one by one.
const CENSUS_FROM: u32 = 50_000;
/// How long the router may take to look at its sessions.
const CENSUS_LIMIT: Duration = Duration::from_secs(6);
/// How long it may take to say what its limits refuse.
const REFUSED_LIMIT: Duration = Duration::from_secs(2);
/// So many programs that are not the router's own are named.
const STRANGERS: usize = 4;

/// Where a program runs.
#[derive(Clone, Copy)]
pub(crate) enum Place {
    Router(RouterId),
    Guest(GuestId),
}

/// A program that is running; `None` when it could not run or did not end in time.
pub(crate) struct Running(JoinHandle<Option<RunOutput>>);

impl Running {
    pub(crate) fn start(driver: &Arc<dyn Host>, place: Place, run: Run) -> Self {
        let driver = Arc::clone(driver);
        Self(tokio::spawn(async move {
            let limit = Duration::from_millis(run.timeout_millis) + GRACE;
            let work = async {
                match place {
                    Place::Router(id) => driver.run_in_router(id, &run).await,
                    Place::Guest(id) => driver.run_in_guest(id, &run).await,
                }
            };
            tokio::time::timeout(limit, work).await.ok()?.ok()
        }))
    }

    pub(crate) async fn output(self) -> Option<RunOutput> {
        self.0.await.ok().flatten()
    }

    /// What can be understood of what it printed, however it ended.
    async fn read<T>(self, understand: impl FnOnce(RunOutput) -> Option<T>) -> Option<T> {
        self.output().await.and_then(understand)
    }

    /// Standard output of a program that succeeded.
    pub(crate) async fn text(self) -> Option<String> {
        let output = self.output().await?;
        (output.code == Some(0)).then_some(output.stdout)
    }
}

/// Fills in everything that can be seen.
pub(super) async fn all(
    driver: &Arc<dyn Host>,
    router: RouterId,
    guests: &[GuestId],
    flow: Option<Flow>,
    evidence: &mut Evidence,
) {
    let watched = {
        let (driver, guests) = (Arc::clone(driver), guests.to_vec());
        tokio::spawn(async move { driver.inspect(router, &guests, WINDOW).await.ok() })
    };
    let census = {
        let driver = Arc::clone(driver);
        let stats = async move { driver.router_stats(router, CENSUS_FROM).await };
        tokio::spawn(tokio::time::timeout(CENSUS_LIMIT, stats))
    };
    if let Some(spec) = evidence.spec.clone() {
        let bodies: Vec<(GuestId, GuestBody)> = guests
            .iter()
            .zip(&evidence.guests)
            .filter(|(_, seen)| seen.running)
            .filter_map(|(id, seen)| Some((*id, GuestBody::start(driver, *id, network(&spec, seen)?))))
            .collect();
        let body = RouterBody::start(driver, router, &spec);
        let sender = sender(guests, &evidence.guests).filter(|_| flow.is_some());
        let sent = match (sender, flow) {
            (Some(sender), Some(flow)) => send(driver, router, &spec, evidence, (sender, guests), flow).await,
            _ => None,
        };
        let after = Running::start(driver, Place::Router(router), probe::counters());
        let mut seen = body.finish().await;
        if let Some(seen) = &mut seen {
            let stats = census.await.ok().and_then(Result::ok).and_then(Result::ok);
            seen.counted = stats.is_some();
            if let Some(stats) = stats {
                seen.refused = refused(driver, router, &stats).await;
                seen.ports = stats
                    .census
                    .map(|census| ports(&spec, &census))
                    .unwrap_or_default();
            }
            seen.after = after
                .output()
                .await
                .map(|o| files::files(&o.stdout))
                .unwrap_or_default();
        }
        evidence.router = seen;
        evidence.flow = sent;
        for (id, body) in bodies {
            if let Some(at) = guests.iter().position(|guest| *guest == id)
                && let Some(seen) = evidence.guests.get_mut(at)
            {
                body.finish(seen).await;
            }
        }
    }
    evidence.host = watched.await.ok().flatten();
}

/// What limits have refused since `before` was read.
async fn refused(
    driver: &Arc<dyn Host>,
    router: RouterId,
    before: &RouterStats,
) -> Vec<(Refusal, Ipv4Addr, u64)> {
    let read = tokio::time::timeout(REFUSED_LIMIT, driver.router_stats(router, u32::MAX)).await;
    let Ok(Ok(after)) = read else {
        return Vec::new();
    };
    // A table that was made anew counts from nothing.
    let at = |reason, address| {
        let mut of = before.refused.iter().filter(|r| r.reason == reason);
        let found = of.find_map(|r| r.addresses.iter().find(|(a, _)| *a == address));
        found.map_or(0, |(_, packets)| *packets)
    };
    let each = after.refused.iter().flat_map(|r| {
        r.addresses
            .iter()
            .map(move |(address, packets)| (r.reason, *address, *packets))
    });
    each.map(|(reason, address, now)| (reason, address, now.saturating_sub(at(reason, address))))
        .filter(|(_, _, packets)| *packets > 0)
        .collect()
}

/// The destinations that use most ports of each address. A source NAT pool counts as one: when one address has no port
/// left, new sessions use the next.
fn ports(spec: &RouterSpec, census: &Census) -> Vec<PortsUsed> {
    let pool: Vec<Ipv4Addr> = spec.source_nat_pool().collect();
    let mut told = BTreeSet::new();
    let mut all = Vec::new();
    for address in &census.addresses {
        let of = if pool.contains(&address.address) {
            pool.clone()
        } else {
            vec![address.address]
        };
        let heaviest = address.guests.first().map(|g| (g.address, u64::from(g.sessions)));
        for protocol in &address.protocols {
            for to in &protocol.busiest {
                if told.insert((of.clone(), protocol.protocol, to.address, to.port)) {
                    let used = census.ports_towards(&of, protocol.protocol, to);
                    all.push(ports_used(&of, protocol.protocol, to, (used, heaviest)));
                }
            }
        }
    }
    all
}

fn ports_used(
    of: &[Ipv4Addr],
    protocol: u8,
    to: &DestinationUse,
    (used, heaviest): (u32, Option<(Ipv4Addr, u64)>),
) -> PortsUsed {
    let addresses: Vec<_> = of.iter().map(ToString::to_string).collect();
    PortsUsed {
        address: addresses.join(", "),
        protocol: match protocol {
            6 => "TCP".to_owned(),
            17 => "UDP".to_owned(),
            other => format!("protocol {other}"),
        },
        destination: format!("{}:{}", to.address, to.port),
        used: u64::from(used),
        of: u64::from(PORTS) * of.len() as u64,
        heaviest,
    }
}

fn network<'a>(spec: &'a RouterSpec, guest: &GuestSeen) -> Option<&'a GuestNetwork> {
    spec.guest_networks
        .iter()
        .find(|n| n.interface == guest.interface)
}

/// The first guest that runs.
fn sender(guests: &[GuestId], seen: &[GuestSeen]) -> Option<usize> {
    (0..guests.len()).find(|at| seen.get(*at).is_some_and(|guest| guest.running))
}

/// The programs that look at the router.
struct RouterBody {
    links: Running,
    routes: Running,
    policy: Running,
    listing: Running,
    postrouting: Running,
    before: Running,
    sockets: Running,
    programs: Running,
    gateway: Running,
    rivals: Option<Running>,
    adverts: Running,
    ipsec: Running,
    resolvers: Vec<(Ipv4Addr, Running)>,
}

impl RouterBody {
    fn start(driver: &Arc<dyn Host>, router: RouterId, spec: &RouterSpec) -> Self {
        let run = |run| Running::start(driver, Place::Router(router), run);
        let source_nat = spec.source_nat_address().map(|a| a.address.addr());
        let mut servers: Vec<Ipv4Addr> = spec
            .guest_networks
            .iter()
            .flat_map(|n| n.upstream_dns.clone())
            .collect();
        servers.dedup();
        servers.truncate(RESOLVERS);
        Self {
            before: run(probe::files(spec)),
            links: run(probe::links()),
            routes: run(probe::routes()),
            policy: run(probe::policy()),
            listing: run(probe::listing()),
            postrouting: run(probe::postrouting()),
            sockets: run(probe::sockets()),
            programs: run(probe::programs()),
            gateway: run(probe::upstream(spec)),
            rivals: source_nat.map(|address| run(probe::rivals(spec, address))),
            adverts: run(probe::adverts()),
            ipsec: run(probe::ipsec()),
            resolvers: servers.into_iter().map(|s| (s, run(probe::resolve(s)))).collect(),
        }
    }

    /// `None` when nothing could be looked at.
    async fn finish(self) -> Option<RouterSeen> {
        let links = self.links.text().await;
        let listing = self.listing.text().await;
        if links.is_none() && listing.is_none() {
            return None;
        }
        let gateway = self.gateway.read(|o| arping::answers(&o.stdout)).await;
        let rivals = match self.rivals {
            Some(rivals) => rivals.read(|o| arping::answers(&o.stdout)).await,
            None => None,
        };
        let mut upstream_dns = std::collections::BTreeMap::new();
        for (server, running) in self.resolvers {
            let output = running.output().await;
            let said = output.and_then(|o| dns::resolved(&o.stdout, &o.stderr, o.code.is_some()));
            upstream_dns.extend(said.map(|said| (server, said)));
        }
        let rules = self.postrouting.text().await;
        let rules = rules.map(|text| {
            text.lines()
                .filter(|l| l.starts_with("-A "))
                .map(|l| l.trim_end().to_owned())
                .collect()
        });
        Some(RouterSeen {
            links: links.and_then(|text| ip::links(&text)),
            routes: self.routes.text().await.and_then(|text| ip::routes(&text)),
            policy: self.policy.text().await.map(|text| ip::policy(&text)),
            listing,
            postrouting: rules,
            before: self
                .before
                .output()
                .await
                .map(|o| files::files(&o.stdout))
                .unwrap_or_default(),
            sockets: self.sockets.text().await,
            strangers: self
                .programs
                .text()
                .await
                .map(|text| strangers(&text))
                .unwrap_or_default(),
            gateway,
            rivals,
            adverts: self.adverts.read(|o| vrrp::heard(&o.stdout, &o.stderr)).await,
            // grep's code says whether there was any.
            ipsec: self
                .ipsec
                .output()
                .await
                .map(|o| o.stdout.lines().map(str::to_owned).collect())
                .unwrap_or_default(),
            upstream_dns,
            ..RouterSeen::default()
        })
    }
}

/// Programs that neither the router nor the doctor has started.
fn strangers(ps: &str) -> Vec<String> {
    const OWN: [&str; 17] = [
        "router serve",
        "outgate server",
        "dnsmasq",
        "sshd",
        "haproxy",
        "tcpdump",
        "arping",
        "nslookup",
        "grep -",
        "ip -",
        "nft -",
        "iptables",
        "ss -",
        "ps -",
        "xtables",
        "defunct",
        "keepalived",
    ];
    let lines = ps.lines().map(str::trim).filter(|line| !line.is_empty());
    let strange = lines.filter(|line| !OWN.iter().any(|own| line.contains(own)));
    strange
        .take(STRANGERS)
        .map(|line| line.chars().take(200).collect())
        .collect()
}

/// The programs that look at a guest.
struct GuestBody {
    links: Running,
    routes: Running,
    resolv: Running,
    gateway: Running,
    driver: Arc<dyn Host>,
    id: GuestId,
    at: Ipv4Addr,
}

impl GuestBody {
    fn start(driver: &Arc<dyn Host>, id: GuestId, network: &GuestNetwork) -> Self {
        let run = |run| Running::start(driver, Place::Guest(id), run);
        let at = network.gateway.addr();
        Self {
            links: run(probe::links()),
            routes: run(probe::routes()),
            resolv: run(probe::resolv_conf()),
            gateway: run(probe::ping_gateway(at)),
            driver: Arc::clone(driver),
            id,
            at,
        }
    }

    async fn finish(self, seen: &mut GuestSeen) {
        let output = self.gateway.output().await;
        seen.gateway = output.and_then(|o| ping::pinged(&o.stdout, &o.stderr));
        // Only now has it asked for its gateway's Ethernet address.
        let neighbours = Running::start(&self.driver, Place::Guest(self.id), probe::neighbours());
        seen.links = self.links.text().await.and_then(|text| ip::links(&text));
        seen.routes = self.routes.text().await.and_then(|text| ip::routes(&text));
        seen.resolv = self.resolv.text().await;
        seen.gateway_mac = neighbours
            .text()
            .await
            .and_then(|text| ip::neighbour(&text, self.at));
    }
}

/// Sends the flow from a guest while both sides of the router are captured.
async fn send(
    driver: &Arc<dyn Host>,
    router: RouterId,
    spec: &RouterSpec,
    evidence: &Evidence,
    (sender, guests): (usize, &[GuestId]),
    flow: Flow,
) -> Option<FlowSeen> {
    let (guest, seen) = (*guests.get(sender)?, evidence.guests.get(sender)?);
    let network = network(spec, seen)?;
    // Packets leave by the interface that replies come in on.
    let leaves_by = outgate_plan::packet::comes_in_on(spec, flow.target).to_owned();
    let inside = Running::start(
        driver,
        Place::Router(router),
        probe::capture(&network.interface, &flow),
    );
    let outside = Running::start(driver, Place::Router(router), probe::capture(&leaves_by, &flow));
    tokio::time::sleep(Duration::from_millis(probe::HEAD_START)).await;
    let run = |run| Running::start(driver, Place::Guest(guest), run);
    let small = probe::small(&flow).map(run);
    let large = probe::large(&flow, network.mtu).map(run);
    let hop = next_hop(spec, &leaves_by, flow.target);
    let beyond =
        hop.map(|hop| Running::start(driver, Place::Router(router), probe::next_hop(&leaves_by, hop)));
    let dns = (!network.upstream_dns.is_empty()).then(|| run(probe::resolve(network.gateway.addr())));
    let mut result = FlowSeen {
        guest: sender,
        flow,
        leaves_by,
        ..FlowSeen::default()
    };
    result.small = answered(small, &flow).await;
    result.large = answered(large, &flow).await;
    if let Some(dns) = dns {
        let output = dns.output().await;
        result.dns = output.and_then(|o| dns::resolved(&o.stdout, &o.stderr, o.code.is_some()));
    }
    if let (Some(hop), Some(beyond)) = (hop, beyond) {
        let answers = beyond.output().await.and_then(|o| arping::answers(&o.stdout));
        result.next_hop = answers.map(|answers| (hop, answers));
    }
    if is_too_large(&result) {
        result.fits = largest(driver, guest, &flow, network.mtu).await;
    }
    result.inside = inside
        .output()
        .await
        .and_then(|o| tcpdump::captured(&o.stdout, &o.stderr));
    result.outside = outside
        .output()
        .await
        .and_then(|o| tcpdump::captured(&o.stdout, &o.stderr));
    Some(result)
}

/// The next hop towards a destination inside or behind a private gateway.
fn next_hop(spec: &RouterSpec, leaves_by: &str, target: Ipv4Addr) -> Option<Ipv4Addr> {
    let routes = spec
        .static_routes()
        .iter()
        .filter(|route| route.to.contains(&target));
    let route = routes.max_by_key(|route| route.to.prefix_len());
    (leaves_by != spec.public.interface).then(|| route.map_or(target, |route| route.via))
}

/// What ping said, or whether a connection was answered at all: a refusal is an answer too.
async fn answered(running: Option<Running>, flow: &Flow) -> Option<ping::Pinged> {
    let output = running?.output().await?;
    if flow.kind == probe::Kind::Ping {
        return ping::pinged(&output.stdout, &output.stderr);
    }
    let is_answer = output.code == Some(0) || output.stderr.contains("refused");
    let complaint = output.stderr.lines().next().map(str::to_owned);
    Some(ping::Pinged {
        sent: 1,
        received: u32::from(is_answer),
        told_mtu: None,
        complaint: complaint.filter(|_| !is_answer),
    })
}

fn is_too_large(seen: &FlowSeen) -> bool {
    let small = seen.small.as_ref().is_some_and(|small| small.received > 0);
    let large = seen.large.as_ref();
    small && large.is_some_and(|large| large.received == 0 && large.sent > 0 && large.told_mtu.is_none())
}

/// The largest of some sizes that is answered.
async fn largest(driver: &Arc<dyn Host>, guest: GuestId, flow: &Flow, mtu: u32) -> Option<u32> {
    let sizes = probe::SIZES.iter().copied().filter(|size| *size < mtu);
    let tries: Vec<(u32, Running)> = sizes
        .filter_map(|size| {
            Some((
                size,
                Running::start(driver, Place::Guest(guest), probe::large(flow, size)?),
            ))
        })
        .collect();
    let mut fits = None;
    for (size, running) in tries {
        let output = running.output().await;
        let pinged = output.and_then(|o| ping::pinged(&o.stdout, &o.stderr));
        if pinged.is_some_and(|p| p.received > 0) {
            fits = fits.max(Some(size));
        }
    }
    fits
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_programs_of_somebody_else_are_strangers() {
        let ps = "  1 Ss  /run/outgate/bin/outgate router serve --dir x\n 14 S  /usr/sbin/dnsmasq -k\n\
                  29 R  ps -eo pid=,stat=,args=\n 31 S  sh -c while true; do ip addr flush dev eth2; done\n";
        let found = strangers(ps);
        assert_eq!(found.len(), 1);
        assert!(found[0].contains("while true"));
    }
}
