// SPDX-License-Identifier: Apache-2.0
//! Who may see and do what, over the whole command table: every command, every parameter that gives an id, every kind of
//! object, three roles. What a caller may not see is answered byte for byte as what is not there; no list, keyword, tag,
//! count or error tells of it. A new command is taken in by itself; a new kind of object needs one in `matrix/cloud.rs`.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::print_stderr,
    reason = "a test fails by panicking"
)]

#[path = "matrix/cloud.rs"]
mod cloud;
mod common;

use cloud::{Cloud, Said, Tenant, id_params, is_provided};
use outgate_api::command::{self, Answers, Callers, Command, Handler};
use outgate_api::wire::params::{Kind, Of};
use outgate_model::id::RoleId;
use outgate_model::object::{Role, RolePermission, RoleType};
use uuid::Uuid;

type Params = Vec<(String, String)>;

/// Everybody.
struct Town {
    cloud: Cloud,
    /// A user of acme, a domain admin of acme.
    user: Tenant,
    chief: Tenant,
    /// In acme, beside the user: an account and a project that it has no part in.
    beside: Vec<Tenant>,
    /// Out of reach of both: the same in another domain.
    beyond: Vec<Tenant>,
}

impl Town {
    async fn new() -> Self {
        let cloud = Cloud::new().await;
        let (acme, zeta) = (cloud.domain("acme").await, cloud.domain("zeta").await);
        let user = cloud.tenant("ann", 0, &acme).await;
        let chief = cloud.tenant("chief", 2, &acme).await;
        let amy = cloud.tenant("hush-amy", 0, &acme).await;
        let quay = cloud.project("hush-quay", &amy).await;
        let mut zoe = cloud.tenant("hush-zoe", 0, &zeta).await;
        let mut zinc = cloud.project("hush-zinc", &zoe).await;
        let role = cloud.ok(
            &cloud.admin,
            "createRole",
            "name=hush-role; type=User; ispublic=false",
        );
        let role = common::text(&role.await["role"], "id").to_owned();
        zoe.ids.insert("Role".to_owned(), vec![role]);
        zinc.ids.remove("Role");
        let root = cloud.root().await;
        Self {
            cloud,
            user,
            chief,
            beside: vec![amy, quay],
            beyond: vec![zoe, zinc, root],
        }
    }

    /// The callers whom things are hidden from, with what is.
    fn callers(&self) -> [(&Tenant, RoleType, Vec<&Tenant>); 2] {
        let beyond = || self.beyond.iter();
        [
            (
                &self.user,
                RoleType::User,
                self.beside.iter().chain(beyond()).collect(),
            ),
            (&self.chief, RoleType::DomainAdmin, beyond().collect()),
        ]
    }

    /// What a command needs, but for `except`, with values that are right for the caller.
    fn needed(&self, who: &Tenant, command: &Command, except: &str) -> Params {
        let needed = command
            .parameters()
            .filter(|param| param.required && param.name != except);
        needed
            .flat_map(|param| self.value(who, command, param.name, param.kind))
            .collect()
    }

    fn value(&self, who: &Tenant, command: &Command, name: &str, kind: Kind) -> Params {
        let one = |value: String| vec![(name.to_owned(), value)];
        match kind {
            Kind::Uuid(of) | Kind::Uuids(of) => {
                let kind = format!("{of:?}");
                let provided = || self.cloud.provided.get(&kind).and_then(|ids| ids.first());
                let found = match of {
                    Of::Anything => who.one("Network"),
                    _ => who.one(&kind).or_else(provided),
                };
                let nobody = || Uuid::nil().to_string();
                one(found.cloned().unwrap_or_else(nobody))
            }
            Kind::Text(_) if name == "resourcetype" => one("Network".to_owned()),
            Kind::Text(_) => one(format!("matrix{}", command.name.len())),
            Kind::Secret(_) => one("secret".to_owned()),
            Kind::OneOf(words) => one(words[0].to_owned()),
            Kind::Int(min, max) => one(1.clamp(min, max).to_string()),
            Kind::Port => one("8080".to_owned()),
            Kind::Bool => one("true".to_owned()),
            Kind::Address => one("10.1.1.77".to_owned()),
            Kind::Mac => one("02:00:00:00:00:99".to_owned()),
            Kind::Cidrs => one("10.0.0.0/8".to_owned()),
            Kind::Date => one("2026-01-01".to_owned()),
            Kind::Maps => vec![(format!("{name}[0].key"), "matrix".to_owned())],
        }
    }

