// SPDX-License-Identifier: Apache-2.0
//! Settings (CloudStack: configurations).

use outgate_manager::command::request::UpdateSetting;
use outgate_manager::settings::{self, Known};
use outgate_model::id::{AccountId, DomainId, NetworkId, NetworkOfferingId, VpcId, VpcOfferingId, ZoneId};
use outgate_model::object::SettingScope;
use serde_json::Value;

use crate::command::filter::Filter;
use crate::command::{Answers, Call, Command, Refused, list};
use crate::view::Look;
use crate::view::configuration::{self, Configuration};
use crate::wire::envelope::{self, Object};
use crate::wire::error::ApiError;
use crate::wire::params::{Kind, Of, Param, Params};

/// The commands.
pub const COMMANDS: &[Command] = &[
    Command::read(
        "listConfigurations",
        "Lists settings: only such as have an effect.",
        &[FILTERS, SCOPE, list::PAGED],
        Answers::List("configuration", configuration::FIELDS),
        configurations,
    )
    .for_admins(),
    Command::act(
        "updateConfiguration",
        "Changes a setting. It is live at once, in running routers too.",
        &[NAME, VALUE, SCOPE],
        Answers::One("configuration", configuration::FIELDS),
        |call| Box::pin(update(call)),
    )
    .for_admins(),
    Command::act(
        "resetConfiguration",
        "Takes a setting's value back: in a scope to the global value, else to the default.",
        &[NAME, SCOPE],
        Answers::One("configuration", configuration::FIELDS),
        |call| Box::pin(reset(call)),
    )
    .for_admins(),
];

const NAME: &[Param] = &[Param::required("name", Kind::Text(255), "the setting")];
const VALUE: &[Param] = &[Param::optional("value", Kind::Text(255), "the value")];

const SCOPE: &[Param] = &[
    Param::optional("zoneid", Kind::Uuid(Of::Zone), "in this zone only"),
    Param::optional("domainid", Kind::Uuid(Of::Domain), "for this domain only"),
    Param::optional("accountid", Kind::Uuid(Of::Account), "for this account only"),
    Param::optional(
        "networkofferingid",
        Kind::Uuid(Of::NetworkOffering),
        "for this offering's networks only",
    ),
    Param::optional(
        "networkid",
        Kind::Uuid(Of::Network),
        "for this isolated network only",
    ),
    Param::optional(
        "vpcofferingid",
        Kind::Uuid(Of::VpcOffering),
        "for this offering's VPCs only",
    ),
    Param::optional("vpcid", Kind::Uuid(Of::Vpc), "for this VPC only"),
    Param::optional(
        "clusterid",
        Kind::Uuid(Of::Cluster),
        "in this cluster only: no setting differs there",
    ),
];

const FILTERS: &[Param] = &[
    Param::optional("name", Kind::Text(255), "the setting of this name"),
    Param::optional("category", Kind::Text(64), "settings of this category"),
    Param::optional("group", Kind::Text(64), "the same"),
];

/// The one scope that the parameters name.
fn scope(params: &Params) -> Result<SettingScope, ApiError> {
    let given = [
        params.id("zoneid").map(|id| SettingScope::Zone(ZoneId(id))),
        params.id("domainid").map(|id| SettingScope::Domain(DomainId(id))),
        params
            .id("accountid")
            .map(|id| SettingScope::Account(AccountId(id))),
        params
            .id("networkofferingid")
            .map(|id| SettingScope::Offering(NetworkOfferingId(id))),
        params
            .id("networkid")
            .map(|id| SettingScope::Network(NetworkId(id))),
        params
            .id("vpcofferingid")
            .map(|id| SettingScope::VpcOffering(VpcOfferingId(id))),
        params.id("vpcid").map(|id| SettingScope::Vpc(VpcId(id))),
    ];
    let mut given = given.into_iter().flatten();
    match (given.next(), given.next()) {
        (None, _) => Ok(SettingScope::Global),
        (Some(scope), None) => Ok(scope),
        (Some(_), Some(_)) => Err(ApiError::parameter(
            "only one of zoneid, domainid, accountid, networkofferingid, networkid, vpcofferingid and vpcid can be given: a \
             value is set in one scope",
        )),
    }
}

async fn update(call: &Call<'_>) -> Result<Object, Refused> {
    let value = call.params.need_text("value")?.to_owned();
    change(call, Some(value)).await
}

async fn reset(call: &Call<'_>) -> Result<Object, Refused> {
    change(call, None).await
}

async fn change(call: &Call<'_>, value: Option<String>) -> Result<Object, Refused> {
    let params = &call.params;
    if let Some(id) = params.id("clusterid") {
        let expected = "nothing: no setting differs by cluster";
        return Err(ApiError::invalid(params.command(), "clusterid", &id.to_string(), expected).into());
    }
    let (name, scope) = (params.need_text("name")?, scope(params)?);
    let request = UpdateSetting {
        name: name.to_owned(),
        scope,
        value,
    };
    call.manager.update_setting(&call.caller, request).await?;
    let known = settings::find(name).ok_or_else(|| ApiError::internal("the setting is gone"))?;
    let view = call.manager.view();
    let look = Look {
        view: &view,
        caller: &call.caller,
    };
    let rendered = configuration::render(&look, &Configuration { known, scope });
    Ok(envelope::single("configuration", Value::Object(rendered)))
}

fn configurations(look: &Look<'_>, params: &Params) -> Result<Object, ApiError> {
    let (filter, scope) = (Filter(params), scope(params)?);
    let shown = |known: &&&'static Known| {
        known.takes(scope)
            && params.id("clusterid").is_none()
            && filter.exact("name", known.name)
            && filter.exact("category", known.category)
            && filter.exact("group", known.category)
            && filter.keyword(&[known.name, known.description])
    };
    let mut matches: Vec<Configuration> = settings::ALL
        .iter()
        .filter(shown)
        .map(|known| Configuration { known, scope })
        .collect();
    matches.sort_by_key(|configuration| configuration.known.name);
    list::reply(
        look,
        params,
        "configuration",
        matches.iter(),
        configuration::render,
    )
}
