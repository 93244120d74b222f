// SPDX-License-Identifier: Apache-2.0
//! What the limits refuse, told once when it begins and once when it is over, however many packets there are.

use std::collections::BTreeMap;

use outgate_model::refusal::{Refusal, Refused};
use outgate_model::router_spec::Limits;

/// Remembers what the limits had refused at the last look.
#[derive(Debug, Default)]
pub struct Refusals {
    seen: BTreeMap<Refusal, Seen>,
}

#[derive(Debug, Default)]
struct Seen {
    packets: u64,
    /// How many there were before it began, while it lasts.
    since: Option<u64>,
}

impl Refusals {
    /// What there is to say after another look.
    pub fn look(&mut self, limits: &Limits, refused: &[Refused]) -> Vec<String> {
        self.seen.retain(|reason, _| reason.limit(limits).is_some());
        let lines = refused.iter().filter_map(|now| {
            let limit = now.reason.limit(limits)?;
            let seen = self.seen.entry(now.reason).or_default();
            // Whoever made the table anew began to count at zero.
            let before = if now.packets < seen.packets {
                0
            } else {
                seen.packets
            };
            seen.packets = now.packets;
            let setting = now.reason.setting();
            match seen.since {
                None if now.packets > before => {
                    seen.since = Some(before);
                    let (address, _) = now.addresses.first()?;
                    let what = now.reason.words(*address, limit);
                    let packets = now.packets - before;
                    Some(format!("{what}: {packets} packets refused so far ({setting})"))
                }
                Some(since) if now.packets == before => {
                    seen.since = None;
                    let packets = now.packets.saturating_sub(since);
                    Some(format!(
                        "{setting} refuses nothing any more; it refused {packets} packets"
                    ))
                }
                _ => None,
            }
        });
        lines.collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_flood_is_told_once_when_it_begins_and_once_when_it_is_over() {
        let limits = Limits {
            guest_rate: Some(50),
            ..Limits::default()
        };
        let mut refusals = Refusals::default();
        let mut look = |packets| {
            let addresses = vec![([10, 1, 1, 5].into(), packets)];
            let refused = Refused {
                reason: Refusal::GuestRate,
                packets,
                addresses,
            };
            refusals.look(&limits, &[refused])
        };
        assert_eq!(look(0), Vec::<String>::new());
        let begun = look(7);
        assert_eq!(begun.len(), 1);
        for word in ["10.1.1.5", "50", "7 packets", "router.guest.sessions.rate"] {
            assert!(begun[0].contains(word), "{begun:?}");
        }
        assert_eq!(look(90_000), Vec::<String>::new());
        let over = look(90_000);
        assert!(over[0].contains("90000 packets"), "{over:?}");
        assert_eq!(look(90_000), Vec::<String>::new());
        // The table was made anew.
        assert!(look(5)[0].contains("5 packets"));
    }
}
