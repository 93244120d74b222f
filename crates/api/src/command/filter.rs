// SPDX-License-Identifier: Apache-2.0
//! The filters that lists share. An unset filter lets everything pass.

use uuid::Uuid;

use crate::wire::params::Params;

/// Filters of one request.
#[derive(Debug, Clone, Copy)]
pub struct Filter<'a>(pub &'a Params);

impl Filter<'_> {
    /// Whether the object's id is what the parameter asks for.
    pub fn id(&self, name: &str, value: Uuid) -> bool {
        self.0.id(name).is_none_or(|wanted| wanted == value)
    }

    /// Whether an id that an object may lack is what the parameter asks for.
    pub fn maybe_id(&self, name: &str, value: Option<Uuid>) -> bool {
        self.0.id(name).is_none_or(|wanted| value == Some(wanted))
    }

    /// Whether the text is exactly what the parameter asks for, in any case.
    pub fn exact(&self, name: &str, value: &str) -> bool {
        self.0
            .text(name)
            .is_none_or(|wanted| wanted.eq_ignore_ascii_case(value))
    }

    /// Whether one of the texts contains what the parameter asks for, in any case.
    pub fn contained(&self, name: &str, values: &[&str]) -> bool {
        self.0.text(name).is_none_or(|wanted| {
            let wanted = wanted.to_lowercase();
            values.iter().any(|value| value.to_lowercase().contains(&wanted))
        })
    }

    /// Whether `keyword` is part of one of the texts.
    pub fn keyword(&self, values: &[&str]) -> bool {
        self.contained("keyword", values)
    }

    /// Whether the truth value is what the parameter asks for.
    pub fn flag(&self, name: &str, value: bool) -> bool {
        self.0.flag(name).is_none_or(|wanted| wanted == value)
    }

    /// Whether the word is what the parameter asks for.
    pub fn word(&self, name: &str, value: &str) -> bool {
        self.0.word(name).is_none_or(|wanted| wanted == value)
    }
}
