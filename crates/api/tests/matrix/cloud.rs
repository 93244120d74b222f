// SPDX-License-Identifier: Apache-2.0
//! A cloud with tenants who own one object of every kind that there is, and calls to it within the process.
//!
//! Who adds a kind of object: make one in [`Cloud::furnish`]. Its ids are found by themselves when a list command of the
//! table answers with the kind; else add a line to [`PLACES`].

use std::collections::{BTreeMap, BTreeSet};

use outgate_api::command::{self, Command};
use outgate_api::wire::params::{Kind, Of};
use outgate_api::{Api, Incoming, catalog};
use outgate_manager::Credentials;
use serde_json::Value;

use crate::common::{World, pairs, signed_as, text};

/// Kinds whose ids stand elsewhere than as `id` in a list under the kind's own key: the list command, its parameters,
/// and the way to the ids (a name for a field, `*` for each element).
const PLACES: &[(&str, &str, &str, &[&str])] = &[
    (
        "FirewallRule",
        "listFirewallRules",
        "",
        &["firewallrule", "*", "id"],
    ),
    (
        "FirewallRule",
        "listEgressFirewallRules",
        "",
        &["firewallrule", "*", "id"],
    ),
    (
        "StickinessPolicy",
        "listLBStickinessPolicies",
        "lbruleid=$LoadBalancerRule",
        &["stickinesspolicies", "*", "stickinesspolicy", "*", "id"],
    ),
    (
        "HealthCheckPolicy",
        "listLBHealthCheckPolicies",
        "lbruleid=$LoadBalancerRule",
        &["healthcheckpolicies", "*", "healthcheckpolicy", "*", "id"],
    ),
    (
        "SecondaryIp",
        "listNics",
        "virtualmachineid=$Guest",
        &["nic", "*", "secondaryip", "*", "id"],
    ),
    (
        "NetworkAclItem",
        "listNetworkACLs",
        "",
        &["networkacl", "*", "id"],
    ),
    (
        "NetworkAclList",
        "listNetworkACLLists",
        "vpcid=$Vpc",
        &["networkacllist", "*", "id"],
    ),
    (
        "Nic",
        "listVirtualMachines",
        "",
        &["virtualmachine", "*", "nic", "*", "id"],
    ),
    ("Job", "listAsyncJobs", "", &["asyncjobs", "*", "jobid"]),
    (
        "IpForwardingRule",
        "listIpForwardingRules",
        "",
        &["ipforwardingrule", "*", "id"],
    ),
];

/// What the operator provides for everybody; what only root admins may name needs no line here.
const PROVIDED: &[&str] = &[
    "Zone",
    "NetworkOffering",
    "ServiceOffering",
    "Template",
    "VpcOffering",
    "PhysicalNetwork",
    "Range",
    "Host",
];

/// What the operator keeps to itself: [`Cloud::root`] holds it.
const HIDDEN: &[&str] = &["Pod", "Cluster"];

/// An account's user, or a project through its owner.
pub struct Tenant {
    pub name: &'static str,
    pub keys: Credentials,
    pub domain: String,
    pub project: Option<String>,
    /// The ids of what it owns, by kind.
    pub ids: BTreeMap<String, Vec<String>>,
    /// Public addresses of it.
    pub addresses: Vec<String>,
}

impl Tenant {
    /// One of its objects of a kind.
    pub fn one(&self, kind: &str) -> Option<&String> {
        self.ids.get(kind).and_then(|ids| ids.first())
    }
}

pub struct Cloud {
    pub world: World,
    pub api: Api,
    pub admin: Credentials,
    pub zone: String,
    /// The built-in ACL lists, which are everybody's beside a tenant's own.
    built_in: Vec<String>,
    /// Ids of what is everybody's, by kind.
    pub provided: BTreeMap<String, Vec<String>>,
}

/// An answer: status and body.
pub type Said = (u16, Value);

