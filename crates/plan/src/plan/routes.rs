// SPDX-License-Identifier: Apache-2.0
//! Routes: to everywhere through the upstream gateway, and a VPC's static routes.

use std::collections::BTreeSet;

use ipnet::Ipv4Net;
use outgate_model::RouterSpec;

use crate::router_plan::Route;
use crate::sides::neighbour;

pub(super) fn routes(spec: &RouterSpec) -> BTreeSet<Route> {
    let default = Route {
        to: Ipv4Net::default(),
        via: spec.public.gateway,
        interface: spec.public.interface.clone(),
        // The router's own packets (questions to resolvers) leave from the source NAT address as its guests' do,
        // whichever address happens to be the interface's first.
        source: spec.source_nat_address().map(|a| a.address.addr()),
    };
    let fixed = spec.static_routes().iter().map(|route| Route {
        to: route.to.trunc(),
        via: route.via,
        interface: neighbour(spec, route.via).interface(spec).to_owned(),
        source: None,
    });
    fixed.chain([default]).collect()
}
