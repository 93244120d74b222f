// SPDX-License-Identifier: Apache-2.0
//! What is wrong with one field of an input.

/// One field holds a value that cannot be used. The text names the field, the value and what would be right.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error, serde::Serialize, serde::Deserialize)]
#[error("{field}: {value:?} is not usable: {expected}")]
pub struct FieldError {
    /// Name of the field as the user knows it, for example `publicport` or `guest_networks[0].cidr`.
    pub field: String,
    /// The value as it was given.
    pub value: String,
    /// What would be right, as a phrase: `a port from 1 to 65535`.
    pub expected: String,
}

impl FieldError {
    /// Makes an error for `field`, which holds `value` where `expected` was wanted.
    pub fn new(field: impl Into<String>, value: impl ToString, expected: impl Into<String>) -> Self {
        Self {
            field: field.into(),
            value: value.to_string(),
            expected: expected.into(),
        }
    }
}