impl Cloud {
    pub async fn new() -> Self {
        let world = World::new(90).await;
        let api = Api::new(world.manager.clone());
        let admin = world.manager.admin_credentials().unwrap();
        let zone = world.zone.to_string();
        let mut cloud = Self {
            world,
            api,
            admin,
            zone,
            built_in: Vec::new(),
            provided: BTreeMap::new(),
        };
        cloud.built_in = cloud
            .listed(&cloud.admin, "NetworkAclList", &BTreeMap::new(), "")
            .await;
        for kind in PROVIDED {
            let found = cloud
                .listed(&cloud.admin, kind, &BTreeMap::new(), "templatefilter=all")
                .await;
            cloud.provided.insert((*kind).to_owned(), found);
        }
        cloud
    }

    /// Calls a command.
    pub async fn call(&self, who: &Credentials, command: &str, params: &[(String, String)]) -> Said {
        let params: Vec<(&str, &str)> = params.iter().map(|(n, v)| (n.as_str(), v.as_str())).collect();
        let query = signed_as(who, command, &params);
        let incoming = Incoming {
            query,
            ..Incoming::default()
        };
        let reply = self.api.answer(&incoming).await;
        (reply.status, reply.body)
    }

    /// Calls a command that succeeds; what its envelope holds, and, once its job has ended well, the new object's id.
    pub async fn ok(&self, who: &Credentials, command: &str, params: &str) -> Value {
        let owned: Vec<_> = pairs(params)
            .iter()
            .map(|(n, v)| ((*n).to_owned(), (*v).to_owned()))
            .collect();
        let (status, body) = self.call(who, command, &owned).await;
        assert_eq!(status, 200, "{command} {params}: {body}");
        let inner = body[format!("{}response", command.to_lowercase())].clone();
        if let Some(job) = inner["jobid"].as_str() {
            let job = outgate_model::id::JobId(job.parse().unwrap());
            let ended = self.world.ended(job).await;
            assert_eq!(
                ended,
                outgate_model::job::JobState::Succeeded,
                "{command} {params}"
            );
        }
        inner
    }

    /// A domain.
    pub async fn domain(&self, name: &str) -> String {
        let made = self
            .ok(&self.admin, "createDomain", &format!("name={name}"))
            .await;
        text(&made["domain"], "id").to_owned()
    }

    /// An account with a user and keys, and one object of every kind.
    pub async fn tenant(&self, name: &'static str, kind: u8, domain: &str) -> Tenant {
        let who = format!("username={name}; account={name}; password=x; email=e; firstname=f; lastname=l");
        let made = self
            .ok(
                &self.admin,
                "createAccount",
                &format!("{who}; accounttype={kind}; domainid={domain}"),
            )
            .await;
        let (account, user) = (&made["account"], &made["account"]["user"][0]);
        let keys = self
            .ok(
                &self.admin,
                "registerUserKeys",
                &format!("id={}", text(user, "id")),
            )
            .await;
        let mut tenant = Tenant {
            name,
            keys: Credentials {
                api_key: text(&keys["userkeys"], "apikey").to_owned(),
                secret_key: text(&keys["userkeys"], "secretkey").to_owned(),
            },
            domain: domain.to_owned(),
            project: None,
            ids: BTreeMap::new(),
            addresses: Vec::new(),
        };
        tenant
            .ids
            .insert("Account".to_owned(), vec![text(account, "id").to_owned()]);
        tenant
            .ids
            .insert("User".to_owned(), vec![text(user, "id").to_owned()]);
        tenant.ids.insert("Domain".to_owned(), vec![domain.to_owned()]);
        self.furnish(&mut tenant).await;
        tenant
    }

