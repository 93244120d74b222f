// SPDX-License-Identifier: Apache-2.0
//! `networkacllist`. The built-in ones have no VPC.

use outgate_model::object::{NetworkAclList, Vpc};

use crate::view::view;

view! {
    /// A network ACL list.
    (look, list: &NetworkAclList) {
        let vpc = list.vpc.and_then(|id| look.view.get::<Vpc>(id));
    }
    "id" string = list.id;
    "name" string = &list.name;
    "description" string = &list.description;
    "vpcid" string = list.vpc;
    "vpcname" string = vpc.map(|v| &v.name);
    "fordisplay" boolean = true;
}
