// SPDX-License-Identifier: Apache-2.0
//! Lists sessions: a page of those that match. Memory is the page's, however many there are.

use std::time::{SystemTime, UNIX_EPOCH};

use outgate_kernel::conntrack::{self, Flow};
use outgate_model::RouterSpec;
use outgate_model::stats::{SESSIONS_MAX, SessionEntry, SessionPage, SessionQuery};

use super::flow::{Ends, Sides};
use crate::RouterError;

/// The page of sessions that the query asks for.
///
/// # Errors
/// When the kernel cannot be read.
pub fn sessions(spec: &RouterSpec, query: &SessionQuery) -> Result<SessionPage, RouterError> {
    let sides = Sides::of(spec);
    let now = now_nanos();
    let take = query.take.min(SESSIONS_MAX);
    let end = query.skip.saturating_add(take);
    let mut page = SessionPage::default();
    conntrack::dump(|flow| {
        if matches(query, flow.original.protocol, &sides.ends(&flow)) {
            if (query.skip..end).contains(&page.matching) {
                page.sessions.push(sides.entry(&flow, now));
            }
            page.matching = page.matching.saturating_add(1);
        }
        Ok(())
    })
    .map_err(|e| RouterError::failed("listing sessions", e))?;
    Ok(page)
}

/// One session, as it is listed.
pub fn session(spec: &RouterSpec, flow: &Flow) -> SessionEntry {
    Sides::of(spec).entry(flow, now_nanos())
}

fn now_nanos() -> u64 {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    u64::try_from(now.as_nanos()).unwrap_or(u64::MAX)
}

fn is<T: PartialEq>(wanted: Option<T>, there: T) -> bool {
    wanted.is_none_or(|wanted| wanted == there)
}

fn matches(query: &SessionQuery, protocol: u8, ends: &Ends) -> bool {
    let public = ends.public;
    // A session that ends at a public address of the router itself is through it too.
    let through = public.unwrap_or(ends.inside).address;
    let ports = [Some(ends.inside), public, Some(ends.destination)];
    is(query.protocol, protocol)
        && is(query.inside, ends.inside.address)
        && is(query.destination, ends.destination.address)
        && is(query.public, through)
        && (query.inside_nets.is_empty()
            || query
                .inside_nets
                .iter()
                .any(|net| net.contains(&ends.inside.address)))
        && query
            .port
            .is_none_or(|port| ports.iter().flatten().any(|end| end.port == port))
}