    /// What nobody but root admins may see of themselves.
    pub async fn root(&self) -> Tenant {
        let users = self.ok(&self.admin, "listUsers", "username=admin").await;
        let user = &users["user"][0];
        let one = |field: &str| vec![text(user, field).to_owned()];
        let pods = self.ok(&self.admin, "listPods", "").await;
        let clusters = self.ok(&self.admin, "listClusters", "").await;
        let ids = [
            ("User", one("id")),
            ("Account", one("accountid")),
            ("Domain", one("domainid")),
            ("Pod", vec![text(&pods["pod"][0], "id").to_owned()]),
            ("Cluster", vec![text(&clusters["cluster"][0], "id").to_owned()]),
        ];
        Tenant {
            name: "hush-root",
            keys: Credentials {
                api_key: self.admin.api_key.clone(),
                secret_key: self.admin.secret_key.clone(),
            },
            domain: text(user, "domainid").to_owned(),
            project: None,
            ids: ids
                .into_iter()
                .map(|(kind, ids)| (kind.to_owned(), ids))
                .collect(),
            addresses: Vec::new(),
        }
    }

    /// A project of a tenant, and one object of every kind that it may own.
    pub async fn project(&self, name: &'static str, owner: &Tenant) -> Tenant {
        let made = self
            .ok(
                &owner.keys,
                "createProject",
                &format!("name={name}; displaytext={name}"),
            )
            .await;
        let id = text(&made, "id").to_owned();
        let mut tenant = Tenant {
            name,
            keys: Credentials {
                api_key: owner.keys.api_key.clone(),
                secret_key: owner.keys.secret_key.clone(),
            },
            domain: owner.domain.clone(),
            project: Some(id.clone()),
            ids: BTreeMap::new(),
            addresses: Vec::new(),
        };
        tenant.ids.insert("Project".to_owned(), vec![id]);
        self.furnish(&mut tenant).await;
        tenant
    }

    /// Makes one object of every kind for a tenant. Names begin with the tenant's.
    async fn furnish(&self, tenant: &mut Tenant) {
        let (keys, name, zone) = (&tenant.keys, tenant.name, &self.zone);
        let of = tenant
            .project
            .as_ref()
            .map_or(String::new(), |id| format!("; projectid={id}"));
        let find = |kind: &str| self.provided[kind].first().cloned().unwrap_or_default();
        let offering = self.world.offering(outgate_manager::bootstrap::OFFERING_DENY);
        let create = format!("name={name}-net; networkofferingid={offering}; zoneid={zone}{of}");
        let network = self.ok(keys, "createNetwork", &create).await;
        let network = text(&network["network"], "id").to_owned();
        let (service, template) = (find("ServiceOffering"), find("Template"));
        let deploy = format!(
            "name={name}-vm; zoneid={zone}; serviceofferingid={service}; templateid={template}; networkids={network}{of}"
        );
        let guest = text(&self.ok(keys, "deployVirtualMachine", &deploy).await, "id").to_owned();
        let guests = self.ok(keys, "listVirtualMachines", &format!("id={guest}")).await;
        let nic = text(&guests["virtualmachine"][0]["nic"][0], "id").to_owned();
        self.ok(keys, "addIpToNic", &format!("nicid={nic}")).await;
        let mut addresses = Vec::new();
        for _ in 0..2 {
            let made = self
                .ok(keys, "associateIpAddress", &format!("networkid={network}"))
                .await;
            addresses.push(text(&made, "id").to_owned());
        }
        let more = format!("networkid={network}");
        self.ok(keys, "addSourceNatAddress", &more).await;
        let [ip, own] = [&addresses[0], &addresses[1]];
        self.rules(keys, &network, &guest, ip, own, name).await;
        if command::find("createVPC").is_some() {
            self.vpc(keys, name, &of).await;
        }
        let types = [("Network", &network), ("UserVm", &guest), ("PublicIpAddress", ip)];
        for (kind, id) in types {
            let tag = format!(
                "resourceids={id}; resourcetype={kind}; tags[0].key={name}-key; tags[0].value={name}-value"
            );
            self.ok(keys, "createTags", &tag).await;
        }
        self.collect(tenant).await;
    }

