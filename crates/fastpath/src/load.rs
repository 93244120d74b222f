// SPDX-License-Identifier: Apache-2.0
//! Loads the programs, attaches them, reads what they counted.

use std::collections::btree_map::Entry;
use std::collections::{BTreeMap, BTreeSet};
use std::net::Ipv4Addr;
use std::os::fd::{AsFd, OwnedFd};
use std::path::Path;
use std::time::Duration;

use libbpf_rs::{Link, MapCore, MapFlags, MapHandle, Object, ObjectBuilder, ProgramInput, ProgramMut};
use nix::time::{ClockId, clock_getres};

use crate::control::Control;
use crate::counters::Counters;
use crate::cpus::cpus;
use crate::echo;
use crate::error::FastPathError;
use crate::layout::{self, Config};
use crate::sys::{self, Place};

/// The compiled programs, aligned as ELF wants it.
static OBJECT: &[u8] = include_bytes!(concat!(env!("OUT_DIR"), "/fastpath.bpf.o"));
/// Bytes of `struct __sk_buff`.
const SK_BUFF: usize = 192;
const BTF: &str = "/sys/kernel/btf/vmlinux";
/// No lease is longer: whatever changes without notice is noticed after that time.
pub(crate) const LEASE_MAX: Duration = Duration::from_secs(1);

/// Where the programs see packets.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Hook {
    /// In the driver, before the kernel makes a packet buffer: fastest for small packets, for physical and virtio NICs.
    /// Never for veth whose senders leave checksums to hardware: XDP does not know that, and they would stay unfinished.
    Xdp,
    /// At the start of traffic control: large segments stay whole, for veth and tap.
    Tcx,
}

impl Hook {
    /// Which hook serves all of these interfaces of the calling thread's namespace best: XDP if each is a NIC (no
    /// software device) whose driver hands packets on from XDP.
    pub fn best(ports: &[Port]) -> Self {
        let fits = |port: &Port| {
            let interface = i32::try_from(port.interface).unwrap_or(-1);
            port.is_nic && sys::xdp_features(interface).is_ok_and(|(redirects, _)| redirects)
        };
        if !ports.is_empty() && ports.iter().all(fits) {
            Self::Xdp
        } else {
            Self::Tcx
        }
    }

    fn program(self) -> &'static str {
        match self {
            Self::Xdp => "outgate_xdp",
            Self::Tcx => "outgate_tcx",
        }
    }
}

/// `xdp`, `tcx`.
impl std::fmt::Display for Hook {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Xdp => "xdp",
            Self::Tcx => "tcx",
        })
    }
}

/// How the fast path is made.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Settings {
    /// Where the programs see packets.
    pub hook: Hook,
    /// How many leases there is room for, of all CPUs together: two a session. Of 32 bytes each, all of them at once.
    pub leases: u32,
    /// So many CPUs share the table, those with the lowest numbers: see [`cpus`]. Packets on others are the kernel's.
    pub cpus: u32,
    /// How long a lease is, at most one second.
    pub lease: Duration,
    /// How many pairs of a public address and a guests' interface can be counted, at most 4,095. Sessions of others are
    /// left to the kernel, which counts them.
    pub accounts: u32,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            hook: Hook::Tcx,
            leases: 1 << 17,
            cpus: cpus(),
            lease: LEASE_MAX,
            accounts: 256,
        }
    }
}

/// An interface to serve.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Port {
    /// Its name, for messages.
    pub name: String,
    /// Its index.
    pub interface: u32,
    /// Its Ethernet address.
    pub mac: [u8; 6],
    /// Whether it is the public side: what crosses it is counted.
    pub is_public: bool,
    /// Whether it is hardware's or a virtual machine's, no software device of this kernel.
    pub is_nic: bool,
    /// Whether what leaves through it may go straight to the other end of the cable: a veth whose other end lies in
    /// another namespace, with nothing on it that shapes. Used by [`Hook::Tcx`].
    pub skips_queue: bool,
}

