// SPDX-License-Identifier: Apache-2.0
//! Reads records again: who had a public address and port, and when. Pure: it takes lines, the oldest first.

use std::collections::HashMap;
use std::net::{Ipv4Addr, SocketAddrV4};

use jiff::Timestamp;

use super::record::{Pair, ProtocolName, What};

/// At most so many sessions are named; the others are counted.
pub const NAMED_MAX: usize = 10_000;

/// Who is wanted. What is not given matches anything.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Question {
    /// The public address.
    pub address: Ipv4Addr,
    /// Its port; of ICMP the query's identifier.
    pub port: Option<u16>,
    /// The protocol's name as records have it: `tcp`, or its number.
    pub protocol: Option<String>,
    /// The other end.
    pub far: Option<(Ipv4Addr, Option<u16>)>,
    /// From when to when: whoever had it for a moment of this is wanted.
    pub between: Option<(Timestamp, Timestamp)>,
}

/// When a session ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ended {
    /// Then.
    At(Timestamp),
    /// Its end was not recorded; it was over by then.
    By(Timestamp),
    /// It had not ended when the records end.
    Open,
}

/// A session that had the address.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Holding {
    /// The protocol's name, or its number.
    pub protocol: String,
    /// The guest's address and port.
    pub guest: SocketAddrV4,
    /// The public address and port.
    pub public: SocketAddrV4,
    /// The other end.
    pub far: SocketAddrV4,
    /// Whether somebody outside began it.
    pub is_inbound: bool,
    /// When it began; `None` when it was there before the records begin, or its beginning was lost.
    pub began: Option<Timestamp>,
    /// When it ended.
    pub ended: Ended,
}

/// The answer.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Found {
    /// Who had it, in the order in which sessions were recorded.
    pub holdings: Vec<Holding>,
    /// How many more there are beyond [`NAMED_MAX`].
    pub unnamed: u64,
    /// Records that were lost before the end of the time asked for: they may hide somebody.
    pub lost: u64,
    /// Lines that are no records.
    pub unreadable: u64,
    /// The time of the first and of the last record.
    pub span: Option<(Timestamp, Timestamp)>,
}

/// One session's identity while it lives.
type Key = (String, Pair, Pair);

/// Looks for the answer, line by line.
#[derive(Debug)]
pub struct Search {
    question: Question,
    /// What the address looks like in a line.
    needle: String,
    open: HashMap<Key, Holding>,
    /// Sessions that were open when the records' writer began anew and that it has not found yet, and when that was.
    doubtful: HashMap<Key, (Holding, Timestamp)>,
    found: Found,
}

impl Search {
    /// A search that has read nothing yet.
    pub fn new(question: Question) -> Self {
        Self {
            needle: format!(" {}:", question.address),
            question,
            open: HashMap::new(),
            doubtful: HashMap::new(),
            found: Found::default(),
        }
    }

    /// Takes a line.
    pub fn line(&mut self, line: &str) {
        let Some((at, rest)) = timed(line) else {
            self.found.unreadable += u64::from(!line.trim().is_empty());
            return;
        };
        let first = self.found.span.map_or(at, |(first, _)| first);
        self.found.span = Some((first, at));
        if let Some(count) = rest.strip_prefix("lost ") {
            self.lost(at, count);
        } else if rest == "begin" {
            self.begin(at);
        } else if line.contains(&self.needle) {
            match parse(rest) {
                Some((what, key)) => self.record(at, what, key),
                None => self.found.unreadable += 1,
            }
        }
    }

    fn lost(&mut self, at: Timestamp, count: &str) {
        match count.parse::<u64>() {
            Ok(count) if self.question.between.is_none_or(|(_, until)| at <= until) => {
                self.found.lost += count
            }
            Ok(_) => {}
            Err(_) => self.found.unreadable += 1,
        }
    }

    /// The writer began anew: what it does not find any more ended without a record.
    fn begin(&mut self, at: Timestamp) {
        self.settle();
        let open = self.open.drain().map(|(key, holding)| (key, (holding, at)));
        self.doubtful = open.collect();
    }

    /// Whoever was not found again had ended by then.
    fn settle(&mut self) {
        for (_, (holding, by)) in std::mem::take(&mut self.doubtful) {
            self.close(holding, Ended::By(by));
        }
    }

