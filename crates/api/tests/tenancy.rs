// SPDX-License-Identifier: Apache-2.0
//! Domains, accounts, users, roles, projects and limits through the HTTP server, each reply checked against the table.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    reason = "a test fails by panicking"
)]

mod common;

use common::{Answer, Served, pairs, signed_as, text};
use outgate_manager::Credentials;
use serde_json::{Value, json};

/// Passwords of this test; none may be seen anywhere.
const PASSWORD: &str = "pa55word-that-nobody-sees";
const ANOTHER: &str = "an0ther-pa55word-that-nobody-sees";

/// An account with a user and its keys.
struct Person {
    account: String,
    user: String,
    keys: Credentials,
}

async fn person(served: &Served, name: &str, kind: &str, domain: &str) -> Person {
    let params = [
        ("account", name),
        ("username", name),
        ("password", PASSWORD),
        ("email", "someone@example.com"),
        ("firstname", "Some"),
        ("lastname", "One"),
        ("accounttype", kind),
        ("domainid", domain),
    ];
    let made = served.ok("createAccount", &params).await;
    let (account, user) = (&made["account"], &made["account"]["user"][0]);
    let user = text(user, "id").to_owned();
    let keys = served.ok("registerUserKeys", &[("id", &user)]).await;
    let again = served.ok("getUserKeys", &[("id", &user)]).await;
    assert_eq!(keys, again);
    Person {
        account: text(account, "id").to_owned(),
        keys: Credentials {
            api_key: text(&keys["userkeys"], "apikey").to_owned(),
            secret_key: text(&keys["userkeys"], "secretkey").to_owned(),
        },
        user,
    }
}

async fn domain(served: &Served, name: &str) -> String {
    let made = served.ok("createDomain", &[("name", name)]).await;
    text(&made["domain"], "id").to_owned()
}

async fn as_person(served: &Served, who: &Person, command: &str, params: &str) -> Answer {
    let query = signed_as(&who.keys, command, &pairs(params));
    served.get(&query).await
}

