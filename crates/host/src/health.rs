// SPDX-License-Identifier: Apache-2.0
//! The host's hardware, as far as the kernel shows it: processor time that others took, throttling, memory errors,
//! temperature, and what the management controller says. What a machine does not have is told as such, never as fine.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use outgate_model::host::HealthSeen;

/// Processor time taken by others beyond this part, in percent, slows routers down.
const STEAL: u64 = 40;
/// How long the management controller may take.
const IPMI_LIMIT: Duration = Duration::from_secs(4);
/// No more sensors are read.
const SENSORS: usize = 256;

/// Counters at one moment.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Sample {
    /// Processor time in all, and of it what others took.
    time: Option<(u64, u64)>,
    /// How often the processor was throttled for heat or by a limit.
    throttled: Option<u64>,
    /// Memory errors, corrected and not.
    memory: Option<(u64, u64)>,
}

impl Sample {
    /// Reads below `root`, which is `/` but in tests.
    pub(crate) fn read(root: &Path) -> Self {
        Self {
            time: time(root),
            throttled: throttled(root),
            memory: memory(root),
        }
    }
}

/// What two samples and the sensors say.
pub(crate) fn judge(root: &Path, before: &Sample, after: &Sample) -> Vec<HealthSeen> {
    vec![
        steal(before, after),
        throttling(before, after),
        ecc(before, after),
        temperature(root),
    ]
}

fn health(what: &str, seen: Option<(String, bool)>) -> HealthSeen {
    let trouble = seen.as_ref().is_some_and(|(_, trouble)| *trouble);
    HealthSeen {
        what: what.to_owned(),
        seen: seen.map(|(text, _)| text),
        trouble,
    }
}

fn steal(before: &Sample, after: &Sample) -> HealthSeen {
    let seen = before.time.zip(after.time).map(|(before, after)| {
        let total = after.0.saturating_sub(before.0).max(1);
        let percent = after.1.saturating_sub(before.1) * 100 / total;
        (
            format!("{percent} % of the processor's time went to other machines"),
            percent >= STEAL,
        )
    });
    health("CPU steal", seen)
}

fn throttling(before: &Sample, after: &Sample) -> HealthSeen {
    let seen = before.throttled.zip(after.throttled).map(|(before, after)| {
        let rose = after.saturating_sub(before);
        (format!("throttled {rose} times while looking"), rose > 0)
    });
    health("CPU throttling", seen)
}

fn ecc(before: &Sample, after: &Sample) -> HealthSeen {
    let seen = before.memory.zip(after.memory).map(|(before, after)| {
        let trouble = after.1 > 0 || after.0 > before.0;
        (
            format!(
                "{} corrected and {} uncorrected memory errors since the start",
                after.0, after.1
            ),
            trouble,
        )
    });
    health("memory ECC", seen)
}

fn number(path: impl AsRef<Path>) -> Option<u64> {
    fs::read_to_string(path).ok()?.trim().parse().ok()
}

/// The folders below `dir` whose names begin so.
fn folders(dir: &Path, begin: &str) -> Vec<PathBuf> {
    let entries = fs::read_dir(dir).into_iter().flatten().flatten();
    let named = entries.filter(|e| e.file_name().to_string_lossy().starts_with(begin));
    named.map(|e| e.path()).take(SENSORS).collect()
}

/// The first line of /proc/stat: user, nice, system, idle, iowait, irq, softirq, steal.
fn time(root: &Path) -> Option<(u64, u64)> {
    let text = fs::read_to_string(root.join("proc/stat")).ok()?;
    let numbers = text.lines().next()?.split_whitespace().skip(1).take(8);
    let numbers: Vec<u64> = numbers.filter_map(|n| n.parse().ok()).collect();
    Some((numbers.iter().sum(), *numbers.get(7)?))
}

