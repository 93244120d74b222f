// SPDX-License-Identifier: Apache-2.0
//! What is compared: each makes a router of the same world.

mod cloudstack;
mod outgate;
mod peer;

use std::fmt;

use outgate_fastpath::Hook;

use crate::traffic::Attached;
use crate::world::World;

pub use peer::Peer;

/// One way to be the router.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Contender {
    /// Nothing is translated: the kernel forwards.
    Forward,
    /// nftables masquerade, and nothing else.
    Nftables,
    /// The rules of CloudStack's virtual router.
    CloudStack,
    /// Outgate without its fast path.
    OutgateKernel,
    /// Outgate with its fast path at tcx, where it is on virtual interfaces.
    OutgateTc,
    /// Outgate with its fast path at XDP, where it is on NICs.
    OutgateXdp,
    /// Packets are moved from one side to the other by XDP, unread: the ceiling.
    Redirect,
    /// Another program.
    Peer(Peer),
}

impl fmt::Display for Contender {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Forward => "forward",
            Self::Nftables => "nftables",
            Self::CloudStack => "cloudstack",
            Self::OutgateKernel => "outgate-kernel",
            Self::OutgateTc => "outgate-tc",
            Self::OutgateXdp => "outgate-xdp",
            Self::Redirect => "redirect",
            Self::Peer(peer) => &peer.name,
        })
    }
}

/// A router at work. It ends with this value.
#[derive(Debug)]
#[allow(dead_code, reason = "held for what happens when they go")]
pub enum Running {
    /// The kernel does all of it.
    Kernel,
    /// An engine of Outgate.
    Engine(outgate::EngineThread),
    /// A program on an interface.
    Program(Attached),
    /// A process.
    Process(peer::Process),
}

impl Contender {
    /// Those that need nothing but this machine.
    pub fn all() -> Vec<Self> {
        vec![
            Self::Forward,
            Self::Redirect,
            Self::Nftables,
            Self::CloudStack,
            Self::OutgateKernel,
            Self::OutgateTc,
            Self::OutgateXdp,
        ]
    }

    /// Whether guests' addresses are translated.
    pub fn translates(&self) -> bool {
        !matches!(self, Self::Forward | Self::Redirect)
    }

    /// Whether it carries more than UDP from the guests to the outside.
    pub fn is_whole(&self) -> bool {
        // A veth does not tell XDP which checksums its sender left to hardware: sockets' packets would never be whole.
        !matches!(self, Self::Redirect | Self::OutgateXdp)
    }

    /// Makes it the world's router.
    ///
    /// # Errors
    /// When it cannot be set up.
    pub fn start(&self, world: &World) -> anyhow::Result<Running> {
        match self {
            Self::OutgateKernel => return Ok(Running::Engine(outgate::start(world, None)?)),
            Self::OutgateTc => return Ok(Running::Engine(outgate::start(world, Some(Hook::Tcx))?)),
            Self::OutgateXdp => return Ok(Running::Engine(outgate::start(world, Some(Hook::Xdp))?)),
            _ => world.configure_router()?,
        }
        Ok(match self {
            Self::Nftables => {
                const RULES: &str = "table ip nat { chain postrouting { type nat hook postrouting priority 100; oifname eth2 masquerade; }; }";
                world.router.check(&["nft", RULES])?;
                Running::Kernel
            }
            Self::CloudStack => {
                cloudstack::load(world)?;
                Running::Kernel
            }
            Self::Redirect => {
                let macs = World::outward();
                Running::Program(Attached::redirect(&world.router, "eth0", "eth2", macs)?)
            }
            Self::Peer(peer) => Running::Process(peer.start(world)?),
            Self::Forward | Self::OutgateKernel | Self::OutgateTc | Self::OutgateXdp => Running::Kernel,
        })
    }
}
