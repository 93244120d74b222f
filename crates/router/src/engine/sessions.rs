// SPDX-License-Identifier: Apache-2.0
//! Cuts the sessions that a change takes the right from: rules judge only new ones.

use outgate_kernel::conntrack::{self, Flow, Transport};
use outgate_model::RouterSpec;
use outgate_plan::packet::Header;
use outgate_plan::sessions::{self, Judge, Session, narrowed};

use crate::RouterError;

/// How many sessions were ended. Looks at them only when the change may have taken a right from any. Without a spec
/// before, whatever was let through until now is judged too.
pub(super) fn cut(before: Option<&RouterSpec>, now: &RouterSpec) -> Result<u64, RouterError> {
    if before.is_some_and(|before| !narrowed(before, now)) {
        return Ok(0);
    }
    let failed = |e| RouterError::failed("cutting sessions that lost their right", e);
    // The kernel walks the whole machine's table for a dump, but knows at once that none are ours.
    if conntrack::usage().map_err(failed)?.entries == 0 {
        return Ok(0);
    }
    let judge = Judge::new(now);
    let mut doomed = Vec::new();
    conntrack::dump(|flow| {
        if !judge.may_live(&session(&flow)) {
            doomed.push(flow);
        }
        Ok(())
    })
    .map_err(failed)?;
    conntrack::delete(&doomed).map_err(failed)
}

/// As the pure part judges it.
pub(super) fn session(flow: &Flow) -> Session {
    let direction = |tuple: &conntrack::Tuple| sessions::Flow {
        source: tuple.source,
        destination: tuple.destination,
    };
    Session {
        original: direction(&flow.original),
        header: header(flow),
        reply: direction(&flow.reply),
        reply_port: match flow.reply.transport {
            Transport::Ports { source, .. } => Some(source),
            _ => None,
        },
    }
}

fn header(flow: &Flow) -> Header {
    match (flow.original.protocol, flow.original.transport) {
        (6, Transport::Ports { source, destination }) => Header::Tcp { source, destination },
        (17, Transport::Ports { source, destination }) => Header::Udp { source, destination },
        (_, Transport::Icmp { kind, code, .. }) => Header::Icmp { kind, code },
        (number, _) => Header::Other(number),
    }
}