    async fn call(&self, who: &Tenant, command: &Command, params: &Params) -> Said {
        self.cloud.call(&who.keys, command.name, params).await
    }
}

fn with(mut params: Params, name: &str, value: &str) -> Params {
    params.push((name.to_owned(), value.to_owned()));
    params
}

/// The answer with one text in the place of another.
fn without(said: &Said, text: &str) -> (u16, String) {
    (said.0, said.1.to_string().replace(text, "…"))
}

/// Sessions are no signed calls.
fn signed(command: &Command) -> bool {
    !matches!(command.handler, Handler::Login | Handler::Logout)
}

impl Town {
    /// What is wrong with the answer about a hidden object, beside that about none.
    async fn compare(&self, who: &Tenant, param: (&Command, &str, Of), id: &str) -> Option<String> {
        let (command, name, of) = param;
        let needed = self.needed(who, command, name);
        let nobody = Uuid::new_v4().to_string();
        let there = self.call(who, command, &with(needed.clone(), name, id)).await;
        let absent = self.call(who, command, &with(needed, name, &nobody)).await;
        let fine = match of {
            Of::Anything => true,
            // Checked where it is used, which is after other things; some lists are always empty.
            Of::Project if name == "projectid" => there.0 != 200 || there.1.to_string().ends_with(":{}}"),
            _ => {
                let words = format!("Invalid parameter {name} value={id}");
                there.0 == 431 && there.1.to_string().contains(&words)
            }
        };
        let same = without(&there, id) == without(&absent, &nobody);
        let fault = || {
            format!(
                "{} {} {name}={of:?}: {there:?} but {absent:?}",
                who.name, command.name
            )
        };
        (!fine || !same).then(fault)
    }

