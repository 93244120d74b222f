// SPDX-License-Identifier: Apache-2.0
//! Reading load balancer rules and legacy IP forwarding rules.

use outgate_model::id::{GuestId, HealthCheckPolicyId, NetworkId, PublicIpId, StickinessPolicyId};
use outgate_model::object::{IpForwardingRule, LoadBalancerRule};

use super::state::Stored;
use super::view::View;

impl View<'_> {
    /// The load balancer rules of a network.
    pub fn balancers_of_network(&self, id: NetworkId) -> impl Iterator<Item = &Stored<LoadBalancerRule>> {
        self.each(self.0.indexes.balancers_by_network.get(id))
    }

    /// The load balancer rules of a public address.
    pub fn balancers_of_ip(&self, id: PublicIpId) -> impl Iterator<Item = &Stored<LoadBalancerRule>> {
        self.each(self.0.indexes.balancers_by_ip.get(id))
    }

    /// The load balancer rule of a port of a public address.
    pub fn balancer_at(&self, id: PublicIpId, port: u16) -> Option<&Stored<LoadBalancerRule>> {
        self.get(*self.0.indexes.balancer_by_port.get(&(id, port))?)
    }

    /// The load balancer rules that a guest is a member of.
    pub fn balancers_of_guest(&self, id: GuestId) -> impl Iterator<Item = &Stored<LoadBalancerRule>> {
        self.each(self.0.indexes.balancers_by_guest.get(id))
    }

    /// The load balancer rule that has this stickiness policy.
    pub fn balancer_of_stickiness(&self, id: StickinessPolicyId) -> Option<&Stored<LoadBalancerRule>> {
        self.get(*self.0.indexes.balancer_by_stickiness.get(&id)?)
    }

    /// The load balancer rule that has this health check policy.
    pub fn balancer_of_health_check(&self, id: HealthCheckPolicyId) -> Option<&Stored<LoadBalancerRule>> {
        self.get(*self.0.indexes.balancer_by_health_check.get(&id)?)
    }

    /// How many load balancer rules a network has.
    pub fn count_balancers(&self, id: NetworkId) -> usize {
        self.0.indexes.balancers_by_network.count(&id)
    }

    /// The IP forwarding rules of a network.
    pub fn ip_forwards_of_network(&self, id: NetworkId) -> impl Iterator<Item = &Stored<IpForwardingRule>> {
        self.each(self.0.indexes.ip_forwards_by_network.get(id))
    }

    /// The IP forwarding rules of a public address.
    pub fn ip_forwards_of_ip(&self, id: PublicIpId) -> impl Iterator<Item = &Stored<IpForwardingRule>> {
        self.each(self.0.indexes.ip_forwards_by_ip.get(id))
    }

    /// The IP forwarding rules that lead to a guest.
    pub fn ip_forwards_of_guest(&self, id: GuestId) -> impl Iterator<Item = &Stored<IpForwardingRule>> {
        self.each(self.0.indexes.ip_forwards_by_guest.get(id))
    }
}
