// SPDX-License-Identifier: Apache-2.0
//! What a zone is built of.

pub mod cluster;
pub mod host;
pub mod physical_network;
pub mod pod;
pub mod provider;
pub mod range;
pub mod setting;
pub mod traffic_type;
pub mod zone;

use serde_json::Value;

use crate::view::Look;
use crate::wire::envelope::{self, Object};
use crate::wire::error::ApiError;
use crate::wire::params::{Kind, Params};

use super::Call;

/// CloudStack's words of whether something new is placed there.
const STATE: Kind = Kind::OneOf(&["Enabled", "Disabled"]);
const NAME: Kind = Kind::Text(255);

/// What `allocationstate` or the like asks for.
fn enabled(params: &Params, name: &str) -> Option<bool> {
    params.word(name).map(|word| word == "Enabled")
}

impl Call<'_> {
    /// The object that a command has made or changed, under `key`.
    fn now<T>(
        &self,
        key: &str,
        find: impl FnOnce(&Look<'_>) -> Option<T>,
        render: impl FnOnce(&Look<'_>, T) -> Object,
    ) -> Result<Object, ApiError> {
        let view = self.manager.view();
        let look = Look {
            view: &view,
            caller: &self.caller,
        };
        let found = find(&look);
        let found = found.ok_or_else(|| ApiError::internal(format!("the {key} is gone already")))?;
        Ok(envelope::single(key, Value::Object(render(&look, found))))
    }
}
