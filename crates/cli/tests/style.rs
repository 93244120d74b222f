// SPDX-License-Identifier: Apache-2.0
//! The habits of this tree, held by tests: what a document promises exists, and files stay small enough to read.
#![allow(
    clippy::expect_used,
    clippy::print_stderr,
    clippy::cast_possible_truncation,
    reason = "a test fails by panicking"
)]

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..")
}

/// Every file that git tracks and that ends in one of `endings`.
fn tracked(endings: &[&str]) -> Vec<PathBuf> {
    let output = Command::new("git")
        .arg("-C")
        .arg(root())
        .args(["ls-files"])
        .output()
        .expect("git runs");
    let list = String::from_utf8(output.stdout).expect("paths are UTF-8");
    let wanted = |path: &&str| endings.iter().any(|ending| path.ends_with(ending));
    let files: Vec<_> = list
        .lines()
        .filter(wanted)
        .map(PathBuf::from)
        .filter(|p| root().join(p).exists())
        .collect();
    assert!(!files.is_empty(), "git lists no files of {endings:?}");
    files
}

fn read(path: &Path) -> String {
    fs::read_to_string(root().join(path)).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

/// The `file.rs::test name` references of a document: pairs of a path and a function.
fn references(document: &str) -> BTreeSet<(String, String)> {
    document
        .split('`')
        .skip(1)
        .step_by(2)
        .filter_map(|code| code.split_once(".rs::"))
        .map(|(file, test)| {
            (
                format!("{file}.rs"),
                test.rsplit("::").next().unwrap_or(test).to_owned(),
            )
        })
        .collect()
}

#[test]
fn every_test_that_a_document_names_exists() {
    let mut missing = Vec::new();
    let mut found = 0;
    for document in tracked(&[".md"]) {
        for (file, test) in references(&read(&document)) {
            found += 1;
            let source = fs::read_to_string(root().join(&file)).unwrap_or_default();
            if !source.contains(&format!("fn {test}(")) {
                missing.push(format!("{}: {file}::{test}", document.display()));
            }
        }
    }
    assert!(missing.is_empty(), "named but not there:\n{}", missing.join("\n"));
    assert!(found >= 20, "only {found} references: has their form changed?");
}

#[test]
fn every_source_file_names_its_licence_first() {
    for path in tracked(&[".rs"]) {
        let text = read(&path);
        assert!(
            text.starts_with("// SPDX-License-Identifier: "),
            "{}",
            path.display()
        );
    }
}

#[test]
fn no_source_file_is_longer_than_can_be_read_in_one_sitting() {
    let long: Vec<_> = tracked(&[".rs"])
        .into_iter()
        .map(|path| (read(&path).lines().count(), path))
        .filter(|(lines, path)| {
            *lines
                > if path.components().any(|c| c.as_os_str() == "tests") {
                    800
                } else {
                    600
                }
        })
        .collect();
    assert!(long.is_empty(), "{long:?}");
}

#[test]
fn the_changelog_keeps_its_form() {
    let text = read(Path::new("CHANGELOG.md"));
    assert!(text.starts_with("# Changelog\n"));
    assert!(text.contains("\n## [Unreleased]\n"));
    let kinds = ["Added", "Changed", "Deprecated", "Removed", "Fixed", "Security"];
    for heading in text.lines().filter_map(|line| line.strip_prefix("### ")) {
        assert!(kinds.contains(&heading), "### {heading}");
    }
}

#[test]
fn every_dependency_is_justified() {
    let manifest = read(Path::new("Cargo.toml"));
    let section = manifest
        .split("[workspace.dependencies]")
        .nth(1)
        .and_then(|s| s.split("\n[").next())
        .unwrap_or("");
    let reasons = read(Path::new("docs/dependencies.md"));
    for line in section
        .lines()
        .filter(|line| line.contains('=') && !line.starts_with("outgate-"))
    {
        let name = line.split(['=', ' ']).next().unwrap_or("");
        assert!(
            reasons.contains(&format!("`{name}`")),
            "docs/dependencies.md says nothing of {name}"
        );
    }
}

#[test]
fn ci_runs_what_the_readme_says() {
    let (readme, ci) = (read(Path::new("README.md")), read(Path::new(".ci/run")));
    assert!(readme.contains("./x lab") && readme.contains("./x test"));
    assert!(ci.contains("./x test"));
}
