// SPDX-License-Identifier: Apache-2.0
//! The command table against the facts about CloudStack's API in data/cloudstack-fields.json.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    reason = "a test fails by panicking"
)]

use std::collections::BTreeSet;

use outgate_api::command::{self, Answers, Command, Mode};
use serde_json::Value;

fn reference() -> Value {
    serde_json::from_str(include_str!("data/cloudstack-fields.json")).unwrap()
}

/// Commands that the facts do not cover: Outgate's own, and those of CloudStack that no client of ours calls.
const NOT_COVERED: &[&str] = &[
    "listAffinityGroups",
    "createRemoteAccessVpn",
    "listRemoteAccessVpns",
    "getLoadBalancerStatistics",
    "createLBStickinessPolicy",
    "updateLBStickinessPolicy",
    "deleteLBStickinessPolicy",
    "listLBStickinessPolicies",
    "createLBHealthCheckPolicy",
    "updateLBHealthCheckPolicy",
    "deleteLBHealthCheckPolicy",
    "listLBHealthCheckPolicies",
    "reserveIpAddress",
    "releaseIpAddress",
    "verifyRouter",
    "diagnoseNetwork",
    "traceFlow",
    "auditNetwork",
    "hardenNetwork",
    "renewVirtualMachineLease",
    "upgradeRouterTemplate",
    "scaleVirtualMachine",
    "updateServiceOffering",
    "deleteServiceOffering",
    "updateTemplate",
    "deleteTemplate",
    "prepareHostForMaintenance",
    "cancelHostMaintenance",
    "addNetworkServiceProvider",
    "deleteNetworkServiceProvider",
    "createVirtualRouterElement",
    "createInternalLoadBalancerElement",
    "listCapacity",
    "listSystemVms",
    "resetConfiguration",
    "listEventTypes",
    "archiveEvents",
    "deleteEvents",
    "listAlerts",
    "listAlertTypes",
    "generateAlert",
    "archiveAlerts",
    "deleteAlerts",
    "dedicatePublicIpRange",
    "releasePublicIpRange",
    // CloudStack's table gives it the fields of listNetworkServiceProviders.
    "listTrafficTypes",
    "listRouterSessions",
    "runDiagnostics",
    "getDiagnosticsData",
    "getSourceNatUsage",
    "getRouterHealthCheckResults",
    "listUsageRecords",
    "generateUsageRecords",
    "listUsageTypes",
    "removeRawUsageRecords",
    "migrateNetwork",
    "addSourceNatAddress",
    "removeSourceNatAddress",
    "listDomainChildren",
    "lockAccount",
    "enableUser",
    "disableUser",
    "lockUser",
    "getApiLimit",
    "resetApiLimit",
    "updateRole",
    "deleteRole",
    "listRolePermissions",
    "createRolePermission",
    "updateRolePermission",
    "deleteRolePermission",
    "addAccountToProject",
    "deleteAccountFromProject",
    "listProjectAccounts",
    "updateResourceLimit",
    "updateResourceCount",
];

/// Every command of the table that the facts cover, with its facts.
fn covered() -> Vec<(&'static Command, Value)> {
    let reference = reference();
    let commands = command::all().filter(|command| !NOT_COVERED.contains(&command.name));
    commands
        .map(|command| {
            let facts = reference.get(command.name);
            let facts = facts.unwrap_or_else(|| panic!("{} is not in NOT_COVERED", command.name));
            (command, facts.clone())
        })
        .collect()
}

#[test]
fn every_command_has_cloudstacks_mode_and_needs_what_it_needs_there() {
    for (command, facts) in covered() {
        let name = command.name;
        assert_eq!(command.mode != Mode::Sync, facts["mode"] == "async", "{name}");
        let strings = |key: &str| -> BTreeSet<String> {
            facts[key]
                .as_array()
                .unwrap()
                .iter()
                .map(|v| v.as_str().unwrap().to_lowercase())
                .collect()
        };
        let needed: BTreeSet<String> = command
            .parameters()
            .filter(|p| p.required)
            .map(|p| p.name.to_owned())
            .filter(|p| !ALSO_NEEDED.contains(&(name, p)))
            .collect();
        let mut expected = strings("required");
        expected.retain(|p| !NOT_NEEDED.contains(&(name, p)));
        assert_eq!(needed, expected, "{name}");
    }
}