/// Packets and their bytes, from the IPv4 header on.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct TrafficCount {
    /// Packets.
    pub packets: u64,
    /// Bytes.
    pub bytes: u64,
}

/// A public address and the interface of the guests that the packets were from or for.
pub type Account = (Ipv4Addr, u32);

/// What the fast path carried for one account since it was first counted.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Traffic {
    /// To it.
    pub inward: TrafficCount,
    /// From it.
    pub outward: TrafficCount,
}

/// The loaded programs.
#[derive(Debug)]
pub struct FastPath {
    object: Object,
    settings: Settings,
    control: Control,
    maps: Maps,
    /// By interface: the port and what holds the program on it.
    attached: BTreeMap<u32, (Port, OwnedFd)>,
    /// The place of each account. Places count from 1; 0 is for what does not cross the public side.
    accounts: BTreeMap<Account, u32>,
    /// What holds the program that notes ICMP echo's sessions, or why there is none.
    echo: Result<Link, FastPathError>,
}

#[derive(Debug)]
struct Maps {
    ports: MapHandle,
    accounts: MapHandle,
    traffic: MapHandle,
    counters: MapHandle,
}

impl FastPath {
    /// Loads the programs for the interfaces of the calling thread's namespace. They are attached to none yet and
    /// suspended. A kernel that lacks only what ICMP echo needs has the rest: see [`Self::without_echo`].
    ///
    /// # Errors
    /// When the kernel lacks what they need, or the process may not load them.
    pub fn load(settings: Settings) -> Result<Self, FastPathError> {
        if !Path::new(BTF).exists() {
            return Err(FastPathError::NoBtf);
        }
        let cpus = settings.cpus.max(1);
        let sets = sets_per_cpu(settings.leases, cpus);
        let traffic = (most_accounts(settings) + 1) * 2;
        let sizes = [
            ("leases", sets * cpus),
            ("paths", layout::PATHS.saturating_mul(cpus)),
            ("notes", layout::NOTES.saturating_mul(cpus)),
            ("traffic", traffic),
        ];
        let (object, echo) = match open_and_load(settings.hook, true, &sizes) {
            Ok(object) => {
                let echo = echo::attach(&object);
                (object, echo)
            }
            Err(error) => (open_and_load(settings.hook, false, &sizes)?, Err(error)),
        };
        let map = |name: &'static str| {
            let found = object.maps().find(|map| map.name() == name);
            let missing = || libbpf_rs::Error::from(std::io::Error::from(std::io::ErrorKind::NotFound));
            found
                .ok_or_else(missing)
                .and_then(|map| MapHandle::try_from(&map))
                .map_err(FastPathError::map(name))
        };
        let config = Config {
            set_mask: sets - 1,
            lease: jiffies(settings.lease.min(LEASE_MAX)),
            seed: seed(),
            ..Config::default()
        };
        let control = Control::new(map("config")?, config);
        control.suspend()?;
        let maps = Maps {
            ports: map("ports")?,
            accounts: map("accounts")?,
            traffic: map("traffic")?,
            counters: map("counters")?,
        };
        Ok(Self {
            settings,
            control,
            maps,
            attached: BTreeMap::new(),
            accounts: BTreeMap::new(),
            echo,
            object,
        })
    }

    /// How it was made.
    pub fn settings(&self) -> Settings {
        self.settings
    }

    /// Why ICMP echo goes through the kernel; `None` where the fast path carries it too.
    pub fn without_echo(&self) -> Option<String> {
        self.echo.as_ref().err().map(ToString::to_string)
    }

    /// Switches it on and off.
    pub fn control(&self) -> &Control {
        &self.control
    }

    /// The interfaces that it is attached to.
    pub fn ports(&self) -> impl Iterator<Item = &Port> {
        self.attached.values().map(|(port, _)| port)
    }

    /// Attaches to these interfaces, and detaches from all others. Returns whether anything changed. Other programs on an
    /// interface stay where they are.
    ///
    /// # Errors
    /// When an interface is missing or cannot have the program; then it is attached to none.
    pub fn serve(&mut self, ports: &[Port]) -> Result<bool, FastPathError> {
        let before = self.attached.len();
        self.attached.retain(|_, (port, _)| ports.contains(port));
        let mut changed = self.attached.len() != before;
        self.forget_ports()?;
        for port in ports {
            if let Entry::Vacant(place) = self.attached.entry(port.interface) {
                let link = match attach(&self.object, self.settings.hook, port) {
                    Ok(link) => link,
                    Err(source) => {
                        self.attached.clear();
                        self.forget_ports()?;
                        let interface = port.name.clone();
                        return Err(FastPathError::Attach { interface, source });
                    }
                };
                place.insert((port.clone(), link));
                changed = true;
            }
            let peer = if port.skips_queue { layout::PORT_PEER } else { 0 };
            let public = if port.is_public { layout::PORT_PUBLIC } else { 0 };
            let flags = peer | public;
            self.maps
                .ports
                .update(
                    &port.interface.to_ne_bytes(),
                    &layout::port(port.mac, flags),
                    MapFlags::ANY,
                )
                .map_err(FastPathError::map("ports"))?;
        }
        if changed {
            self.control.renew()?;
        }
        Ok(changed)
    }

    /// Interfaces that are served no more take no packets.
    fn forget_ports(&self) -> Result<(), FastPathError> {
        let ports = &self.maps.ports;
        let stale: Vec<_> = ports
            .keys()
            .filter(|key| {
                let index = key.as_slice().try_into().map_or(0, u32::from_ne_bytes);
                !self.attached.contains_key(&index)
            })
            .collect();
        for key in stale {
            ports.delete(&key).map_err(FastPathError::map("ports"))?;
        }
        Ok(())
    }

    /// Counts packets of these accounts from now on, and forgets what was counted of others.
    ///
    /// # Errors
    /// When a map cannot be written.
    pub fn count(&mut self, accounts: &BTreeSet<Account>) -> Result<(), FastPathError> {
        let failed = || FastPathError::map("accounts");
        let gone: Vec<_> = self
            .accounts
            .keys()
            .filter(|a| !accounts.contains(a))
            .copied()
            .collect();
        let mut changed = !gone.is_empty();
        for account in gone {
            self.accounts.remove(&account);
            let key = layout::account(account.0, account.1);
            self.maps.accounts.delete(&key).map_err(failed())?;
        }
        let taken: BTreeSet<u32> = self.accounts.values().copied().collect();
        let mut free = (1..=most_accounts(self.settings)).filter(|place| !taken.contains(place));
        for account in accounts {
            if self.accounts.contains_key(account) {
                continue;
            }
            let Some(place) = free.next() else { break };
            self.clear_traffic(place)?;
            let key = layout::account(account.0, account.1);
            self.maps
                .accounts
                .update(&key, &place.to_ne_bytes(), MapFlags::ANY)
                .map_err(failed())?;
            self.accounts.insert(*account, place);
            changed = true;
        }
        if changed { self.control.renew() } else { Ok(()) }
    }

    fn clear_traffic(&self, place: u32) -> Result<(), FastPathError> {
        let cpus = libbpf_rs::num_possible_cpus().map_err(FastPathError::map("traffic"))?;
        for index in [place * 2, place * 2 + 1] {
            self.maps
                .traffic
                .update_percpu(&index.to_ne_bytes(), &vec![vec![0; 16]; cpus], MapFlags::ANY)
                .map_err(FastPathError::map("traffic"))?;
        }
        Ok(())
    }

    /// Packets by the way they went.
    ///
    /// # Errors
    /// When the map cannot be read.
    pub fn counters(&self) -> Result<Counters, FastPathError> {
        let of_cpus = self
            .maps
            .counters
            .lookup_percpu(&0_u32.to_ne_bytes(), MapFlags::ANY)
            .map_err(FastPathError::map("counters"))?;
        let mut counters = Counters::default();
        for of_cpu in of_cpus.unwrap_or_default() {
            counters.add(&of_cpu);
        }
        Ok(counters)
    }

    /// The accounts that are counted.
    pub fn accounts(&self) -> impl Iterator<Item = &Account> {
        self.accounts.keys()
    }

    /// What was carried for each account. What the kernel carried comes on top.
    ///
    /// # Errors
    /// When the map cannot be read.
    pub fn traffic(&self) -> Result<BTreeMap<Account, Traffic>, FastPathError> {
        let accounts = self.accounts.iter();
        accounts
            .map(|(account, place)| {
                let inward = self.traffic_at(place * 2)?;
                let outward = self.traffic_at(place * 2 + 1)?;
                Ok((*account, Traffic { inward, outward }))
            })
            .collect()
    }

    fn traffic_at(&self, index: u32) -> Result<TrafficCount, FastPathError> {
        let of_cpus = self
            .maps
            .traffic
            .lookup_percpu(&index.to_ne_bytes(), MapFlags::ANY)
            .map_err(FastPathError::map("traffic"))?;
        let mut sum = TrafficCount::default();
        for of_cpu in of_cpus.unwrap_or_default() {
            let (packets, bytes) = layout::traffic(&of_cpu);
            sum.packets += packets;
            sum.bytes += bytes;
        }
        Ok(sum)
    }

    /// Runs the program once on a frame as if it had come in through `interface`, without sending anything. Gives the
    /// program's answer and the frame afterwards. For tests.
    ///
    /// # Errors
    /// When the kernel does not take the frame (it must be at least an Ethernet header long).
    pub fn try_frame(&self, interface: u32, frame: &[u8]) -> Result<(u32, Vec<u8>), FastPathError> {
        let program = program(&self.object, self.settings.hook).ok_or_else(no_program)?;
        let mut frame_out = vec![0; frame.len() + 512];
        let length = u32::try_from(frame.len()).unwrap_or(u32::MAX);
        let mut context = match self.settings.hook {
            // struct xdp_md: data, data_end, data_meta, ingress_ifindex, rx_queue_index, egress_ifindex.
            Hook::Xdp => words(&[0, length, 0, interface, 0, 0]),
            // struct __sk_buff: the tenth is ingress_ifindex, the eleventh ifindex.
            Hook::Tcx => words(&[0, 0, 0, 0, 0, 0, 0, 0, 0, interface, interface]),
        };
        if self.settings.hook == Hook::Tcx {
            context.resize(SK_BUFF, 0);
        }
        let input = ProgramInput {
            data_in: Some(frame),
            data_out: Some(&mut frame_out),
            context_in: Some(&mut context),
            ..ProgramInput::default()
        };
        let output = program.test_run(input).map_err(FastPathError::map("config"))?;
        let answer = output.return_value;
        let seen = output.data.map_or_else(Vec::new, |data| data.to_vec());
        Ok((answer, seen))
    }
}

