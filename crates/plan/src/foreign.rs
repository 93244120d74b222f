// SPDX-License-Identifier: Apache-2.0
//! Tables of somebody else in a listing.

use crate::ruleset::TABLE;
use crate::{trace, usage};

/// Whether `family name` is a table of Outgate's, or iptables' nat. That of a trace is there while one runs.
pub fn is_own_table(table: &str) -> bool {
    let Some(name) = table.strip_prefix("ip ") else {
        return false;
    };
    [TABLE, usage::TABLE, trace::TABLE, "nat"].contains(&name)
}

/// `family name` of each table of `nft list ruleset` that is neither one of ours nor iptables' nat, and that holds more than
/// empty chains which let everything pass: the router's network belongs to its spec alone.
pub fn foreign_tables(listing: &str) -> Vec<String> {
    let mut foreign = Vec::new();
    let mut table = None;
    for line in listing.lines() {
        if let Some(head) = line.strip_prefix("table ") {
            let name = head.trim_end_matches(" {");
            table = Some(name).filter(|name| !is_own_table(name));
        }
        let text = line.trim();
        let is_harmless = text.is_empty()
            || text == "}"
            || line.starts_with("table ")
            || text.starts_with("chain ")
            || (text.starts_with("type ") && text.ends_with("policy accept;"));
        if let Some(name) = table.filter(|_| !is_harmless) {
            foreign.push(name.to_owned());
            table = None;
        }
    }
    foreign
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_table_is_foreign_when_it_does_something() {
        let listing = "table ip outgate {\n\tchain c {\n\t\tdrop\n\t}\n}\n\
            table ip nat {\n\tchain POSTROUTING {\n\t\taccept\n\t}\n}\n\
            table ip filter {\n\tchain INPUT {\n\t\ttype filter hook input priority 0; policy accept;\n\t}\n}\n\
            table inet empty {\n}\n\
            table ip outgate_usage {\n\tchain c {\n\t\tdrop\n\t}\n}\n\
            table ip outgate_trace {\n\tchain leaves {\n\t\tdrop\n\t}\n}\n\
            table inet a {\n\tchain c {\n\t\ttype filter hook input priority 0; policy drop;\n\t}\n}\n\
            table bridge b {\n\tchain c {\n\t\tdrop\n\t}\n}\n";
        assert_eq!(foreign_tables(listing), ["inet a", "bridge b"]);
    }
}
