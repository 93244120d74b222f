// SPDX-License-Identifier: Apache-2.0
//! The results as tables, as JSON, and as plots.

use std::fs;
use std::path::{Path, PathBuf};

use comfy_table::{Table, presets};
use serde_json::json;

use crate::plot::bars;
use crate::results::{Outcome, Results, TARGETS};

/// The plots: file name, title, how the names of their readings begin.
const PLOTS: [(&str, &str, &str); 5] = [
    ("udp64", "64-byte UDP, guests to outside, one core", "udp64 "),
    ("imix", "IMIX, guests to outside, one core", "imix "),
    ("tcp", "TCP bulk, one core", "tcp-"),
    ("new", "New sessions per second, one core", "new-"),
    (
        "latency",
        "Request and response beside a half busy router",
        "latency",
    ),
];

/// A line a reading, a column a contender: medians, with the least and the most.
pub fn table(results: &Results, contenders: &[String]) -> String {
    let mut table = Table::new();
    table.load_style(presets::NOTHING);
    table.set_header([&["WHAT".to_owned(), "UNIT".to_owned()], contenders].concat());
    for name in results.names() {
        let cells = contenders.iter().map(|contender| {
            results.row(name, contender).map_or_else(String::new, |row| {
                let (least, most) = row.spread();
                format!("{:.2} ({least:.2}-{most:.2})", row.median())
            })
        });
        let unit = results
            .rows()
            .iter()
            .find(|row| row.name == name)
            .map_or("", |row| row.unit);
        table.add_row([name.to_owned(), unit.to_owned()].into_iter().chain(cells));
    }
    table.trim_fmt()
}

/// What each target came to.
pub fn outcomes(results: &Results) -> Vec<Outcome> {
    TARGETS.iter().map(|target| target.judge(results)).collect()
}

/// The same as a table.
pub fn outcome_table(outcomes: &[Outcome]) -> String {
    let mut table = Table::new();
    table.load_style(presets::NOTHING);
    table.set_header(["FIGURE", "RATIO", "WANTED", ""]);
    for outcome in outcomes {
        let ratio = outcome
            .ratio
            .map_or_else(|| "-".to_owned(), |ratio| format!("{ratio:.2}"));
        let reached = match outcome.reached {
            Some(true) => "reached",
            Some(false) => "not reached",
            None => "not measured",
        };
        table.add_row([
            outcome.what.clone(),
            ratio,
            outcome.wanted.clone(),
            reached.to_owned(),
        ]);
    }
    table.trim_fmt()
}

/// Writes `nat-TIME.json` and the plots into a directory. Returns the paths.
///
/// # Errors
/// When they cannot be written.
pub fn write(results: &Results, rounds: u32, load: f64, dir: &Path) -> anyhow::Result<Vec<PathBuf>> {
    fs::create_dir_all(dir)?;
    let now = jiff::Timestamp::now().strftime("%Y%m%dT%H%M%SZ").to_string();
    let document = json!({
        "machine": machine(),
        "rounds": rounds,
        "load_pps": load,
        "outcomes": outcomes(results),
        "readings": results.rows().iter().map(|row| json!({
            "name": row.name, "unit": row.unit, "more_is_better": row.more_is_better, "contender": row.contender,
            "median": row.median(), "least": row.spread().0, "most": row.spread().1, "values": row.values,
        })).collect::<Vec<_>>(),
    });
    let path = dir.join(format!("nat-{now}.json"));
    fs::write(&path, serde_json::to_string_pretty(&document)? + "\n")?;
    let mut written = vec![path];
    for (file, title, begins) in PLOTS {
        if let Some(svg) = bars(results, title, begins) {
            let path = dir.join(format!("nat-{file}.svg"));
            fs::write(&path, svg)?;
            written.push(path);
        }
    }
    Ok(written)
}

fn machine() -> serde_json::Value {
    let read = |path: &str| fs::read_to_string(path).unwrap_or_default();
    let cpu = read("/proc/cpuinfo");
    let model = cpu
        .lines()
        .find_map(|line| line.strip_prefix("model name")?.split_once(": "));
    json!({
        "cpu": model.map(|(_, name)| name),
        "cores": cpu.lines().filter(|line| line.starts_with("processor")).count(),
        "kernel": read("/proc/sys/kernel/osrelease").trim(),
        "load_average_before": read("/proc/loadavg").trim(),
    })
}
