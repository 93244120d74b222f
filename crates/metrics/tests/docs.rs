// SPDX-License-Identifier: Apache-2.0
//! docs/metrics.md has a table of all metrics, made from the catalogue: `UPDATE_DOCS=1 cargo nextest run -p outgate-metrics`.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    reason = "a test fails by panicking"
)]

use std::path::Path;

use outgate_metrics::catalog::ALL;

/// The table stands behind this line, and nothing else does.
const MARK: &str = "## All metrics\n";

fn table() -> String {
    let mut text = String::from("\n| metric | type | labels | meaning |\n|---|---|---|---|\n");
    for about in ALL {
        let labels: Vec<String> = about.labels.iter().map(|label| format!("`{label}`")).collect();
        let (name, kind, labels, help) = (about.name, about.kind.name(), labels.join(", "), about.help);
        text += &format!("| `{name}` | {kind} | {labels} | {help} |\n");
    }
    text
}

#[test]
fn the_table_of_metrics_is_the_catalogue() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/metrics.md");
    let text = std::fs::read_to_string(&path).unwrap();
    let (before, after) = text.split_once(MARK).expect("the heading of the table");
    if std::env::var_os("UPDATE_DOCS").is_some() {
        std::fs::write(&path, format!("{before}{MARK}{}", table())).unwrap();
    } else {
        assert_eq!(
            after,
            table(),
            "UPDATE_DOCS=1 cargo nextest run -p outgate-metrics"
        );
    }
}