fn most_accounts(settings: Settings) -> u32 {
    settings.accounts.min(layout::ACCOUNTS_MAX - 1)
}

fn words(words: &[u32]) -> Vec<u8> {
    words.iter().copied().flat_map(u32::to_ne_bytes).collect()
}

fn no_program() -> FastPathError {
    let reason = "the object lacks its program".to_owned();
    FastPathError::Refused { reason }
}

fn program(object: &Object, hook: Hook) -> Option<ProgramMut<'_>> {
    object
        .progs_mut()
        .find(|program| program.name() == hook.program())
}

fn attach(object: &Object, hook: Hook, port: &Port) -> std::io::Result<OwnedFd> {
    let program = program(object, hook).ok_or(std::io::ErrorKind::NotFound)?;
    let interface = i32::try_from(port.interface).map_err(|_| std::io::ErrorKind::InvalidInput)?;
    let place = match hook {
        Hook::Xdp => Place::Xdp,
        Hook::Tcx => Place::TcxIngress,
    };
    sys::attach(program.as_fd(), interface, place)
}

/// With or without the program for ICMP echo.
fn open_and_load(hook: Hook, with_echo: bool, sizes: &[(&str, u32)]) -> Result<Object, FastPathError> {
    messages::capture();
    try_to_load(hook, with_echo, sizes).map_err(|error| FastPathError::load(&error, &messages::last()))
}

