// SPDX-License-Identifier: Apache-2.0
//! `domain`.

use outgate_model::object::Domain;

use crate::view::{counts, view};
use crate::wire::date;

view! {
    /// A domain. The domain above is not named to those who may not see it.
    (look, domain: &Domain) {
        let above = domain.parent.filter(|id| look.caller.may_domain(look.view, *id));
        let counts = counts::of_domain(look, domain);
        let projects = counts::projects(&counts);
        let parent = above.and_then(|id| look.view.get::<Domain>(id));
    }
    "id" string = domain.id;
    "name" string = &domain.name;
    "path" string = &domain.path;
    "level" integer = look.view.domains_up(domain.id).count().saturating_sub(1);
    "haschild" boolean = look.view.domains_of(domain.id).next().is_some();
    "parentdomainid" string = parent.map(|p| p.id);
    "parentdomainname" string = parent.map(|p| &p.name);
    "networkdomain" string = &domain.network_domain;
    "state" string = if domain.leaving { "Inactive" } else { "Active" };
    "created" date = domain.created.map(date::format);
    "hasannotations" boolean = false;
    "projectlimit" string = projects.0;
    "projecttotal" integer = projects.1;
    "projectavailable" string = projects.2;
    counts counts;
}
