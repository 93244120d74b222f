// SPDX-License-Identifier: Apache-2.0
//! Two machines of a redundant pair (keepalived) on a wire of the router: sound while the backup hears the master, split
//! while nftables holds their adverts back.

use super::Clinic;
use crate::support::wait_until;

/// The machines' namespaces on the lab's host.
const PAIR: [&str; 2] = ["vr1", "vr2"];
/// How long a backup takes to become master, and more.
const ELECTION: std::time::Duration = std::time::Duration::from_secs(60);

/// Plugs two machines into a bridge (a pattern) and starts keepalived on both. Arguments: bridge, addresses without the
/// last octet, virtual address, VRRP's version, what comes before in the configuration.
const START: &str = r#"set -e
bridge=$(basename $(ls -d /sys/class/net/$1))
for n in 1 2; do
  ip netns add vr$n
  ip link add vr$n type veth peer name eth0 netns vr$n
  ip link set vr$n master $bridge up
  ip -netns vr$n addr add $2.24$n/24 dev eth0
  ip -netns vr$n link set lo up
  ip -netns vr$n link set eth0 up
  [ $5 = sound ] || ip netns exec vr$n nft "$6"
  cat >/tmp/vr$n.conf <<END
global_defs {
  vrrp_version $4
}
vrrp_instance pair {
  state MASTER
  interface eth0
  virtual_router_id 51
  priority 10$n
  advert_int 1
  virtual_ipaddress {
    $3
  }
}
END
  ip netns exec vr$n setsid keepalived --vrrp -n -l -f /tmp/vr$n.conf -p /tmp/vr$n.pid -r /tmp/vr$n.vrrp.pid \
    >/tmp/vr$n.log 2>&1 </dev/null &
done"#;

/// Ends both machines, keepalived first: it takes its address back.
const END: &str = r#"for n in 1 2; do
  pid=$(cat /tmp/vr$n.pid)
  kill $pid
  while [ -e /proc/$pid ]; do sleep 0.05; done
  ip netns del vr$n
  ip link del vr$n 2>/dev/null
done
true"#;

/// Holds back what a machine of the pair would hear of the other.
const CUT: &str = "add table ip cut; add chain ip cut c { type filter hook input priority 0; }; add rule ip cut c ip protocol vrrp drop";

impl Clinic {
    /// Starts a pair, `sound` or `split`, and waits until it is.
    pub fn pair(&self, (bridge, net): (&str, &str), address: &str, version: &str, how: &str) {
        let script = [
            "bash", "-c", START, "pair", bridge, net, address, version, how, CUT,
        ];
        self.lab.exec("host", &script);
        self.masters(address, if how == "sound" { 1 } else { 2 });
    }

    /// Keeps each machine's adverts from the other.
    pub fn cut_pair(&self, address: &str) {
        for machine in PAIR {
            self.lab
                .exec("host", &["ip", "netns", "exec", machine, "nft", CUT]);
        }
        self.masters(address, 2);
    }

    /// Lets them hear each other again.
    pub fn join_pair(&self, address: &str) {
        for machine in PAIR {
            let join = ["ip", "netns", "exec", machine, "nft", "delete table ip cut"];
            self.lab.exec("host", &join);
        }
        self.masters(address, 1);
    }

    /// Takes both machines away.
    pub fn end_pair(&self) {
        self.lab.exec("host", &["bash", "-c", END]);
    }

    /// Waits until everybody knows again at which Ethernet address the gateways are.
    pub fn recovers(&self) {
        self.acts(&[
            ("guest1", "ip neigh flush dev eth0"),
            ("guest2", "ip neigh flush dev eth0"),
            ("router", "ip neigh flush dev eth2"),
        ]);
        wait_until(super::RECOVERY, "nothing of the pair is left", || {
            self.doctor(&["lab-net"]).0["healthy"] == true
        });
    }

    /// Waits until so many machines have the virtual address.
    fn masters(&self, address: &str, count: usize) {
        let has = |machine: &&str| {
            let show = ["ip", "-netns", machine, "-br", "addr", "show", "eth0"];
            self.lab.exec("host", &show).contains(&format!(" {address} "))
        };
        wait_until(ELECTION, &format!("{count} of the pair are master"), || {
            PAIR.iter().filter(|machine| has(machine)).count() == count
        });
    }
}
