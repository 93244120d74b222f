// SPDX-License-Identifier: Apache-2.0
//! CloudStack's request signature (version 3): HMAC-SHA1 over the sorted, lower-cased parameters.

use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use hmac::{Hmac, KeyInit as _, Mac as _};
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use sha1::Sha1;

use super::Credentials;

/// What stays as it is in a value.
const LITERAL: &AsciiSet = &NON_ALPHANUMERIC
    .remove(b'-')
    .remove(b'_')
    .remove(b'.')
    .remove(b'*');

/// The form body, or the query, of a signed request that is refused as a replay after `valid`.
pub fn signed(command: &str, params: &[(&str, &str)], who: &Credentials, valid: Duration) -> String {
    let valid = i64::try_from(valid.as_secs()).unwrap_or(i64::from(u32::MAX));
    let expires = jiff::Timestamp::now()
        .checked_add(jiff::SignedDuration::from_secs(valid))
        .unwrap_or(jiff::Timestamp::MAX);
    signed_until(
        command,
        params,
        who,
        &expires.strftime("%Y-%m-%dT%H:%M:%S+0000").to_string(),
    )
}

fn signed_until(command: &str, params: &[(&str, &str)], who: &Credentials, expires: &str) -> String {
    let mut all = vec![
        ("command", command),
        ("apiKey", who.key.as_str()),
        ("response", "json"),
        ("signatureVersion", "3"),
        ("expires", expires),
    ];
    all.extend_from_slice(params);
    all.sort_unstable();
    let pairs: Vec<String> = all
        .iter()
        .map(|(name, value)| format!("{name}={}", utf8_percent_encode(value, LITERAL)))
        .collect();
    let query = pairs.join("&");
    let signature = signature(&query.to_lowercase(), &who.secret);
    format!("{query}&signature={}", utf8_percent_encode(&signature, LITERAL))
}

fn signature(text: &str, secret: &str) -> String {
    // HMAC takes keys of any length, so there is nothing to fail.
    Hmac::<Sha1>::new_from_slice(secret.as_bytes()).map_or_else(
        |_| String::new(),
        |mut mac| {
            mac.update(text.as_bytes());
            STANDARD.encode(mac.finalize().into_bytes())
        },
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    /// RFC 2202, test case 2.
    #[test]
    fn the_signature_is_hmac_sha1_in_base64() {
        assert_eq!(
            signature("what do ya want for nothing?", "Jefe"),
            "7/zfauXrL6LSdBbV8YTfnCWafHk="
        );
    }

    #[test]
    fn parameters_are_sorted_by_name_and_values_encoded() {
        let who = Credentials {
            endpoint: String::new(),
            key: "K".into(),
            secret: "S".into(),
        };
        let form = signed_until(
            "listZones",
            &[("name", "a b/c~*")],
            &who,
            "2026-01-01T00:00:00+0000",
        );
        let start = "apiKey=K&command=listZones&expires=2026-01-01T00%3A00%3A00%2B0000&name=a%20b%2Fc%7E*&response=json\
                     &signatureVersion=3&signature=";
        assert!(form.starts_with(start), "{form}");
    }
}