fn try_to_load(hook: Hook, with_echo: bool, sizes: &[(&str, u32)]) -> libbpf_rs::Result<Object> {
    let mut object = ObjectBuilder::default().open_memory(OBJECT)?;
    for mut program in object.progs_mut() {
        let name = program.name();
        let is_wanted = name == hook.program() || (with_echo && name == echo::PROGRAM);
        program.set_autoload(is_wanted);
    }
    for mut map in object.maps_mut() {
        let name = map.name().to_str().unwrap_or_default().to_owned();
        if let Some((_, entries)) = sizes.iter().find(|(map, _)| *map == name) {
            map.set_max_entries(*entries)?;
        }
    }
    object.load()
}

/// How many sets of leases each CPU gets: a power of two, as many as fit into `leases`, at least one.
fn sets_per_cpu(leases: u32, cpus: u32) -> u32 {
    let most = u32::MAX / layout::LEASE_SET / cpus.max(1);
    let sets = (leases / layout::WAYS / cpus.max(1)).clamp(1, most);
    1 << sets.ilog2()
}

/// The kernel's own clock counts with its tick.
fn jiffies(time: Duration) -> u32 {
    let tick = clock_getres(ClockId::CLOCK_MONOTONIC_COARSE).map_or(Duration::from_millis(4), Duration::from);
    let jiffies = time.as_nanos() / tick.as_nanos().max(1);
    u32::try_from(jiffies).unwrap_or(1).max(1)
}

