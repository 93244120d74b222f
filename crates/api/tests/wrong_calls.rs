// SPDX-License-Identifier: Apache-2.0
//! Wrong calls through the real HTTP server: each gets CloudStack's status and a text that says what is wrong, and
//! nothing changes in the store.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    reason = "a test fails by panicking"
)]

mod common;

use std::collections::BTreeMap;

use common::world::{ports, tcp};
use common::{Answer, Served, encoded, pairs, signed_as};
use outgate_api::wire::request::RawParameters;
use outgate_api::wire::signature::{Dialect, canonical, sign};
use outgate_manager::{CommitError, Credentials};
use outgate_model::object::{Account, AccountState, User};

/// A wrong call and how it must be refused.
struct Row {
    command: &'static str,
    params: &'static str,
    status: u16,
    words: Vec<&'static str>,
}

/// An id of nothing.
const UNKNOWN: &str = "5f0e7a52-8b7e-4c29-9d8e-7a1d2b3c4d5e";
const GONE: &str = "due to incorrect long value format, or entity does not exist";

/// The table.
const TABLE: &str = include_str!("data/wrong_calls.txt");

fn rows() -> Vec<Row> {
    let lines = TABLE
        .lines()
        .filter(|line| !line.is_empty() && !line.starts_with('#'));
    lines
        .map(|line| {
            let mut cells = line.split('|').map(str::trim);
            let mut cell = || cells.next().unwrap_or_else(|| panic!("{line}"));
            let (status, command, params) = (cell().parse().unwrap(), cell(), cell());
            Row {
                command,
                params,
                status,
                words: cells.map(|w| if w == "gone" { GONE } else { w }).collect(),
            }
        })
        .collect()
}

/// A world with one of everything, and its ids.
async fn furnished() -> (Served, BTreeMap<&'static str, String>) {
    let served = Served::new(12).await;
    let world = &served.world;
    let (net, other) = (world.network("net").await, world.network("other").await);
    let (vm, other_vm) = (world.guest(net, "vm").await, world.guest(other, "other-vm").await);
    let second = world.guest(net, "second").await;
    let (ip, static_ip, forward_ip) = (
        world.address(net).await,
        world.address(net).await,
        world.address(net).await,
    );
    let (manager, admin) = (&world.manager, &world.admin);
    let forward = world.forward(forward_ip, vm, ports(2222, 2230), ports(22, 30));
    let forward = manager.create_port_forwarding(admin, forward).await.unwrap();
    let firewall = manager
        .create_firewall_rule(admin, world.open(ip, tcp(443, 443)))
        .await
        .unwrap();
    world.static_nat(static_ip, vm).await.unwrap();
    let mut ids = BTreeMap::from([
        ("unknown", UNKNOWN.to_owned()),
        ("net", net.to_string()),
        ("vm", vm.to_string()),
        ("othervm", other_vm.to_string()),
        ("second", second.to_string()),
        ("ip", ip.to_string()),
        ("staticip", static_ip.to_string()),
        ("forwardip", forward_ip.to_string()),
        ("heldaddress", world.public_ip(static_ip).address.to_string()),
        ("sourcenat", world.source_nat(net).id.to_string()),
        ("othersourcenat", world.source_nat(other).address.to_string()),
        ("forward", forward.id.unwrap().to_string()),
        ("firewall", firewall.id.unwrap().to_string()),
        ("router", world.router_id(net).to_string()),
        ("zone", world.zone.to_string()),
        ("domain", world.admin.domain.to_string()),
    ]);
    add_provided(&served, &mut ids).await;
    (served, ids)
}

/// What the operator provides, beginnings of parameter lists, and an egress rule.
async fn add_provided(served: &Served, ids: &mut BTreeMap<&'static str, String>) {
    let offering = served
        .ok(
            "listNetworkOfferings",
            &[("isdefault", "true"), ("forvpc", "false")],
        )
        .await;
    ids.insert(
        "offering",
        offering["networkoffering"][0]["id"].as_str().unwrap().to_owned(),
    );
    let size = served.ok("listServiceOfferings", &[]).await;
    let template = served
        .ok("listTemplates", &[("templatefilter", "executable")])
        .await;
    ids.insert(
        "template",
        template["template"][0]["id"].as_str().unwrap().to_owned(),
    );
    let egress = [
        ("networkid", ids["net"].as_str()),
        ("protocol", "udp"),
        ("startport", "53"),
    ];
    let egress = served.ok("createEgressFirewallRule", &egress).await;
    ids.insert("egress", egress["id"].as_str().unwrap().to_owned());
    let size = size["serviceoffering"][0]["id"].as_str().unwrap();
    ids.insert(
        "deploy",
        format!("zoneid={}; serviceofferingid={size}", ids["zone"]),
    );
    ids.insert(
        "new",
        format!(
            "name=x; networkofferingid={}; zoneid={}",
            ids["offering"], ids["zone"]
        ),
    );
    ids.insert(
        "forwarding",
        format!(
            "ipaddressid={}; protocol=tcp; virtualmachineid={}",
            ids["ip"], ids["vm"]
        ),
    );
}

