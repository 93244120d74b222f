// SPDX-License-Identifier: Apache-2.0
//! Ids: UUID v4 in lower case with hyphens, as CloudStack's clients expect them, one type for each kind of object.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};
use uuid::Uuid;

macro_rules! ids {
    ($($(#[$doc:meta])* $name:ident),+ $(,)?) => {$(
        $(#[$doc])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        #[serde(transparent)]
        pub struct $name(pub Uuid);

        impl $name {
            /// A new random id.
            #[allow(clippy::new_without_default, reason = "a default id would hide that each is different")]
            pub fn new() -> Self {
                Self(Uuid::new_v4())
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                self.0.as_hyphenated().fmt(f)
            }
        }

        impl FromStr for $name {
            type Err = uuid::Error;

            /// Takes only the hyphenated form: `ccf5c1a0-…` with 36 characters, as CloudStack prints it.
            fn from_str(text: &str) -> Result<Self, Self::Err> {
                let id = Uuid::parse_str(text)?;
                // The error of an empty text: the other forms that the uuid crate reads are nobody's ids here.
                if text.len() == 36 { Ok(Self(id)) } else { Uuid::parse_str("").map(Self) }
            }
        }
    )+};
}

ids! {
    /// A zone.
    ZoneId,
    /// A public IP range (VLAN IP range).
    PublicIpRangeId,
    /// A physical network.
    PhysicalNetworkId,
    /// A network offering.
    NetworkOfferingId,
    /// A service offering.
    ServiceOfferingId,
    /// A template.
    TemplateId,
    /// An isolated network or a VPC tier.
    NetworkId,
    /// A VPC.
    VpcId,
    /// A VPC offering.
    VpcOfferingId,
    /// A network ACL list.
    NetworkAclListId,
    /// An item of a network ACL list.
    NetworkAclItemId,
    /// A private gateway of a VPC.
    PrivateGatewayId,
    /// A static route of a VPC.
    StaticRouteId,
    /// An acquired public IP address.
    PublicIpId,
    /// A firewall rule, ingress or egress.
    FirewallRuleId,
    /// A port forwarding rule.
    PortForwardingRuleId,
    /// A load balancer rule.
    LoadBalancerRuleId,
    /// A stickiness policy of a load balancer rule.
    StickinessPolicyId,
    /// A health check policy of a load balancer rule.
    HealthCheckPolicyId,
    /// A legacy IP forwarding rule.
    IpForwardingRuleId,
    /// A guest (virtual machine).
    GuestId,
    /// A guest's NIC on a network.
    NicId,
    /// A secondary address of a guest's NIC.
    SecondaryIpId,
    /// A virtual router.
    RouterId,
    /// The tags of an object: the object's own id.
    TagSetId,
    /// A host that runs routers and guests.
    HostId,
    /// A domain of accounts.
    DomainId,
    /// An account.
    AccountId,
    /// A user of an account.
    UserId,
    /// A role.
    RoleId,
    /// A rule of a role.
    RolePermissionId,
    /// A project.
    ProjectId,
    /// An async job.
    JobId,
    /// An event.
    EventId,
    /// A pod.
    PodId,
    /// A cluster.
    ClusterId,
    /// A traffic type of a physical network.
    TrafficTypeId,
    /// A network service provider of a physical network.
    ServiceProviderId,
    /// A setting's value.
    SettingId,
    /// An alert.
    AlertId,
}
