// SPDX-License-Identifier: Apache-2.0
//! What commands about service offerings and templates are asked.

use outgate_model::id::{AccountId, ServiceOfferingId, TemplateId, ZoneId};

/// `createServiceOffering`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CreateServiceOffering {
    /// `name`.
    pub name: String,
    /// `displaytext`.
    pub display_text: String,
    /// `cpunumber`.
    pub cpu_number: u32,
    /// `cpuspeed`, in MHz.
    pub cpu_speed_mhz: u32,
    /// `memory`, in MiB.
    pub memory_mib: u32,
    /// `issystem`: for system VMs (routers).
    pub system: bool,
}

/// `updateServiceOffering`. What is `None` stays as it is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UpdateServiceOffering {
    /// `id`.
    pub id: ServiceOfferingId,
    /// `name`.
    pub name: Option<String>,
    /// `displaytext`.
    pub display_text: Option<String>,
}

/// `deleteServiceOffering`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct DeleteServiceOffering {
    /// `id`.
    pub id: ServiceOfferingId,
}

/// `registerTemplate`. Outgate fetches nothing: what guests run is their host's.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RegisterTemplate {
    /// `name`.
    pub name: String,
    /// `displaytext`.
    pub display_text: String,
    /// `format`: `QCOW2` ...
    pub format: String,
    /// `hypervisor`.
    pub hypervisor: String,
    /// `url`.
    pub url: String,
    /// `zoneid` or `zoneids`; empty for every zone.
    pub zones: Vec<ZoneId>,
    /// `ispublic`: whether everybody may use it.
    pub public: bool,
    /// `isfeatured`; only root admins may say so.
    pub featured: bool,
    /// `account` + `domainid` or `projectid`: for whom, the caller's account when left out.
    pub owner: Option<AccountId>,
}

/// `updateTemplate`. What is `None` stays as it is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UpdateTemplate {
    /// `id`.
    pub id: TemplateId,
    /// `name`.
    pub name: Option<String>,
    /// `displaytext`.
    pub display_text: Option<String>,
}

/// `deleteTemplate`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct DeleteTemplate {
    /// `id`.
    pub id: TemplateId,
}