    async fn rules(&self, keys: &Credentials, network: &str, guest: &str, ip: &str, own: &str, name: &str) {
        let tcp = "protocol=tcp; startport=80; endport=81";
        self.ok(keys, "createFirewallRule", &format!("ipaddressid={ip}; {tcp}"))
            .await;
        self.ok(
            keys,
            "createEgressFirewallRule",
            &format!("networkid={network}; {tcp}"),
        )
        .await;
        let forward = format!(
            "ipaddressid={ip}; virtualmachineid={guest}; protocol=tcp; publicport=22; privateport=22"
        );
        self.ok(keys, "createPortForwardingRule", &forward).await;
        let balance =
            format!("name={name}-lb; publicipid={ip}; algorithm=roundrobin; publicport=443; privateport=443");
        let rule = text(&self.ok(keys, "createLoadBalancerRule", &balance).await, "id").to_owned();
        let stick = format!("lbruleid={rule}; name={name}-sticky; methodname=SourceBased");
        self.ok(keys, "createLBStickinessPolicy", &stick).await;
        self.ok(keys, "createLBHealthCheckPolicy", &format!("lbruleid={rule}"))
            .await;
        self.ok(
            keys,
            "enableStaticNat",
            &format!("ipaddressid={own}; virtualmachineid={guest}"),
        )
        .await;
        self.ok(
            keys,
            "createIpForwardingRule",
            &format!("ipaddressid={own}; protocol=tcp; startport=25"),
        )
        .await;
    }

    async fn vpc(&self, keys: &Credentials, name: &str, of: &str) {
        let offering = self.provided["VpcOffering"].first().cloned().unwrap_or_default();
        let create = format!(
            "name={name}-vpc; displaytext={name}-vpc; cidr=10.7.0.0/16; vpcofferingid={offering}; zoneid={}{of}",
            self.zone
        );
        let vpc = text(&self.ok(keys, "createVPC", &create).await, "id").to_owned();
        let list = format!("name={name}-acl; vpcid={vpc}");
        let list = text(&self.ok(keys, "createNetworkACLList", &list).await, "id").to_owned();
        let item = format!("aclid={list}; protocol=all; number=7; traffictype=Ingress");
        self.ok(keys, "createNetworkACL", &item).await;
        let tier = self.world.offering(outgate_manager::bootstrap::OFFERING_TIER);
        let tier = format!(
            "name={name}-tier; networkofferingid={tier}; zoneid={}; vpcid={vpc}; gateway=10.7.1.1; netmask=255.255.255.0; \
             aclid={list}{of}",
            self.zone
        );
        self.ok(keys, "createNetwork", &tier).await;
        let route = format!("vpcid={vpc}; cidr=10.9.0.0/24; nexthop=10.7.1.9");
        self.ok(keys, "createStaticRoute", &route).await;
        let physical = self.provided["PhysicalNetwork"]
            .first()
            .cloned()
            .unwrap_or_default();
        let octet = name.bytes().map(u32::from).sum::<u32>() % 200 + 20;
        let gateway = format!(
            "vpcid={vpc}; gateway=10.200.0.1; netmask=255.255.255.0; ipaddress=10.200.0.{octet}; vlan={}; \
             physicalnetworkid={physical}",
            100 + octet
        );
        self.ok(&self.admin, "createPrivateGateway", &gateway).await;
    }

    /// Notes the ids of what a tenant owns.
    async fn collect(&self, tenant: &mut Tenant) {
        let of = tenant
            .project
            .as_ref()
            .map_or(String::new(), |id| format!("projectid={id}"));
        let kinds: BTreeSet<String> = id_params().map(|(_, _, of, _)| format!("{of:?}")).collect();
        for _ in 0..2 {
            for kind in &kinds {
                let is_nobodys = PROVIDED.iter().chain(HIDDEN).any(|known| *known == kind);
                if tenant.ids.contains_key(kind) || is_nobodys {
                    continue;
                }
                let mut found = self.listed(&tenant.keys, kind, &tenant.ids, &of).await;
                // What only root admins list, such as routers.
                if found.is_empty() {
                    let account = format!(
                        "account={}; domainid={}; listall=true",
                        tenant.name, tenant.domain
                    );
                    let of = if of.is_empty() { &account } else { &of };
                    found = self.listed(&self.admin, kind, &tenant.ids, of).await;
                }
                found.retain(|id| !self.built_in.contains(id));
                if !found.is_empty() {
                    tenant.ids.insert(kind.clone(), found);
                }
            }
        }
        let listed = self.ok(&tenant.keys, "listPublicIpAddresses", &of).await;
        let all = listed["publicipaddress"].as_array().cloned().unwrap_or_default();
        tenant.addresses = all.iter().map(|ip| text(ip, "ipaddress").to_owned()).collect();
    }

