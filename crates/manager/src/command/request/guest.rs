// SPDX-License-Identifier: Apache-2.0
//! What commands about a guest's names, size and end are asked.

use outgate_model::id::{GuestId, RouterId, ServiceOfferingId};

/// `destroyVirtualMachine` without `expunge`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct DiscardGuest {
    /// `id`.
    pub id: GuestId,
}

/// `recoverVirtualMachine`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RecoverGuest {
    /// `id`.
    pub id: GuestId,
}

/// `expungeVirtualMachine`, or `destroyVirtualMachine` with `expunge`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ExpungeGuest {
    /// `id`.
    pub id: GuestId,
    /// Whether it must have been destroyed before.
    pub destroyed_only: bool,
}

/// `updateVirtualMachine`. What is `None` stays as it is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UpdateGuest {
    /// `id`.
    pub id: GuestId,
    /// `name`: its host name.
    pub name: Option<String>,
    /// `displayname`.
    pub display_name: Option<String>,
}

/// `changeServiceForVirtualMachine` or `scaleVirtualMachine`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ScaleGuest {
    /// `id`.
    pub id: GuestId,
    /// `serviceofferingid`.
    pub service_offering: ServiceOfferingId,
}

/// `changeServiceForRouter`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ScaleRouter {
    /// `id`.
    pub id: RouterId,
    /// `serviceofferingid`.
    pub service_offering: ServiceOfferingId,
}

/// `upgradeRouterTemplate` of one router.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct UpgradeRouter {
    /// The router.
    pub id: RouterId,
}
