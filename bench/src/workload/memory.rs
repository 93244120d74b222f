// SPDX-License-Identifier: Apache-2.0
//! The memory of sessions: conntrack's, and what a program's eBPF maps take beside it.

use std::fs;

use super::packets::Bench;
use super::{Better, Reading, Workload};
use crate::traffic::Sessions;
use crate::world::World;

const SESSIONS: Sessions = Sessions {
    hosts: 252,
    ports: 256,
    count: 100_000,
};
const MIB: f64 = 1024.0 * 1024.0;

pub(super) fn measure(world: &World) -> anyhow::Result<Vec<Reading>> {
    let before = conntrack_bytes()?;
    // The engine's maps are made when it starts; those of the benchmark come later.
    let maps = map_bytes();
    let bench = Bench::new(world, SESSIONS)?;
    let after = conntrack_bytes()?;
    drop(bench);
    let name = Workload::Memory.name();
    Ok(vec![
        Reading::new(
            format!("{name}: conntrack"),
            "MiB/100k",
            Better::Lower,
            (after - before).max(0.0) / MIB,
        ),
        Reading::new(format!("{name}: eBPF maps"), "MiB", Better::Lower, maps / MIB),
    ])
}

/// What the kernel's caches of conntrack hold, of all namespaces: only differences tell something.
fn conntrack_bytes() -> anyhow::Result<f64> {
    let text = fs::read_to_string("/proc/slabinfo")?;
    let caches = text.lines().filter(|line| line.starts_with("nf_conntrack"));
    let bytes = caches.filter_map(|line| {
        let mut words = line.split_whitespace().skip(1);
        let active: f64 = words.next()?.parse().ok()?;
        let size: f64 = words.nth(1)?.parse().ok()?;
        Some(active * size)
    });
    Ok(bytes.sum())
}

/// What the eBPF maps that this process holds take.
fn map_bytes() -> f64 {
    let Ok(files) = fs::read_dir("/proc/self/fdinfo") else {
        return 0.0;
    };
    let of = |text: &str| -> Option<f64> {
        text.contains("map_type:").then_some(())?;
        let line = text.lines().find(|line| line.starts_with("memlock:"))?;
        line.split_whitespace().nth(1)?.parse().ok()
    };
    let texts = files
        .flatten()
        .filter_map(|file| fs::read_to_string(file.path()).ok());
    texts.filter_map(|text| of(&text)).sum()
}
