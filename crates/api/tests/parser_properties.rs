// SPDX-License-Identifier: Apache-2.0
//! Whatever bytes come in: no panic, bounded results, and what was encoded comes out again.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    reason = "a test fails by panicking"
)]

use std::collections::BTreeMap;

use outgate_api::command;
use outgate_api::wire::params::Params;
use outgate_api::wire::request::{MAX_PARAMETERS, RawParameters};
use outgate_api::wire::signature::{Dialect, canonical, verify};
use proptest::prelude::*;

proptest! {
    #[test]
    fn no_query_and_no_form_makes_the_parser_panic(query in ".{0,300}", form in prop::collection::vec(any::<u8>(), 0..300)) {
        if let Ok(raw) = RawParameters::parse(&query, &form) {
            prop_assert!(raw.iter().count() <= MAX_PARAMETERS);
            for dialect in Dialect::ALL {
                let _ = canonical(&raw, dialect);
            }
            prop_assert!(!verify(&raw, "AAAA", b"secret"));
            if let Ok(given) = raw.fold() {
                let _ = given.maps("tags");
            }
        }
    }

    #[test]
    fn separators_and_escapes_in_any_order_are_no_trouble(query in "[a-z0-9=&%+\\[\\].~*A-F]{0,400}") {
        if let Ok(given) = RawParameters::parse(&query, b"").and_then(RawParameters::fold) {
            for command in command::all() {
                let _ = Params::parse(command.name, command.parameters(), &given);
            }
        }
    }

    #[test]
    fn any_value_of_any_parameter_is_read_or_refused_by_name(index in 0usize..200, value in "\\PC{1,60}") {
        let command = command::all().nth(index % command::all().count()).unwrap();
        for param in command.parameters() {
            let raw = RawParameters::from_pairs([(param.name, value.as_str())]);
            let given = raw.fold().unwrap();
            if let Err(e) = Params::parse(command.name, std::iter::once(param), &given) {
                prop_assert!(e.code == 431 || e.code == 430);
                prop_assert!(e.text.contains(param.name), "{}", e.text);
            }
        }
    }

    #[test]
    fn what_was_encoded_comes_out_again(pairs in prop::collection::btree_map("[a-z]{1,20}", "\\PC{1,40}", 1..20)) {
        let wire = form_urlencoded::Serializer::new(String::new()).extend_pairs(&pairs).finish();
        let raw = RawParameters::parse(&wire, b"").unwrap();
        let back: BTreeMap<String, String> =
            raw.iter().map(|(n, v)| (n.to_owned(), v.to_owned())).collect();
        prop_assert_eq!(back, pairs);
    }
}