/// `text` with each `$x` replaced; longer names first, so that `$vm` does not eat `$vmx`.
fn filled(text: &str, ids: &BTreeMap<&'static str, String>) -> String {
    ids.iter().rev().fold(text.to_owned(), |text, (name, id)| {
        text.replace(&format!("${name}"), id)
    })
}

/// What is wrong with an error reply; nothing when it is as it must be.
fn faults(answer: &Answer, status: u16, words: &[String]) -> Vec<String> {
    let inner = answer.inner();
    let text = inner["errortext"].as_str().unwrap_or_default();
    let mut faults: Vec<String> = words
        .iter()
        .filter(|word| !text.contains(word.as_str()))
        .map(|word| format!("{text:?} does not say {word:?}"))
        .collect();
    let mut must = |fine: bool, what: &str| {
        if !fine {
            faults.push(format!("{what}: {} {}", answer.status, answer.body));
        }
    };
    must(answer.status == status, "another status");
    must(inner["errorcode"] == status, "another errorcode");
    must(
        inner["cserrorcode"].is_u64() && inner["uuidList"].is_array(),
        "an incomplete body",
    );
    must(
        answer.content_type.starts_with("application/json"),
        "another content type",
    );
    must(answer.description.is_some(), "no X-Description");
    faults
}

fn check(what: &str, answer: &Answer, status: u16, words: &[String]) {
    assert_eq!(faults(answer, status, words), Vec::<String>::new(), "{what}");
}

