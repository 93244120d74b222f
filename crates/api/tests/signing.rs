// SPDX-License-Identifier: Apache-2.0
//! Signatures: each client's way to build the string it signs is accepted, and nothing else is. The strings are built
//! here from each client's rules, not by the code under test.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    reason = "a test fails by panicking"
)]

use outgate_api::wire::request::RawParameters;
use outgate_api::wire::signature::{sign, verify};
use rand::{Rng, RngExt};

const SECRET: &[u8] =
    b"VDaACYb0LV9eNjTetIOElcVQkvJck_J_QljX_FcHRj87ZKiy0z0ty0ZsYBkoXkY9b7eq1EhwJaw7FF3akA3KBQ";

type Pairs = Vec<(&'static str, &'static str)>;
type Signer = fn(Pairs) -> String;

/// Parameters with everything in which clients differ.
fn awkward() -> Pairs {
    vec![
        ("command", "createNetwork"),
        ("apiKey", "KEY-with_Case"),
        ("response", "json"),
        ("name", "A net*work ~ [x] É/+&=%"),
        ("Zone", "b"),
        ("tags[0].key", "Colour"),
        ("tags[0].value", "été"),
        ("cidrlist", "10.0.0.0/8,192.0.2.0/24"),
        ("displaytext", "日本語 ü"),
    ]
}

/// Percent-encodes the UTF-8 of `text` but for letters, digits and the bytes of `safe`.
fn quote(text: &str, safe: &str) -> String {
    text.bytes()
        .map(|b| {
            if b.is_ascii_alphanumeric() || safe.bytes().any(|s| s == b) {
                char::from(b).to_string()
            } else {
                format!("%{b:02X}")
            }
        })
        .collect()
}

/// cs 5.2: names as sent, `quote(value, safe="*")`, all in lower case. Python's quote leaves `_.-~`.
fn cs(mut pairs: Pairs) -> String {
    pairs.sort_unstable();
    joined(
        pairs
            .iter()
            .map(|(name, value)| ((*name).to_owned(), quote(value, "*_.-~"))),
    )
}

/// libcloud 3.9: names in lower case before sorting and quoted with `[]` safe; values quoted with `[]*` safe.
fn libcloud(pairs: Pairs) -> String {
    let mut pairs: Vec<(String, &str)> = pairs.into_iter().map(|(n, v)| (n.to_lowercase(), v)).collect();
    pairs.sort_unstable();
    joined(
        pairs
            .iter()
            .map(|(name, value)| (quote(name, "[]_.-~"), quote(value, "[]*_.-~"))),
    )
}

/// cloudstack-go: names as sent, `url.QueryEscape` with `+` back to `%20`, `*` literal.
fn go(mut pairs: Pairs) -> String {
    pairs.sort_unstable();
    joined(
        pairs
            .iter()
            .map(|(name, value)| ((*name).to_owned(), quote(value, "*_.-~"))),
    )
}

/// Java, the server's own: names as sent, `URLEncoder.encode` with `+` back to `%20`; `~` is encoded, `*` is not.
fn java(mut pairs: Pairs) -> String {
    pairs.sort_unstable();
    joined(
        pairs
            .iter()
            .map(|(name, value)| ((*name).to_owned(), quote(value, "*_.-"))),
    )
}

fn joined(pairs: impl Iterator<Item = (String, String)>) -> String {
    pairs
        .map(|(n, v)| format!("{n}={v}"))
        .collect::<Vec<_>>()
        .join("&")
        .to_lowercase()
}

fn signature(canonical: &str) -> String {
    sign(canonical, SECRET).unwrap()
}

