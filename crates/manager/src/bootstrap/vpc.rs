// SPDX-License-Identifier: Apache-2.0
//! The built-in VPC offering and network ACL lists. Made where they are missing, at each start, so that a store of an
//! older version has them too.

use jiff::Timestamp;
use outgate_model::id::VpcOfferingId;
use outgate_model::object::{NetworkAclList, Service, VpcOffering};
use outgate_model::router_spec::AclAction;

use crate::draft::Draft;
use crate::mirror::View;

/// CloudStack's default VPC offering.
pub const OFFERING: &str = "Default VPC offering";

/// Adds what is missing.
pub(super) fn heal(view: &View<'_>, draft: &mut Draft) {
    for action in [AclAction::Allow, AclAction::Deny] {
        let (list, items) = NetworkAclList::built_in(action);
        if view.get::<NetworkAclList>(list.id).is_none() {
            draft.create(&list);
            items.iter().for_each(|item| draft.create(item));
        }
    }
    let claim = super::built_in_claim(OFFERING);
    if view.claimed(&claim).is_none() {
        draft.claim(claim);
        draft.create(&VpcOffering {
            id: VpcOfferingId::new(),
            name: OFFERING.to_owned(),
            display_text: OFFERING.to_owned(),
            enabled: true,
            default: true,
            services: Service::of_tier(),
            domains: Vec::new(),
            zones: Vec::new(),
            created: Timestamp::now(),
        });
    }
}
