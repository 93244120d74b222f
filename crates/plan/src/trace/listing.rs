// SPDX-License-Identifier: Apache-2.0
//! Reads `nft -n -s -t -a list ruleset`: what a chain is and what a rule says, by the handles that a trace names.

use std::collections::BTreeMap;

/// Chains by family, table and name: `ip outgate forward`.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Listing(BTreeMap<String, ChainText>);

/// A chain.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ChainText {
    /// `forward`; `None` for chains that others jump to.
    pub hook: Option<String>,
    /// Rules as nft prints them, by handle.
    pub rules: BTreeMap<u64, String>,
}

impl Listing {
    /// Reads what nft printed. What is no part of a chain is passed over.
    pub fn read(text: &str) -> Self {
        let mut chains: BTreeMap<String, ChainText> = BTreeMap::new();
        let (mut table, mut chain) = (String::new(), None);
        for line in text.lines() {
            let (content, handle) = split(line.trim());
            if let Some(head) = content.strip_prefix("table ") {
                head.trim_end_matches(" {").clone_into(&mut table);
                chain = None;
            } else if let Some(name) = content.strip_prefix("chain ").and_then(|c| c.strip_suffix(" {")) {
                let name = format!("{table} {name}");
                chains.insert(name.clone(), ChainText::default());
                chain = Some(name);
            } else if content == "}" {
                chain = None;
            } else if let Some(chain) = chain.as_ref().and_then(|name| chains.get_mut(name)) {
                match handle {
                    Some(handle) => drop(chain.rules.insert(handle, content.to_owned())),
                    None => chain.hook = hook(content).or(chain.hook.take()),
                }
            }
        }
        Self(chains)
    }

    /// A chain, by family, table and name: `ip outgate forward`.
    pub fn chain(&self, name: &str) -> Option<&ChainText> {
        self.0.get(name)
    }
}

/// A line without its handle, and that.
fn split(line: &str) -> (&str, Option<u64>) {
    let found = line.rsplit_once(" # handle ");
    let found = found.and_then(|(content, handle)| Some((content, handle.parse().ok()?)));
    found.map_or((line, None), |(content, handle)| (content, Some(handle)))
}

/// The hook in `type filter hook forward priority filter; policy drop;`.
fn hook(content: &str) -> Option<String> {
    let mut words = content.split(' ').skip_while(|word| *word != "hook").skip(1);
    words.next().map(str::to_owned)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What nft 1.0.6 printed.
    const LISTED: &str = include_str!("../../tests/trace/ruleset.nft");

    #[test]
    fn rules_are_found_by_their_handles_and_chains_have_their_hooks() {
        let listing = Listing::read(LISTED);
        let forward = listing.chain("ip outgate forward").unwrap();
        assert_eq!(forward.hook.as_deref(), Some("forward"));
        let texts: Vec<&str> = forward.rules.values().map(String::as_str).collect();
        assert!(texts.contains(&"ct state 0x2,0x4 accept"), "{texts:?}");
        assert!(forward.rules.len() >= 5);
        let egress = listing.chain("ip outgate egress_eth0").unwrap();
        assert_eq!(egress.hook, None);
        assert!(egress.rules.values().any(|rule| rule == "accept"));
        let bad = listing.chain("inet bad evil").unwrap();
        let quoted = r#"ip daddr 198.51.100.7 drop comment "a # handle 7 of mine""#;
        assert_eq!(bad.rules.values().collect::<Vec<_>>(), [quoted]);
    }

    #[test]
    fn what_is_no_listing_has_no_chains() {
        for text in [
            "",
            "}",
            "chain",
            "table ip x {",
            " # handle 3",
            "ip saddr 1.2.3.4 drop # handle 7",
        ] {
            assert_eq!(Listing::read(text), Listing::default(), "{text}");
        }
    }
}