fn throttled(root: &Path) -> Option<u64> {
    let cpus = folders(&root.join("sys/devices/system/cpu"), "cpu");
    let heat = cpus
        .iter()
        .filter_map(|cpu| number(cpu.join("thermal_throttle/core_throttle_count")));
    let limit = fs::read_to_string(root.join("sys/fs/cgroup/cpu.stat")).ok();
    let limit = limit.and_then(|text| {
        let line = text.lines().find_map(|l| l.strip_prefix("nr_throttled "));
        line?.trim().parse::<u64>().ok()
    });
    let all: Vec<u64> = heat.chain(limit).collect();
    (!all.is_empty()).then(|| all.iter().sum())
}

fn memory(root: &Path) -> Option<(u64, u64)> {
    let controllers = folders(&root.join("sys/devices/system/edac/mc"), "mc");
    let counts = controllers
        .iter()
        .filter_map(|mc| Some((number(mc.join("ce_count"))?, number(mc.join("ue_count"))?)));
    let counts: Vec<(u64, u64)> = counts.collect();
    let sum = || {
        counts
            .iter()
            .fold((0, 0), |sum, count| (sum.0 + count.0, sum.1 + count.1))
    };
    (!counts.is_empty()).then(sum)
}

/// The sensors of hwmon, against their own critical marks.
fn temperature(root: &Path) -> HealthSeen {
    let mut hottest: Option<(u64, Option<u64>, bool)> = None;
    for sensor in folders(&root.join("sys/class/hwmon"), "hwmon") {
        for n in 1..32 {
            let Some(now) = number(sensor.join(format!("temp{n}_input"))) else {
                continue;
            };
            let mark = number(sensor.join(format!("temp{n}_crit")));
            let mark = mark.or_else(|| number(sensor.join(format!("temp{n}_max"))));
            let hot = mark.is_some_and(|mark| now >= mark);
            if hottest.is_none_or(|(most, _, was)| (hot, now) > (was, most)) {
                hottest = Some((now, mark, hot));
            }
        }
    }
    let seen = hottest.map(|(now, mark, hot)| {
        let mark = mark.map_or_else(String::new, |mark| format!(" (critical at {} °C)", mark / 1_000));
        (format!("{} °C at the hottest sensor{mark}", now / 1_000), hot)
    });
    health("temperature", seen)
}

/// What the management controller's sensors say, if `ipmitool` is installed and finds a controller: without one it fails.
pub(crate) async fn ipmi() -> HealthSeen {
    let mut command = tokio::process::Command::new("ipmitool");
    command
        .args(["-c", "sdr", "list", "full"])
        .stdin(Stdio::null())
        .kill_on_drop(true);
    let seen = match tokio::time::timeout(IPMI_LIMIT, command.output()).await {
        Ok(Ok(output)) if output.status.success() => sensors(&String::from_utf8_lossy(&output.stdout)),
        _ => None,
    };
    health("ipmitool", seen)
}

/// A sensor's name, what it reads, and its status: `CPU Temp,98,degrees C,cr` of one with marks, `PS1,01h,ok,10.1` of one
/// without.
fn sensor(line: &str) -> Option<(String, &str)> {
    let fields: Vec<&str> = line.split(',').map(str::trim).collect();
    let known = |at: &usize| fields.get(*at).is_some_and(|status| mark(status).is_some());
    let at = [3, 2].into_iter().find(known)?;
    Some((
        fields.get(..at)?.join(" ").trim_end().to_owned(),
        *fields.get(at)?,
    ))
}

/// What ipmitool's word for a status means; empty when there is nothing wrong.
fn mark(status: &str) -> Option<&'static str> {
    Some(match status {
        "ok" | "ns" => "",
        "nc" | "lnc" | "unc" => "non-critical",
        "cr" | "lcr" | "ucr" => "critical",
        "nr" | "lnr" | "unr" => "non-recoverable",
        _ => return None,
    })
}