#[tokio::test(flavor = "multi_thread")]
async fn domains_nest_are_renamed_with_their_paths_and_go_with_all_that_is_in_them() {
    let served = Served::new(8).await;
    let acme = domain(&served, "acme").await;
    let params = [("name", "east"), ("parentdomainid", acme.as_str())];
    let east = served.ok("createDomain", &params).await;
    let east = text(&east["domain"], "id").to_owned();
    person(&served, "eve", "0", &east).await;
    let twice = served.call("createDomain", &[("name", "ACME")]).await;
    assert_eq!(twice.status, 431, "{}", twice.body);
    let params = [("id", acme.as_str()), ("name", "umbrella")];
    let renamed = served.ok("updateDomain", &params).await;
    assert_eq!(renamed["domain"]["path"], "ROOT/umbrella");
    let found = served.ok("listDomains", &[("id", &east)]).await;
    assert_eq!(found["domain"][0]["path"], "ROOT/umbrella/east");
    assert_eq!(found["domain"][0]["level"], 2);
    let children = served.ok("listDomainChildren", &[("isrecursive", "true")]).await;
    assert_eq!(children["count"], 2);
    let full = served.call("deleteDomain", &[("id", &acme)]).await;
    let words = text(full.inner(), "errortext").to_owned();
    assert!(full.status == 431 && words.contains("1 domains"), "{words}");
    served
        .job("deleteDomain", &[("id", &acme), ("cleanup", "true")])
        .await;
    let left = served.ok("listDomains", &[]).await;
    assert_eq!(left["count"], 1, "{left}");
    let left = served.ok("listAccounts", &[("listall", "true")]).await;
    assert_eq!(left["count"], 1, "{left}");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_account_that_is_deleted_takes_all_it_owns_along() {
    let served = Served::new(8).await;
    let root = served.ok("listDomains", &[]).await;
    let root = text(&root["domain"][0], "id").to_owned();
    let alice = person(&served, "alice", "0", &root).await;
    let world = &served.world;
    let mut wanted = world.create_network("alices");
    wanted.owner = Some(outgate_model::id::AccountId(alice.account.parse().unwrap()));
    let network = world.manager.create_network(&world.admin, wanted).await.unwrap();
    let mut deploy = world.deploy(network, "vm");
    deploy.owner = Some(outgate_model::id::AccountId(alice.account.parse().unwrap()));
    let started = world.manager.deploy_guest(&world.admin, deploy).await.unwrap();
    world.done(started).await;
    let params = [
        ("zoneid", world.zone.to_string()),
        ("account", "alice".to_owned()),
        ("domainid", root.clone()),
    ];
    let params: Vec<(&str, &str)> = params
        .iter()
        .map(|(name, value)| (*name, value.as_str()))
        .collect();
    served.job("associateIpAddress", &params).await;
    let shown = served.ok("listAccounts", &[("id", &alice.account)]).await;
    let shown = &shown["account"][0];
    assert_eq!(
        (&shown["networktotal"], &shown["iptotal"], &shown["vmtotal"]),
        (&json!(1), &json!(2), &json!(1))
    );
    assert_eq!(
        (&shown["networklimit"], &shown["vpcavailable"]),
        (&json!("20"), &json!("20"))
    );
    assert_eq!(shown["volumelimit"], "Unlimited");
    served.job("deleteAccount", &[("id", &alice.account)]).await;
    assert!(world.claims().await.is_empty(), "{:?}", world.claims().await);
    let refused = as_person(&served, &alice, "listZones", "").await;
    assert_eq!(refused.status, 401);
    let all = [("listall", "true")];
    assert_eq!(served.ok("listUsers", &all).await["count"], 1);
    assert_eq!(served.ok("listNetworks", &all).await, json!({}));
}

#[tokio::test(flavor = "multi_thread")]
async fn who_is_disabled_or_locked_stays_outside_until_enabled_again() {
    let served = Served::new(8).await;
    let acme = domain(&served, "acme").await;
    let bob = person(&served, "bob", "0", &acme).await;
    let inside = async || as_person(&served, &bob, "listZones", "").await.status;
    let by_name = [("account", "bob"), ("domainid", acme.as_str())];
    let (account, user) = ([("id", bob.account.as_str())], [("id", bob.user.as_str())]);
    assert_eq!(inside().await, 200);
    let locked = served.ok("lockAccount", &by_name).await;
    assert_eq!(
        (&locked["account"]["state"], inside().await),
        (&json!("locked"), 401)
    );
    served.ok("enableAccount", &by_name).await;
    let params = [account[0], ("lock", "false")];
    let (_, job) = served.job("disableAccount", &params).await;
    assert_eq!(job["jobresult"]["account"]["state"], "disabled");
    assert_eq!(inside().await, 401);
    served.ok("enableAccount", &account).await;
    served.job("disableUser", &user).await;
    assert_eq!(inside().await, 401);
    let locked = served.ok("lockUser", &user).await;
    assert_eq!(
        (&locked["user"]["state"], inside().await),
        (&json!("locked"), 401)
    );
    served.ok("enableUser", &user).await;
    assert_eq!(inside().await, 200);
    let again = served.ok("registerUserKeys", &user).await;
    assert_ne!(text(&again["userkeys"], "apikey"), bob.keys.api_key);
    assert_eq!(inside().await, 401, "the old keys are good no more");
    served.ok("deleteUser", &user).await;
    let new = Credentials {
        api_key: text(&again["userkeys"], "apikey").to_owned(),
        secret_key: text(&again["userkeys"], "secretkey").to_owned(),
    };
    assert_eq!(served.get(&signed_as(&new, "listZones", &[])).await.status, 401);
    // Nobody shuts out the default admin or itself.
    let admin = served.ok("listUsers", &[("username", "admin")]).await;
    let admin = text(&admin["user"][0], "id");
    assert_eq!(served.call("disableUser", &[("id", admin)]).await.status, 431);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_role_decides_what_its_accounts_may_call() {
    let served = Served::new(8).await;
    let acme = domain(&served, "acme").await;
    let made = served
        .ok("createRole", &[("name", "Reader"), ("type", "User")])
        .await;
    let role = text(&made["role"], "id").to_owned();
    let mut rules = Vec::new();
    for (rule, permission) in [("listZones", "deny"), ("list*", "allow"), ("*", "deny")] {
        let params = [
            ("roleid", role.as_str()),
            ("rule", rule),
            ("permission", permission),
        ];
        let made = served.ok("createRolePermission", &params).await;
        rules.push(text(&made["rolepermission"], "id").to_owned());
    }
    let bob = person(&served, "bob", "0", &acme).await;
    let params = [("id", bob.account.as_str()), ("roleid", role.as_str())];
    let account = served.ok("updateAccount", &params).await;
    assert_eq!(account["account"]["rolename"], "Reader");
    let may = async |command: &str| as_person(&served, &bob, command, "").await.status != 432;
    assert_eq!(
        (
            may("listZones").await,
            may("listNetworks").await,
            may("createNetwork").await
        ),
        (false, true, false)
    );
    let order = [&rules[1], &rules[0], &rules[2]].map(String::as_str).join(",");
    let params = [("roleid", role.as_str()), ("ruleorder", order.as_str())];
    served.ok("updateRolePermission", &params).await;
    assert!(may("listZones").await, "the first rule that matches decides");
    let params = [
        ("roleid", role.as_str()),
        ("ruleid", rules[1].as_str()),
        ("permission", "deny"),
    ];
    served.ok("updateRolePermission", &params).await;
    assert!(!may("listNetworks").await);
    served.ok("deleteRolePermission", &[("id", &rules[2])]).await;
    assert!(
        may("createNetwork").await,
        "without a rule about it the type decides"
    );
    let listed = served.ok("listRolePermissions", &[("roleid", &role)]).await;
    assert_eq!(listed["count"], 2);
    let renamed = served
        .ok("updateRole", &[("id", &role), ("name", "Lister")])
        .await;
    assert_eq!(renamed["role"]["name"], "Lister");
    assert_eq!(served.call("deleteRole", &[("id", &role)]).await.status, 536);
    let builtin = served.ok("listRoles", &[("name", "User")]).await;
    let builtin = text(&builtin["role"][0], "id").to_owned();
    assert_eq!(served.call("deleteRole", &[("id", &builtin)]).await.status, 431);
    served
        .ok("updateAccount", &[("id", &bob.account), ("roleid", &builtin)])
        .await;
    served.ok("deleteRole", &[("id", &role)]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_domain_admin_stays_within_its_domain_and_its_powers() {
    let served = Served::new(8).await;
    let (acme, other) = (domain(&served, "acme").await, domain(&served, "other").await);
    let chief = person(&served, "chief", "2", &acme).await;
    let bob = person(&served, "bob", "0", &acme).await;
    let outside = person(&served, "eve", "0", &other).await;
    let status =
        async |command: &str, params: String| as_person(&served, &chief, command, &params).await.status;
    let new = |domain: &str, kind: &str| {
        let who =
            format!("username=u{kind}; password={PASSWORD}; email=e@example.com; firstname=F; lastname=L");
        format!("{who}; accounttype={kind}; domainid={domain}")
    };
    assert_eq!(status("createAccount", new(&acme, "0")).await, 200);
    assert_eq!(
        status("createAccount", new(&acme, "1")).await,
        531,
        "no root admins"
    );
    assert_eq!(status("createAccount", new(&other, "0")).await, 431);
    assert_eq!(status("createDomain", "name=x".to_owned()).await, 432);
    assert_eq!(status("getUserKeys", format!("id={}", bob.user)).await, 200);
    assert_eq!(status("getUserKeys", format!("id={}", outside.user)).await, 431);
    assert_eq!(
        status("deleteAccount", format!("id={}", outside.account)).await,
        431
    );
    let limit = format!("resourcetype=1; max=5; domainid={acme}");
    assert_eq!(
        status("updateResourceLimit", limit).await,
        531,
        "not its own domain's"
    );
    let limit = format!("resourcetype=1; max=5; account=bob; domainid={acme}");
    assert_eq!(status("updateResourceLimit", limit).await, 200);
    // A role that may call more than the giver is not given.
    let made = served
        .ok("createRole", &[("name", "Strong"), ("type", "DomainAdmin")])
        .await;
    let role = text(&made["role"], "id").to_owned();
    let rule = [
        ("roleid", role.as_str()),
        ("rule", "createDomain"),
        ("permission", "allow"),
    ];
    served.ok("createRolePermission", &rule).await;
    let give = format!("id={}; roleid={role}", bob.account);
    assert_eq!(status("updateAccount", give).await, 531);
    assert_eq!(
        as_person(&served, &bob, "getUserKeys", &format!("id={}", chief.user))
            .await
            .status,
        431
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn projects_belong_to_all_that_take_part() {
    let served = Served::new(8).await;
    let acme = domain(&served, "acme").await;
    let (ann, bob) = (
        person(&served, "ann", "0", &acme).await,
        person(&served, "bob", "0", &acme).await,
    );
    let owner = [("account", "ann"), ("domainid", acme.as_str())];
    let params = [("name", "site"), ("displaytext", "The site"), owner[0], owner[1]];
    let (_, job) = served.job("createProject", &params).await;
    let project = &job["jobresult"]["project"];
    assert_eq!(project["owner"][0]["account"], "ann");
    let id = text(project, "id").to_owned();
    let sees = async |who: &Person| {
        let answer = as_person(&served, who, "listProjects", "listall=true").await;
        answer.inner()["count"].as_u64().unwrap_or(0)
    };
    assert_eq!((sees(&ann).await, sees(&bob).await), (1, 0));
    let member = [("projectid", id.as_str()), ("account", "bob")];
    served.job("addAccountToProject", &member).await;
    let parts = served.ok("listProjectAccounts", &[("projectid", &id)]).await;
    assert_eq!(parts["count"], 2);
    let by_bob = as_person(&served, &bob, "deleteProject", &format!("id={id}")).await;
    assert_eq!(
        (sees(&bob).await, by_bob.status),
        (1, 531),
        "a regular member does not end it"
    );
    served.job("suspendProject", &[("id", &id)]).await;
    let zone = served.world.zone.to_string();
    let params = [("projectid", id.as_str()), ("zoneid", zone.as_str())];
    let refused = served.call("associateIpAddress", &params).await;
    assert_eq!(refused.status, 531, "a suspended project gets nothing");
    served.job("activateProject", &[("id", &id)]).await;
    let last = served
        .call(
            "deleteAccountFromProject",
            &[("projectid", &id), ("account", "ann")],
        )
        .await;
    assert_eq!(last.status, 431, "its last owner stays");
    let sole = served.call("deleteAccount", &[("id", &ann.account)]).await;
    assert!(text(sole.inner(), "errortext").contains("site"), "{}", sole.body);
    let swap = [("id", id.as_str()), ("account", "bob"), ("displaytext", "Bob's")];
    let (_, job) = served.job("updateProject", &swap).await;
    assert_eq!(job["jobresult"]["project"]["owner"][0]["account"], "bob");
    served
        .job(
            "deleteAccountFromProject",
            &[("projectid", &id), ("account", "ann")],
        )
        .await;
    served
        .job("associateIpAddress", &[("projectid", &id), ("zoneid", &zone)])
        .await;
    assert_eq!(served.call("deleteProject", &[("id", &id)]).await.status, 431);
    served
        .job("deleteProject", &[("id", &id), ("cleanup", "true")])
        .await;
    assert_eq!(served.ok("listProjects", &[("listall", "true")]).await, json!({}));
    assert!(served.world.claims().await.is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn two_callers_at_once_never_hold_more_than_the_limit() {
    let served = Served::new(40).await;
    let acme = domain(&served, "acme").await;
    let (ann, bob) = (
        person(&served, "ann", "0", &acme).await,
        person(&served, "bob", "0", &acme).await,
    );
    let limit = |max: &'static str| {
        [
            ("domainid", acme.clone()),
            ("resourcetype", "1".to_owned()),
            ("max", max.to_owned()),
        ]
    };
    let of_domain = limit("7");
    let of_domain: Vec<(&str, &str)> = of_domain.iter().map(|(n, v)| (*n, v.as_str())).collect();
    let shown = served.ok("updateResourceLimit", &of_domain).await;
    assert_eq!(shown["resourcelimit"]["max"], 7);
    let of_bob = limit("3");
    let mut of_bob: Vec<(&str, &str)> = of_bob.iter().map(|(n, v)| (*n, v.as_str())).collect();
    of_bob.push(("account", "bob"));
    served.ok("updateResourceLimit", &of_bob).await;
    let zone = served.world.zone.to_string();
    let calls = (0..24).map(|n| {
        let who = if n % 2 == 0 { &ann } else { &bob };
        let query = signed_as(&who.keys, "associateIpAddress", &[("zoneid", &zone)]);
        let served = &served;
        async move { served.get(&query).await }
    });
    let answers = futures_all(calls).await;
    let (won, lost): (Vec<Answer>, Vec<Answer>) =
        answers.into_iter().partition(|answer| answer.status == 200);
    assert_eq!(won.len(), 7);
    for answer in lost {
        let words = text(answer.inner(), "errortext").to_owned();
        assert!(
            answer.status == 535 && words.contains("Maximum number of resources of type 'public_ip'"),
            "{words}"
        );
    }
    let params = [
        ("domainid", acme.as_str()),
        ("account", "bob"),
        ("resourcetype", "1"),
    ];
    let count = served.ok("updateResourceCount", &params).await;
    assert!(
        count["resourcecount"][0]["resourcecount"].as_u64().unwrap() <= 3,
        "{count}"
    );
    let limits = as_person(&served, &bob, "listResourceLimits", "").await;
    let limits = limits.inner()["resourcelimit"].as_array().unwrap().clone();
    assert_eq!(limits.len(), 12);
    assert_eq!(limits[1]["max"], 3);
    // The topmost admins are never limited.
    served.job("associateIpAddress", &[("zoneid", &zone)]).await;
}

async fn futures_all<T>(all: impl Iterator<Item = impl Future<Output = T>>) -> Vec<T> {
    let mut waiting: Vec<_> = all.map(Box::pin).collect();
    let mut done: Vec<Option<T>> = waiting.iter().map(|_| None).collect();
    std::future::poll_fn(|context| {
        for (one, slot) in waiting.iter_mut().zip(&mut done) {
            if slot.is_none()
                && let std::task::Poll::Ready(value) = one.as_mut().poll(context)
            {
                *slot = Some(value);
            }
        }
        if done.iter().all(Option::is_some) {
            std::task::Poll::Ready(())
        } else {
            std::task::Poll::Pending
        }
    })
    .await;
    done.into_iter().flatten().collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn passwords_and_secret_keys_are_in_no_reply_event_job_or_stored_object() {
    let served = Served::new(8).await;
    let acme = domain(&served, "acme").await;
    let bob = person(&served, "bob", "0", &acme).await;
    let wrong = format!("id={}; password={ANOTHER}; currentpassword=wrong", bob.user);
    let refused = as_person(&served, &bob, "updateUser", &wrong).await;
    assert!(
        refused.status == 431 && !refused.body.to_string().contains(ANOTHER),
        "{}",
        refused.body
    );
    let right = format!("id={}; password={ANOTHER}; currentpassword={PASSWORD}", bob.user);
    let changed = as_person(&served, &bob, "updateUser", &right).await;
    assert_eq!(changed.status, 200, "{}", changed.body);
    let long = "x".repeat(1025);
    let params = [("id", bob.user.as_str()), ("password", long.as_str())];
    let refused = served.call("updateUser", &params).await;
    assert!(
        refused.status == 431 && !refused.body.to_string().contains("xxx"),
        "{}",
        refused.body
    );
    let mut seen = changed.body.to_string();
    for command in ["listUsers", "listAccounts", "listEvents", "listAsyncJobs"] {
        seen.push_str(&served.ok(command, &[("listall", "true")]).await.to_string());
    }
    let (_, stored) = served.world.manager.store().range("").await.unwrap();
    stored
        .iter()
        .for_each(|entry| seen.push_str(&String::from_utf8_lossy(&entry.value)));
    for secret in [PASSWORD, ANOTHER, bob.keys.secret_key.as_str()] {
        assert!(!seen.contains(secret));
    }
    assert!(seen.contains("$argon2id$"), "it is stored hashed");
    let listed = served.ok("listUsers", &[("listall", "true")]).await;
    assert!(!listed.to_string().contains("argon2"), "{listed}");
    let by_bob = as_person(&served, &bob, "listUsers", "listall=true").await;
    assert_eq!(by_bob.inner()["count"], 1, "a user sees itself only");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_account_is_told_how_much_it_may_call() {
    let served = Served::new(8).await;
    let told = served.ok("getApiLimit", &[]).await;
    assert_eq!(told["apilimit"]["apiAllowed"], -1);
    served.ok("resetApiLimit", &[]).await;
    let acme = domain(&served, "acme").await;
    let bob = person(&served, "bob", "0", &acme).await;
    let params = [
        ("account", "bob"),
        ("username", "bobby"),
        ("domainid", acme.as_str()),
        ("password", PASSWORD),
        ("email", "b@example.com"),
        ("firstname", "B"),
        ("lastname", "B"),
    ];
    let made: Value = served.ok("createUser", &params).await;
    assert_eq!(made["user"]["accountid"], bob.account);
    let twice = served.call("createUser", &params).await;
    assert_eq!(twice.status, 431, "{}", twice.body);
}
