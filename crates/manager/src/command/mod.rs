// SPDX-License-Identifier: Apache-2.0
//! The API's commands: each one decision on a snapshot and one transaction.
//!
//! For each request type `XyZ` of [`request`] the manager has one method:
//!
//! ```text
//! async fn xy_z(&self, caller: &Caller, request: XyZ) -> Result<O, CommandError>
//! ```
//!
//! | methods | `O` |
//! |---|---|
//! | `create_network` | `NetworkId` |
//! | `create_network_offering`, `update_network_offering` | `NetworkOfferingId` |
//! | `enable_static_nat`, `delete_network_offering` | `()` |
//! | `update_network`, `restart_network`, `delete_network`, `associate_ip`, `disassociate_ip`, `create_egress_rule`, `delete_egress_rule`, `create_firewall_rule`, `delete_firewall_rule`, `create_port_forwarding`, `delete_port_forwarding`, `disable_static_nat`, `deploy_guest`, `start_guest`, `stop_guest`, `reboot_guest`, `destroy_guest`, `add_nic`, `remove_nic`, `update_default_nic`, `update_nic_ip`, `add_ip_to_nic`, `remove_ip_from_nic`, `start_router`, `stop_router`, `reboot_router`, `destroy_router` | [`Started`] |
//!
//! `verify_router(&self, caller: &Caller, id: RouterId) -> Result<Vec<Check>, CommandError>` changes nothing.

pub(crate) mod address;
mod balancing;
mod checks;
mod conflicts;
mod firewall;
mod forwarding;
pub(crate) mod guest;
mod guest_address;
pub(crate) mod guest_life;
mod implement;
pub(crate) mod infra;
mod ip_forwarding;
mod methods;
pub(crate) mod network;
mod network_offering;
mod nic;
mod pick;
mod provided;
pub mod request;
mod reserve;
mod router;
mod secondary_ip;
mod source_nat;
mod source_nat_pool;
mod static_nat;
mod stickiness;
mod subnet;
mod tag;
pub(crate) mod tenancy;
pub(crate) mod tx;
mod verify;
pub(crate) mod vpc;

pub use balancing::{BALANCERS_PER_NETWORK, MEMBERS_PER_BALANCER, MEMBERS_PER_NETWORK};
pub use nic::NICS_PER_GUEST;
pub use secondary_ip::SECONDARY_IPS_PER_NIC;

pub use checks::{CIDR_PAIRS_PER_NETWORK, CIDRS_PER_RULE, RULES_PER_NETWORK};
pub(crate) use implement::LINK_LOCAL_COUNT;

pub use request::{Caller, Started};
