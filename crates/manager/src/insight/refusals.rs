// SPDX-License-Identifier: Apache-2.0
//! Whom the limits of routers refuse traffic: an alert and an event when it begins, another event with the count when it
//! is over. What is remembered is bounded by what routers name: the most refused of each limit.

use std::collections::{BTreeMap, BTreeSet};
use std::net::Ipv4Addr;

use jiff::{SignedDuration, Timestamp};
use outgate_model::event::Level;
use outgate_model::id::RouterId;
use outgate_model::object::{AlertKind, Guest, Router};
use outgate_model::refusal::{Refusal, Refused};

use crate::alerts::{self, Warning};
use crate::draft::{Draft, Instance};
use crate::manager::{CommitError, Manager};
use crate::mirror::{Stored, View};
use crate::spec;

/// An episode is over when a look finds nothing refused and the last refusal is so long ago: whoever tries again every
/// few seconds is one episode.
const QUIET: SignedDuration = SignedDuration::from_secs(10);

/// A limit, and whom it refuses: the guest, or the public address that is the target.
type Whom = (Refusal, Ipv4Addr);

/// What was counted of one of them.
#[derive(Debug, Clone, Copy)]
struct Seen {
    packets: u64,
    episode: Option<Episode>,
}

/// Traffic is being refused.
#[derive(Debug, Clone, Copy)]
struct Episode {
    refused: u64,
    rose: Timestamp,
}

/// What a look at a router has found.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Look {
    /// What began, and how many packets were refused so far.
    begun: Vec<(Whom, u64)>,
    /// What is over, and how many packets were refused in all.
    over: Vec<(Whom, u64)>,
    /// What lasts, the begun among it. `None` after the first look, which shows no rise.
    lasting: Option<BTreeSet<Whom>>,
    /// The address outside that was refused most lately.
    source: Option<Ipv4Addr>,
}

/// Every router's.
#[derive(Debug, Default)]
pub(crate) struct Refusals(BTreeMap<RouterId, BTreeMap<Whom, Seen>>);

impl Refusals {
    /// Forgets routers that are no more.
    pub(super) fn retain(&mut self, keep: impl Fn(RouterId) -> bool) {
        self.0.retain(|router, _| keep(*router));
    }

    /// Takes a look in.
    pub(super) fn look(&mut self, router: RouterId, at: Timestamp, refused: &[Refused]) -> Look {
        let is_first = !self.0.contains_key(&router);
        let seen = self.0.entry(router).or_default();
        let counted = refused.iter().flat_map(|limit| {
            let each = limit.addresses.iter();
            each.map(|(address, packets)| ((limit.reason, *address), *packets))
        });
        let counted: BTreeMap<Whom, u64> = counted.collect();
        if is_first {
            let baseline = |(whom, packets): (&Whom, &u64)| {
                let packets = *packets;
                (
                    *whom,
                    Seen {
                        packets,
                        episode: None,
                    },
                )
            };
            *seen = counted.iter().map(baseline).collect();
            return Look::default();
        }
        let mut look = Look::default();
        for (whom, packets) in &counted {
            let one = seen.entry(*whom).or_insert(Seen {
                packets: 0,
                episode: None,
            });
            if let Some(begun) = one.rise(*packets, at) {
                look.begun.push((*whom, begun));
            }
        }
        for (whom, one) in seen.iter_mut() {
            let quiet = |episode: &mut Episode| at.duration_since(episode.rose) >= QUIET;
            if let Some(episode) = one.episode.take_if(quiet) {
                look.over.push((*whom, episode.refused));
            }
        }
        seen.retain(|whom, one| counted.contains_key(whom) || one.episode.is_some());
        let lasting = seen.iter().filter(|(_, one)| one.episode.is_some());
        look.lasting = Some(lasting.map(|(whom, _)| *whom).collect());
        look
    }
}