    fn record(&mut self, at: Timestamp, what: What, key: Key) {
        let Some(fresh) = self.question.holding(&key) else {
            return;
        };
        let known = self.open.remove(&key);
        let doubted = self.doubtful.remove(&key);
        match what {
            What::Active => {
                let known = known.or(doubted.map(|(holding, _)| holding));
                self.open.insert(key, known.unwrap_or(fresh));
            }
            What::Create => {
                // The same again: the end of the one before was lost.
                let before = known.map(|holding| (holding, at)).or(doubted);
                if let Some((holding, by)) = before {
                    self.close(holding, Ended::By(by));
                }
                self.open.insert(
                    key,
                    Holding {
                        began: Some(at),
                        ..fresh
                    },
                );
            }
            What::Delete => {
                let known = known.or(doubted.map(|(holding, _)| holding));
                self.close(known.unwrap_or(fresh), Ended::At(at));
            }
        }
    }

    fn close(&mut self, holding: Holding, ended: Ended) {
        let holding = Holding { ended, ..holding };
        if !holding.lived(self.question.between) {
            return;
        }
        if self.found.holdings.len() < NAMED_MAX {
            self.found.holdings.push(holding);
        } else {
            self.found.unnamed += 1;
        }
    }

    /// The answer, when there are no more lines.
    pub fn finish(mut self) -> Found {
        self.settle();
        let mut open: Vec<_> = std::mem::take(&mut self.open).into_values().collect();
        open.sort_by_key(|holding| (holding.began, holding.guest));
        for holding in open {
            self.close(holding, Ended::Open);
        }
        self.found
    }
}

impl Question {
    /// What this session would be an answer with; `None` when it is none.
    fn holding(&self, (protocol, original, translated): &Key) -> Option<Holding> {
        let is_mine =
            |end: &SocketAddrV4| *end.ip() == self.address && self.port.is_none_or(|port| port == end.port());
        let (guest, public, far, is_inbound) = if is_mine(&translated.source) {
            (original.source, translated.source, translated.destination, false)
        } else if is_mine(&original.destination) {
            (
                translated.destination,
                original.destination,
                original.source,
                true,
            )
        } else {
            return None;
        };
        let is_far = |(address, port): (Ipv4Addr, Option<u16>)| {
            *far.ip() == address && port.is_none_or(|port| port == far.port())
        };
        let fits =
            self.far.is_none_or(is_far) && self.protocol.as_ref().is_none_or(|wanted| wanted == protocol);
        fits.then(|| Holding {
            protocol: protocol.clone(),
            guest,
            public,
            far,
            is_inbound,
            began: None,
            ended: Ended::Open,
        })
    }
}

impl Holding {
    /// Whether it was there at a moment of this time.
    fn lived(&self, between: Option<(Timestamp, Timestamp)>) -> bool {
        let Some((from, until)) = between else { return true };
        let over = match self.ended {
            Ended::At(at) | Ended::By(at) => at < from,
            Ended::Open => false,
        };
        !over && self.began.is_none_or(|began| began <= until)
    }
}

/// The time of a line, and what follows it.
fn timed(line: &str) -> Option<(Timestamp, &str)> {
    let (time, rest) = line.trim_end().split_once(' ')?;
    Some((time.parse().ok()?, rest))
}

/// `create tcp A > B as C > D`.
fn parse(text: &str) -> Option<(What, Key)> {
    let mut words = text.split(' ');
    let what = match words.next()? {
        "create" => What::Create,
        "active" => What::Active,
        "delete" => What::Delete,
        _ => return None,
    };
    let protocol = words.next()?.to_owned();
    let original = pair(&mut words)?;
    if words.next()? != "as" {
        return None;
    }
    let translated = pair(&mut words)?;
    words
        .next()
        .is_none()
        .then_some((what, (protocol, original, translated)))
}

fn pair<'a>(words: &mut impl Iterator<Item = &'a str>) -> Option<Pair> {
    let source = words.next()?.parse().ok()?;
    if words.next()? != ">" {
        return None;
    }
    let destination = words.next()?.parse().ok()?;
    Some(Pair { source, destination })
}

/// A protocol as records name it, from its name or number; `None` when it is neither.
pub fn protocol(text: &str) -> Option<String> {
    let text = text.to_ascii_lowercase();
    let mut named = (0..=u8::MAX).map(|number| (number, ProtocolName(number).to_string()));
    let found = named.find(|(number, name)| *name == text || number.to_string() == text);
    found.map(|(_, name)| name)
}

#[cfg(test)]
mod tests {
    use super::*;

    const GUEST: &str = "10.1.1.11:40000 > 198.51.100.1:443 as 203.0.113.10:1024 > 198.51.100.1:443";

    fn at(second: i64) -> Timestamp {
        Timestamp::from_second(1_800_000_000 + second).unwrap()
    }

    fn ask(port: Option<u16>, between: Option<(i64, i64)>, lines: &[(i64, &str)]) -> Found {
        let mut search = Search::new(Question {
            address: Ipv4Addr::new(203, 0, 113, 10),
            port,
            protocol: None,
            far: None,
            between: between.map(|(from, until)| (at(from), at(until))),
        });
        for (second, text) in lines {
            search.line(&format!("{} {text}", at(*second)));
        }
        search.finish()
    }

