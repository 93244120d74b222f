// SPDX-License-Identifier: Apache-2.0
//! A guest, a router and an outside on two cables, all by hand: what the programs need and nothing else.

#![allow(dead_code, reason = "each test binary uses a part of it")]
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    reason = "a test's helpers may panic too"
)]

pub mod frame;
pub mod traffic;
pub mod wire;

use std::net::Ipv4Addr;
use std::time::Duration;

use nix::sched::{CpuSet, sched_getaffinity, sched_setaffinity};
use nix::unistd::Pid;
use outgate_fastpath::{FastPath, Hook, Port, Settings, Timeouts};
use outgate_kernel::link::{Veth, VethEnd};
use outgate_model::MacAddr;
use outgate_testkit::Namespace;
use tokio::runtime::Runtime;

pub const GUEST_MAC: MacAddr = MacAddr([2, 0, 0, 0, 1, 0x10]);
pub const INSIDE_MAC: MacAddr = MacAddr([2, 0, 0, 0, 1, 1]);
pub const OUTSIDE_MAC: MacAddr = MacAddr([2, 0, 0, 0, 2, 2]);
pub const FAR_MAC: MacAddr = MacAddr([2, 0, 0, 0, 2, 1]);
pub const GUEST: Ipv4Addr = Ipv4Addr::new(10, 1, 1, 10);
pub const PUBLIC: Ipv4Addr = Ipv4Addr::new(203, 0, 113, 2);
/// Owned by the guest 10.1.1.20 (static NAT).
pub const STATIC: Ipv4Addr = Ipv4Addr::new(203, 0, 113, 3);
pub const FAR: Ipv4Addr = Ipv4Addr::new(203, 0, 113, 1);
/// The identifier of pings that [`RULES`] translate to [`PING_OUTSIDE`].
pub const PING_INSIDE: u16 = 7_000;
pub const PING_OUTSIDE: u16 = 7_001;
pub const TIMEOUTS: Timeouts = Timeouts {
    tcp: Duration::from_secs(7440),
    udp: Duration::from_secs(300),
};

/// Source NAT, a forwarded TCP and UDP port, a static NAT address; known sessions pass, nothing invalid does.
pub const RULES: &str = "table ip outgate {
    chain pre { type nat hook prerouting priority -101;
        ip daddr 203.0.113.2 tcp dport 8080 dnat to 10.1.1.10:80
        ip daddr 203.0.113.2 udp dport 8080 dnat to 10.1.1.10:80
        ip daddr 203.0.113.3 dnat to 10.1.1.20
    }
    chain post { type nat hook postrouting priority 99;
        oifname \"eth2\" ip saddr 10.1.1.10 icmp id 7000 snat to 203.0.113.2:7001
        oifname \"eth2\" ip saddr 10.1.1.20 snat to 203.0.113.3
        oifname \"eth2\" ip saddr 10.1.1.0/24 snat to 203.0.113.2
        oifname \"eth0\" ct status dnat ip saddr 10.1.1.0/24 snat to 203.0.113.2
    }
    chain forward { type filter hook forward priority 0; policy drop;
        ct state established,related accept
        ct state invalid drop
        iifname \"eth0\" accept
        ct status dnat accept
    }
}";

pub struct World {
    pub runtime: Runtime,
    pub guest: Namespace,
    pub router: Namespace,
    pub far: Namespace,
    pub eth0: u32,
    pub eth2: u32,
}

pub fn runtime() -> Runtime {
    tokio::runtime::Builder::new_multi_thread()
        .worker_threads(1)
        .enable_all()
        .build()
        .unwrap()
}

impl World {
    /// With addresses and stacks on all sides.
    pub fn new() -> Self {
        let world = Self::bare();
        world.runtime.block_on(async {
            let address =
                async |n: &Namespace, i: &str, a: &str| n.address(i, a.parse().unwrap()).await.unwrap();
            address(&world.guest, "g0", "10.1.1.10/24").await;
            address(&world.guest, "g0", "10.1.1.20/24").await;
            address(&world.far, "e0", "203.0.113.1/24").await;
            address(&world.far, "lo", "198.51.100.1/24").await;
            let all = "0.0.0.0/0".parse().unwrap();
            world.guest.route(all, [10, 1, 1, 1].into(), "g0").await.unwrap();
        });
        neighbour(&world.guest, "10.1.1.1", INSIDE_MAC, "g0");
        neighbour(&world.far, "203.0.113.2", OUTSIDE_MAC, "e0");
        neighbour(&world.far, "203.0.113.3", OUTSIDE_MAC, "e0");
        world
    }

