// SPDX-License-Identifier: Apache-2.0
//! `networkserviceprovider`, and the elements that do a provider's work.

use std::collections::BTreeSet;

use outgate_manager::bootstrap::{INTERNAL_LB, VPC_ROUTER};
use outgate_model::object::{Service, ServiceProvider};

use crate::view::{state_name, view};

/// The services of a provider.
fn services(provider: &ServiceProvider) -> Vec<&'static str> {
    let services: BTreeSet<Service> = match provider.name.as_str() {
        INTERNAL_LB => BTreeSet::from([Service::Lb]),
        VPC_ROUTER => Service::of_tier(),
        _ => Service::of_isolated(),
    };
    services.into_iter().map(Service::name).collect()
}

view! {
    /// A network service provider.
    (_look, provider: &ServiceProvider) {}
    "id" string = provider.id;
    "name" string = &provider.name;
    "physicalnetworkid" string = provider.physical_network;
    "state" string = state_name(!provider.enabled);
    "canenableindividualservice" boolean = false;
    "servicelist" list = services(provider);
}

/// `virtualrouterelement`.
pub mod router_element {
    use super::{ServiceProvider, view};

    view! {
        /// The element of a provider: the virtual routers. It has its provider's id.
        (_look, provider: &ServiceProvider) {}
        "id" string = provider.id;
        "nspid" string = provider.id;
        "enabled" boolean = provider.element_enabled;
    }
}

/// `internalloadbalancerelement`.
pub mod lb_element {
    pub use super::router_element::{FIELDS, render};
}
