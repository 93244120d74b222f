// SPDX-License-Identifier: Apache-2.0
//! Events: what happened, for `listEvents`.

use serde::{Deserialize, Serialize};

use crate::id::{AccountId, EventId, JobId, UserId};

/// How grave an event is, in CloudStack's words.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "UPPERCASE")]
pub enum Level {
    /// As wanted.
    Info,
    /// Needs a look: something differed and was repaired.
    Warn,
    /// Failed.
    Error,
}

impl Level {
    /// CloudStack's word.
    pub fn name(self) -> &'static str {
        match self {
            Self::Info => "INFO",
            Self::Warn => "WARN",
            Self::Error => "ERROR",
        }
    }
}

/// One event.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Event {
    /// Its id.
    pub id: EventId,
    /// CloudStack's type such as `NETWORK.CREATE`; Outgate's own: `ROUTER.DRIFT`, `ROUTER.REPAIR`, `ORPHAN.REMOVE`.
    #[serde(rename = "type")]
    pub kind: String,
    /// How grave.
    pub level: Level,
    /// What happened, in one sentence.
    pub description: String,
    /// Whose object it is about.
    pub account: Option<AccountId>,
    /// The job it belongs to.
    pub job: Option<JobId>,
    /// The user who made it happen; of what a job did later, the job's. `None` for what happened by itself.
    #[serde(default)]
    pub user: Option<UserId>,
    /// The object it is about: kind and id, such as `Network`, `0a1b…`.
    pub resource: Option<(String, uuid::Uuid)>,
    /// When.
    pub created: jiff::Timestamp,
    /// Whether an administrator has put it away.
    #[serde(default)]
    pub archived: bool,
}