    /// The ids of a kind that a caller's lists show.
    async fn listed(
        &self,
        who: &Credentials,
        kind: &str,
        known: &BTreeMap<String, Vec<String>>,
        params: &str,
    ) -> Vec<String> {
        let mut found = Vec::new();
        let placed: Vec<_> = PLACES.iter().filter(|(of, ..)| *of == kind).collect();
        for (_, command, more, path) in &placed {
            let mut given: Vec<(String, String)> = Vec::new();
            for (name, value) in pairs(more).into_iter().chain(pairs(params)) {
                let value = match value.strip_prefix('$') {
                    Some(kind) => known
                        .get(kind)
                        .and_then(|ids| ids.first())
                        .cloned()
                        .unwrap_or_default(),
                    None => value.to_owned(),
                };
                given.push((name.to_owned(), value));
            }
            if command::find(command).is_some() {
                let (_, body) = self.call(who, command, &given).await;
                follow(
                    &body[format!("{}response", command.to_lowercase())],
                    path,
                    &mut found,
                );
            }
        }
        if placed.is_empty() {
            let given: Vec<_> = pairs(params)
                .iter()
                .map(|(n, v)| ((*n).to_owned(), (*v).to_owned()))
                .collect();
            for command in lists_of(kind) {
                let (_, body) = self.call(who, command, &given).await;
                let inner = body[format!("{}response", command.to_lowercase())].clone();
                for list in inner.as_object().into_iter().flat_map(|object| object.values()) {
                    follow(list, &["*", "id"], &mut found);
                }
            }
        }
        found
    }
}

fn follow(value: &Value, path: &[&str], found: &mut Vec<String>) {
    match path {
        [] => found.extend(value.as_str().map(str::to_owned)),
        ["*", rest @ ..] => value
            .as_array()
            .into_iter()
            .flatten()
            .for_each(|one| follow(one, rest, found)),
        [name, rest @ ..] => follow(&value[*name], rest, found),
    }
}

/// The list commands that answer with a kind, by `listApis`.
fn lists_of(kind: &str) -> Vec<&'static str> {
    let named = id_params().find(|(_, _, of, _)| format!("{of:?}") == kind);
    let Some((command, name, ..)) = named else {
        return Vec::new();
    };
    let described = catalog::api(command);
    let params = described["params"].as_array().cloned().unwrap_or_default();
    let param = params.iter().find(|param| param["name"] == name);
    let related = param
        .and_then(|param| param["related"].as_str())
        .unwrap_or_default();
    related
        .split(',')
        .filter_map(|name| Some(command::find(name)?.name))
        .collect()
}

/// Every parameter of the table that gives ids: command, name, kind of object, and whether it gives several.
pub fn id_params() -> impl Iterator<Item = (&'static Command, &'static str, Of, bool)> {
    command::all().flat_map(|command| {
        command.parameters().filter_map(move |param| match param.kind {
            Kind::Uuid(of) => Some((command, param.name, of, false)),
            Kind::Uuids(of) => Some((command, param.name, of, true)),
            Kind::Text(36) if param.name == "projectid" => Some((command, param.name, Of::Project, false)),
            _ => None,
        })
    })
}

/// Whether a kind is everybody's.
pub fn is_provided(of: Of) -> bool {
    PROVIDED.contains(&format!("{of:?}").as_str())
}