/// Parameters without which Outgate cannot work although CloudStack can.
const ALSO_NEEDED: &[(&str, &str)] = &[];

/// Parameters without which Outgate works although CloudStack does not.
const NOT_NEEDED: &[(&str, &str)] = &[("createVPC", "displaytext")];

#[test]
fn no_parameter_is_one_that_cloudstack_does_not_have() {
    // Older servers and clients have them; CloudStack's own table lists them elsewhere.
    let also = [
        ("deployVirtualMachine", "projectid"),
        // CloudStack changes nothing with these two commands.
        ("updateFirewallRule", "cidrlist"),
        ("updateEgressFirewallRule", "cidrlist"),
        ("updateEgressFirewallRule", "destcidrlist"),
        ("listTemplates", "name"),
        ("listZones", "tags"),
        // Older servers have it.
        ("createZone", "securitygroupenabled"),
        ("listNetworks", "supportedservices"),
        // Settings of routers may differ by what routers are made from.
        ("listConfigurations", "networkofferingid"),
        ("listConfigurations", "networkid"),
        ("listConfigurations", "vpcofferingid"),
        ("listConfigurations", "vpcid"),
        ("updateConfiguration", "networkofferingid"),
        ("updateConfiguration", "networkid"),
        ("updateConfiguration", "vpcofferingid"),
        ("updateConfiguration", "vpcid"),
        ("resetConfiguration", "networkofferingid"),
        ("resetConfiguration", "networkid"),
        ("resetConfiguration", "vpcofferingid"),
        ("resetConfiguration", "vpcid"),
    ];
    for (command, facts) in covered() {
        let name = command.name;
        let known: BTreeSet<String> = facts["params"]
            .as_array()
            .unwrap()
            .iter()
            .map(|v| v.as_str().unwrap().to_lowercase())
            .collect();
        for param in command.parameters() {
            // Lists share their groups of parameters: what has no meaning for one is the same for all.
            let shared = [
                "tags",
                "projectid",
                "account",
                "domainid",
                "isrecursive",
                "listall",
                "keyword",
            ];
            let fine = known.contains(param.name) || shared.contains(&param.name);
            assert!(
                fine || also.contains(&(name, param.name)),
                "{name} {}",
                param.name
            );
        }
    }
}

#[test]
fn the_fields_that_are_declared_are_cloudstacks_and_of_its_types() {
    for (command, facts) in covered() {
        let name = command.name;
        let fields = match command.answers {
            // A list of the one that was added.
            Answers::List(_, fields) if ["addCluster", "addHost"].contains(&name) => fields,
            Answers::List(key, fields) => {
                assert_eq!(facts["list_key"].as_str(), Some(key), "{name}");
                fields
            }
            Answers::One("" | "user", fields) => fields,
            Answers::Entity(entity) => entity.fields(),
            Answers::One(..) | Answers::Success => continue,
        };
        for (field, kind) in fields {
            let there = facts["fields"][field].as_str();
            assert!(
                there.is_some() || EXTRA.contains(field),
                "{name}: CloudStack has no field {field}"
            );
            let Some(there) = there else { continue };
            let same = match *kind {
                "string" | "date" => there == "string" || there == "UUID",
                "integer" => there.starts_with("int"),
                "boolean" => there == "bool",
                "list" => there.starts_with("[]"),
                "map" => there.contains("map") || there.contains("Raw"),
                "number" => there == "float64",
                other => panic!("{other}"),
            };
            assert!(same, "{name}: {field} is {there} there, {kind} here");
        }
    }
}

/// Fields that clients read although CloudStack's own table does not list them.
const EXTRA: &[&str] = &[
    "role",
    "networkofferingconservemode",
    "secondaryip",
    "created",
    "jobid",
    "networkid",
    // Of IP forwarding rules, which libcloud reads unguarded.
    "startport",
    "endport",
    // Outgate's own.
    "sourcenatrole",
    "sourcenataddresses",
    "valuescope",
    "valuescopeid",
    // Of VPCs and their offerings: settings of their routers, as networks and their offerings show them.
    "details",
];

/// What the OpenAPI document does not know it would call a string.
#[test]
fn every_field_has_a_type_that_the_openapi_document_knows() {
    let known = ["string", "date", "integer", "number", "boolean", "list", "map"];
    for command in command::all() {
        for (name, kind) in command.fields() {
            assert!(known.contains(kind), "{} {name}: {kind}", command.name);
        }
    }
}
