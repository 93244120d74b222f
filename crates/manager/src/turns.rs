// SPDX-License-Identifier: Apache-2.0
//! One change at a time for each guest, whichever realm's task makes it.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use outgate_model::id::GuestId;
use tokio::sync::OwnedMutexGuard;

/// Who waits for which guest.
#[derive(Debug, Default)]
pub(crate) struct Turns(Mutex<HashMap<GuestId, Arc<tokio::sync::Mutex<()>>>>);

impl Turns {
    /// Waits until nobody else changes this guest.
    pub(crate) async fn take(&self, id: GuestId) -> OwnedMutexGuard<()> {
        let turn = {
            let mut turns = self.0.lock().unwrap_or_else(PoisonError::into_inner);
            // Those that nobody holds or waits for are forgotten here, so that the map does not grow for ever.
            turns.retain(|other, turn| *other == id || Arc::strong_count(turn) > 1);
            Arc::clone(turns.entry(id).or_default())
        };
        turn.lock_owned().await
    }
}
