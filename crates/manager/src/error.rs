// SPDX-License-Identifier: Apache-2.0
//! Why a command was refused, with CloudStack's codes. The texts are what users read in `errortext`.

use std::fmt::Display;

use outgate_model::FieldError;
use outgate_store::StoreError;

use crate::limits::LimitReached;

/// A refused command. Nothing was written.
#[derive(Debug, thiserror::Error)]
pub enum CommandError {
    /// A parameter holds a value that cannot be used.
    #[error("{0}")]
    Invalid(FieldError),
    /// A parameter names an object that does not exist. The wording is CloudStack's: clients match it.
    #[error(
        "Invalid parameter {param} value={value} due to incorrect long value format, or entity does not exist or \
         due to incorrect parameter annotation for the field in api cmd class."
    )]
    NotFound {
        /// The parameter's name: `networkid`.
        param: String,
        /// Its value as given.
        value: String,
    },
    /// A parameter that is needed was not given.
    #[error("missing parameter {param}")]
    Missing {
        /// The parameter's name.
        param: String,
    },
    /// The object belongs to somebody else.
    #[error("the caller does not have permission to operate with {what}")]
    Permission {
        /// What it is: `Network 0a1b…`.
        what: String,
    },
    /// The object's owner does not allow it at the moment.
    #[error("{what}")]
    Forbidden {
        /// Why, and what to do.
        what: String,
    },
    /// An account, a domain or a project holds as much as it may.
    #[error(transparent)]
    ResourceLimit(#[from] LimitReached),
    /// Nothing is free any more.
    #[error("insufficient capacity: {what}")]
    Capacity {
        /// What is used up, and where: names the zone and its ranges, or the network's CIDR.
        what: String,
    },
    /// A limit that protects the router has been reached.
    #[error(
        "{what} would hold more than {limit} {of}, which is the most that is possible; delete some first"
    )]
    Limit {
        /// What is full: `Network 0a1b…`.
        what: String,
        /// The limit.
        limit: usize,
        /// Of what: `rules`.
        of: &'static str,
    },
    /// Rules would make more set elements than a router can be given.
    #[error("{0}")]
    TooComplex(outgate_model::FieldError),
    /// What is needed does not work at the moment.
    #[error("unavailable: {what}")]
    Unavailable {
        /// What, and what to do.
        what: String,
    },
    /// The object is still used by something else.
    #[error("{what} is in use: {by}")]
    InUse {
        /// What was to go or to change.
        what: String,
        /// What uses it, by id or name, and what to do.
        by: String,
    },
    /// Another rule already holds what this one asks for.
    #[error("{wanted} conflicts with {other}, which holds {holds}")]
    Conflict {
        /// What was asked for: `port forwarding tcp 80-90 of 203.0.113.10`.
        wanted: String,
        /// The other rule: `port forwarding rule 0a1b…`.
        other: String,
        /// What it holds: `tcp 85 of 203.0.113.10`.
        holds: String,
    },
    /// The store failed.
    #[error("the change could not be stored: {0}")]
    Store(#[from] StoreError),
    /// A defect of Outgate itself.
    #[error("internal error: {0}")]
    Internal(String),
}

impl CommandError {
    /// A parameter `field` that holds `value` where `expected` was wanted.
    pub fn invalid(field: &str, value: impl ToString, expected: impl Into<String>) -> Self {
        Self::Invalid(FieldError::new(field, value, expected))
    }

    /// Parameter `param` names an object `value` that does not exist.
    pub fn not_found(param: &str, value: impl ToString) -> Self {
        Self::NotFound {
            param: param.to_owned(),
            value: value.to_string(),
        }
    }

    /// The parameter `param` is missing.
    pub fn missing(param: &str) -> Self {
        Self::Missing {
            param: param.to_owned(),
        }
    }

    /// Somebody else's object `kind` `id`.
    pub fn permission(kind: &str, id: impl Display) -> Self {
        Self::Permission {
            what: format!("{kind} {id}"),
        }
    }

    /// CloudStack's `errorcode`, which is the HTTP status too.
    pub fn code(&self) -> u16 {
        match self {
            Self::Invalid(_) | Self::NotFound { .. } | Self::Missing { .. } => 431,
            Self::Permission { .. } | Self::Forbidden { .. } => 531,
            Self::Capacity { .. } => 533,
            Self::Unavailable { .. } => 534,
            Self::ResourceLimit(_) | Self::Limit { .. } | Self::TooComplex(_) => 535,
            Self::InUse { .. } => 536,
            Self::Conflict { .. } => 537,
            Self::Store(_) | Self::Internal(_) => 530,
        }
    }

    /// CloudStack's `cserrorcode`.
    pub fn cs_code(&self) -> u16 {
        match self {
            Self::Invalid(_) => 4350,
            Self::NotFound { .. } | Self::Missing { .. } => 9999,
            Self::Permission { .. } | Self::Forbidden { .. } => 4365,
            Self::Capacity { .. } => 4320,
            Self::Unavailable { .. } => 4380,
            Self::ResourceLimit(_) | Self::Limit { .. } | Self::TooComplex(_) => 4370,
            Self::InUse { .. } => 4375,
            Self::Conflict { .. } => 4360,
            Self::Store(_) | Self::Internal(_) => 4250,
        }
    }

    /// The whole `errortext` for API command `command`, as CloudStack words it where clients look at the words.
    pub fn text(&self, command: &str) -> String {
        match self {
            Self::NotFound { .. } => {
                format!("Unable to execute API command {command} due to invalid value. {self}")
            }
            Self::Missing { param } => {
                format!("Unable to execute API command {command} due to missing parameter {param}")
            }
            other => other.to_string(),
        }
    }
}

impl From<FieldError> for CommandError {
    fn from(error: FieldError) -> Self {
        Self::Invalid(error)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_unknown_object_is_reported_in_the_words_that_clients_match() {
        let error = CommandError::not_found("id", "5b0a");
        assert_eq!((error.code(), error.cs_code()), (431, 9999));
        assert_eq!(
            error.text("deleteNetwork"),
            "Unable to execute API command deleteNetwork due to invalid value. Invalid parameter id value=5b0a due to \
             incorrect long value format, or entity does not exist or due to incorrect parameter annotation for the \
             field in api cmd class."
        );
    }

    #[test]
    fn a_missing_parameter_is_named_with_its_command() {
        let text = CommandError::missing("networkid").text("createEgressFirewallRule");
        assert_eq!(
            text,
            "Unable to execute API command createEgressFirewallRule due to missing parameter networkid"
        );
    }
}
