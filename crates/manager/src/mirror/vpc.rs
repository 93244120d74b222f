// SPDX-License-Identifier: Apache-2.0
//! Reading what belongs to VPCs.

use outgate_model::id::{
    AccountId, NetworkAclItemId, NetworkAclListId, PrivateGatewayId, VpcId, VpcOfferingId,
};
use outgate_model::object::{
    Network, NetworkAclItem, NetworkAclList, PrivateGateway, PublicIp, StaticRoute, Vpc,
};

use super::state::Stored;
use super::view::View;

impl View<'_> {
    /// The VPCs of an account.
    pub fn vpcs_of_account(&self, id: AccountId) -> impl Iterator<Item = &Stored<Vpc>> {
        self.each(self.0.indexes.vpcs_by_account.get(id))
    }

    /// The VPCs of an offering.
    pub fn vpcs_of_offering(&self, id: VpcOfferingId) -> impl Iterator<Item = &Stored<Vpc>> {
        self.each(self.0.indexes.vpcs_by_offering.get(id))
    }

    /// A VPC's tiers, those on their way out too.
    pub fn tiers_of_vpc(&self, id: VpcId) -> impl Iterator<Item = &Stored<Network>> {
        self.each(self.0.indexes.tiers_by_vpc.get(id))
    }

    /// The acquired addresses of a VPC, whatever tier they are used for.
    pub fn public_ips_of_vpc(&self, id: VpcId) -> impl Iterator<Item = &Stored<PublicIp>> {
        self.each(self.0.indexes.ips_by_vpc.get(id))
    }

    /// The ACL lists of a VPC; of `None` the built-in ones.
    pub fn acl_lists_of_vpc(&self, id: Option<VpcId>) -> impl Iterator<Item = &Stored<NetworkAclList>> {
        self.each(self.0.indexes.acls_by_vpc.get(id))
    }

    /// The items of an ACL list by ascending number.
    pub fn acl_items_of_list(&self, id: NetworkAclListId) -> impl Iterator<Item = &Stored<NetworkAclItem>> {
        let ids = self.0.indexes.items_by_acl.get(id);
        self.each(ids.map(|(_, id): (u16, NetworkAclItemId)| id))
    }

    /// How many items an ACL list has.
    pub fn count_acl_items(&self, id: NetworkAclListId) -> usize {
        self.0.indexes.items_by_acl.count(&id)
    }

    /// The tiers that use an ACL list.
    pub fn tiers_of_acl(&self, id: NetworkAclListId) -> impl Iterator<Item = &Stored<Network>> {
        self.each(self.0.indexes.tiers_by_acl.get(id))
    }

    /// The private gateways that use an ACL list.
    pub fn gateways_of_acl(&self, id: NetworkAclListId) -> impl Iterator<Item = &Stored<PrivateGateway>> {
        self.each(self.0.indexes.gateways_by_acl.get(id))
    }

    /// The private gateways of a VPC.
    pub fn gateways_of_vpc(&self, id: VpcId) -> impl Iterator<Item = &Stored<PrivateGateway>> {
        self.each(self.0.indexes.gateways_by_vpc.get(id))
    }

    /// The static routes of a VPC.
    pub fn routes_of_vpc(&self, id: VpcId) -> impl Iterator<Item = &Stored<StaticRoute>> {
        self.each(self.0.indexes.routes_by_vpc.get(id))
    }

    /// The static routes through a private gateway.
    pub fn routes_of_gateway(&self, id: PrivateGatewayId) -> impl Iterator<Item = &Stored<StaticRoute>> {
        self.each(self.0.indexes.routes_by_gateway.get(id))
    }
}
