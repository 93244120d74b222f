// SPDX-License-Identifier: Apache-2.0
//! Names where ids are asked for: `networkid=lab-net`. A parameter's name and its command tell which list to look in.

use serde_json::Value;

use super::catalog::{Api, Catalog};
use super::request::{Request, outer};
use crate::client::{Client, is_called};
use crate::exit::Usage;
use crate::near::instead;

/// What parameters are called, in front of `id` or `ids`, where that is not what their lists are called.
const ALIASES: &[(&str, &str)] = &[
    ("ipaddress", "listPublicIpAddresses"),
    ("publicip", "listPublicIpAddresses"),
    ("vm", "listVirtualMachines"),
    ("acl", "listNetworkACLLists"),
    ("networkaclitem", "listNetworkACLs"),
    ("gateway", "listPrivateGateways"),
    ("associatednetwork", "listNetworks"),
    ("uservm", "listVirtualMachines"),
    ("loadbalancer", "listLoadBalancerRules"),
    ("lbrule", "listLoadBalancerRules"),
    ("parentdomain", "listDomains"),
    ("loadbalancerruleinstance", "listLoadBalancerRules"),
    ("loadbalancerstatistics", "listLoadBalancerRules"),
    ("virtualmachinelease", "listVirtualMachines"),
    ("userkeys", "listUsers"),
    ("target", "listRouters"),
    ("routertemplate", "listRouters"),
    ("hostmaintenance", "listHosts"),
];

/// Lists that want to know more.
const MORE: &[(&str, &str, &str)] = &[
    ("listTemplates", "templatefilter", "executable"),
    ("listIsos", "isofilter", "executable"),
];

/// The list that holds what `param` of `command` names. What tags are put on is of the kind that `resourcetype` says.
/// `None` where there is no list, or only one that wants to know more than a name.
pub fn lister<'a>(
    catalog: &'a Catalog,
    command: &str,
    param: &str,
    resource_type: Option<&str>,
) -> Option<&'a Api> {
    let param = param.to_lowercase();
    let noun = match param.strip_suffix("ids").or_else(|| param.strip_suffix("id"))? {
        "" => noun_of(command),
        "resource" => resource_type?.to_lowercase(),
        noun => noun.to_owned(),
    };
    if let Some((_, list)) = ALIASES.iter().find(|(alias, _)| *alias == noun) {
        return catalog.find(list).filter(|list| is_enough(list));
    }
    let plural = noun.strip_suffix('y').map(|stem| format!("list{stem}ies"));
    let names = [
        plural,
        Some(format!("list{noun}s")),
        Some(format!("list{noun}es")),
        Some(format!("list{noun}")),
    ];
    let found = names.iter().flatten().find_map(|name| catalog.find(name));
    found.filter(|list| is_enough(list))
}

/// Whether a list can be asked without knowing more than [`MORE`] does.
fn is_enough(list: &Api) -> bool {
    let known = |param: &str| {
        MORE.iter()
            .any(|(name, more, _)| *name == list.name && *more == param)
    };
    list.params
        .iter()
        .all(|param| !param.required || known(&param.name))
}

/// What a command is about, in lower case: `network` of `restartNetwork` and of `listNetworks`.
fn noun_of(command: &str) -> String {
    let start = command.find(|c: char| c.is_ascii_uppercase()).unwrap_or(0);
    let noun = command[start..].to_lowercase();
    let noun = ["to", "from"]
        .iter()
        .find_map(|word| {
            noun.strip_prefix(word)
                .filter(|_| command.starts_with("assign") || command.starts_with("remove"))
        })
        .unwrap_or(&noun);
    if command.starts_with("list") {
        noun.strip_suffix('s').unwrap_or(noun).to_owned()
    } else {
        noun.to_owned()
    }
}

/// What a list holds whose name may contain `part`; `project` narrows it to one project's things.
pub fn look(client: &Client, list: &Api, part: &str, project: Option<&str>) -> anyhow::Result<Vec<Value>> {
    let mut params: Vec<(&str, &str)> = Vec::new();
    let takes = |name: &str| list.param(name).is_some();
    if takes("listall") {
        params.push(("listall", "true"));
    }
    if let Some(project) = project.filter(|_| takes("projectid")) {
        params.push(("projectid", project));
    }
    if !part.is_empty() && takes("keyword") {
        params.push(("keyword", part));
    }
    params.extend(
        MORE.iter()
            .filter(|(name, ..)| *name == list.name)
            .map(|(_, name, value)| (*name, *value)),
    );
    client.list(&list.name, &params)
}

/// Whether a value is an id already, or one of the numbers that stand for one.
fn is_id(value: &str) -> bool {
    let hex = |part: &str, len| part.len() == len && part.chars().all(|c| c.is_ascii_hexdigit());
    let parts: Vec<&str> = value.split('-').collect();
    value.is_empty()
        || value.parse::<i64>().is_ok()
        || (parts.len() == 5
            && parts
                .iter()
                .zip([8, 4, 4, 4, 12])
                .all(|(part, len)| hex(part, len)))
}

