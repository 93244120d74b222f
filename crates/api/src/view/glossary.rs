// SPDX-License-Identifier: Apache-2.0
//! What each field of a response means: one line for each name, whatever object it stands in. `listApis`, the OpenAPI
//! document and the reference all read it here. Names made of another object's word and `id`, `name` and the like need
//! no line of their own.

/// What a field means. Errors of nobody: a name that is not listed is a failing test, see below.
pub fn describe(field: &str) -> Option<String> {
    let name = field.to_ascii_lowercase();
    if let Some(text) = fields::meaning(&name) {
        return Some(text.to_owned());
    }
    PARTS.iter().find_map(|(part, text)| {
        let stem = name.strip_suffix(part)?;
        let (_, noun) = NOUNS.iter().find(|(word, _)| *word == stem)?;
        Some(text.replace('@', noun))
    })
}

/// Ends of names, and what they say of the noun before them.
const PARTS: &[(&str, &str)] = &[
    ("displaytext", "what users read of the @"),
    ("displayname", "what users read as the name of the @"),
    ("details", "details of the @"),
    ("name", "the name of the @"),
    ("id", "the id of the @"),
    ("type", "the type of the @"),
    (
        "limit",
        "the most of the @ that the account may have; Unlimited for no limit",
    ),
    ("total", "how much of the @ the account has"),
    (
        "available",
        "how much of the @ the account may still take; Unlimited for no limit",
    ),
];

/// Words of other objects within names.
const NOUNS: &[(&str, &str)] = &[
    ("account", "account"),
    ("acl", "network ACL list"),
    ("associatednetwork", "network that uses it"),
    ("backup", "backups"),
    ("bucket", "buckets"),
    ("cluster", "cluster"),
    ("cpu", "CPU cores"),
    ("disk", "disk"),
    ("diskoffering", "disk offering"),
    ("domain", "domain"),
    ("guestnetwork", "guest network"),
    ("host", "host"),
    ("ip", "public addresses"),
    ("ipaddress", "public address"),
    ("iso", "ISO image"),
    ("linklocalnetwork", "control network"),
    ("loadbalancer", "load balancer rule"),
    ("managementserver", "management server"),
    ("memory", "memory in MiB"),
    ("network", "network"),
    ("networkoffering", "network offering"),
    ("nic", "NIC"),
    ("ostype", "operating system"),
    ("parentdomain", "domain above"),
    ("physicalnetwork", "physical network"),
    ("pod", "pod"),
    ("primarystorage", "primary storage in GiB"),
    ("project", "project"),
    ("publicip", "public address"),
    ("publicnetwork", "public network"),
    ("resource", "object"),
    ("role", "role"),
    ("secondarystorage", "secondary storage in GiB"),
    ("serviceoffering", "service offering"),
    ("snapshot", "snapshots"),
    ("systemvm", "system VM"),
    ("template", "template"),
    ("traffic", "traffic"),
    ("usage", "usage"),
    ("user", "user"),
    ("virtualmachine", "guest"),
    ("vlan", "public IP range"),
    ("vm", "guests"),
    ("volume", "volumes"),
    ("vpc", "VPC"),
    ("vpcoffering", "VPC offering"),
    ("zone", "zone"),
];

mod fields;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::command;

    #[test]
    fn every_field_of_every_command_is_described() {
        let missing: std::collections::BTreeSet<_> = command::all()
            .flat_map(|command| command.fields())
            .map(|(name, _)| *name)
            .filter(|name| describe(name).is_none())
            .collect();
        assert!(missing.is_empty(), "add to view/glossary/fields: {missing:?}");
    }

    #[test]
    fn the_lines_are_in_order_and_none_is_twice() {
        let lines: Vec<_> = fields::all().collect();
        for pair in lines.windows(2) {
            assert!(pair[0].0 < pair[1].0, "{} before {}", pair[0].0, pair[1].0);
        }
    }

    #[test]
    fn a_name_of_two_parts_is_described_by_them() {
        assert_eq!(describe("zoneid").unwrap(), "the id of the zone");
        assert_eq!(
            describe("vpclimit").unwrap(),
            "the most of the VPC that the account may have; Unlimited for no limit"
        );
        assert_eq!(describe("nosuchfield"), None);
    }
}
