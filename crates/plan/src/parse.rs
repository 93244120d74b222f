// SPDX-License-Identifier: Apache-2.0
//! Reads the kernel's table back from what `nft -n -s list table ip outgate` prints.
//!
//! The text form, not JSON: rules are kept as text anyway, and nft 1.0.6 cannot print every rule of ours as JSON that it
//! would read again. What somebody else put into the table is read as well, so that it shows up as a difference.

use crate::Ruleset;
use crate::ruleset::{Chain, Hook, Memory, Set, TABLE};

/// Why a listing could not be read.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ParseError {
    /// A line that has no place where it stands.
    #[error(
        "line {line} of nft's listing is not understood: {text}; is this nft newer than the supported 1.0.6?"
    )]
    Line {
        /// Its number, from 1.
        line: usize,
        /// What it says.
        text: String,
    },
    /// The listing ends in the middle.
    #[error("nft's listing ends before table ip outgate is closed; it was cut off")]
    CutOff,
}

/// The table `ip outgate` out of a listing of it, or of a whole ruleset. `None`: it is not there.
///
/// # Errors
/// When the listing is not one, or not whole.
pub fn parse_ruleset(listing: &str) -> Result<Option<Ruleset>, ParseError> {
    parse_table(listing, TABLE)
}

/// The table `ip <name>` out of a listing, in the same way.
pub(crate) fn parse_table(listing: &str, name: &str) -> Result<Option<Ruleset>, ParseError> {
    let head = format!("table ip {name} {{");
    let mut lines = Lines {
        lines: listing.lines().enumerate(),
    };
    while let Some((_, text)) = lines.next() {
        if text == head {
            return table(&mut lines).map(Some);
        }
    }
    Ok(None)
}

struct Lines<'a> {
    lines: std::iter::Enumerate<std::str::Lines<'a>>,
}

impl<'a> Lines<'a> {
    /// The next line that is not empty, trimmed, with its number.
    fn next(&mut self) -> Option<(usize, &'a str)> {
        self.lines
            .by_ref()
            .map(|(i, text)| (i + 1, text.trim()))
            .find(|(_, text)| !text.is_empty())
    }

    fn expect(&mut self) -> Result<(usize, &'a str), ParseError> {
        self.next().ok_or(ParseError::CutOff)
    }
}

fn table(lines: &mut Lines<'_>) -> Result<Ruleset, ParseError> {
    let mut ruleset = Ruleset::default();
    loop {
        let (line, text) = lines.expect()?;
        if text == "}" {
            return Ok(ruleset);
        }
        let wrong = || ParseError::Line {
            line,
            text: text.to_owned(),
        };
        let Some(head) = text.strip_suffix(" {") else {
            // A table can have flags and a comment: foreign, so it must show up as a difference.
            ruleset.chains.insert(
                text.to_owned(),
                Chain {
                    hook: None,
                    rules: Vec::new(),
                },
            );
            continue;
        };
        match head.split_once(' ').ok_or_else(wrong)? {
            ("set", name) => ruleset
                .sets
                .insert(name.to_owned(), set(lines, false)?)
                .map(|_| ()),
            ("map", name) => ruleset
                .sets
                .insert(name.to_owned(), set(lines, true)?)
                .map(|_| ()),
            ("counter", name) => {
                while lines.expect()?.1 != "}" {}
                ruleset.counters.insert(name.to_owned());
                None
            }
            ("chain", name) => ruleset.chains.insert(name.to_owned(), chain(lines)?).map(|_| ()),
            // A flowtable, a quota ...: foreign as well.
            _ => ruleset.chains.insert(head.to_owned(), chain(lines)?).map(|_| ()),
        };
    }
}

fn set(lines: &mut Lines<'_>, map: bool) -> Result<Set, ParseError> {
    let mut set = Set {
        key_type: String::new(),
        data_type: None,
        interval: false,
        memory: None,
        elements: Default::default(),
    };
    let mut foreign = Vec::new();
    loop {
        let (_, text) = lines.expect()?;
        if text == "}" {
            set.memory = memory(&mut foreign);
            // What packets have written there is as it should be, whatever it is.
            if set.memory.is_some() {
                set.elements.clear();
            }
            for text in foreign {
                set.key_type.push_str("; ");
                set.key_type.push_str(text);
            }
            return Ok(set);
        }
        if let Some(types) = text.strip_prefix("type ") {
            match types.split_once(" : ").filter(|_| map) {
                Some((key, data)) => {
                    key.clone_into(&mut set.key_type);
                    set.data_type = Some(data.to_owned());
                }
                None => types.clone_into(&mut set.key_type),
            }
        } else if text == "flags interval" {
            set.interval = true;
        } else if let Some(first) = text.strip_prefix("elements = {") {
            elements(first, lines, map, &mut set)?;
        } else {
            foreign.push(text);
        }
    }
}