#[test]
fn every_clients_signature_is_accepted() {
    let clients: [(&str, Signer); 4] = [("cs", cs), ("libcloud", libcloud), ("go", go), ("java", java)];
    for (client, canonical) in clients {
        let signature = signature(&canonical(awkward()));
        let raw = RawParameters::from_pairs(awkward());
        assert!(verify(&raw, &signature, SECRET), "{client}");
        let mut reversed = awkward();
        reversed.reverse();
        assert!(
            verify(&RawParameters::from_pairs(reversed), &signature, SECRET),
            "{client}, another order"
        );
    }
}

#[test]
fn the_clients_really_differ_on_these_parameters() {
    let all = [cs(awkward()), libcloud(awkward()), java(awkward())];
    assert_ne!(all[0], all[1]);
    assert_ne!(all[0], all[2]);
    assert_ne!(all[1], all[2]);
}

#[test]
fn a_signature_whose_plus_became_a_space_is_accepted() {
    let (mut n, mut with_plus) = (0, None);
    while with_plus.is_none() {
        let name = format!("net-{n}");
        let found = signature(&format!("command=listnetworks&name={name}"));
        with_plus = found.contains('+').then_some((name, found));
        n += 1;
    }
    let (name, signature) = with_plus.unwrap();
    let raw = RawParameters::from_pairs([("command", "listNetworks"), ("name", name.as_str())]);
    assert!(verify(&raw, &signature.replace('+', " "), SECRET));
}

#[test]
fn a_real_request_of_cs_is_accepted_from_its_bytes() {
    let signature = signature(&cs(awkward()));
    let mut pairs = awkward();
    pairs.push(("signature", Box::leak(signature.clone().into_boxed_str())));
    let wire = form_urlencoded::Serializer::new(String::new())
        .extend_pairs(&pairs)
        .finish();
    for (query, form) in [(wire.as_str(), ""), ("", wire.as_str())] {
        let raw = RawParameters::parse(query, form.as_bytes()).unwrap();
        assert!(verify(&raw, raw.get("Signature").unwrap(), SECRET));
    }
}

/// A request as some client would send and sign it.
struct Signed {
    pairs: Vec<(String, String)>,
    signature: String,
}

/// A request of random parameters, signed as one of the clients signs.
fn random_request(rng: &mut impl Rng) -> Signed {
    let names = [
        "name",
        "Zone",
        "tags[0].key",
        "cidrlist",
        "displayText",
        "id",
        "details[1].x-y",
        "page",
    ];
    let letters: Vec<char> = "abcXYZ019 ~*[]/+&=%.,:;-_éß日'\"<>".chars().collect();
    let mut pairs = vec![
        ("command".to_owned(), "listZones".to_owned()),
        ("apiKey".to_owned(), "Key".to_owned()),
    ];
    for name in names {
        if rng.random_bool(0.6) {
            let length = rng.random_range(0..20);
            let value = (0..length)
                .map(|_| letters[rng.random_range(0..letters.len())])
                .collect();
            pairs.push((name.to_owned(), value));
        }
    }
    let clients: [Signer; 4] = [cs, libcloud, go, java];
    let leaked = pairs
        .iter()
        .map(|(n, v)| -> (&'static str, &'static str) { (n.clone().leak(), v.clone().leak()) });
    let canonical = clients[rng.random_range(0..clients.len())](leaked.collect());
    Signed {
        signature: signature(&canonical),
        pairs,
    }
}

/// The request with one thing changed that matters: CloudStack's signature does not see upper and lower case.
fn mutated(rng: &mut impl Rng, request: &Signed) -> Signed {
    let (mut pairs, mut signature) = (request.pairs.clone(), request.signature.clone());
    let at = rng.random_range(0..pairs.len());
    match rng.random_range(0..8) {
        0 => drop(pairs.remove(at)),
        1 => pairs.push((format!("extra{}", rng.random_range(0..9)), "1".to_owned())),
        2 => pairs[at].0.push('x'),
        3 => pairs[at].1.push('!'),
        4 => pairs[at].1.insert(0, '0'),
        5 => {
            let other = (at + 1) % pairs.len();
            let value = std::mem::take(&mut pairs[at].1);
            pairs[at].1 = std::mem::replace(&mut pairs[other].1, value);
        }
        _ => {
            let alphabet = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/=";
            let mut bytes = signature.into_bytes();
            let place = rng.random_range(0..bytes.len());
            match rng.random_range(0..3) {
                0 => bytes[place] = alphabet[rng.random_range(0..alphabet.len())],
                1 => drop(bytes.remove(place)),
                _ => bytes.insert(place, alphabet[rng.random_range(0..alphabet.len())]),
            }
            signature = String::from_utf8(bytes).unwrap();
        }
    }
    Signed { pairs, signature }
}