/// Sensors beyond a mark of theirs are trouble. `None` when no sensor has a reading, or nothing can be understood.
fn sensors(csv: &str) -> Option<(String, bool)> {
    let rows = csv.lines().take(SENSORS).filter_map(sensor);
    let rows: Vec<(String, &str)> = rows.filter(|(_, status)| *status != "ns").collect();
    let ill: Vec<String> = rows
        .iter()
        .filter_map(|(what, status)| Some((what, mark(status).filter(|mark| !mark.is_empty())?)))
        .map(|(what, mark)| format!("{what} is beyond its {mark} mark"))
        .collect();
    if ill.is_empty() {
        (!rows.is_empty()).then(|| (format!("{} sensors are within their marks", rows.len()), false))
    } else {
        Some((ill.join(", "), true))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn write(root: &Path, path: &str, text: &str) {
        let path = root.join(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
    }

    fn by_name<'a>(all: &'a [HealthSeen], what: &str) -> &'a HealthSeen {
        all.iter().find(|h| h.what == what).unwrap()
    }

    #[test]
    fn a_machine_without_sensors_says_not_available_and_never_fine() {
        let dir = tempfile::tempdir().unwrap();
        let sample = Sample::read(dir.path());
        let all = judge(dir.path(), &sample, &sample);
        assert!(all.iter().all(|h| h.seen.is_none() && !h.trouble), "{all:?}");
    }

    #[test]
    fn stolen_time_throttling_memory_errors_and_heat_are_trouble() {
        let dir = tempfile::tempdir().unwrap();
        let root = dir.path();
        let throttle = "sys/devices/system/cpu/cpu0/thermal_throttle/core_throttle_count";
        write(root, "proc/stat", "cpu  100 0 0 100 0 0 0 0 0 0\ncpu0 1\n");
        write(root, throttle, "1\n");
        write(root, "sys/devices/system/edac/mc/mc0/ce_count", "0\n");
        write(root, "sys/devices/system/edac/mc/mc0/ue_count", "0\n");
        write(root, "sys/class/hwmon/hwmon0/temp1_input", "45000\n");
        write(root, "sys/class/hwmon/hwmon0/temp1_crit", "100000\n");
        let before = Sample::read(root);
        let fine = judge(root, &before, &before);
        assert!(fine.iter().all(|h| h.seen.is_some() && !h.trouble), "{fine:?}");
        write(root, "proc/stat", "cpu  110 0 0 110 0 0 0 80 0 0\n");
        write(root, throttle, "4\n");
        write(root, "sys/devices/system/edac/mc/mc0/ce_count", "2\n");
        write(root, "sys/class/hwmon/hwmon0/temp1_input", "101000\n");
        let ill = judge(root, &before, &Sample::read(root));
        for what in ["CPU steal", "CPU throttling", "memory ECC", "temperature"] {
            assert!(by_name(&ill, what).trouble, "{what}: {ill:?}");
        }
    }

    #[test]
    fn sensors_of_the_management_controller_are_read() {
        let listing = "Temp,23,degrees C,ok\nFan2,,,ns\nPS1 Status,01h,ok,10.1,Presence detected\n";
        let (text, trouble) = sensors(listing).unwrap();
        assert!(!trouble && text.starts_with("2 sensors"), "{text}");
        let (text, trouble) = sensors("CPU Temp,98,degrees C,cr\nFan1,0,RPM,nr\n").unwrap();
        assert!(trouble, "{text}");
        assert_eq!(
            text,
            "CPU Temp 98 degrees C is beyond its critical mark, Fan1 0 RPM is beyond its non-recoverable mark"
        );
    }

    #[test]
    fn what_ipmitool_does_not_say_is_not_available_and_never_fine() {
        for rubbish in [
            "",
            "\n\n",
            "Usage: ipmitool [options...]",
            "a,b,c,d\n,,,,\n",
            "Fan2,,,ns\n",
        ] {
            assert_eq!(sensors(rubbish), None, "{rubbish:?}");
        }
    }
}
