// SPDX-License-Identifier: Apache-2.0
//! VPCs of a lab.

use serde_json::Value;

use super::{Lab, text};

/// Splits `name=value; name=value`.
pub fn pairs(params: &str) -> Vec<(&str, &str)> {
    let each = params.split("; ").filter(|pair| !pair.is_empty());
    each.map(|pair| pair.split_once('=').expect("name=value"))
        .collect()
}

/// An asynchronous command with parameters as `name=value; name=value`.
pub fn job(lab: &Lab, command: &str, params: &str) -> Value {
    lab.job(command, &pairs(params))
}

/// The id of an object.
pub fn id(object: &Value) -> &str {
    text(object, "id")
}

/// A VPC and the offering of its tiers.
pub struct Vpc {
    /// Its id.
    pub id: String,
    /// Its zone.
    pub zone: String,
    /// The offering of its tiers.
    pub offering: String,
}

impl Vpc {
    /// Makes one.
    pub fn new(lab: &Lab, cidr: &str) -> Self {
        let zone = id(&lab.one("listZones", &[])).to_owned();
        let kind = lab.one("listVPCOfferings", &pairs("isdefault=true"));
        let params = format!(
            "name=v; displaytext=v; cidr={cidr}; zoneid={zone}; vpcofferingid={}",
            id(&kind)
        );
        let made = job(lab, "createVPC", &params);
        let offering = lab.one(
            "listNetworkOfferings",
            &pairs("name=DefaultIsolatedNetworkOfferingForVpcNetworks"),
        );
        Self {
            id: id(&made["vpc"]).to_owned(),
            zone,
            offering: id(&offering).to_owned(),
        }
    }

    /// Makes a tier with this list; returns its id.
    pub fn tier(&self, lab: &Lab, name: &str, gateway: &str, acl: &str) -> String {
        let params = format!(
            "name={name}; zoneid={}; networkofferingid={}; vpcid={}; gateway={gateway}; netmask=255.255.255.0; aclid={acl}",
            self.zone, self.offering, self.id
        );
        let made = lab.call("createNetwork", &pairs(&params));
        id(&made["network"]).to_owned()
    }

    /// Deploys a guest on a tier.
    pub fn guest(&self, lab: &Lab, name: &str, network: &str) -> Value {
        let size = lab.one("listServiceOfferings", &[]);
        let template = lab.one("listTemplates", &pairs("templatefilter=executable"));
        let params = format!(
            "name={name}; zoneid={}; serviceofferingid={}; templateid={}; networkids={network}",
            self.zone,
            id(&size),
            id(&template)
        );
        job(lab, "deployVirtualMachine", &params)["virtualmachine"].clone()
    }

    /// Makes an empty list; returns its id.
    pub fn acl(&self, lab: &Lab, name: &str) -> String {
        let made = job(
            lab,
            "createNetworkACLList",
            &format!("name={name}; vpcid={}", self.id),
        );
        id(&made["networkacllist"]).to_owned()
    }

    /// Its source NAT address.
    pub fn source_nat(&self, lab: &Lab) -> Value {
        lab.one(
            "listPublicIpAddresses",
            &pairs(&format!("vpcid={}; issourcenat=true", self.id)),
        )
    }
}

/// Adds an item that allows.
pub fn allow(lab: &Lab, acl: &str, item: &str) -> Value {
    job(
        lab,
        "createNetworkACL",
        &format!("aclid={acl}; action=Allow; {item}"),
    )["networkacl"]
        .clone()
}
