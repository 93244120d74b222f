// SPDX-License-Identifier: Apache-2.0
//! A network namespace that has no name and ends with its value.

use std::fs::File;
use std::net::Ipv4Addr;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::PathBuf;
use std::process::{Command, Output, Stdio};

use anyhow::{Context, ensure};
use ipnet::Ipv4Net;
use outgate_kernel::link::{Links, Route, Veth, VethEnd};
use outgate_kernel::namespace;
use outgate_model::MacAddr;

/// A network namespace. It ends when this value, and every socket and program inside, has ended.
#[derive(Debug)]
pub struct Namespace {
    network: OwnedFd,
}

impl Namespace {
    /// A new one with `lo` up. Bridged frames do not pass its rules. Must be called inside a tokio runtime.
    ///
    /// # Errors
    /// When the caller is not root.
    pub async fn new() -> anyhow::Result<Self> {
        let network = namespace::new_network().context("tests with namespaces need root")?;
        let this = Self { network };
        this.links()?.set_up("lo").await?;
        for file in ["iptables", "ip6tables", "arptables"] {
            this.sysctl(&format!("net.bridge.bridge-nf-call-{file}"), "0")?;
        }
        this.sysctl("net.ipv6.conf.all.disable_ipv6", "1")?;
        this.sysctl("net.ipv6.conf.default.disable_ipv6", "1")?;
        Ok(this)
    }

    /// One that there is already: `link` is what `readlink /proc/self/ns/net` prints in it. A process must be in it.
    ///
    /// # Errors
    /// When no process is in it, or this test may not enter it (that needs root).
    pub fn of_link(link: &str) -> anyhow::Result<Self> {
        let is_it = |path: &PathBuf| std::fs::read_link(path).is_ok_and(|is| is.as_os_str() == link.trim());
        let mut processes = std::fs::read_dir("/proc")?
            .flatten()
            .map(|p| p.path().join("ns/net"));
        let path = processes
            .find(is_it)
            .with_context(|| format!("no process is in {link}"))?;
        let network = File::open(&path)
            .with_context(|| format!("{}", path.display()))?
            .into();
        Ok(Self { network })
    }

    /// The one that this file is: `/proc/PID/ns/net`.
    ///
    /// # Errors
    /// When there is no such process, or the caller is not root.
    pub fn open(path: &str) -> anyhow::Result<Self> {
        let network = std::fs::File::open(path)
            .with_context(|| format!("opening {path}"))?
            .into();
        Ok(Self { network })
    }

    /// Its descriptor.
    pub fn as_fd(&self) -> BorrowedFd<'_> {
        self.network.as_fd()
    }

    /// Its interfaces.
    ///
    /// # Errors
    /// When it cannot be entered.
    pub fn links(&self) -> anyhow::Result<Links> {
        Ok(Links::open_in(self.as_fd())?)
    }

    /// Does something inside, on a thread of its own. Sockets opened there stay there.
    ///
    /// # Errors
    /// When it cannot be entered.
    pub fn within<T: Send>(&self, work: impl FnOnce() -> T + Send) -> anyhow::Result<T> {
        Ok(namespace::within(self.as_fd(), work)?)
    }

    /// Runs a program inside and waits for its end.
    ///
    /// # Errors
    /// When it cannot be started.
    pub fn run(&self, argv: &[&str]) -> anyhow::Result<Output> {
        let (program, arguments) = argv.split_first().context("a program to run")?;
        let run = || {
            Command::new(program)
                .args(arguments)
                .stdin(Stdio::null())
                .output()
        };
        self.within(run)?.with_context(|| format!("running {program}"))
    }

    /// Runs a program inside that must succeed, and gives what it printed.
    ///
    /// # Errors
    /// When it cannot be started or ends with another code than 0; then with what it printed.
    pub fn check(&self, argv: &[&str]) -> anyhow::Result<String> {
        let output = self.run(argv)?;
        let error = String::from_utf8_lossy(&output.stderr);
        let printed = String::from_utf8_lossy(&output.stdout);
        ensure!(
            output.status.success(),
            "{}: {}\n{printed}{error}",
            argv.join(" "),
            output.status
        );
        Ok(printed.into_owned())
    }

    /// Whether `count` pings to `to` are all answered.
    ///
    /// # Errors
    /// When ping cannot be started.
    pub fn pings(&self, to: Ipv4Addr, count: u32) -> anyhow::Result<bool> {
        let (to, count) = (to.to_string(), count.to_string());
        let output = self.run(&["ping", "-n", "-c", &count, "-i", "0.05", "-W", "1", &to])?;
        Ok(output.status.success() && String::from_utf8_lossy(&output.stdout).contains(" 0% packet loss"))
    }

    /// Sets a kernel parameter of the namespace, by its dotted name. One that the kernel does not have is left out.
    ///
    /// # Errors
    /// When the kernel refuses the value.
    pub fn sysctl(&self, name: &str, value: &str) -> anyhow::Result<()> {
        let path = format!("/proc/sys/{}", name.replace('.', "/"));
        match self.within(|| std::fs::write(&path, value))? {
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(()),
            other => other.with_context(|| format!("setting {name} to {value}")),
        }
    }

    /// Gives an interface an address and sets it up.
    ///
    /// # Errors
    /// When there is no such interface.
    pub async fn address(&self, interface: &str, address: Ipv4Net) -> anyhow::Result<()> {
        let links = self.links()?;
        links.add_address(interface, address).await?;
        Ok(links.set_up(interface).await?)
    }

    /// Adds a route: `0.0.0.0/0` through `via` is the default route.
    ///
    /// # Errors
    /// When the kernel refuses, for example because `via` is not in a subnet of the interface.
    pub async fn route(&self, to: Ipv4Net, via: Ipv4Addr, interface: &str) -> anyhow::Result<()> {
        let route = Route {
            to,
            via: Some(via),
            interface: interface.to_owned(),
            by_kernel: false,
            source: None,
        };
        Ok(self.links()?.add_route(&route).await?)
    }
}

/// One end of a cable: the namespace, the interface's name there, and its Ethernet address (`None` for a random one).
pub type End<'a> = (&'a Namespace, &'a str, Option<MacAddr>);

/// Lays a cable (a veth pair, MTU in bytes) between two namespaces; the near end becomes a port of the bridge `master`
/// when that is given. Both ends are up.
///
/// # Errors
/// When a name is taken or the bridge is missing.
pub async fn connect(near: End<'_>, master: Option<&str>, far: End<'_>, mtu: u32) -> anyhow::Result<()> {
    let links = near.0.links()?;
    let master = match master {
        Some(bridge) => Some(links.get(bridge).await?.index),
        None => None,
    };
    let veth = Veth {
        near: VethEnd {
            name: near.1,
            mac: near.2,
        },
        master,
        far: VethEnd {
            name: far.1,
            mac: far.2,
        },
        namespace: Some(far.0.as_fd()),
        mtu,
    };
    links.add_veth(&veth).await?;
    Ok(far.0.links()?.set_up(far.1).await?)
}