/// The types of events that there are, in order.
pub const TYPES: &[&str] = &[
    "ACCOUNT.CREATE",
    "ACCOUNT.DELETE",
    "ACCOUNT.DISABLE",
    "ACCOUNT.ENABLE",
    "ACCOUNT.UPDATE",
    "ALERT.GENERATE",
    "CLUSTER.CREATE",
    "CLUSTER.DELETE",
    "CLUSTER.EDIT",
    "CONFIGURATION.VALUE.EDIT",
    "CONFIGURATION.VALUE.RESET",
    "DOMAIN.CREATE",
    "DOMAIN.DELETE",
    "DOMAIN.UPDATE",
    "FIREWALL.CLOSE",
    "FIREWALL.EGRESS.CLOSE",
    "FIREWALL.EGRESS.OPEN",
    "FIREWALL.EGRESS.UPDATE",
    "FIREWALL.OPEN",
    "FIREWALL.UPDATE",
    "HOST.EDIT",
    "JOB.FAILED",
    "LB.ASSIGN.TO.RULE",
    "LB.CREATE",
    "LB.DELETE",
    "LB.HEALTHCHECKPOLICY.CREATE",
    "LB.HEALTHCHECKPOLICY.DELETE",
    "LB.HEALTHCHECKPOLICY.UPDATE",
    "LB.REMOVE.FROM.RULE",
    "LB.STICKINESSPOLICY.CREATE",
    "LB.STICKINESSPOLICY.DELETE",
    "LB.STICKINESSPOLICY.UPDATE",
    "LB.UPDATE",
    "MAINT.CANCEL",
    "MAINT.PREPARE",
    "NET.IPASSIGN",
    "NET.IPRELEASE",
    "NET.IPRESERVE",
    "NET.IPUPDATE",
    "NET.RULEADD",
    "NET.RULEDELETE",
    "NET.RULEMODIFY",
    "NETWORK.ACL.CREATE",
    "NETWORK.ACL.DELETE",
    "NETWORK.ACL.ITEM.CREATE",
    "NETWORK.ACL.ITEM.DELETE",
    "NETWORK.ACL.ITEM.MOVE",
    "NETWORK.ACL.ITEM.UPDATE",
    "NETWORK.ACL.REPLACE",
    "NETWORK.ACL.UPDATE",
    "NETWORK.CREATE",
    "NETWORK.DELETE",
    "NETWORK.ELEMENT.CONFIGURE",
    "NETWORK.HARDEN",
    "NETWORK.IMPLEMENT",
    "NETWORK.MIGRATE",
    "NETWORK.OFFERING.CREATE",
    "NETWORK.OFFERING.DELETE",
    "NETWORK.OFFERING.EDIT",
    "NETWORK.RESTART",
    "NETWORK.SHUTDOWN",
    "NETWORK.SOURCENAT.ADD",
    "NETWORK.SOURCENAT.REMOVE",
    "NETWORK.UPDATE",
    "NETWORK.UPDATE.SOURCENAT",
    "NIC.CREATE",
    "NIC.DELETE",
    "NIC.SECONDARY.IP.ASSIGN",
    "NIC.SECONDARY.IP.UNASSIGN",
    "NIC.UPDATE",
    "ORPHAN.REMOVE",
    "PHYSICAL.NETWORK.CREATE",
    "PHYSICAL.NETWORK.DELETE",
    "PHYSICAL.NETWORK.UPDATE",
    "POD.CREATE",
    "POD.DELETE",
    "POD.EDIT",
    "PRIVATE.GATEWAY.CREATE",
    "PRIVATE.GATEWAY.DELETE",
    "PROJECT.ACCOUNT.ADD",
    "PROJECT.ACCOUNT.REMOVE",
    "PROJECT.ACTIVATE",
    "PROJECT.CREATE",
    "PROJECT.DELETE",
    "PROJECT.SUSPEND",
    "PROJECT.UPDATE",
    "REGISTER.USER.KEY",
    "RESOURCE.LIMIT.UPDATE",
    "ROLE.CREATE",
    "ROLE.DELETE",
    "ROLE.PERMISSION.CREATE",
    "ROLE.PERMISSION.DELETE",
    "ROLE.PERMISSION.UPDATE",
    "ROLE.UPDATE",
    "ROUTER.CREATE",
    "ROUTER.DESTROY",
    "ROUTER.DIAGNOSTICS",
    "ROUTER.DRIFT",
    "ROUTER.ERROR",
    "ROUTER.HEALTH.CHECKS",
    "ROUTER.LIMIT",
    "ROUTER.LOST",
    "ROUTER.REBOOT",
    "ROUTER.START",
    "ROUTER.STOP",
    "ROUTER.UPGRADE",
    "SERVICE.OFFERING.CREATE",
    "SERVICE.OFFERING.DELETE",
    "SERVICE.OFFERING.EDIT",
    "SERVICE.PROVIDER.CREATE",
    "SERVICE.PROVIDER.DELETE",
    "SERVICE.PROVIDER.UPDATE",
    "STATIC.ROUTE.CREATE",
    "STATIC.ROUTE.DELETE",
    "STATICNAT.DISABLE",
    "STATICNAT.ENABLE",
    "TEMPLATE.CREATE",
    "TEMPLATE.DELETE",
    "TRAFFIC.TYPE.CREATE",
    "TRAFFIC.TYPE.DELETE",
    "TRAFFIC.TYPE.UPDATE",
    "USER.CREATE",
    "USER.DELETE",
    "USER.DISABLE",
    "USER.ENABLE",
    "USER.LOCK",
    "USER.UPDATE",
    "VLAN.IP.RANGE.CREATE",
    "VLAN.IP.RANGE.DEDICATE",
    "VLAN.IP.RANGE.DELETE",
    "VLAN.IP.RANGE.RELEASE",
    "VLAN.IP.RANGE.UPDATE",
    "VM.CREATE",
    "VM.DESTROY",
    "VM.ERROR",
    "VM.LOST",
    "VM.REBOOT",
    "VM.RECOVER",
    "VM.START",
    "VM.STOP",
    "VM.UPDATE",
    "VM.UPGRADE",
    "VPC.CREATE",
    "VPC.DELETE",
    "VPC.OFFERING.CREATE",
    "VPC.OFFERING.DELETE",
    "VPC.OFFERING.UPDATE",
    "VPC.RESTART",
    "VPC.SOURCENAT.ADD",
    "VPC.SOURCENAT.REMOVE",
    "VPC.START",
    "VPC.UPDATE",
    "VPC.UPDATE.SOURCENAT",
    "ZONE.CREATE",
    "ZONE.DELETE",
    "ZONE.EDIT",
];
