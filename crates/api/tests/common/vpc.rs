// SPDX-License-Identifier: Apache-2.0
//! A cloud with a VPC, and calls as one line of text each.

use serde_json::Value;

use super::checked::Checked;
use super::{facts, pairs, text};

pub const TIER: &str = "DefaultIsolatedNetworkOfferingForVpcNetworks";
pub const ISOLATED: &str = "DefaultIsolatedNetworkOfferingWithSourceNatService";

/// Fails unless `value` has these fields.
pub fn has(value: &Value, fields: Value) {
    for (name, expected) in fields.as_object().unwrap() {
        assert_eq!(&value[name], expected, "{name} of {value}");
    }
}

/// A text with ids in place of their `$name`s.
pub fn filled(text: &str, ids: &[(&str, &str)]) -> String {
    ids.iter()
        .fold(text.to_owned(), |text, (name, id)| text.replace(name, id))
}

/// The command and the parameters of `command name=value; name=value`.
pub fn split(call: &str) -> (&str, &str) {
    call.split_once(' ').unwrap_or((call, ""))
}

/// A VPC with two tiers.
pub struct Cloud {
    pub checked: Checked,
    pub zone: String,
    pub vpc: String,
    pub tiers: [Value; 2],
}

impl Cloud {
    pub async fn new() -> Self {
        let checked = Checked::new(12).await;
        let zone = text(&checked.one("listZones", &[]).await, "id").to_owned();
        let vpc = vpc(&checked, &zone, "10.40.0.0/16").await;
        let id = text(&vpc, "id").to_owned();
        let tiers = [
            tier(&checked, &zone, &id, "front", "10.40.1.1").await,
            tier(&checked, &zone, &id, "back", "10.40.2.1").await,
        ];
        Self {
            checked,
            zone,
            vpc: id,
            tiers,
        }
    }

    pub fn tier(&self, index: usize) -> &str {
        text(&self.tiers[index], "id")
    }

    /// The code and the text of a refusal.
    pub async fn refused(&self, call: &str) -> (u16, String) {
        let (command, params) = split(call);
        let answer = self.checked.served.call(command, &pairs(params)).await;
        (answer.status, text(answer.inner(), "errortext").to_owned())
    }

    /// Calls `command name=value; name=value` and waits for its job.
    pub async fn job(&self, call: &str) -> Value {
        let (command, params) = split(call);
        self.checked.job(command, &pairs(params)).await
    }

    pub async fn list(&self, call: &str) -> Vec<Value> {
        let (command, params) = split(call);
        self.checked.list(command, &pairs(params)).await
    }

    /// Each line is refused: `code | command name=value; name=value | what the text says`, with `$name` for ids.
    pub async fn refuses(&self, ids: &[(&str, &str)], table: &str) {
        for line in table.lines().map(str::trim).filter(|line| !line.is_empty()) {
            let cells: Vec<&str> = line.split('|').map(str::trim).collect();
            let [code, call, said] = cells[..] else {
                panic!("{line}")
            };
            let call = filled(call, ids);
            let (got, error) = self.refused(&call).await;
            assert!(
                got.to_string() == code && error.contains(&filled(said, ids)),
                "{call}: {got} {error}"
            );
        }
    }

    pub async fn acl(&self) -> String {
        let params = format!("name=own; description=Of tests; vpcid={}", self.vpc);
        let made = self.job(&format!("createNetworkACLList {params}")).await;
        text(&made, "id").to_owned()
    }
}

pub async fn vpc(checked: &Checked, zone: &str, cidr: &str) -> Value {
    let offering = checked
        .one("listVPCOfferings", &[("isdefault", "true"), ("zoneid", zone)])
        .await;
    let params = format!(
        "name=v; displaytext=A VPC; vpcofferingid={}; zoneid={zone}; cidr={cidr}; networkdomain=v.example; \
         dns1=192.0.2.53; publicmtu=1400",
        text(&offering, "id")
    );
    checked.job("createVPC", &pairs(&params)).await
}

pub async fn tier(checked: &Checked, zone: &str, vpc: &str, name: &str, gateway: &str) -> Value {
    let offering = checked.one("listNetworkOfferings", &[("name", TIER)]).await;
    let params = format!(
        "name={name}; zoneid={zone}; vpcid={vpc}; gateway={gateway}; netmask=255.255.255.0; networkofferingid={}",
        text(&offering, "id")
    );
    let inner = checked.served.ok("createNetwork", &pairs(&params)).await;
    let network = inner["network"].clone();
    let faults = facts::faults(&checked.reference, "createNetwork", &network);
    checked.note("createNetwork", faults);
    network
}
