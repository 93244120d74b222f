// SPDX-License-Identifier: Apache-2.0
//! What there is to choose from: the services that networks can have, and the one region.

use outgate_model::object::Service;
use serde_json::{Value, json};

use super::filter::Filter;
use super::{Answers, Command, list};
use crate::view::{self, Look};
use crate::wire::envelope::Object;
use crate::wire::error::ApiError;
use crate::wire::params::{Kind, Param, Params};

/// The commands.
pub const COMMANDS: &[Command] = &[
    Command::read(
        "listSupportedNetworkServices",
        "Lists the services that networks can have, with who provides them.",
        &[SERVICES, list::PAGED],
        Answers::List(
            "networkservice",
            &[("name", "string"), ("provider", "list"), ("capability", "list")],
        ),
        services,
    ),
    Command::read(
        "listRegions",
        "Lists the regions: there is one.",
        &[REGIONS, list::PAGED],
        Answers::List(
            "region",
            &[
                ("id", "integer"),
                ("name", "string"),
                ("gslbserviceenabled", "boolean"),
                ("portableipserviceenabled", "boolean"),
            ],
        ),
        regions,
    ),
];

const SERVICES: &[Param] = &[
    Param::optional("service", Kind::Text(100), "the service of this name"),
    Param::optional(
        "provider",
        Kind::Text(100),
        "services that this provider has: VirtualRouter or VpcVirtualRouter",
    ),
];

fn services(look: &Look<'_>, params: &Params) -> Result<Object, ApiError> {
    let filter = Filter(params);
    let provides = |service: &Value| {
        let mut providers = service["provider"].as_array().into_iter().flatten();
        params.text("provider").is_none()
            || providers.any(|p| filter.exact("provider", p["name"].as_str().unwrap_or_default()))
    };
    let matches = Service::ALL
        .into_iter()
        .filter(|service| filter.exact("service", service.name()) && filter.keyword(&[service.name()]))
        .map(view::service::supported)
        .filter(provides);
    list::reply(look, params, "networkservice", matches, |_, service| {
        service.as_object().cloned().unwrap_or_default()
    })
}

/// CloudStack's number and name of the region that an installation begins with.
const REGION: (i64, &str) = (1, "Local");

const REGIONS: &[Param] = &[
    Param::optional(
        "id",
        Kind::Int(0, 2_147_483_647),
        "the region of this number; it is 1",
    ),
    Param::optional("name", Kind::Text(255), "the region of this name; it is Local"),
];

fn regions(look: &Look<'_>, params: &Params) -> Result<Object, ApiError> {
    let (id, name) = REGION;
    let filter = Filter(params);
    let fits = params.int("id").is_none_or(|wanted| wanted == id)
        && filter.exact("name", name)
        && filter.keyword(&[name]);
    let region = json!({
        "id": id,
        "name": name,
        "gslbserviceenabled": false,
        "portableipserviceenabled": false,
    });
    let matches = fits.then_some(region).into_iter();
    list::reply(look, params, "region", matches, |_, region| {
        region.as_object().cloned().unwrap_or_default()
    })
}
