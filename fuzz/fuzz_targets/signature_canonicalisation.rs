// SPDX-License-Identifier: Apache-2.0
//! Any bytes as a query: each dialect's canonical string is in lower case, leaves the signature out, and does not
//! depend on the order of the parameters; only the signature that belongs to it is accepted.

#![no_main]

use libfuzzer_sys::fuzz_target;
use outgate_api::wire::request::RawParameters;
use outgate_api::wire::signature::{Dialect, canonical, sign, verify};

const SECRET: &[u8] = b"a secret";

fuzz_target!(|query: &str| {
    let Ok(raw) = RawParameters::parse(query, b"") else { return };
    let mut pairs: Vec<_> = raw.iter().map(|(n, v)| (n.to_owned(), v.to_owned())).collect();
    pairs.reverse();
    let reversed = RawParameters::from_pairs(pairs);
    for dialect in Dialect::ALL {
        let text = canonical(&raw, dialect);
        assert_eq!(text, text.to_lowercase());
        assert_eq!(text, canonical(&reversed, dialect));
        let signature = sign(&text, SECRET).unwrap_or_default();
        assert!(verify(&raw, &signature, SECRET));
        assert!(!verify(&raw, &signature, b"another secret"));
    }
});
