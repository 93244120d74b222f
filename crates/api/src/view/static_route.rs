// SPDX-License-Identifier: Apache-2.0
//! `staticroute`.

use outgate_model::key::Object as _;
use outgate_model::object::{PrivateGateway, StaticRoute};

use crate::view::view;

view! {
    /// A static route.
    (look, route: &StaticRoute) {
        let gateway = route.gateway.and_then(|id| look.view.get::<PrivateGateway>(id));
    }
    "id" string = route.id;
    "cidr" string = route.cidr;
    "vpcid" string = route.vpc;
    "vpcgatewayid" string = route.gateway;
    "vpcgatewayip" string = gateway.map(|g| g.gateway);
    "nexthop" string = route.next_hop;
    "state" string = "Active";
    "tags" list = look.tags(StaticRoute::NAME, route.id.0);
    owned by route.account;
}
