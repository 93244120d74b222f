// SPDX-License-Identifier: Apache-2.0
//! What the operator provides: service offerings and templates.

use outgate_model::object::{ServiceOffering, Template};

use super::filter::Filter;
use super::{Answers, Command, list};
use crate::view::{self, Look};
use crate::wire::envelope::Object;
use crate::wire::error::ApiError;
use crate::wire::params::{Kind, Of, Param, Params};

/// The commands.
pub const COMMANDS: &[Command] = &[
    Command::read(
        "listServiceOfferings",
        "Lists service offerings.",
        &[SERVICE_OFFERING_FILTERS, list::PAGED],
        Answers::List("serviceoffering", view::service_offering::FIELDS),
        service_offerings,
    ),
    Command::read(
        "listTemplates",
        "Lists templates.",
        &[TEMPLATE_FILTERS, list::PAGED],
        Answers::List("template", view::template::FIELDS),
        templates,
    ),
];

const SERVICE_OFFERING_FILTERS: &[Param] = &[
    Param::optional("id", Kind::Uuid(Of::ServiceOffering), "the offering of this id"),
    Param::optional("name", Kind::Text(255), "the offering of this name"),
    Param::optional(
        "zoneid",
        Kind::Uuid(Of::Zone),
        "offerings for this zone; every one is for every zone",
    ),
    Param::optional("issystem", Kind::Bool, "for system VMs (false when left out)"),
];

fn service_offerings(look: &Look<'_>, params: &Params) -> Result<Object, ApiError> {
    let filter = Filter(params);
    let system = params.flag("issystem").unwrap_or(false);
    let matches = look.view.all::<ServiceOffering>().map(|o| &**o).filter(|o| {
        filter.id("id", o.id.0)
            && filter.exact("name", &o.name)
            && (o.system == system || params.id("id").is_some())
            && filter.keyword(&[&o.name, &o.display_text])
    });
    list::reply(
        look,
        params,
        "serviceoffering",
        matches,
        view::service_offering::render,
    )
}

const TEMPLATE_FILTERS: &[Param] = &[
    Param::required(
        "templatefilter",
        Kind::OneOf(&[
            "featured",
            "self",
            "selfexecutable",
            "sharedexecutable",
            "executable",
            "community",
            "all",
        ]),
        "which templates: featured, self, selfexecutable, sharedexecutable, executable, community or all",
    ),
    Param::optional("id", Kind::Uuid(Of::Template), "the template of this id"),
    Param::optional("ids", Kind::Uuids(Of::Template), "the templates of these ids"),
    Param::optional("name", Kind::Text(255), "the template of this name"),
    Param::optional("zoneid", Kind::Uuid(Of::Zone), "templates of this zone"),
    Param::optional("hypervisor", Kind::Text(32), "templates for this hypervisor"),
    Param::optional("isready", Kind::Bool, "every template is ready"),
    Param::optional("tags", Kind::Maps, "templates with these tags; none has any"),
];

fn templates(look: &Look<'_>, params: &Params) -> Result<Object, ApiError> {
    let filter = Filter(params);
    let ids = params.ids("ids");
    // Every template is a built-in of the system: featured and executable by all, nobody's own.
    let shown = !matches!(
        params.word("templatefilter"),
        Some("self" | "selfexecutable" | "sharedexecutable")
    );
    let matches = look.view.all::<Template>().map(|t| &**t).filter(|t| {
        shown
            && filter.id("id", t.id.0)
            && (ids.is_empty() || ids.contains(&t.id.0))
            && filter.exact("name", &t.name)
            && filter.id("zoneid", t.zone.0)
            && filter.exact("hypervisor", &t.hypervisor)
            && filter.flag("isready", true)
            && filter.keyword(&[&t.name, &t.display_text])
    });
    list::reply(look, params, "template", matches, view::template::render)
}