impl Seen {
    /// Notes the count; says how many were refused when that begins an episode.
    fn rise(&mut self, packets: u64, at: Timestamp) -> Option<u64> {
        // Whoever made the router's table anew began to count at zero.
        let before = if packets < self.packets { 0 } else { self.packets };
        self.packets = packets;
        let new = packets - before;
        match &mut self.episode {
            _ if new == 0 => None,
            Some(episode) => {
                episode.refused = episode.refused.saturating_add(new);
                episode.rose = at;
                None
            }
            None => {
                self.episode = Some(Episode {
                    refused: new,
                    rose: at,
                });
                Some(new)
            }
        }
    }
}

fn about(router: RouterId, (reason, address): Whom) -> String {
    super::about(format_args!("{} of {address}", reason.setting()), router)
}

/// Tells of whom the limits of these routers refuse since the last look.
pub(super) async fn warn(manager: &Manager, read: &[super::Read]) -> Result<(), CommitError> {
    let now = Timestamp::now();
    let looks: Vec<(&Router, Look)> = {
        let mut refusals = manager.inner.insight.refusals();
        let each = read.iter();
        each.map(|(router, stats)| {
            let mut look = refusals.look(router.id, now, &stats.refused);
            look.source = stats.refused_sources.first().map(|(source, _)| *source);
            (&**router, look)
        })
        .collect()
    };
    if !looks
        .iter()
        .any(|(router, look)| is_news(&manager.view(), router, look))
    {
        return Ok(());
    }
    manager
        .commit(|view, draft| {
            for (router, look) in &looks {
                tell(view, draft, router, look);
            }
            Ok(())
        })
        .await
}

/// The alerts about this router's limits.
fn standing<'a>(view: &'a View<'_>, router: RouterId) -> impl Iterator<Item = &'a str> {
    let all = view.all::<outgate_model::object::Alert>();
    all.filter(move |alert| alert.kind == AlertKind::Limit && super::router_of(&alert.about) == Some(router))
        .map(|alert| alert.about.as_str())
}

fn is_news(view: &View<'_>, router: &Router, look: &Look) -> bool {
    let Some(lasting) = &look.lasting else {
        return false;
    };
    let lasting: BTreeSet<_> = lasting.iter().map(|whom| about(router.id, *whom)).collect();
    !look.begun.is_empty()
        || !look.over.is_empty()
        || standing(view, router.id).any(|about| !lasting.contains(about))
}

fn tell(view: &View<'_>, draft: &mut Draft, router: &Router, look: &Look) {
    let Some(lasting) = &look.lasting else { return };
    let limits = spec::limits_of(view, router);
    let mut event = |level, text: String| {
        let instance = Instance::of::<Router>(router.id.0);
        draft.event("ROUTER.LIMIT", level, text, Some(router.account), Some(instance));
    };
    let mut warnings = Vec::new();
    for (whom, packets) in &look.begun {
        let (reason, address) = *whom;
        // Without a limit it was taken away meanwhile.
        let Some(limit) = reason.limit(&limits) else {
            continue;
        };
        let what = reason.words(address, limit);
        let description = format!(
            "router {}: {what}{}: {packets} packets refused so far ({})",
            router.name,
            named(view, router, *whom, look.source),
            reason.setting()
        );
        event(Level::Warn, description.clone());
        warnings.push(Warning {
            kind: AlertKind::Limit,
            about: about(router.id, *whom),
            description,
            zone: Some(router.zone),
            pod: None,
        });
    }
    for (whom, packets) in &look.over {
        let (reason, address) = *whom;
        let who = if reason.is_of_guests() {
            "guest"
        } else {
            "public address"
        };
        let text = format!(
            "router {}: {} refuses nothing of {who} {address}{} any more; it refused {packets} packets",
            router.name,
            reason.setting(),
            named(view, router, *whom, None)
        );
        event(Level::Info, text);
    }
    warnings
        .iter()
        .for_each(|warning| alerts::raise(view, draft, warning));
    let lasting: BTreeSet<_> = lasting.iter().map(|whom| about(router.id, *whom)).collect();
    for gone in standing(view, router.id).filter(|about| !lasting.contains(*about)) {
        alerts::over(view, draft, AlertKind::Limit, gone);
    }
}

