// SPDX-License-Identifier: Apache-2.0
//! ICMP echo has a program of its own behind netfilter's others, which notes what conntrack makes of a ping's packets
//! (bpf/echo.h). Without it everything else takes the fast path all the same.

use std::io;

use libbpf_rs::{Link, NF_INET_POST_ROUTING, NFPROTO_IPV4, NetfilterOpts, Object};

use crate::FastPathError;

/// Its name.
pub(crate) const PROGRAM: &str = "outgate_echo";
/// Behind all others, so that what one of them drops is not noted. The last place of all is conntrack's own, where the
/// kernel takes nobody else.
const PRIORITY: i32 = i32::MAX - 1;

/// Attaches it to the POSTROUTING of the calling thread's network namespace. It is detached when the link is dropped.
pub(crate) fn attach(object: &Object) -> Result<Link, FastPathError> {
    let place = NetfilterOpts {
        protocol_family: NFPROTO_IPV4,
        hooknum: NF_INET_POST_ROUTING,
        priority: PRIORITY,
        ..NetfilterOpts::default()
    };
    let attach = || {
        let program = object.progs_mut().find(|program| program.name() == PROGRAM);
        let missing = || libbpf_rs::Error::from(io::Error::from(io::ErrorKind::NotFound));
        program.ok_or_else(missing)?.attach_netfilter_with_opts(place)
    };
    attach().map_err(|error| FastPathError::Echo {
        reason: error.to_string(),
    })
}
