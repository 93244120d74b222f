// SPDX-License-Identifier: Apache-2.0
//! Which columns a table shows when nobody says.

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD as BASE64;
use serde_json::Value;

/// By the key of a list or object: what people look for first.
const KNOWN: &[(&str, &[&str])] = &[
    (
        "network",
        &[
            "name",
            "state",
            "cidr",
            "type",
            "networkofferingname",
            "vpcname",
            "account",
            "id",
        ],
    ),
    (
        "publicipaddress",
        &[
            "ipaddress",
            "state",
            "issourcenat",
            "isstaticnat",
            "associatednetworkname",
            "vpcname",
            "virtualmachinename",
            "account",
            "id",
        ],
    ),
    (
        "virtualmachine",
        &[
            "name",
            "state",
            "nic.ipaddress",
            "nic.networkname",
            "hostname",
            "account",
            "id",
        ],
    ),
    (
        "router",
        &[
            "name",
            "state",
            "publicip",
            "guestipaddress",
            "linklocalip",
            "guestnetworkname",
            "vpcname",
            "version",
            "id",
        ],
    ),
    (
        "portforwardingrule",
        &[
            "ipaddress",
            "protocol",
            "publicport",
            "publicendport",
            "virtualmachinename",
            "vmguestip",
            "privateport",
            "state",
            "id",
        ],
    ),
    (
        "firewallrule",
        &[
            "ipaddress",
            "protocol",
            "startport",
            "endport",
            "icmptype",
            "cidrlist",
            "destcidrlist",
            "state",
            "id",
        ],
    ),
    (
        "ipforwardingrule",
        &[
            "ipaddress",
            "protocol",
            "startport",
            "endport",
            "virtualmachinename",
            "state",
            "id",
        ],
    ),
    (
        "loadbalancerrule",
        &[
            "name",
            "publicip",
            "protocol",
            "publicport",
            "privateport",
            "algorithm",
            "cidrlist",
            "state",
            "id",
        ],
    ),
    (
        "vpc",
        &[
            "name",
            "state",
            "cidr",
            "vpcofferingname",
            "network.name",
            "account",
            "id",
        ],
    ),
    ("networkacllist", &["name", "description", "vpcid", "id"]),
    (
        "networkacl",
        &[
            "number",
            "action",
            "traffictype",
            "protocol",
            "startport",
            "endport",
            "icmptype",
            "cidrlist",
            "aclname",
            "id",
        ],
    ),
    (
        "networkoffering",
        &[
            "name",
            "state",
            "guestiptype",
            "forvpc",
            "egressdefaultpolicy",
            "isdefault",
            "id",
        ],
    ),
    (
        "nic",
        &[
            "ipaddress",
            "networkname",
            "macaddress",
            "isdefault",
            "secondaryip.ipaddress",
            "id",
        ],
    ),
    ("zone", &["name", "networktype", "allocationstate", "dns1", "id"]),
    (
        "event",
        &["created", "level", "type", "state", "username", "description"],
    ),
    ("alert", &["sent", "type", "description", "id"]),
    (
        "asyncjobs",
        &[
            "created",
            "cmd",
            "jobstatus",
            "jobresultcode",
            "jobinstancetype",
            "jobid",
        ],
    ),
    (
        "account",
        &[
            "name",
            "accounttype",
            "rolename",
            "domain",
            "state",
            "iptotal",
            "networktotal",
            "id",
        ],
    ),
    (
        "user",
        &[
            "username",
            "account",
            "accounttype",
            "domain",
            "state",
            "email",
            "id",
        ],
    ),
    ("domain", &["name", "path", "level", "state", "id"]),
    ("project", &["name", "state", "displaytext", "domain", "id"]),
    ("configuration", &["name", "value", "category", "description"]),
    (
        "capacity",
        &["name", "capacityused", "capacitytotal", "percentused", "zonename"],
    ),
    (
        "host",
        &[
            "name",
            "state",
            "type",
            "ipaddress",
            "hypervisor",
            "zonename",
            "id",
        ],
    ),
    ("systemvm", &["name", "state", "systemvmtype", "publicip", "id"]),
    (
        "vlaniprange",
        &[
            "startip",
            "endip",
            "gateway",
            "netmask",
            "vlan",
            "forvirtualnetwork",
            "account",
            "id",
        ],
    ),
    ("tag", &["key", "value", "resourcetype", "resourceid", "account"]),
    (
        "usagerecord",
        &[
            "startdate",
            "enddate",
            "usagetype",
            "description",
            "usage",
            "account",
        ],
    ),
    (
        "routersession",
        &[
            "virtualmachinename",
            "protocol",
            "insideipaddress",
            "insideport",
            "publicipaddress",
            "publicport",
            "destinationipaddress",
            "destinationport",
            "direction",
            "state",
            "timeout",
            "sentbytes",
            "receivedbytes",
        ],
    ),
    (
        "sourcenatusage",
        &[
            "ipaddress",
            "sessions",
            "portsused",
            "portlimit",
            "percentused",
            "poolpercentused",
            "exhaustedin",
            "poolexhaustedin",
            "sessiontable.used",
            "sessiontable.limit",
            "sentbytes",
            "receivedbytes",
            "remedy",
        ],
    ),
    (
        "healthchecks",
        &["checkname", "checktype", "success", "details", "lastupdated"],
    ),
    ("resourcelimit", &["resourcetypename", "max", "account", "domain"]),
    ("api", &["name", "isasync", "description"]),
];

