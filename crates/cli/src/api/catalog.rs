// SPDX-License-Identifier: Apache-2.0
//! What a server can do, as its `listApis` says, remembered for each profile.

use std::path::Path;
use std::time::{Duration, SystemTime};

use serde::{Deserialize, Serialize};

use super::profile::Profile;
use crate::client::{Client, ServerError};
use crate::near::nearest;

/// How long a remembered list is believed when it does not know a command.
const FRESH: Duration = Duration::from_secs(60);

/// The commands of a server that the profile's user may call, by name.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub struct Catalog {
    /// The commands.
    pub commands: Vec<Api>,
}

/// A command.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct Api {
    /// `createNetwork`.
    pub name: String,
    /// What it does.
    pub description: String,
    /// Whether it answers with a job.
    pub isasync: bool,
    /// What it takes.
    pub params: Vec<Param>,
    /// What it answers.
    pub response: Vec<Field>,
}

/// A parameter.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct Param {
    /// Its name, in lower case.
    pub name: String,
    /// `string`, `uuid`, `boolean`, `integer`, `list`, `map` ...
    #[serde(rename = "type")]
    pub kind: String,
    /// What it means.
    pub description: String,
    /// Whether the command needs it.
    pub required: bool,
}

/// A field of an answer.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct Field {
    /// Its name.
    pub name: String,
    /// Its type.
    #[serde(rename = "type")]
    pub kind: String,
    /// What it means.
    pub description: String,
}

impl Catalog {
    /// What is remembered; asks the server when nothing is. Empty when the server has no `listApis` for this user.
    pub fn of(profile: &Profile, client: &Client) -> anyhow::Result<Self> {
        match Self::remembered(profile) {
            Some(found) => Ok(found),
            None => Self::ask(profile, client),
        }
    }

    /// What is remembered.
    pub fn remembered(profile: &Profile) -> Option<Self> {
        let bytes = std::fs::read(profile.cache.as_ref()?).ok()?;
        serde_json::from_slice(&bytes).ok()
    }

    /// Whether what is remembered was asked for lately.
    pub fn is_fresh(profile: &Profile) -> bool {
        let written = |path: &std::path::PathBuf| std::fs::metadata(path).ok()?.modified().ok();
        let age = profile
            .cache
            .as_ref()
            .and_then(written)
            .and_then(|at| SystemTime::now().duration_since(at).ok());
        age.is_some_and(|age| age < FRESH)
    }

    /// Asks the server and remembers the answer.
    pub fn ask(profile: &Profile, client: &Client) -> anyhow::Result<Self> {
        let items = match client.list("listApis", &[]) {
            Ok(items) => items,
            Err(error) => {
                // Only a server that refuses to say is used without knowing; wrong credentials are told.
                return match error.downcast_ref::<ServerError>() {
                    Some(refused) if refused.code != 401 => Ok(Self::default()),
                    _ => Err(error),
                };
            }
        };
        let mut commands: Vec<Api> = items
            .into_iter()
            .filter_map(|item| serde_json::from_value(item).ok())
            .collect();
        commands.sort_by(|a, b| a.name.cmp(&b.name));
        let catalog = Self { commands };
        if let Some(path) = &profile.cache {
            // Without a place to remember it, it is asked for again the next time: slower, and nothing else.
            let _ = catalog.write(path);
        }
        Ok(catalog)
    }

    fn write(&self, path: &Path) -> anyhow::Result<()> {
        if let Some(folder) = path.parent() {
            std::fs::create_dir_all(folder)?;
        }
        let draft = path.with_extension(format!("{}.new", std::process::id()));
        std::fs::write(&draft, serde_json::to_vec(self)?)?;
        Ok(std::fs::rename(&draft, path)?)
    }

    /// The command of this name, in any case.
    pub fn find(&self, name: &str) -> Option<&Api> {
        self.commands
            .iter()
            .find(|api| api.name.eq_ignore_ascii_case(name))
    }

    /// Whether nothing is known of the server.
    pub fn is_empty(&self) -> bool {
        self.commands.is_empty()
    }

    /// Commands whose names are near a mistyped one.
    pub fn near(&self, name: &str) -> Vec<&str> {
        nearest(name, self.commands.iter().map(|api| api.name.as_str()))
    }
}

impl Api {
    /// The parameter of this name, in any case, without what stands in brackets: `Tags[0].key` is `tags`.
    pub fn param(&self, name: &str) -> Option<&Param> {
        let outer = name.split('[').next().unwrap_or(name);
        self.params
            .iter()
            .find(|param| param.name.eq_ignore_ascii_case(outer))
    }

    /// Parameters whose names are near a mistyped one.
    pub fn near(&self, name: &str) -> Vec<&str> {
        nearest(name, self.params.iter().map(|param| param.name.as_str()))
    }
}
