// SPDX-License-Identifier: Apache-2.0
//! Routes: one, to everywhere, through the upstream gateway.

use std::collections::BTreeSet;

use ipnet::Ipv4Net;
use outgate_model::RouterSpec;

use crate::router_plan::Route;

pub(super) fn routes(spec: &RouterSpec) -> BTreeSet<Route> {
    BTreeSet::from([Route {
        to: Ipv4Net::default(),
        via: spec.public.gateway,
        interface: spec.public.interface.clone(),
        // The router's own packets (questions to resolvers) leave from the source NAT address as its guests' do,
        // whichever address happens to be the interface's first.
        source: spec.source_nat_address().map(|a| a.address.addr()),
    }])
}
