// SPDX-License-Identifier: Apache-2.0
//! Tells the rules of a source NAT pool what the sessions say: which guests are at which additional address, and which
//! destinations an address is short of ports for. So a guest keeps its address while its sessions live, also when the
//! table was made anew, and sessions go on to the next address before one is dropped.

use std::time::{Duration, Instant};

use outgate_kernel::{conntrack, nft};
use outgate_plan::pool::{SHORT_FROM, Tally};

use super::observe::generation;
use super::{Engine, sessions};
use crate::RouterError;

/// What a guest's sessions say is told again well before the rules forget it.
const REGULAR: Duration = Duration::from_secs(60);
/// With so many sessions that an address may be short of ports, they are looked at nearly every time.
const BUSY: Duration = Duration::from_secs(2);
/// Looks may take this part of the time: one in so many.
const SHARE: u32 = 20;

/// The last look at the sessions.
#[derive(Debug, Clone, Copy)]
pub(super) struct Look {
    began: Instant,
    took: Duration,
}

impl Look {
    fn is_due(self, sessions: u32) -> bool {
        let wait = if sessions < SHORT_FROM { REGULAR } else { BUSY };
        self.began.elapsed() >= wait.max(self.took * SHARE)
    }
}

impl Engine {
    /// Looks at the sessions when it is time to. A failure is no reason not to apply a spec: the rules by themselves find
    /// out what they are not told.
    pub(super) fn remember_pool(&mut self) {
        if let Err(error) = self.look_at_pool() {
            self.log.error(&error.to_string());
        }
    }

    fn look_at_pool(&mut self) -> Result<(), RouterError> {
        let failed = |e| RouterError::failed("looking at the sessions of the source NAT pool", e);
        let Some(mut tally) = self.target.as_ref().and_then(|target| Tally::new(&target.spec)) else {
            return Ok(());
        };
        let sessions = conntrack::usage().map_err(failed)?.entries;
        if sessions == 0 || self.pool_look.is_some_and(|look| !look.is_due(sessions)) {
            return Ok(());
        }
        let began = Instant::now();
        let dumped = conntrack::dump(|flow| {
            tally.add(&sessions::session(&flow));
            Ok(())
        });
        let script = tally.script();
        let took = began.elapsed();
        self.pool_look = Some(Look { began, took });
        dumped.map_err(failed)?;
        match script {
            Some(script) => self.note_down(&script),
            None => Ok(()),
        }
    }

    /// Only elements that are no part of the plan: what was known of the rules is known still.
    fn note_down(&mut self, script: &str) -> Result<(), RouterError> {
        let before = generation()?;
        let after = before.wrapping_add(1);
        let was_known = self.known == Some(before);
        if was_known {
            self.expect_rules(Some(after));
        }
        let loaded = nft::load(script);
        if loaded.is_ok() && was_known && generation()? == after {
            self.known = Some(after);
        } else {
            // That generation may be somebody else's.
            self.expect_rules(None);
            self.suspend_fast_path();
        }
        loaded.map_err(|error| RouterError::rules(&error))
    }
}