/// What is shown first of kinds that are not known, if there.
const FIRST: &[&str] = &[
    "name",
    "ipaddress",
    "displayname",
    "key",
    "value",
    "type",
    "state",
    "status",
    "cidr",
    "protocol",
    "description",
    "zonename",
    "account",
    "domain",
];
/// How many columns a table of an unknown kind has at most, its id not counted.
const MOST: usize = 7;

/// The columns for these objects: those of the known kind that any of the objects has.
pub fn of(kind: &str, items: &[Value]) -> Vec<String> {
    let there = |path: &&str| items.iter().any(|item| !path_text(item, path).is_empty());
    let known = KNOWN
        .iter()
        .find(|(name, _)| *name == kind)
        .map(|(_, columns)| *columns);
    let chosen: Vec<String> = known
        .unwrap_or_default()
        .iter()
        .filter(|c| there(c))
        .map(|c| (*c).to_owned())
        .collect();
    if chosen.is_empty() { guessed(items) } else { chosen }
}

fn guessed(items: &[Value]) -> Vec<String> {
    let mut found: Vec<String> = Vec::new();
    let fields = items
        .iter()
        .filter_map(Value::as_object)
        .flat_map(serde_json::Map::iter);
    let plain = fields.filter(|(name, value)| !value.is_array() && !value.is_object() && *name != "id");
    for (name, _) in plain {
        if !found.contains(name) {
            found.push(name.clone());
        }
    }
    let rank = |name: &String| {
        FIRST
            .iter()
            .position(|first| first == name)
            .unwrap_or(FIRST.len())
    };
    found.sort_by_key(rank);
    found.truncate(MOST);
    if items.iter().any(|item| !item["id"].is_null()) {
        found.push("id".to_owned());
    }
    found
}

/// What stands at a path like `nic.ipaddress`: of a list, that of each item, joined by commas.
pub fn path_text(item: &Value, path: &str) -> String {
    if let Value::Array(items) = item {
        let texts = items
            .iter()
            .map(|item| path_text(item, path))
            .filter(|text| !text.is_empty());
        return texts.collect::<Vec<_>>().join(",");
    }
    if path.is_empty() {
        return text(item);
    }
    let (field, rest) = path.split_once('.').unwrap_or((path, ""));
    let own = item
        .as_object()
        .and_then(|o| o.iter().find(|(name, _)| name.eq_ignore_ascii_case(field)));
    own.map(|(_, value)| path_text(value, rest)).unwrap_or_default()
}

/// A text that is sent as an address which holds it, as getDiagnosticsData's `url`.
const HELD: &str = "data:text/plain;charset=utf-8;base64,";

/// A value as one word or line, or a text of several lines as it is, safe to print.
pub fn lines(value: &Value) -> String {
    let held = value
        .as_str()
        .and_then(|text| BASE64.decode(text.strip_prefix(HELD)?).ok())
        .and_then(|bytes| String::from_utf8(bytes).ok());
    let whole = held.as_deref().or(value.as_str());
    let lines = whole.filter(|text| text.contains('\n')).map(|text| {
        let lines = text.trim_end().lines().map(text_of);
        lines.collect::<Vec<_>>().join("\n")
    });
    lines.unwrap_or_else(|| text(value))
}

fn text_of(line: &str) -> String {
    line.chars()
        .map(|c| if c.is_control() { ' ' } else { c })
        .collect()
}

/// A value as one word or line, safe to print: control characters, which could move a terminal's cursor, are left out.
pub fn text(value: &Value) -> String {
    match value {
        Value::Null => String::new(),
        Value::String(text) => text_of(text),
        Value::Array(items) => items.iter().map(text).collect::<Vec<_>>().join(","),
        Value::Object(object) => match (object.get("key"), object.get("value"), object.get("name")) {
            (Some(key), Some(value), _) => format!("{}={}", text(key), text(value)),
            (_, _, Some(name)) => text(name),
            _ => value.to_string(),
        },
        other => other.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_path_reaches_into_lists() {
        let guest = json!({"name": "g", "nic": [{"ipaddress": "10.1.1.2"}, {"ipaddress": "10.2.1.2"}], "tags": [{"key": "a", "value": "b"}]});
        assert_eq!(path_text(&guest, "nic.ipaddress"), "10.1.1.2,10.2.1.2");
        assert_eq!(path_text(&guest, "Tags"), "a=b");
        assert_eq!(path_text(&guest, "none.such"), "");
    }

    #[test]
    fn columns_that_no_object_has_are_left_out() {
        let networks = [json!({"id": "1", "name": "n", "state": "Allocated", "cidr": "10.1.1.0/24"})];
        assert_eq!(of("network", &networks), ["name", "state", "cidr", "id"]);
        assert_eq!(
            of(
                "unheardof",
                &[json!({"zz": 1, "id": "1", "name": "n", "list": []})]
            ),
            ["name", "zz", "id"]
        );
    }

    #[test]
    fn what_a_server_sends_cannot_drive_the_terminal() {
        assert_eq!(text(&json!("a\u{1b}[2Jb\nc")), "a [2Jb c");
        assert_eq!(lines(&json!("a\u{1b}[2Jb\nc\n")), "a [2Jb\nc");
        assert_eq!(
            lines(&json!("data:text/plain;charset=utf-8;base64,YRtiCmM=")),
            "a b\nc"
        );
    }
}
