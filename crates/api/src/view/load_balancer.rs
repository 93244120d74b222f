// SPDX-License-Identifier: Apache-2.0
//! `loadbalancer`, in lists `loadbalancerrule`. Its ports are strings.

use outgate_manager::read;
use outgate_model::key::Object as _;
use outgate_model::object::{LoadBalancerRule, PublicIp, Zone};

use crate::view::{joined, view};

view! {
    /// A load balancer rule.
    (look, rule: &LoadBalancerRule) {
        let ip = look.view.get::<PublicIp>(rule.public_ip);
        let zone = ip.and_then(|ip| look.view.get::<Zone>(ip.zone));
    }
    "id" string = rule.id;
    "name" string = &rule.name;
    "description" string = &rule.description;
    "publicipid" string = rule.public_ip;
    "publicip" string = ip.map(|ip| ip.address);
    "publicport" string = rule.public_port.to_string();
    "privateport" string = rule.private_port.to_string();
    "algorithm" string = rule.algorithm.name();
    "protocol" string = rule.protocol.name();
    "cidrlist" string = joined(&rule.sources);
    "networkid" string = rule.network;
    "state" string = read::rule_state_name(look.view.balancer_state(rule));
    "zoneid" string = zone.map(|z| z.id);
    "zonename" string = zone.map(|z| &z.name);
    "fordisplay" boolean = true;
    "tags" list = look.tags(LoadBalancerRule::NAME, rule.id.0);
    owned by rule.account;
}