/// Nobody outside may know which sessions share a set.
fn seed() -> u64 {
    use std::hash::{BuildHasher, Hasher};
    std::collections::hash_map::RandomState::new()
        .build_hasher()
        .finish()
}

/// What libbpf says goes to the log; the last warning is the reason when loading fails.
mod messages {
    use std::sync::{Mutex, PoisonError};

    use libbpf_rs::PrintLevel;

    static LAST: Mutex<String> = Mutex::new(String::new());

    pub(super) fn capture() {
        LAST.lock().unwrap_or_else(PoisonError::into_inner).clear();
        libbpf_rs::set_print(Some((PrintLevel::Debug, print)));
    }

    fn print(level: PrintLevel, text: String) {
        let text = text.trim();
        if level == PrintLevel::Warn {
            tracing::debug!("{text}");
            let mut last = LAST.lock().unwrap_or_else(PoisonError::into_inner);
            if last.is_empty() {
                *last = text.chars().take(300).collect();
            }
        } else {
            tracing::trace!("{text}");
        }
    }

    pub(super) fn last() -> String {
        LAST.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn leases_are_divided_by_cpus_into_powers_of_two() {
        assert_eq!(sets_per_cpu(1 << 17, 2), 1 << 13);
        assert_eq!(sets_per_cpu(100_000, 2), 4_096);
        assert_eq!(sets_per_cpu(0, 64), 1);
        let most = u64::from(sets_per_cpu(u32::MAX, 1)) * u64::from(layout::LEASE_SET);
        assert!(most <= u64::from(u32::MAX), "a map's size is within 4 GiB");
    }

    #[test]
    fn a_second_is_as_many_jiffies_as_the_kernel_ticks() {
        assert!([100, 250, 300, 1000].contains(&jiffies(Duration::from_secs(1))));
    }
}