    /// The same for a hidden object in a list after one of the caller's own.
    async fn compare_beside(
        &self,
        who: &Tenant,
        (command, name): (&Command, &str),
        own: &str,
        id: &str,
    ) -> Option<String> {
        let nobody = Uuid::new_v4().to_string();
        let both = |id: &str| with(self.needed(who, command, name), name, &format!("{own},{id}"));
        let there = self.call(who, command, &both(id)).await;
        let absent = self.call(who, command, &both(&nobody)).await;
        let same = without(&there, id) == without(&absent, &nobody);
        (!same).then(|| format!("{} {} {name}: {there:?} but {absent:?}", who.name, command.name))
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_caller_may_not_see_is_answered_as_what_is_not_there() {
    let town = Town::new().await;
    let (mut faults, mut pairs) = (Vec::new(), 0);
    for (who, role, hidden) in town.callers() {
        for (command, name, of, several) in id_params() {
            if !signed(command) || is_provided(of) || of == Of::Nothing || !command.callers.include(role) {
                continue;
            }
            let kind = format!("{:?}", if of == Of::Anything { Of::Network } else { of });
            let mut ids: Vec<&String> = hidden.iter().filter_map(|tenant| tenant.one(&kind)).collect();
            ids.retain(|id| who.one(&kind) != Some(id));
            let none_yet = kind == "Vpc" && command::find("createVPC").is_none();
            if ids.is_empty() && !only_of_admins(&kind) && !none_yet {
                faults.push(format!(
                    "{} {name}: make a {kind} in matrix/cloud.rs",
                    command.name
                ));
            }
            for id in ids {
                pairs += 1;
                faults.extend(town.compare(who, (command, name, of), id).await);
                if let (true, Some(own)) = (several, who.one(&kind)) {
                    faults.extend(town.compare_beside(who, (command, name), own, id).await);
                }
            }
        }
    }
    assert!(
        faults.is_empty(),
        "{} faults:\n{}",
        faults.len(),
        faults.join("\n")
    );
    assert!(pairs > 300, "only {pairs} pairs were compared");
}

/// Whether only root admins may name a kind anywhere: nobody else can tell such objects from none.
fn only_of_admins(kind: &str) -> bool {
    let mut named = id_params().filter(|(_, _, of, _)| format!("{of:?}") == kind);
    named.all(|(command, ..)| command.callers == Callers::RootAdmins)
}

/// Maps that give ids: command, parameter, field, kind. Every other map must be in [`NO_IDS`].
const ID_MAPS: &[(&str, &str, &str, &str)] = &[
    ("deployVirtualMachine", "iptonetworklist", "networkid", "Network"),
    ("assignToLoadBalancerRule", "vmidipmap", "vmid", "Guest"),
    ("removeFromLoadBalancerRule", "vmidipmap", "vmid", "Guest"),
];

/// Maps of free words.
const NO_IDS: &[&str] = &[
    "tags",
    "details",
    "accountdetails",
    "serviceproviderlist",
    "servicecapabilitylist",
    "param",
];

#[tokio::test(flavor = "multi_thread")]
async fn ids_within_maps_tell_nothing_either() {
    let town = Town::new().await;
    for command in command::all() {
        for param in command.parameters().filter(|param| param.kind == Kind::Maps) {
            let known = ID_MAPS
                .iter()
                .any(|(name, map, ..)| *name == command.name && *map == param.name);
            let (command, name) = (command.name, param.name);
            assert!(
                known || NO_IDS.contains(&name),
                "{command} {name}: add it to ID_MAPS or NO_IDS"
            );
        }
    }
    for (who, role, hidden) in town.callers() {
        for (name, map, field, kind) in ID_MAPS {
            let command = command::find(name).unwrap();
            for id in hidden.iter().filter_map(|tenant| tenant.one(kind)) {
                let nobody = Uuid::new_v4().to_string();
                let given = |id: &str| {
                    let params = with(town.needed(who, command, ""), &format!("{map}[0].{field}"), id);
                    with(
                        with(params, &format!("{map}[0].ip"), "10.1.1.9"),
                        &format!("{map}[0].vmip"),
                        "10.1.1.9",
                    )
                };
                let there = town.call(who, command, &given(id)).await;
                let absent = town.call(who, command, &given(&nobody)).await;
                assert_eq!(
                    without(&there, id),
                    without(&absent, &nobody),
                    "{role:?} {name} {map}"
                );
                assert_eq!(there.0, 431, "{role:?} {name} {map}: {there:?}");
            }
        }
    }
}

/// Ways to widen a list.
fn scopes(domain: &str) -> Vec<Params> {
    let one = |text: &str| {
        common::pairs(text)
            .iter()
            .map(|(n, v)| ((*n).to_owned(), (*v).to_owned()))
            .collect()
    };
    vec![
        one(""),
        one("listall=true"),
        one("listall=true; isrecursive=true"),
        one(&format!("domainid={domain}; isrecursive=true; listall=true")),
        one("projectid=-1"),
        one("projectid=-1; listall=true"),
        one("listall=true; allocatedonly=false; details=all; showunique=true"),
        one("keyword=hush"),
        one("listall=true; keyword=hush"),
        one("listall=true; tags[0].key=hush-amy-key"),
        one("listall=true; account=ann; domainid=$own"),
    ]
    .into_iter()
    .map(|params: Params| {
        let own = |(name, value): (String, String)| (name, value.replace("$own", domain));
        params.into_iter().map(own).collect()
    })
    .collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn no_list_shows_counts_or_finds_what_its_caller_may_not_see() {
    let town = Town::new().await;
    let (mut faults, mut calls) = (Vec::new(), 0);
    for (who, role, hidden) in town.callers() {
        let mut secrets: Vec<String> = Vec::new();
        for tenant in &hidden {
            secrets.extend(tenant.ids.values().flatten().cloned());
            secrets.push(tenant.name.to_owned());
            secrets.extend(tenant.addresses.iter().map(|address| format!("\"{address}\"")));
        }
        secrets.retain(|secret| !who.ids.values().any(|ids| ids.contains(secret)));
        for command in command::all().filter(|command| command.callers.include(role)) {
            let Answers::List(key, _) = command.answers else {
                continue;
            };
            for scope in scopes(&who.domain) {
                let mut params = town.needed(who, command, "");
                params.extend(scope.clone());
                let (status, body) = town.call(who, command, &params).await;
                calls += 1;
                let inner = &body[format!("{}response", command.name.to_lowercase())];
                let shown = inner[key].as_array().map_or(0, Vec::len);
                if status == 200 && inner.get("count").is_some_and(|count| *count != shown) {
                    faults.push(format!(
                        "{role:?} {} {scope:?}: counts more than it shows",
                        command.name
                    ));
                }
                let text = body.to_string();
                for secret in secrets.iter().filter(|secret| text.contains(secret.as_str())) {
                    faults.push(format!(
                        "{role:?} {} {scope:?} tells {secret}: {text:.2000}",
                        command.name
                    ));
                }
            }
        }
    }
    assert!(
        faults.is_empty(),
        "{} faults:\n{}",
        faults.len(),
        faults.join("\n")
    );
    assert!(calls > 300, "only {calls} lists were asked for");
}

#[tokio::test(flavor = "multi_thread")]
async fn names_of_others_are_answered_as_names_of_nobody() {
    let town = Town::new().await;
    let mut faults = Vec::new();
    for (who, role, _) in town.callers() {
        for command in command::all().filter(|command| signed(command) && command.callers.include(role)) {
            let takes = |name: &str| command.parameters().any(|param| param.name == name);
            let mut tries: Vec<(&str, &str, &str, bool)> = Vec::new();
            if takes("account") && takes("domainid") && role == RoleType::User {
                tries.push(("account", "hush-amy", "hush-aim", true));
            }
            if let Answers::List(..) = command.answers {
                for name in ["name", "keyword", "username", "displaytext"] {
                    if takes(name) {
                        tries.push((name, "hush-zoe", "hush-zap", false));
                        tries.push((name, "hush-zoe-net", "hush-zap-net", false));
                    }
                }
            }
            for (name, there, absent, in_domain) in tries {
                let params = |value: &str| {
                    let mut params = town.needed(who, command, name);
                    params.retain(|(other, _)| other != name && (other != "domainid" || !in_domain));
                    if in_domain {
                        params = with(params, "domainid", &who.domain);
                    }
                    with(params, name, value)
                };
                let said = town.call(who, command, &params(there)).await;
                let other = town.call(who, command, &params(absent)).await;
                if without(&said, there) != without(&other, absent) {
                    faults.push(format!(
                        "{role:?} {} {name}={there}: {said:?} but {other:?}",
                        command.name
                    ));
                }
            }
        }
    }
    assert!(
        faults.is_empty(),
        "{} faults:\n{}",
        faults.len(),
        faults.join("\n")
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_ones_own_or_within_reach_is_there_for_every_command_that_reads() {
    let town = Town::new().await;
    let mut faults = Vec::new();
    let admin = |tenant: &Tenant| Tenant {
        name: "admin",
        keys: outgate_manager::Credentials {
            api_key: town.cloud.admin.api_key.clone(),
            secret_key: town.cloud.admin.secret_key.clone(),
        },
        domain: tenant.domain.clone(),
        project: None,
        ids: tenant.ids.clone(),
        addresses: Vec::new(),
    };
    let root = admin(&town.user);
    let mut cases: Vec<(&Tenant, RoleType, &Tenant)> = vec![
        (&town.user, RoleType::User, &town.user),
        (&town.chief, RoleType::DomainAdmin, &town.user),
    ];
    cases.extend(
        town.beside
            .iter()
            .map(|tenant| (&town.chief, RoleType::DomainAdmin, tenant)),
    );
    cases.extend(town.beyond.iter().map(|tenant| (&root, RoleType::Admin, tenant)));
    for (who, role, owner) in cases {
        for (command, name, of, _) in id_params() {
            let reads = matches!(command.handler, Handler::Read(_));
            if !reads || is_provided(of) || !command.callers.include(role) {
                continue;
            }
            let Some(id) = owner.one(&format!("{of:?}")) else {
                continue;
            };
            let said = town
                .call(who, command, &with(town.needed(owner, command, name), name, id))
                .await;
            if said
                .1
                .to_string()
                .contains(&format!("Invalid parameter {name} value={id}"))
            {
                faults.push(format!(
                    "{role:?} {} {name}={of:?} of {}: {said:?}",
                    command.name, owner.name
                ));
            }
        }
    }
    assert!(
        faults.is_empty(),
        "{} faults:\n{}",
        faults.len(),
        faults.join("\n")
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn role_rules_decide_about_every_command_and_else_the_type_does() {
    let cloud = Cloud::new().await;
    let domain = cloud.domain("acme").await;
    for (kind, role_type) in [
        (0, RoleType::User),
        (2, RoleType::DomainAdmin),
        (1, RoleType::Admin),
    ] {
        let name = role_type.name();
        let who = format!("username={name}; account={name}; password=x; email=e; firstname=f; lastname=l");
        let made = cloud
            .ok(
                &cloud.admin,
                "createAccount",
                &format!("{who}; accounttype={kind}; domainid={domain}"),
            )
            .await;
        let account = &made["account"];
        let keys = cloud
            .ok(
                &cloud.admin,
                "registerUserKeys",
                &format!("id={}", common::text(&account["user"][0], "id")),
            )
            .await;
        let keys = outgate_manager::Credentials {
            api_key: common::text(&keys["userkeys"], "apikey").to_owned(),
            secret_key: common::text(&keys["userkeys"], "secretkey").to_owned(),
        };
        let made = cloud
            .ok(
                &cloud.admin,
                "createRole",
                &format!("name=Own {name}; type={name}"),
            )
            .await;
        let role = common::text(&made["role"], "id").to_owned();
        let give = format!("id={}; roleid={role}", common::text(account, "id"));
        cloud.ok(&cloud.admin, "updateAccount", &give).await;
        let role = RoleId(role.parse().unwrap());
        for command in command::all().filter(|command| signed(command)) {
            for (rule, may) in [
                (None, command.callers.include(role_type)),
                (Some(true), true),
                (Some(false), false),
            ] {
                set_rule(&cloud, role, command.name, rule).await;
                // An id that nobody has: nothing is done whatever the command.
                let nobody = vec![("id".to_owned(), Uuid::nil().to_string())];
                let called = cloud.call(&keys, command.name, &nobody).await;
                assert_eq!(
                    called.0 != 432,
                    may,
                    "{name} {} by {rule:?}: {called:?}",
                    command.name
                );
            }
        }
    }
}

async fn set_rule(cloud: &Cloud, role: RoleId, command: &str, allow: Option<bool>) {
    let result = cloud.world.manager.commit(|view, draft| {
        let old = view.get::<Role>(role).unwrap();
        let rules = allow.map(|allow| RolePermission {
            id: outgate_model::id::RolePermissionId::new(),
            rule: command.to_owned(),
            allow,
            description: String::new(),
        });
        let next = Role {
            permissions: rules.into_iter().collect(),
            ..Role::clone(old)
        };
        draft.update(old, next);
        Ok::<_, outgate_manager::CommitError>(())
    });
    result.await.unwrap();
}
