// SPDX-License-Identifier: Apache-2.0
//! `usagerecord` and `usagetype`.

use outgate_manager::insight::{Record, UsageType};
use serde_json::{Value, json};

use crate::view::view;
use crate::wire::date;

/// The fields of a type of usage.
pub const TYPE_FIELDS: &[crate::view::Field] =
    &[("id", "integer"), ("name", "string"), ("description", "string")];

/// A type of usage.
pub fn render_type(kind: UsageType) -> Value {
    json!({
        "id": kind.number(),
        "name": kind.name(),
        "description": kind.description(),
    })
}

/// At most six digits behind the point, as CloudStack writes it.
fn number(raw: f64) -> String {
    let text = format!("{raw:.6}");
    text.trim_end_matches('0').trim_end_matches('.').to_owned()
}

fn raw(record: &Record) -> String {
    record
        .bytes
        .map_or_else(|| number(record.raw), |bytes| bytes.to_string())
}

fn usage(record: &Record) -> String {
    match record.kind {
        UsageType::BytesSent => format!("{} bytes sent", raw(record)),
        UsageType::BytesReceived => format!("{} bytes received", raw(record)),
        UsageType::Address | UsageType::Network | UsageType::Vpc => format!("{} Hrs", raw(record)),
    }
}

fn description(record: &Record) -> String {
    let address = record.address.as_deref().unwrap_or_default();
    let name = &record.name;
    match record.kind {
        UsageType::Address => format!("IPAddress: {address}"),
        UsageType::BytesSent => format!("Bytes sent by {address} of router {name}"),
        UsageType::BytesReceived => format!("Bytes received by {address} of router {name}"),
        UsageType::Network => format!("Network {name}"),
        UsageType::Vpc => format!("VPC {name}"),
    }
}

view! {
    /// A usage record.
    (look, record: &Record) {
        let is_bytes = record.bytes.is_some();
    }
    "accountid" string = record.account;
    "zoneid" string = record.zone;
    "description" string = description(record);
    "usage" string = usage(record);
    "usagetype" integer = record.kind.number();
    "rawusage" string = raw(record);
    "usageid" string = record.used;
    "name" string = &record.name;
    "type" string = is_bytes.then_some("DomainRouter");
    "ipaddress" string = &record.address;
    "startdate" date = date::format(record.from);
    "enddate" date = date::format(record.until);
    "issourcenat" boolean = record.source_nat;
    "networkid" string = record.network;
    "vpcid" string = record.vpc;
    "offeringid" string = record.offering;
    "tags" list = [""; 0];
    owned by record.account;
}