/// Takes what makes a set one that packets fill themselves out of its lines; leaves them if it is none of ours.
fn memory(lines: &mut Vec<&str>) -> Option<Memory> {
    let value = |prefix: &str, suffix: &str| {
        let line = lines.iter().find_map(|line| line.strip_prefix(prefix))?;
        line.strip_suffix(suffix)?.parse().ok()
    };
    let size = value("size ", "")?;
    let secs = value("timeout ", "s");
    let flags = match secs {
        Some(_) => "flags dynamic,timeout",
        None => "flags dynamic",
    };
    if !lines.contains(&flags) {
        return None;
    }
    let timeout = secs.map(|secs| format!("timeout {secs}s"));
    lines.retain(|line| {
        *line != flags && *line != format!("size {size}") && timeout.as_deref().is_none_or(|t| *line != t)
    });
    Some(Memory { size, secs })
}

/// Elements, separated by commas, over as many lines as nft finds pretty.
fn elements(first: &str, lines: &mut Lines<'_>, map: bool, set: &mut Set) -> Result<(), ParseError> {
    let mut text = first.trim();
    loop {
        let (part, last) = text.strip_suffix('}').map_or((text, false), |part| (part, true));
        for element in part.split(',').map(str::trim).filter(|e| !e.is_empty()) {
            let (key, data) = match element.split_once(" : ").filter(|_| map) {
                Some((key, data)) => (key, Some(data.to_owned())),
                None => (element, None),
            };
            set.elements.insert(key.to_owned(), data);
        }
        if last {
            return Ok(());
        }
        text = lines.expect()?.1;
    }
}

fn chain(lines: &mut Lines<'_>) -> Result<Chain, ParseError> {
    let mut chain = Chain {
        hook: None,
        rules: Vec::new(),
    };
    let mut depth = 0_usize;
    loop {
        let (_, text) = lines.expect()?;
        match text {
            "}" if depth == 0 => return Ok(chain),
            _ if chain.hook.is_none() && chain.rules.is_empty() => match hook(text) {
                Some(hook) => chain.hook = Some(hook),
                None => chain.rules.push(text.to_owned()),
            },
            _ => chain.rules.push(text.to_owned()),
        }
        // An anonymous chain within a rule.
        if text.ends_with('{') {
            depth += 1;
        } else if text.starts_with('}') {
            depth = depth.saturating_sub(1);
        }
    }
}

/// `type filter hook prerouting priority -300; policy accept;`.
fn hook(text: &str) -> Option<Hook> {
    let (kind, rest) = text.strip_prefix("type ")?.split_once(" hook ")?;
    let (hook, rest) = rest.split_once(" priority ")?;
    let (priority, rest) = rest.split_once("; policy ")?;
    Some(Hook {
        kind: kind.to_owned(),
        hook: hook.to_owned(),
        priority: priority.parse().ok()?,
        policy: rest.strip_suffix(';')?.to_owned(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_listing_without_the_table_is_no_table() {
        assert_eq!(parse_ruleset(""), Ok(None));
        assert_eq!(
            parse_ruleset("table ip nat {\n\tchain POSTROUTING {\n\t}\n}\n"),
            Ok(None)
        );
    }

    #[test]
    fn a_listing_that_is_cut_off_is_refused_and_not_read_as_a_smaller_table() {
        let whole = "table ip outgate {\n\tset a {\n\t\ttype ipv4_addr\n\t\telements = { 192.0.2.1,\n\t\t\t 192.0.2.2 }\n\t}\n}";
        let ruleset = parse_ruleset(whole).unwrap().unwrap();
        assert_eq!(ruleset.sets["a"].elements.len(), 2);
        for end in "table ip outgate {\n".len()..whole.len() - 1 {
            assert_eq!(
                parse_ruleset(&whole[..end]),
                Err(ParseError::CutOff),
                "cut at {end}"
            );
        }
    }

    #[test]
    fn what_others_put_into_the_table_is_seen() {
        let listing = "table ip outgate {\n\tcomment \"mine\"\n\tset a {\n\t\ttype ipv4_addr\n\t\tsize 7\n\t}\n\
            \tflowtable f {\n\t\thook ingress priority 0\n\t}\n\tchain b {\n\t\tjump {\n\t\t\taccept\n\t\t}\n\t\tdrop\n\t}\n}";
        let ruleset = parse_ruleset(listing).unwrap().unwrap();
        assert_eq!(ruleset.sets["a"].key_type, "ipv4_addr; size 7");
        assert_eq!(ruleset.chains["b"].rules, ["jump {", "accept", "}", "drop"]);
        assert!(ruleset.chains.contains_key("flowtable f"));
        assert!(ruleset.chains.contains_key("comment \"mine\""));
    }
}
