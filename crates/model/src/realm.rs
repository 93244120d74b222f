// SPDX-License-Identifier: Apache-2.0
//! What one virtual router serves.

use std::fmt;

use serde::{Deserialize, Deserializer, Serialize};

use crate::id::{NetworkId, VpcId};

/// An isolated network, or a VPC with all its tiers: the unit that has one router, one generation and one reconciler.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase", tag = "realm", content = "of")]
pub enum Realm {
    /// An isolated network.
    Network(NetworkId),
    /// A VPC.
    Vpc(VpcId),
}

impl fmt::Display for Realm {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Network(id) => write!(f, "network {id}"),
            Self::Vpc(id) => write!(f, "VPC {id}"),
        }
    }
}

/// A realm as it is written now, or as it was before there were VPCs: a network's id.
///
/// # Errors
/// When it is neither.
pub(crate) fn realm_or_network<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Realm, D::Error> {
    #[derive(Deserialize)]
    #[serde(untagged)]
    enum Stored {
        Realm(Realm),
        Network(NetworkId),
    }
    Ok(match Stored::deserialize(deserializer)? {
        Stored::Realm(realm) => realm,
        Stored::Network(id) => Realm::Network(id),
    })
}