/// ` (web1)`: the guest's name, where it is a guest's address; else who outside was refused most.
fn named(view: &View<'_>, router: &Router, (reason, address): Whom, source: Option<Ipv4Addr>) -> String {
    if !reason.is_of_guests() {
        let source = source.filter(|_| reason == Refusal::SourceRate);
        return source.map_or_else(String::new, |source| format!(", most of them from {source}"));
    }
    let networks = view.networks_of_realm(router.realm);
    let mut guests = networks.iter().flat_map(|n| view.guests_of_network(n.id));
    let has = |guest: &&Stored<Guest>| guest.nics.iter().any(|nic| nic.address == address);
    guests
        .find(has)
        .map_or_else(String::new, |guest| format!(" ({})", guest.name))
}

#[cfg(test)]
mod tests {
    use super::*;

    const GUEST: Whom = (Refusal::GuestRate, Ipv4Addr::new(10, 1, 1, 5));
    const NEXT: Whom = (Refusal::GuestRate, Ipv4Addr::new(10, 1, 1, 6));

    struct Watch(Refusals, RouterId);

    impl Watch {
        fn look(&mut self, second: i64, counts: &[(Whom, u64)]) -> Look {
            let refused = Refused {
                reason: Refusal::GuestRate,
                packets: counts.iter().map(|(_, packets)| packets).sum(),
                addresses: counts
                    .iter()
                    .map(|((_, address), packets)| (*address, *packets))
                    .collect(),
            };
            self.0
                .look(self.1, Timestamp::from_second(second).unwrap(), &[refused])
        }
    }

    fn lasting(whom: &[Whom]) -> Option<BTreeSet<Whom>> {
        Some(whom.iter().copied().collect())
    }

    #[test]
    fn an_episode_begins_once_for_each_guest_and_is_over_with_its_count_when_all_is_quiet() {
        let mut watch = Watch(Refusals::default(), RouterId::new());
        assert_eq!(
            watch.look(0, &[(GUEST, 1_000)]),
            Look::default(),
            "nothing is known to rise"
        );
        assert_eq!(watch.look(60, &[(GUEST, 1_000)]).lasting, lasting(&[]));
        let begun = watch.look(61, &[(GUEST, 1_007), (NEXT, 1)]);
        assert_eq!(begun.begun, [(GUEST, 7), (NEXT, 1)]);
        assert_eq!(begun.lasting, lasting(&[GUEST, NEXT]));
        let goes_on = watch.look(65, &[(GUEST, 2_000), (NEXT, 1)]);
        assert_eq!((goes_on.begun, goes_on.over), (vec![], vec![]), "told once");
        let first = watch.look(72, &[(GUEST, 2_000), (NEXT, 1)]);
        assert_eq!((first.over, first.lasting), (vec![(NEXT, 1)], lasting(&[GUEST])));
        let last = watch.look(120, &[(GUEST, 2_000), (NEXT, 1)]);
        assert_eq!((last.over, last.lasting), (vec![(GUEST, 1_000)], lasting(&[])));
        assert_eq!(
            watch.look(180, &[(GUEST, 2_000), (NEXT, 1)]).over,
            [],
            "told once"
        );
    }

    #[test]
    fn counters_that_began_anew_go_on_and_a_limit_that_is_taken_away_ends_its_episodes() {
        let mut watch = Watch(Refusals::default(), RouterId::new());
        watch.look(0, &[]);
        assert_eq!(watch.look(60, &[(GUEST, 50)]).begun, [(GUEST, 50)]);
        assert_eq!(watch.look(120, &[(GUEST, 5)]).over, [], "the table was made anew");
        assert_eq!(watch.look(180, &[]).over, [(GUEST, 55)]);
        assert_eq!(watch.look(240, &[(GUEST, 2)]).begun, [(GUEST, 2)]);
    }
}
