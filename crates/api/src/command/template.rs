// SPDX-License-Identifier: Apache-2.0
//! Templates: entries that guests refer to. Outgate fetches nothing; what guests run is their host's.

use std::collections::BTreeSet;

use outgate_manager::Started;
use outgate_manager::command::request::{DeleteTemplate, RegisterTemplate, UpdateTemplate};
use outgate_model::id::{TemplateId, ZoneId};
use outgate_model::object::Template;
use serde_json::Value;

use super::filter::Filter;
use super::{Answers, Call, Command, Entity, Refused, list, scope};
use crate::view::{self, Look};
use crate::wire::envelope::{self, Object};
use crate::wire::error::ApiError;
use crate::wire::params::{Kind, Of, Param, Params};

/// The commands.
pub const COMMANDS: &[Command] = &[
    Command::read(
        "listTemplates",
        "Lists templates.",
        &[FILTERS, list::PAGED],
        Answers::List("template", view::template::FIELDS),
        templates,
    ),
    Command::act(
        "registerTemplate",
        "Makes an entry for a template in one, several or all zones. Nothing is fetched from its URL.",
        &[REGISTER, scope::FOR_ACCOUNT],
        Answers::List("template", view::template::FIELDS),
        |call| Box::pin(register(call)),
    ),
    Command::act(
        "updateTemplate",
        "Changes a template's names.",
        &[UPDATE],
        Answers::Entity(Entity::Template),
        |call| Box::pin(update(call)),
    ),
    Command::start(
        "deleteTemplate",
        "Deletes a template: guests that run it go on, no other gets it.",
        &[DELETE],
        Answers::Success,
        |call| Box::pin(delete(call)),
    ),
];

const FILTERS: &[Param] = &[
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

const REGISTER: &[Param] = &[
    Param::required("name", Kind::Text(255), "its name"),
    Param::required("displaytext", Kind::Text(255), "what users read"),
    Param::required(
        "format",
        Kind::OneOf(&["QCOW2", "RAW", "VHD", "OVA", "VMDK", "ISO", "TAR", "VDI"]),
        "its format",
    ),
    Param::required("hypervisor", Kind::Text(32), "the hypervisor of its hosts"),
    Param::required("url", Kind::Text(2_048), "where it is said to be"),
    Param::optional(
        "zoneid",
        Kind::Text(36),
        "its zone; -1, or nothing, for every zone",
    ),
    Param::optional(
        "zoneids",
        Kind::Text(2_048),
        "its zones, joined by commas; -1 for every zone",
    ),
    Param::optional(
        "ispublic",
        Kind::Bool,
        "whether everybody may use it (false when left out)",
    ),
    Param::optional(
        "isfeatured",
        Kind::Bool,
        "for root admins: whether it is shown first",
    ),
];

const UPDATE: &[Param] = &[
    Param::required("id", Kind::Uuid(Of::Template), "the template"),
    Param::optional("name", Kind::Text(255), "its name"),
    Param::optional("displaytext", Kind::Text(255), "what users read"),
];

const DELETE: &[Param] = &[
    Param::required("id", Kind::Uuid(Of::Template), "the template"),
    Param::optional("zoneid", Kind::Uuid(Of::Zone), "its zone: it has one only"),
    Param::optional("forced", Kind::Bool, "no meaning here: guests that run it go on"),
];

fn templates(look: &Look<'_>, params: &Params) -> Result<Object, ApiError> {
    let filter = Filter(params);
    let ids = params.ids("ids");
    let which = params.word("templatefilter").unwrap_or("executable");
    let matches = look.view.all::<Template>().map(|t| &**t).filter(|t| {
        shown(look, which, t)
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

/// Whether a template is one of those that the filter means. A built-in one is featured, everybody's, and nobody's own.
fn shown(look: &Look<'_>, which: &str, template: &Template) -> bool {
    let Some(registered) = &template.registered else {
        return !matches!(
            which,
            "self" | "selfexecutable" | "sharedexecutable" | "community"
        );
    };
    let own = registered.account == look.caller.account;
    let may = look.caller.may_use_template(look.view, template);
    !registered.removed
        && match which {
            "featured" => registered.featured && registered.public,
            "self" | "selfexecutable" => own,
            "sharedexecutable" => may && !own && !registered.public,
            "community" => registered.public && !registered.featured,
            "all" => look.caller.admin() || may,
            _ => may,
        }
}

/// The zones that a request names; none for every zone.
fn zones(params: &Params) -> Result<Vec<ZoneId>, ApiError> {
    let named = [
        ("zoneid", params.text("zoneid")),
        ("zoneids", params.text("zoneids")),
    ];
    let mut found = BTreeSet::new();
    for (name, text) in named {
        for part in text.into_iter().flat_map(|text| text.split(',')).map(str::trim) {
            if part == "-1" {
                return Ok(Vec::new());
            }
            let id = part
                .parse()
                .map_err(|_| ApiError::no_such(params.command(), name, part))?;
            found.insert(id);
        }
    }
    Ok(found.into_iter().collect())
}

async fn register(call: &Call<'_>) -> Result<Object, Refused> {
    let params = &call.params;
    let name = params.need_text("name")?;
    let request = RegisterTemplate {
        name: name.to_owned(),
        display_text: params.need_text("displaytext")?.to_owned(),
        format: params.word("format").unwrap_or("RAW").to_owned(),
        hypervisor: params.need_text("hypervisor")?.to_owned(),
        url: params.need_text("url")?.to_owned(),
        zones: zones(params)?,
        public: params.flag("ispublic").unwrap_or(false),
        featured: params.flag("isfeatured").unwrap_or(false),
        owner: call.owner()?,
    };
    let made = call.manager.register_template(&call.caller, request).await?;
    let view = call.manager.view();
    let look = Look {
        view: &view,
        caller: &call.caller,
    };
    let each = made.iter().filter_map(|id| view.get::<Template>(*id));
    let items: Vec<Value> = each
        .map(|template| Value::Object(view::template::render(&look, template)))
        .collect();
    Ok(envelope::list("template", items.len(), items))
}

async fn update(call: &Call<'_>) -> Result<Object, Refused> {
    let request = UpdateTemplate {
        id: TemplateId(call.params.need_id("id")?),
        name: call.params.string("name"),
        display_text: call.params.string("displaytext"),
    };
    let id = call.manager.update_template(&call.caller, request).await?;
    Ok(call.entity(Entity::Template, id.0))
}

async fn delete(call: &Call<'_>) -> Result<Started, Refused> {
    let request = DeleteTemplate {
        id: TemplateId(call.params.need_id("id")?),
    };
    Ok(call.manager.delete_template(&call.caller, request).await?)
}
