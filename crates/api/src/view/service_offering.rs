// SPDX-License-Identifier: Apache-2.0
//! `serviceoffering`.

use outgate_model::object::ServiceOffering;

use crate::view::view;
use crate::wire::date;

view! {
    /// A service offering.
    (_look, offering: &ServiceOffering) {}
    "id" string = offering.id;
    "name" string = &offering.name;
    "displaytext" string = &offering.display_text;
    "created" date = date::format(offering.created);
    "cpunumber" integer = offering.cpu_number;
    "cpuspeed" integer = offering.cpu_speed_mhz;
    "memory" integer = offering.memory_mib;
    "state" string = if offering.removed { "Inactive" } else { "Active" };
    "storagetype" string = "local";
    "provisioningtype" string = "thin";
    "issystem" boolean = offering.system;
    "systemvmtype" string = offering.system.then_some("domainrouter");
    "defaultuse" boolean = offering.system;
    "offerha" boolean = false;
    "limitcpuuse" boolean = false;
    "isvolatile" boolean = false;
    "iscustomized" boolean = false;
    "dynamicscalingenabled" boolean = false;
    "hasannotations" boolean = false;
}