async fn tried(served: &Served, ids: &BTreeMap<&'static str, String>, row: &Row, form: bool) -> Vec<String> {
    let Row {
        command,
        params,
        status,
        words,
    } = row;
    let params = filled(params, ids);
    let pairs = pairs(&params);
    let words: Vec<String> = words.iter().map(|word| filled(word, ids)).collect();
    let before = served.world.written().await;
    let signed = served.signed(command, &pairs);
    let answer = if form {
        served.post(&signed).await
    } else {
        served.get(&signed).await
    };
    let mut faults = faults(&answer, *status, &words);
    let named = format!(
        "{}response",
        if *status == 432 {
            "error".to_owned()
        } else {
            command.to_lowercase()
        }
    );
    if answer.key() != named {
        faults.push(format!("the key is {}", answer.key()));
    }
    if served.world.written().await != before {
        faults.push("something was written".to_owned());
    }
    faults
        .into_iter()
        .map(|fault| format!("{command} {params}: {fault}"))
        .collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn each_wrong_call_is_refused_by_name_and_changes_nothing() {
    let (served, ids) = furnished().await;
    let rows = rows();
    assert!(rows.len() >= 100, "{}", rows.len());
    served.world.quiet().await;
    let mut faults = Vec::new();
    for (number, row) in rows.iter().enumerate() {
        faults.extend(tried(&served, &ids, row, number % 2 == 1).await);
    }
    assert!(faults.is_empty(), "{}", faults.join("\n"));
}

#[tokio::test(flavor = "multi_thread")]
async fn nobody_gets_in_and_every_refusal_reads_the_same() {
    let (served, _) = furnished().await;
    let before = served.world.written().await;
    let zone = ("command", "listZones");
    let who = |key: &str, secret: &str| Credentials {
        api_key: key.to_owned(),
        secret_key: secret.to_owned(),
    };
    let good = served.signed("listZones", &[]);
    let table = [
        ("no key, no signature", encoded(&[zone])),
        (
            "no signature",
            encoded(&[zone, ("apikey", &served.admin.api_key)]),
        ),
        (
            "an empty signature",
            encoded(&[zone, ("apikey", &served.admin.api_key), ("signature", "")]),
        ),
        (
            "an unknown key",
            signed_as(&who("nobody", &served.admin.secret_key), "listZones", &[]),
        ),
        ("an empty key", signed_as(&who("", ""), "listZones", &[])),
        (
            "a wrong secret",
            signed_as(&who(&served.admin.api_key, "wrong"), "listZones", &[]),
        ),
        ("a parameter added later", format!("{good}&name=x")),
        ("a parameter changed", good.replace("listZones", "listHosts")),
        (
            "an unknown command, unsigned",
            encoded(&[("command", "noSuchCommand")]),
        ),
    ];
    let mut texts = Vec::new();
    for (what, query) in table {
        let answer = served.get(&format!("{query}&response=json")).await;
        check(
            what,
            &answer,
            401,
            &["unable to verify user credentials and/or request signature".to_owned()],
        );
        assert_eq!(answer.key(), "errorresponse");
        texts.push(answer.inner()["errortext"].clone());
    }
    texts.dedup();
    assert_eq!(texts.len(), 1, "{texts:?}");
    assert!(served.world.written().await == before);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_expired_or_dateless_version_three_signature_is_refused() {
    let served = Served::new(4).await;
    let at = |offset: i64, format: &str| {
        let at = jiff::Timestamp::now() + jiff::SignedDuration::from_secs(offset);
        at.strftime(format).to_string()
    };
    let table = [
        (Some(at(600, "%Y-%m-%dT%H:%M:%S+0000")), 200),
        (Some(at(900, "%Y-%m-%dT%H:%M:%SZ")), 200),
        (Some(at(60, "%Y-%m-%dT%H:%M:%S+00:00")), 200),
        (Some(at(-1, "%Y-%m-%dT%H:%M:%S+0000")), 401),
        (Some(at(-86_400, "%Y-%m-%dT%H:%M:%SZ")), 401),
        (Some(at(600, "%Y-%m-%d %H:%M")), 401),
        (Some("soon".to_owned()), 401),
        (None, 401),
    ];
    for (expires, status) in table {
        let mut params = vec![("signatureVersion", "3")];
        params.extend(expires.as_deref().map(|e| ("expires", e)));
        let answer = served.call("listZones", &params).await;
        assert_eq!(answer.status, status, "{expires:?}: {}", answer.body);
        if status == 401 {
            check("expires", &answer, 401, &["expires".to_owned()]);
        }
    }
}

/// Changes the administrator's user and account.
async fn changed(served: &Served, change: fn(&mut User, &mut Account)) {
    let done = served.world.manager.commit(|view, draft| {
        let user = view.all::<User>().next().unwrap();
        let account = view.get::<Account>(user.account).unwrap();
        let (mut new_user, mut new_account) = (User::clone(user), Account::clone(account));
        change(&mut new_user, &mut new_account);
        draft.update(user, new_user);
        draft.update(account, new_account);
        Ok::<_, CommitError>(())
    });
    done.await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_right_signature_of_a_disabled_or_locked_user_or_account_is_refused_like_a_wrong_one() {
    let served = Served::new(4).await;
    let wrong = served
        .get("command=listZones&response=json&apiKey=x&signature=y")
        .await;
    type Change = fn(&mut User, &mut Account);
    let changes: [(&str, Change); 4] = [
        ("disabled user", |user, _| user.enabled = false),
        ("locked user", |user, _| user.locked = true),
        ("disabled account", |_, account| {
            account.state = AccountState::Disabled
        }),
        ("locked account", |_, account| {
            account.state = AccountState::Locked
        }),
    ];
    for (what, change) in changes {
        assert_eq!(served.call("listZones", &[]).await.status, 200, "before: {what}");
        changed(&served, change).await;
        let answer = served.call("listZones", &[]).await;
        assert_eq!((answer.status, &answer.body), (401, &wrong.body), "{what}");
        changed(&served, |user, account| {
            (user.enabled, user.locked, account.state) = (true, false, AccountState::Enabled);
        })
        .await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_end_of_a_request_cannot_be_hidden_in_a_parameters_name() {
    let served = Served::new(4).await;
    let past = (jiff::Timestamp::now() - jiff::SignedDuration::from_secs(60)).strftime("%Y-%m-%dT%H:%M:%SZ");
    let (key, past) = (served.admin.api_key.clone(), past.to_string());
    let pairs = [
        ("apiKey", &*key),
        ("command", "listZones"),
        ("expires", &*past),
        ("response", "json"),
        ("signatureVersion", "3"),
    ];
    let raw = RawParameters::from_pairs(pairs);
    let signature = sign(
        &canonical(&raw, Dialect::ALL[0]),
        served.admin.secret_key.as_bytes(),
    )
    .unwrap();
    let hidden = [
        ("apiKey", &*key),
        ("command", "listZones"),
        ("expires", &*past),
        ("response=json&signatureVersion", "3"),
        ("signature", &*signature),
    ];
    assert_eq!(
        served
            .get(&format!("{}&response=json", encoded(&hidden)))
            .await
            .status,
        430
    );
}
