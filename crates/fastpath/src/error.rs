// SPDX-License-Identifier: Apache-2.0
//! Why there is no fast path.

use std::io;

/// Why there is no fast path. The router works without.
#[derive(Debug, thiserror::Error)]
pub enum FastPathError {
    /// The kernel has no description of its own types.
    #[error("the kernel has no BTF (/sys/kernel/btf/vmlinux): it needs CONFIG_DEBUG_INFO_BTF")]
    NoBtf,
    /// A container or an unprivileged user may not load programs.
    #[error(
        "loading eBPF programs is not permitted here: it needs CAP_BPF, CAP_NET_ADMIN and CAP_PERFMON of the machine"
    )]
    NotPermitted,
    /// The kernel does not take the programs.
    #[error(
        "the kernel does not take the programs ({reason}): it needs Linux 6.6 or newer with nf_conntrack's kfuncs"
    )]
    Refused {
        /// What libbpf or the verifier said last.
        reason: String,
    },
    /// An interface cannot have the program.
    #[error("the program cannot be attached to {interface}: {source}")]
    Attach {
        /// `eth2`.
        interface: String,
        /// Why.
        source: io::Error,
    },
    /// What notes ICMP echo's sessions cannot be attached.
    #[error("what notes ICMP echo's sessions cannot be attached behind POSTROUTING's chains: {reason}")]
    Echo {
        /// What libbpf said.
        reason: String,
    },
    /// XDP was asked for where it does harm.
    #[error(
        "XDP does not fit {interface}, a software device or one that shapes: its packets' checksums would stay unfinished, \
         or its queue be passed by; tcx or auto fits"
    )]
    NotForXdp {
        /// `eth0`.
        interface: String,
    },
    /// A map could not be read or written.
    #[error("the map {map} of the fast path: {source}")]
    Map {
        /// Its name.
        map: &'static str,
        /// Why.
        source: io::Error,
    },
}

impl FastPathError {
    pub(crate) fn map(map: &'static str) -> impl FnOnce(libbpf_rs::Error) -> Self {
        move |error| Self::Map {
            map,
            source: io::Error::new(kind(&error), error.to_string()),
        }
    }

    pub(crate) fn load(error: &libbpf_rs::Error, said: &str) -> Self {
        match error.kind() {
            libbpf_rs::ErrorKind::PermissionDenied => Self::NotPermitted,
            _ => Self::Refused {
                reason: if said.is_empty() {
                    error.to_string()
                } else {
                    said.to_owned()
                },
            },
        }
    }
}

fn kind(error: &libbpf_rs::Error) -> io::ErrorKind {
    match error.kind() {
        libbpf_rs::ErrorKind::NotFound => io::ErrorKind::NotFound,
        libbpf_rs::ErrorKind::PermissionDenied => io::ErrorKind::PermissionDenied,
        libbpf_rs::ErrorKind::AlreadyExists => io::ErrorKind::AlreadyExists,
        libbpf_rs::ErrorKind::InvalidInput => io::ErrorKind::InvalidInput,
        _ => io::ErrorKind::Other,
    }
}