/// Puts ids in the place of names, wherever the server asks for an id and was given something else. Errors (usage) when
/// a name is nobody's or several have it.
pub fn resolve(client: &Client, catalog: &Catalog, api: &Api, request: &mut Request) -> anyhow::Result<()> {
    let project = request
        .params
        .iter()
        .find(|(n, v)| n == "projectid" && is_id(v))
        .map(|(_, v)| v.clone());
    let resource_type = request
        .params
        .iter()
        .find(|(n, _)| n == "resourcetype")
        .map(|(_, v)| v.clone());
    for (name, value) in &mut request.params {
        let Some(param) = api.param(name).filter(|_| !name.contains('[')) else {
            continue;
        };
        let ids = param.kind == "list" && outer(name).ends_with("ids");
        if (param.kind != "uuid" && !ids) || value.split(',').all(is_id) {
            continue;
        }
        let Some(list) = lister(catalog, &api.name, name, resource_type.as_deref()) else {
            continue;
        };
        let parts = if ids {
            value.split(',').collect()
        } else {
            vec![value.as_str()]
        };
        let found = parts
            .iter()
            .map(|part| one(client, list, name, part, project.as_deref()));
        *value = found.collect::<anyhow::Result<Vec<_>>>()?.join(",");
    }
    Ok(())
}

fn one(
    client: &Client,
    list: &Api,
    param: &str,
    wanted: &str,
    project: Option<&str>,
) -> anyhow::Result<String> {
    if is_id(wanted) {
        return Ok(wanted.to_owned());
    }
    let found = look(client, list, wanted, project)?;
    let mut ids: Vec<&str> = found
        .iter()
        .filter(|o| is_called(o, wanted))
        .filter_map(|o| o["id"].as_str())
        .collect();
    ids.sort_unstable();
    match ids[..] {
        [id] => Ok(id.to_owned()),
        [] => {
            let all = look(client, list, "", project)?;
            Err(Usage(format!(
                "{param}: {wanted} is neither an id nor a name in {}{}",
                list.name,
                instead(wanted, &names(&all))
            ))
            .into())
        }
        _ => Err(Usage(format!(
            "{param}: several in {} are called {wanted}: {}",
            list.name,
            ids.join(", ")
        ))
        .into()),
    }
}

/// What objects are called: by name, else by address.
fn names(objects: &[Value]) -> Vec<String> {
    let name = |object: &Value| {
        let keys = ["name", "username", "ipaddress"];
        keys.iter()
            .find_map(|key| object[*key].as_str())
            .map(str::to_owned)
    };
    objects.iter().filter_map(name).collect()
}

#[cfg(test)]
mod tests {
    use super::super::catalog::Param;
    use super::*;

    #[test]
    fn a_list_that_wants_more_than_a_name_is_not_asked() {
        let required = Param {
            name: "virtualmachineid".to_owned(),
            required: true,
            ..Param::default()
        };
        let list = Api {
            name: "listNics".to_owned(),
            params: vec![required],
            ..Api::default()
        };
        let catalog = Catalog { commands: vec![list] };
        assert!(lister(&catalog, "updateVmNicIp", "nicid", None).is_none());
    }

    #[test]
    fn the_list_behind_an_id_follows_from_its_name_and_its_command() {
        let names = [
            "listNetworks",
            "listPublicIpAddresses",
            "listVirtualMachines",
            "listNetworkACLLists",
            "listNetworkACLs",
            "listVPCs",
            "listLoadBalancerRules",
            "listPods",
            "listDomains",
            "listRouters",
            "listUsers",
        ];
        let commands = names
            .iter()
            .map(|n| Api {
                name: (*n).to_owned(),
                ..Api::default()
            })
            .collect();
        let catalog = Catalog { commands };
        let of =
            |command, param| lister(&catalog, command, param, Some("UserVm")).map(|api| api.name.as_str());
        assert_eq!(of("deleteNetwork", "id"), Some("listNetworks"));
        assert_eq!(of("listNetworks", "id"), Some("listNetworks"));
        assert_eq!(
            of("createPortForwardingRule", "ipaddressid"),
            Some("listPublicIpAddresses")
        );
        assert_eq!(of("disassociateIpAddress", "id"), Some("listPublicIpAddresses"));
        assert_eq!(
            of("assignToLoadBalancerRule", "id"),
            Some("listLoadBalancerRules")
        );
        assert_eq!(
            of("assignToLoadBalancerRule", "virtualmachineids"),
            Some("listVirtualMachines")
        );
        assert_eq!(of("createNetworkACL", "aclid"), Some("listNetworkACLLists"));
        assert_eq!(of("deleteNetworkACL", "id"), Some("listNetworkACLs"));
        assert_eq!(of("restartVPC", "id"), Some("listVPCs"));
        assert_eq!(of("createTags", "resourceids"), Some("listVirtualMachines"));
        assert_eq!(
            of("listLoadBalancerRuleInstances", "id"),
            Some("listLoadBalancerRules")
        );
        assert_eq!(of("runDiagnostics", "targetid"), Some("listRouters"));
        assert_eq!(of("getUserKeys", "id"), Some("listUsers"));
        assert_eq!(of("createNetwork", "name"), None);
    }

    #[test]
    fn an_id_is_not_looked_up() {
        assert!(is_id("2f1a0f4e-1111-4222-8333-123456789abc") && is_id("-1") && is_id(""));
        assert!(!is_id("lab-net") && !is_id("203.0.113.11"));
    }
}
