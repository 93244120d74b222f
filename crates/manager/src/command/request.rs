// SPDX-License-Identifier: Apache-2.0
//! What each command is asked, with types already parsed. Lists that may be left out are empty then; the field's
//! comment says what an empty one means.

mod acl;
mod address;
mod balancing;
mod guest;
mod infra;
mod network;
mod nic;
mod offering;
mod provided;
mod rules;
mod tag;
mod tenancy;
mod vpc;

pub use acl::{
    AclUser, CreateAclItem, CreateAclList, DeleteAclItem, DeleteAclList, MatchChange, MoveAclItem,
    NamedProtocol, ReplaceAclList, UpdateAclItem, UpdateAclList,
};
pub use address::{AddSourceNat, ReleaseIp, RemoveSourceNat, ReserveIp, UpdateIp, WantedAddress};
pub use balancing::{
    ChangeMembers, CreateHealthCheck, CreateLoadBalancer, CreateStickiness, DeleteHealthCheck,
    DeleteLoadBalancer, DeleteStickiness, UpdateHealthCheck, UpdateLoadBalancer, UpdateStickiness,
};
pub use guest::{
    DiscardGuest, ExpungeGuest, RecoverGuest, ScaleGuest, ScaleRouter, UpdateGuest, UpgradeRouter,
};
pub use infra::{
    AddCluster, AddProvider, AddTrafficType, AlertsChosen, ConfigureElement, CreatePhysicalNetwork,
    CreatePod, CreateRange, CreateZone, DedicateRange, DeleteCluster, DeletePhysicalNetwork, DeletePod,
    DeleteProvider, DeleteTrafficType, DeleteZone, EventsChosen, GenerateAlert, MaintainHost, PodSubnet,
    RangeId, UpdateCluster, UpdateHost, UpdatePhysicalNetwork, UpdatePod, UpdateProvider, UpdateRange,
    UpdateSetting, UpdateTrafficType, UpdateZone,
};
pub use network::{
    ChosenSettings, CreateNetwork, DeleteNetwork, HardenNetwork, RestartNetwork, UpdateNetwork,
};
pub use nic::{AddIpToNic, AddNic, RemoveIpFromNic, RemoveNic, UpdateDefaultNic, UpdateNicIp, WantedNic};
pub use offering::{CreateNetworkOffering, DeleteNetworkOffering, UpdateNetworkOffering};
pub use provided::{
    CreateServiceOffering, DeleteServiceOffering, DeleteTemplate, RegisterTemplate, UpdateServiceOffering,
    UpdateTemplate,
};
pub use rules::{
    CreateIpForwarding, DeleteIpForwarding, UpdateEgressRule, UpdateFirewallRule, UpdatePortForwarding,
};
pub use tag::{CreateTags, DeleteTags};
pub use tenancy::{
    AddRoleRule, AddToProject, ChangeRoleRule, CreateAccount, CreateDomain, CreateProject, CreateRole,
    CreateUser, DeleteDomain, DeleteProject, NewUser, OrderRoleRules, Secret, SetAccountState, SetLimit,
    SetUserState, TakeFromProject, UpdateAccount, UpdateDomain, UpdateProject, UpdateRole, UpdateUser,
    WantedRole, Whose,
};
pub use vpc::{
    AssociateIpToVpc, CreatePrivateGateway, CreateStaticRoute, CreateTier, CreateVpc, CreateVpcOffering,
    DeletePrivateGateway, DeleteStaticRoute, DeleteVpc, DeleteVpcOffering, MigrateNetwork, RestartVpc,
    UpdateVpc, UpdateVpcOffering,
};

use std::net::Ipv4Addr;

use ipnet::Ipv4Net;
use outgate_model::id::{
    AccountId, DomainId, FirewallRuleId, GuestId, JobId, NetworkId, PortForwardingRuleId, PublicIpId,
    RouterId, ServiceOfferingId, TemplateId, UserId, ZoneId,
};
use outgate_model::object::RoleType;
use outgate_model::{Match, PortRange, Protocol};
use uuid::Uuid;

/// Who asks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Caller {
    /// The user whose key signed the call.
    pub user: UserId,
    /// The user's account.
    pub account: AccountId,
    /// The account's domain.
    pub domain: DomainId,
    /// How far it sees, and which commands it may call unless its role's rules say otherwise.
    pub role: RoleType,
}

/// A command that goes on as a job.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Started {
    /// The job.
    pub job: JobId,
    /// The object that was made, for commands that make one.
    pub id: Option<Uuid>,
}