    /// Guest, beginning and end of each.
    fn who(found: &Found) -> Vec<(String, Option<Timestamp>, Ended)> {
        let each = found.holdings.iter();
        each.map(|h| (h.guest.to_string(), h.began, h.ended)).collect()
    }

    fn first() -> String {
        "10.1.1.11:40000".to_owned()
    }

    #[test]
    fn a_port_had_one_holder_after_another_and_the_time_tells_which() {
        let next = "10.1.1.12:50000 > 198.51.100.1:443 as 203.0.113.10:1024 > 198.51.100.1:443";
        let lines = [
            (0, format!("create tcp {GUEST}")),
            (
                5,
                "create tcp 10.1.1.13:1 > 198.51.100.1:443 as 203.0.113.10:1025 > 198.51.100.1:443"
                    .to_owned(),
            ),
            (10, format!("delete tcp {GUEST}")),
            (20, format!("create tcp {next}")),
        ];
        let lines: Vec<_> = lines
            .iter()
            .map(|(second, text)| (*second, text.as_str()))
            .collect();
        let port = Some(1_024);
        assert_eq!(
            who(&ask(port, Some((7, 8)), &lines)),
            [(first(), Some(at(0)), Ended::At(at(10)))]
        );
        assert_eq!(who(&ask(port, Some((12, 13)), &lines)), []);
        assert_eq!(
            who(&ask(port, Some((30, 30)), &lines)),
            [("10.1.1.12:50000".to_owned(), Some(at(20)), Ended::Open)]
        );
        assert_eq!(
            ask(None, None, &lines).holdings.len(),
            3,
            "every port, at any time"
        );
        assert_eq!(ask(port, None, &lines).span, Some((at(0), at(20))));
    }

    #[test]
    fn somebody_outside_who_came_in_leads_to_the_guest_that_was_reached() {
        let lines = [(
            0,
            "create tcp 192.0.2.7:51000 > 203.0.113.10:80 as 192.0.2.7:51000 > 10.1.1.12:8080",
        )];
        let found = ask(Some(80), None, &lines);
        let one = &found.holdings[0];
        assert_eq!(
            (one.guest.to_string(), one.is_inbound),
            ("10.1.1.12:8080".to_owned(), true)
        );
        assert_eq!(one.far.to_string(), "192.0.2.7:51000");
    }

    #[test]
    fn what_the_writer_does_not_find_when_it_begins_anew_had_ended_by_then() {
        let (create, active) = (format!("create tcp {GUEST}"), format!("active tcp {GUEST}"));
        let other = "create udp 10.1.1.12:5 > 198.51.100.1:53 as 203.0.113.10:1024 > 198.51.100.1:53";
        let lines = [
            (0, create.as_str()),
            (1, other),
            (50, "begin"),
            (51, active.as_str()),
        ];
        let found = ask(Some(1_024), None, &lines);
        let udp = ("10.1.1.12:5".to_owned(), Some(at(1)), Ended::By(at(50)));
        assert_eq!(who(&found), [udp, (first(), Some(at(0)), Ended::Open)]);
        assert_eq!(ask(Some(1_024), Some((60, 61)), &lines).holdings.len(), 1);
    }

    #[test]
    fn lost_beginnings_and_ends_are_made_up_for_and_lost_records_are_counted() {
        let (create, delete) = (format!("create tcp {GUEST}"), format!("delete tcp {GUEST}"));
        let found = ask(
            None,
            None,
            &[(5, &delete), (6, &create), (7, "lost 31"), (8, &create)],
        );
        assert_eq!(
            who(&found),
            [
                (first(), None, Ended::At(at(5))),
                (first(), Some(at(6)), Ended::By(at(8))),
                (first(), Some(at(8)), Ended::Open)
            ]
        );
        assert_eq!((found.lost, found.unreadable), (31, 0));
        assert_eq!(
            ask(None, Some((0, 6)), &[(7, "lost 31")]).lost,
            0,
            "later ones hide nobody"
        );
        assert_eq!(
            ask(
                None,
                None,
                &[(7, "lost many"), (8, "create tcp 203.0.113.10:1 x")]
            )
            .unreadable,
            2
        );
    }

    #[test]
    fn protocols_are_named_as_in_records() {
        for (text, name) in [
            ("TCP", Some("tcp")),
            ("17", Some("udp")),
            ("99", Some("99")),
            ("x", None),
            ("256", None),
        ] {
            assert_eq!(protocol(text).as_deref(), name, "{text}");
        }
    }
}