/// What tells two requests apart for a signature.
fn matters(request: &Signed) -> (Vec<(String, String)>, String) {
    let mut pairs: Vec<_> = request
        .pairs
        .iter()
        .map(|(n, v)| (n.to_lowercase(), v.to_lowercase()))
        .collect();
    pairs.sort();
    (pairs, request.signature.clone())
}

#[test]
fn ten_thousand_mutated_requests_of_every_client_are_refused() {
    let mut rng = rand::rng();
    let (mut refused, mut accepted) = (0, 0);
    while refused < 10_000 {
        let request = random_request(&mut rng);
        let raw = RawParameters::from_pairs(request.pairs.clone());
        assert!(verify(&raw, &request.signature, SECRET), "{:?}", request.pairs);
        accepted += 1;
        for _ in 0..20 {
            let wrong = mutated(&mut rng, &request);
            if matters(&wrong) == matters(&request) {
                continue;
            }
            let raw = RawParameters::from_pairs(wrong.pairs.clone());
            assert!(
                !verify(&raw, &wrong.signature, SECRET),
                "{:?} {}",
                wrong.pairs,
                wrong.signature
            );
            refused += 1;
        }
    }
    assert!(accepted >= 500);
}

#[test]
fn a_right_signature_for_other_parameters_is_refused() {
    let right = signature(&cs(awkward()));
    for index in 0..awkward().len() {
        let mut value = awkward();
        value[index].1 = "something else";
        let mut gone = awkward();
        gone.remove(index);
        let mut more = awkward();
        more.push(("zzz", "1"));
        let mut renamed = awkward();
        renamed[index].0 = "renamed";
        for pairs in [value, gone, more, renamed] {
            assert!(
                !verify(&RawParameters::from_pairs(pairs.clone()), &right, SECRET),
                "{pairs:?}"
            );
        }
    }
    assert!(!verify(
        &RawParameters::from_pairs(awkward()),
        &right,
        b"another secret"
    ));
}

/// `verify` compares in constant time (subtle's `ct_eq`, no early exit over the dialects); this holds the code to it from
/// outside. Medians of calls in turns shrug off a busy machine.
#[test]
fn the_time_a_refusal_takes_does_not_depend_on_where_the_signature_differs() {
    let raw = RawParameters::from_pairs(awkward());
    let right = signature(&cs(awkward()));
    let wrong = |at: usize| {
        let mut bytes = right.clone().into_bytes();
        bytes[at] = if bytes[at] == b'A' { b'B' } else { b'A' };
        String::from_utf8(bytes).unwrap()
    };
    let tried = [wrong(0), wrong(right.len() / 2), wrong(right.len() - 2)];
    let mut times: [Vec<u128>; 3] = Default::default();
    for _ in 0..1_000 {
        for (signature, times) in tried.iter().zip(&mut times) {
            let begun = std::time::Instant::now();
            assert!(!verify(&raw, signature, SECRET));
            times.push(begun.elapsed().as_nanos());
        }
    }
    let medians = times.map(|mut times| {
        times.sort_unstable();
        times[times.len() / 2]
    });
    let (least, most) = (medians.iter().min().unwrap(), medians.iter().max().unwrap());
    assert!(most * 100 < least * 115, "{medians:?} ns");
}