/// `associateIpAddress`. One of `network` and `zone` is needed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct AssociateIp {
    /// `networkid`.
    pub network: Option<NetworkId>,
    /// `zoneid`: acquires an address without a network yet.
    pub zone: Option<ZoneId>,
    /// `ipaddress`: this one and no other.
    pub address: Option<Ipv4Addr>,
    /// `account` + `domainid`: for whom, when there is no network.
    pub owner: Option<AccountId>,
}

/// `disassociateIpAddress`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct DisassociateIp {
    /// `id`.
    pub id: PublicIpId,
}

/// `createEgressFirewallRule`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CreateEgressRule {
    /// `networkid`.
    pub network: NetworkId,
    /// `protocol`, `startport`, `endport`, `icmptype`, `icmpcode`.
    pub matches: Match,
    /// `cidrlist`: sources inside the network; empty for the whole network.
    pub sources: Vec<Ipv4Net>,
    /// `destcidrlist`; empty for everywhere.
    pub destinations: Vec<Ipv4Net>,
}

/// `deleteEgressFirewallRule`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct DeleteEgressRule {
    /// `id`.
    pub id: FirewallRuleId,
}

/// `createFirewallRule`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CreateFirewallRule {
    /// `ipaddressid`.
    pub public_ip: PublicIpId,
    /// `protocol`, `startport`, `endport`, `icmptype`, `icmpcode`.
    pub matches: Match,
    /// `cidrlist`; empty for everywhere.
    pub sources: Vec<Ipv4Net>,
}

/// `deleteFirewallRule`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct DeleteFirewallRule {
    /// `id`.
    pub id: FirewallRuleId,
}

/// `createPortForwardingRule`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CreatePortForwarding {
    /// `ipaddressid`.
    pub public_ip: PublicIpId,
    /// `protocol`.
    pub protocol: Protocol,
    /// `publicport` to `publicendport`.
    pub public_ports: PortRange,
    /// `privateport` to `privateendport`: as many as the public ones.
    pub private_ports: PortRange,
    /// `virtualmachineid`.
    pub guest: GuestId,
    /// `vmguestip`: the guest's address when given.
    pub guest_address: Option<Ipv4Addr>,
    /// `networkid`: for an address that has no network yet; otherwise it must be the address's.
    pub network: Option<NetworkId>,
    /// `openfirewall`: whether a firewall rule for the public ports is made too. When left out one is, but in a VPC,
    /// where there are none.
    pub open_firewall: Option<bool>,
    /// `cidrlist`: the sources of that firewall rule; empty for everywhere.
    pub sources: Vec<Ipv4Net>,
}

/// `deletePortForwardingRule`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct DeletePortForwarding {
    /// `id`.
    pub id: PortForwardingRuleId,
}

/// `enableStaticNat`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct EnableStaticNat {
    /// `ipaddressid`.
    pub public_ip: PublicIpId,
    /// `virtualmachineid`.
    pub guest: GuestId,
    /// `networkid`: for an address that has no network yet; otherwise it must be the address's.
    pub network: Option<NetworkId>,
    /// `vmguestip`: the guest's address when given.
    pub guest_address: Option<Ipv4Addr>,
}

/// `disableStaticNat`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct DisableStaticNat {
    /// `ipaddressid`.
    pub public_ip: PublicIpId,
}

/// `deployVirtualMachine`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DeployGuest {
    /// `zoneid`.
    pub zone: ZoneId,
    /// `serviceofferingid`.
    pub service_offering: ServiceOfferingId,
    /// `templateid`.
    pub template: TemplateId,
    /// The networks, the default one first. Empty: the owner's only network of the zone.
    pub nics: Vec<WantedNic>,
    /// `name`, the host name; made up when left out.
    pub name: Option<String>,
    /// `displayname`; the name when left out.
    pub display_name: Option<String>,
    /// `startvm`, true when left out.
    pub start: bool,
    /// `account` + `domainid`: for whom, the caller's account when left out.
    pub owner: Option<AccountId>,
}

/// `startVirtualMachine`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct StartGuest {
    /// `id`.
    pub id: GuestId,
}

/// `stopVirtualMachine`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct StopGuest {
    /// `id`.
    pub id: GuestId,
}

/// `rebootVirtualMachine`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RebootGuest {
    /// `id`.
    pub id: GuestId,
}

/// Destroys a guest for good, as `destroyVirtualMachine` with `expunge` does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct DestroyGuest {
    /// `id`.
    pub id: GuestId,
}

/// `startRouter`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct StartRouter {
    /// `id`.
    pub id: RouterId,
}

/// `stopRouter`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct StopRouter {
    /// `id`.
    pub id: RouterId,
}

/// `rebootRouter`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RebootRouter {
    /// `id`.
    pub id: RouterId,
}

/// `destroyRouter`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct DestroyRouter {
    /// `id`.
    pub id: RouterId,
}
