// SPDX-License-Identifier: Apache-2.0
//! INI files as Python's configparser reads them, as far as `cs` uses it: sections, `key = value` or `key: value`,
//! comments on lines of their own, and `[DEFAULT]` for what a section leaves out. Later files win, key by key.

use std::collections::BTreeMap;

/// Sections by name, in each the values by key in lower case.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Ini(BTreeMap<String, BTreeMap<String, String>>);

impl Ini {
    /// Takes over what a file's text holds.
    pub fn add(&mut self, text: &str) {
        let mut section = None;
        for line in text.lines().map(str::trim) {
            if line.is_empty() || line.starts_with(['#', ';']) {
                continue;
            }
            if let Some(name) = line.strip_prefix('[').and_then(|l| l.strip_suffix(']')) {
                self.0.entry(name.to_owned()).or_default();
                section = Some(name.to_owned());
            } else if let (Some(name), Some(at)) = (&section, line.find(['=', ':'])) {
                let (key, value) = (line[..at].trim().to_lowercase(), line[at + 1..].trim());
                self.0
                    .entry(name.clone())
                    .or_default()
                    .insert(key, value.to_owned());
            }
        }
    }

    /// The names of the sections.
    pub fn sections(&self) -> impl Iterator<Item = &str> {
        self.0
            .keys()
            .map(String::as_str)
            .filter(|name| *name != "DEFAULT")
    }

    /// A section's values that are not empty; `None` when there is no such section.
    pub fn section(&self, name: &str) -> Option<BTreeMap<String, String>> {
        let own = self.0.get(name).filter(|_| name != "DEFAULT")?;
        let mut all = self.0.get("DEFAULT").cloned().unwrap_or_default();
        all.extend(own.clone());
        all.retain(|_, value| !value.is_empty());
        Some(all)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sections_inherit_defaults_and_later_files_win_key_by_key() {
        let mut ini = Ini::default();
        ini.add(
            "[DEFAULT]\ntimeout = 5\n# a comment\n[cloudstack]\nEndpoint = http://a/\nkey: k\nsecret = s=\n",
        );
        ini.add("; another\n[cloudstack]\nkey = l\nverify =\n[prod]\nkey = p\n");
        let section = ini.section("cloudstack").unwrap();
        assert_eq!(section["endpoint"], "http://a/");
        assert_eq!((section["key"].as_str(), section["secret"].as_str()), ("l", "s="));
        assert_eq!(section["timeout"], "5");
        assert!(!section.contains_key("verify"));
        assert_eq!(ini.sections().collect::<Vec<_>>(), ["cloudstack", "prod"]);
        assert!(ini.section("DEFAULT").is_none());
    }
}