    /// Only the router has addresses; nobody answers at the cables' other ends.
    pub fn bare() -> Self {
        let runtime = runtime();
        let (guest, router, far) = runtime.block_on(async {
            (
                Namespace::new().await.unwrap(),
                Namespace::new().await.unwrap(),
                Namespace::new().await.unwrap(),
            )
        });
        for (name, value) in [
            ("net.ipv4.ip_forward", "1"),
            ("net.ipv4.conf.all.rp_filter", "1"),
            ("net.ipv4.conf.default.rp_filter", "1"),
            ("net.ipv4.conf.all.send_redirects", "0"),
            ("net.ipv4.conf.default.send_redirects", "0"),
        ] {
            router.sysctl(name, value).unwrap();
        }
        runtime.block_on(async {
            cable(&router, ("eth0", INSIDE_MAC), (&guest, "g0", GUEST_MAC)).await;
            cable(&router, ("eth2", OUTSIDE_MAC), (&far, "e0", FAR_MAC)).await;
            let address =
                async |n: &Namespace, i: &str, a: &str| n.address(i, a.parse().unwrap()).await.unwrap();
            address(&router, "eth0", "10.1.1.1/24").await;
            address(&router, "eth2", "203.0.113.2/24").await;
            address(&router, "eth2", "203.0.113.3/24").await;
            let all = "0.0.0.0/0".parse().unwrap();
            router.route(all, FAR, "eth2").await.unwrap();
        });
        let index = |name: &str| {
            let links = router.links().unwrap();
            runtime.block_on(links.get(name)).unwrap().index
        };
        let (eth0, eth2) = {
            let _context = runtime.enter();
            (index("eth0"), index("eth2"))
        };
        neighbour(&router, "10.1.1.10", GUEST_MAC, "eth0");
        neighbour(&router, "10.1.1.20", GUEST_MAC, "eth0");
        neighbour(&router, "203.0.113.1", FAR_MAC, "eth2");
        let this = Self {
            runtime,
            guest,
            router,
            far,
            eth0,
            eth2,
        };
        this.nft(RULES);
        // What the router's engine sets where the fast path is on.
        for name in ["tcp_be_liberal", "tcp_ignore_invalid_rst"] {
            this.netfilter(name, 1);
        }
        this.netfilter("checksum", 0);
        this.netfilter("tcp_loose", 0);
        this
    }

    /// Sets `net.netfilter.nf_conntrack_NAME` in the router.
    pub fn netfilter(&self, name: &str, value: u32) {
        let name = format!("net.netfilter.nf_conntrack_{name}");
        self.router.sysctl(&name, &value.to_string()).unwrap();
    }

    pub fn nft(&self, script: &str) {
        self.router.check(&["nft", script]).unwrap();
    }

    pub fn ports(&self) -> Vec<Port> {
        let port = |name: &str, interface, mac: MacAddr| Port {
            name: name.to_owned(),
            is_public: interface == self.eth2,
            interface,
            mac: mac.0,
            is_nic: false,
            skips_queue: false,
        };
        vec![
            port("eth0", self.eth0, INSIDE_MAC),
            port("eth2", self.eth2, OUTSIDE_MAC),
        ]
    }

    /// Loads the fast path and lets it run.
    pub fn fast(&self, hook: Hook) -> FastPath {
        self.fast_with(Settings {
            hook,
            ..Settings::default()
        })
    }

    pub fn fast_with(&self, settings: Settings) -> FastPath {
        if settings.hook == Hook::Xdp {
            // A veth takes frames from XDP only when its other end polls, which an XDP program makes it do.
            let pass = concat!(env!("OUT_DIR"), "/pass.bpf.o");
            for (namespace, end) in [(&self.guest, "g0"), (&self.far, "e0")] {
                // XDP does not know of checksums that are left to hardware.
                namespace.check(&["ethtool", "-K", end, "tx", "off"]).unwrap();
                let set = [
                    "ip", "link", "set", "dev", end, "xdpdrv", "object", pass, "section", "xdp",
                ];
                let _ = namespace.run(&set).unwrap();
            }
        }
        let fast = self.router.within(|| {
            let mut fast = FastPath::load(settings).unwrap();
            fast.serve(&self.ports()).unwrap();
            fast.count(&[(PUBLIC, self.eth0), (STATIC, self.eth0)].into())
                .unwrap();
            fast
        });
        let fast = fast.unwrap();
        let control = fast.control();
        assert!(control.resume(control.suspensions(), TIMEOUTS).unwrap());
        // As an engine would, for as long as the test takes.
        let control = control.clone();
        std::thread::spawn(move || {
            while control.keep_alive().is_ok() {
                std::thread::sleep(Duration::from_secs(2));
            }
        });
        fast
    }
}

/// A neighbour that nobody has to ask for.
pub fn neighbour(namespace: &Namespace, address: &str, mac: MacAddr, interface: &str) {
    let mac = mac.to_string();
    let set = [
        "ip",
        "neigh",
        "replace",
        address,
        "lladdr",
        &mac,
        "dev",
        interface,
        "nud",
        "permanent",
    ];
    namespace.check(&set).unwrap();
}

async fn cable(near: &Namespace, (name, mac): (&str, MacAddr), far: (&Namespace, &str, MacAddr)) {
    let veth = Veth {
        near: VethEnd { name, mac: Some(mac) },
        master: None,
        far: VethEnd {
            name: far.1,
            mac: Some(far.2),
        },
        namespace: Some(far.0.as_fd()),
        mtu: 1500,
    };
    near.links().unwrap().add_veth(&veth).await.unwrap();
    far.0.links().unwrap().set_up(far.1).await.unwrap();
    // One queue, so that frames stay in order. A kernel that cannot have it so has one anyway.
    for (namespace, end) in [(near, name), (far.0, far.1)] {
        let _ = namespace
            .run(&["ethtool", "-L", end, "rx", "1", "tx", "1"])
            .unwrap();
    }
}

/// Each hook with a world of its own.
pub fn with_both(test: impl Fn(&World, &FastPath)) {
    for hook in [Hook::Tcx, Hook::Xdp] {
        let world = World::new();
        let fast = world.fast(hook);
        test(&world, &fast);
    }
}

/// This thread and those that it starts, so that packets stay in order; another one for each hook.
pub fn on_one_cpu(hook: Hook) {
    let all = sched_getaffinity(Pid::from_raw(0)).unwrap();
    let mut usable = (0..CpuSet::count()).filter(|cpu| all.is_set(*cpu).unwrap());
    let one = match hook {
        Hook::Xdp => usable.next(),
        Hook::Tcx => usable.next_back(),
    };
    let one = one.unwrap();
    let mut set = CpuSet::new();
    set.set(one).unwrap();
    sched_setaffinity(Pid::from_raw(0), &set).unwrap();
}
