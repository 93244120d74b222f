// SPDX-License-Identifier: Apache-2.0
//! Request signatures: HMAC-SHA1 over a canonical string that each client builds a little differently.
//!
//! The rule, from CloudStack's server: every parameter but `signature`, sorted by name, `name=urlencoded(value)` joined
//! by `&`, the whole in lower case. Clients differ in four ways, and each way is tried:
//! names sorted as sent (server, cs, Go) or in lower case (libcloud); `~` literal (Python, Go) or `%7E` (Java); `[` and
//! `]` in values literal (libcloud) or encoded; other characters of names quoted (libcloud) or not.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use hmac::{Hmac, KeyInit, Mac};
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use sha1::Sha1;
use subtle::{Choice, ConstantTimeEq};

use super::request::RawParameters;

/// How a client builds the string it signs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Dialect {
    /// Names are lower-cased before they are sorted, and what else is special in them is quoted.
    pub names_folded: bool,
    /// `~` is written `%7E`.
    pub tilde_encoded: bool,
    /// `[` and `]` in values are written as they are.
    pub brackets_literal: bool,
}

impl Dialect {
    /// Every dialect, the most common one (cs, Go) first.
    pub const ALL: [Self; 8] = {
        let mut all = [Self {
            names_folded: false,
            tilde_encoded: false,
            brackets_literal: false,
        }; 8];
        let mut i = 0;
        while i < 8 {
            all[i] = Self {
                names_folded: i & 1 != 0,
                tilde_encoded: i & 2 != 0,
                brackets_literal: i & 4 != 0,
            };
            i += 1;
        }
        all
    };
}

const SERVER: &AsciiSet = &NON_ALPHANUMERIC
    .remove(b'.')
    .remove(b'-')
    .remove(b'*')
    .remove(b'_');
const TILDE: &AsciiSet = &SERVER.remove(b'~');
const BRACKETS: &AsciiSet = &SERVER.remove(b'[').remove(b']');
const BOTH: &AsciiSet = &TILDE.remove(b'[').remove(b']');

/// The string that a client of this dialect signs.
pub fn canonical(parameters: &RawParameters, dialect: Dialect) -> String {
    let set = match (dialect.tilde_encoded, dialect.brackets_literal) {
        (true, false) => SERVER,
        (false, false) => TILDE,
        (true, true) => BRACKETS,
        (false, true) => BOTH,
    };
    let mut pairs: Vec<(String, &str)> = parameters
        .iter()
        .filter(|(name, _)| !name.eq_ignore_ascii_case("signature"))
        .map(|(name, value)| {
            let name = if dialect.names_folded {
                utf8_percent_encode(&name.to_lowercase(), BOTH).to_string()
            } else {
                name.to_owned()
            };
            (name, value)
        })
        .collect();
    pairs.sort();
    pairs.dedup();
    let mut text = String::new();
    for (name, value) in pairs {
        if !text.is_empty() {
            text.push('&');
        }
        text.push_str(&name);
        text.push('=');
        text.extend(utf8_percent_encode(value, set));
    }
    text.to_lowercase()
}

/// The signature of a canonical string, in base64.
pub fn sign(canonical: &str, secret: &[u8]) -> Option<String> {
    let mut mac = Hmac::<Sha1>::new_from_slice(secret).ok()?;
    mac.update(canonical.as_bytes());
    Some(STANDARD.encode(mac.finalize().into_bytes()))
}

/// Whether `signature` is right for the parameters and the secret, in any dialect. The time it takes depends on the
/// request alone, never on the secret or on how much of the signature is right.
pub fn verify(parameters: &RawParameters, signature: &str, secret: &[u8]) -> bool {
    // A `+` of base64 that was not percent-encoded has become a space.
    let signature = signature.replace(' ', "+");
    let mut strings: Vec<String> = Vec::with_capacity(Dialect::ALL.len());
    for dialect in Dialect::ALL {
        let text = canonical(parameters, dialect);
        if !strings.contains(&text) {
            strings.push(text);
        }
    }
    let right = strings.iter().fold(Choice::from(0), |right, text| {
        right | sign(text, secret).map_or(Choice::from(0), |s| s.as_bytes().ct_eq(signature.as_bytes()))
    });
    right.into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_canonical_string_is_sorted_encoded_and_lower_case() {
        let p = RawParameters::from_pairs([
            ("name", "A b/É*"),
            ("command", "createNetwork"),
            ("Signature", "x"),
            ("apiKey", "KEY"),
        ]);
        assert_eq!(
            canonical(&p, Dialect::ALL[0]),
            "apikey=key&command=createnetwork&name=a%20b%2f%c3%89*",
        );
    }

    #[test]
    fn names_as_sent_sort_upper_case_first() {
        let p = RawParameters::from_pairs([("a", "1"), ("B", "2")]);
        assert_eq!(canonical(&p, Dialect::ALL[0]), "b=2&a=1");
        assert_eq!(canonical(&p, Dialect::ALL[1]), "a=1&b=2");
    }

    #[test]
    fn a_known_vector_verifies_and_its_neighbours_do_not() {
        // RFC 2202, test case 2.
        assert_eq!(
            sign("what do ya want for nothing?", b"Jefe").unwrap(),
            "7/zfauXrL6LSdBbV8YTfnCWafHk="
        );
        let p = RawParameters::from_pairs([("command", "listZones")]);
        let right = sign("command=listzones", b"secret").unwrap();
        assert!(verify(&p, &right, b"secret"));
        assert!(!verify(&p, &right, b"Secret"));
        assert!(!verify(&p, right.trim_end_matches('='), b"secret"));
        assert!(!verify(&p, "", b"secret"));
    }
}
