// SPDX-License-Identifier: Apache-2.0
//! The manager's commands about VPCs.

use outgate_model::id::NetworkId;

use super::{acl, acl_item, gateway, migrate, offering, route, tier};
use crate::command::methods::commands;
use crate::command::request::{
    AssociateIpToVpc, Caller, CreateAclItem, CreateAclList, CreatePrivateGateway, CreateStaticRoute,
    CreateTier, CreateVpc, CreateVpcOffering, DeleteAclItem, DeleteAclList, DeletePrivateGateway,
    DeleteStaticRoute, DeleteVpc, DeleteVpcOffering, MigrateNetwork, MoveAclItem, ReplaceAclList, RestartVpc,
    Started, UpdateAclItem, UpdateAclList, UpdateVpc, UpdateVpcOffering,
};
use crate::command::tx::Tx;
use crate::{CommandError, Manager};

commands! {
    /// Makes a VPC offering.
    create_vpc_offering(CreateVpcOffering) -> Started = offering::create;
    /// Changes a VPC offering.
    update_vpc_offering(UpdateVpcOffering) -> Started = offering::update;
    /// Deletes a VPC offering that no VPC is made from.
    delete_vpc_offering(DeleteVpcOffering) -> Started = |tx, request| offering::delete(tx, *request);
    /// Makes a VPC, with its router unless it says otherwise.
    create_vpc(CreateVpc) -> Started = super::create;
    /// Changes a VPC's names, MTU or source NAT address.
    update_vpc(UpdateVpc) -> Started = super::update;
    /// Applies a VPC anew.
    restart_vpc(RestartVpc) -> Started = |tx, request| super::restart(tx, *request);
    /// Deletes a VPC without tiers, with everything else of it.
    delete_vpc(DeleteVpc) -> Started = |tx, request| super::delete(tx, *request);
    /// Acquires a public address for a VPC.
    associate_ip_to_vpc(AssociateIpToVpc) -> Started = |tx, request| super::associate(tx, *request);
    /// Makes a tier of a VPC.
    create_tier(CreateTier) -> NetworkId = tier::create;
    /// Makes an isolated network a tier of a VPC.
    migrate_network(MigrateNetwork) -> Started = |tx, request| migrate::migrate(tx, *request);
    /// Makes an ACL list.
    create_acl_list(CreateAclList) -> Started = acl::create;
    /// Changes an ACL list's texts.
    update_acl_list(UpdateAclList) -> Started = acl::update;
    /// Deletes an ACL list that nothing uses.
    delete_acl_list(DeleteAclList) -> Started = |tx, request| acl::delete(tx, *request);
    /// Gives a tier or a private gateway another ACL list.
    replace_acl_list(ReplaceAclList) -> Started = |tx, request| acl::replace(tx, *request);
    /// Adds an item to an ACL list.
    create_acl_item(CreateAclItem) -> Started = acl_item::create;
    /// Changes an item of an ACL list.
    update_acl_item(UpdateAclItem) -> Started = acl_item::update;
    /// Puts an item of an ACL list at another place.
    move_acl_item(MoveAclItem) -> Started = |tx, request| acl_item::shift(tx, *request);
    /// Removes an item of an ACL list.
    delete_acl_item(DeleteAclItem) -> Started = |tx, request| acl_item::delete(tx, *request);
    /// Makes a private gateway.
    create_private_gateway(CreatePrivateGateway) -> Started = gateway::create;
    /// Deletes a private gateway that no static route leads through.
    delete_private_gateway(DeletePrivateGateway) -> Started = |tx, request| gateway::delete(tx, *request);
    /// Makes a static route.
    create_static_route(CreateStaticRoute) -> Started = route::create;
    /// Deletes a static route.
    delete_static_route(DeleteStaticRoute) -> Started = |tx, request| route::delete(tx, *request);
}
