// SPDX-License-Identifier: Apache-2.0
//! Reads a page of metrics as strictly as `promtool check metrics` and the OpenMetrics text do, and stricter: what a
//! scraper would forgive is an error here.

use std::collections::{BTreeMap, BTreeSet};

use anyhow::{Context as _, bail, ensure};

/// A series' value, with what tells it apart.
#[derive(Debug, Clone, PartialEq)]
pub struct Sample {
    /// Its name, with `_bucket` and the like.
    pub name: String,
    /// Its labels.
    pub labels: BTreeMap<String, String>,
    /// Its value.
    pub value: f64,
}

/// A page that was found right.
#[derive(Debug, Clone, Default)]
pub struct Exposition {
    /// The type of each metric, by its name without a counter's `_total`.
    pub kinds: BTreeMap<String, String>,
    /// Every sample, in order.
    pub samples: Vec<Sample>,
}

impl Exposition {
    /// Reads a page: of OpenMetrics if `is_open`, else of Prometheus' text format 0.0.4.
    ///
    /// # Errors
    /// With the first line that is wrong, and why.
    pub fn read(text: &str, is_open: bool) -> anyhow::Result<Self> {
        ensure!(text.ends_with('\n'), "the last line has no end");
        let mut page = Reader {
            is_open,
            ..Reader::default()
        };
        for (number, line) in text.lines().enumerate() {
            page.line(line)
                .with_context(|| format!("line {}: {line}", number + 1))?;
        }
        page.end_family()?;
        ensure!(page.ended == is_open, "# EOF is OpenMetrics' end, and only that");
        Ok(page.read)
    }

    /// The values of the series with this name whose labels hold these.
    pub fn values(&self, name: &str, labels: &[(&str, &str)]) -> Vec<f64> {
        let fits = |s: &&Sample| {
            let mut labels = labels.iter();
            s.name == name && labels.all(|(label, value)| s.labels.get(*label).is_some_and(|v| v == value))
        };
        self.samples.iter().filter(fits).map(|s| s.value).collect()
    }

    /// Their sum; `None` when there is none.
    pub fn sum(&self, name: &str, labels: &[(&str, &str)]) -> Option<f64> {
        let values = self.values(name, labels);
        (!values.is_empty()).then(|| values.iter().sum())
    }

    /// The names of all series.
    pub fn names(&self) -> BTreeSet<&str> {
        self.samples.iter().map(|s| s.name.as_str()).collect()
    }
}

#[derive(Debug, Default)]
struct Family {
    name: String,
    kind: Option<String>,
    first: usize,
}

#[derive(Debug, Default)]
struct Reader {
    is_open: bool,
    ended: bool,
    family: Option<Family>,
    seen: BTreeSet<String>,
    read: Exposition,
}

impl Reader {
    fn line(&mut self, line: &str) -> anyhow::Result<()> {
        ensure!(!self.ended, "a line behind the end");
        match line.split_once(' ') {
            Some(("#", "EOF")) => self.ended = true,
            Some(("#", rest)) => match rest.split_once(' ').context("an empty comment")? {
                ("HELP", help) => self.help(help)?,
                ("TYPE", kind) => self.kind(kind)?,
                (word, _) => bail!("comment {word}"),
            },
            _ => {
                let sample = sample(line)?;
                self.take(sample)?;
            }
        }
        Ok(())
    }

    fn help(&mut self, rest: &str) -> anyhow::Result<()> {
        self.end_family()?;
        let (name, help) = rest.split_once(' ').context("no help")?;
        ensure!(
            is_name(name, true) && !help.trim().is_empty(),
            "no name, or no help"
        );
        ensure!(
            !self.read.kinds.contains_key(name.trim_end_matches("_total")),
            "a second HELP of {name}"
        );
        self.family = Some(Family {
            name: name.to_owned(),
            kind: None,
            first: self.read.samples.len(),
        });
        Ok(())
    }

    fn kind(&mut self, rest: &str) -> anyhow::Result<()> {
        let (name, kind) = rest.split_once(' ').context("no type")?;
        let family = self
            .family
            .as_mut()
            .filter(|f| f.name == name && f.kind.is_none());
        let family = family.context("TYPE stands once behind its HELP and before every sample")?;
        ensure!(["counter", "gauge", "histogram"].contains(&kind), "type {kind}");
        let is_total = name.ends_with("_total");
        ensure!(
            is_total == (kind == "counter" && !self.is_open),
            "only counters end with _total"
        );
        for word in [
            "counter",
            "gauge",
            "histogram",
            "_milliseconds",
            "_ms",
            "_kb",
            "_bucket",
            "_count",
            "_sum",
        ] {
            ensure!(!name.ends_with(word), "a name must not end with {word}");
        }
        family.kind = Some(kind.to_owned());
        self.read
            .kinds
            .insert(name.trim_end_matches("_total").to_owned(), kind.to_owned());
        Ok(())
    }

    fn take(&mut self, sample: Sample) -> anyhow::Result<()> {
        let family = self.family.as_ref().context("a sample before every HELP")?;
        let kind = family.kind.as_deref().context("a sample before its TYPE")?;
        let end = sample
            .name
            .strip_prefix(&family.name)
            .context("a sample of another metric")?;
        let fits = match kind {
            "counter" => end == if self.is_open { "_total" } else { "" },
            "gauge" => end.is_empty(),
            _ => ["_bucket", "_sum", "_count"].contains(&end),
        };
        ensure!(fits, "{} is no sample of the {kind} {}", sample.name, family.name);
        ensure!(
            sample.labels.contains_key("le") == (end == "_bucket"),
            "le is the buckets' label"
        );
        ensure!(kind != "counter" || sample.value >= 0.0, "a counter below zero");
        let series = format!("{}{:?}", sample.name, sample.labels);
        ensure!(self.seen.insert(series), "the series is there twice");
        self.read.samples.push(sample);
        Ok(())
    }

    /// A metric has samples, and a histogram's are whole.
    fn end_family(&mut self) -> anyhow::Result<()> {
        let Some(family) = self.family.take() else {
            return Ok(());
        };
        let samples = self.read.samples.get(family.first..).unwrap_or_default();
        ensure!(!samples.is_empty(), "{} has no sample", family.name);
        if family.kind.as_deref() == Some("histogram") {
            histogram(samples).with_context(|| family.name.clone())?;
        }
        Ok(())
    }
}

/// Buckets rise to `+Inf`, whose count is that of all; each group has its sum.
fn histogram(samples: &[Sample]) -> anyhow::Result<()> {
    let mut groups: BTreeMap<Vec<(&str, &str)>, Vec<&Sample>> = BTreeMap::new();
    for sample in samples {
        let labels = sample.labels.iter().filter(|(label, _)| *label != "le");
        let group = labels
            .map(|(label, value)| (label.as_str(), value.as_str()))
            .collect();
        groups.entry(group).or_default().push(sample);
    }
    for (group, samples) in groups {
        let of = |end: &str| {
            samples
                .iter()
                .filter(|s| s.name.ends_with(end))
                .collect::<Vec<_>>()
        };
        let (mut below, mut last) = (f64::NEG_INFINITY, 0.0);
        for bucket in of("_bucket") {
            let le = number(bucket.labels.get("le").context("no le")?)?;
            ensure!(
                le > below && bucket.value >= last,
                "{group:?}: buckets do not rise"
            );
            (below, last) = (le, bucket.value);
        }
        ensure!(below == f64::INFINITY, "{group:?}: no bucket +Inf");
        let (count, sum) = (of("_count"), of("_sum"));
        ensure!(
            count.len() == 1 && sum.len() == 1,
            "{group:?}: one count and one sum"
        );
        ensure!(
            count.iter().all(|c| c.value == last),
            "{group:?}: +Inf is not the count"
        );
    }
    Ok(())
}

fn sample(line: &str) -> anyhow::Result<Sample> {
    let end = line.find(['{', ' ']).context("no value")?;
    let (name, rest) = line.split_at(end);
    ensure!(is_name(name, true), "name {name}");
    let mut labels = BTreeMap::new();
    let value = match rest.strip_prefix('{') {
        Some(rest) => read_labels(rest, &mut labels)?,
        None => rest,
    };
    let value = value.strip_prefix(' ').context("no space before the value")?;
    Ok(Sample {
        name: name.to_owned(),
        labels,
        value: number(value)?,
    })
}

/// Reads `a="b",c="d"}` and returns what follows.
fn read_labels<'a>(mut rest: &'a str, labels: &mut BTreeMap<String, String>) -> anyhow::Result<&'a str> {
    loop {
        let (label, after) = rest.split_once("=\"").context("no label")?;
        ensure!(is_name(label, false), "label {label}");
        let mut value = String::new();
        let mut chars = after.char_indices();
        let end = loop {
            match chars.next().context("a value without an end")? {
                (at, '"') => break at + 1,
                (_, '\\') => match chars.next().context("a lone backslash")?.1 {
                    'n' => value.push('\n'),
                    c @ ('"' | '\\') => value.push(c),
                    c => bail!("\\{c} is no escape"),
                },
                (_, c) => value.push(c),
            }
        };
        ensure!(
            labels.insert(label.to_owned(), value).is_none(),
            "label {label} twice"
        );
        rest = after.get(end..).unwrap_or_default();
        if let Some(after) = rest.strip_prefix('}') {
            return Ok(after);
        }
        rest = rest.strip_prefix(',').context("labels are separated by commas")?;
    }
}

fn number(text: &str) -> anyhow::Result<f64> {
    match text {
        "+Inf" => Ok(f64::INFINITY),
        "-Inf" => Ok(f64::NEG_INFINITY),
        "NaN" => Ok(f64::NAN),
        _ => {
            ensure!(
                text.starts_with(|c: char| c.is_ascii_digit() || c == '-'),
                "value {text}"
            );
            text.parse().with_context(|| format!("value {text}"))
        }
    }
}

fn is_name(name: &str, may_have_colons: bool) -> bool {
    let letter = |c: char| c.is_ascii_alphabetic() || c == '_' || (may_have_colons && c == ':');
    name.starts_with(letter)
        && name.chars().all(|c| letter(c) || c.is_ascii_digit())
        && !name.starts_with("__")
}

#[cfg(test)]
mod tests {
    use super::*;

    const GOOD: &str = "# HELP a_total Help.\n# TYPE a_total counter\na_total{x=\"1\\n\"} 2\na_total{x=\"2\"} 0\n\
        # HELP h Help.\n# TYPE h histogram\nh_bucket{le=\"1.0\"} 1\nh_bucket{le=\"+Inf\"} 2\nh_sum 3.5\nh_count 2\n";

    #[test]
    fn a_right_page_is_read() {
        let read = Exposition::read(GOOD, false).unwrap();
        assert_eq!(read.values("a_total", &[("x", "1\n")]), [2.0]);
        assert_eq!(read.sum("a_total", &[]), Some(2.0));
        assert_eq!(read.kinds["h"], "histogram");
    }

    #[test]
    fn what_is_wrong_is_told() {
        for (good, bad) in [
            ("# HELP a_total Help.\n", ""),
            ("a_total{x=\"2\"} 0", "a_total{x=\"1\\n\"} 0"),
            ("a_total{x=\"2\"} 0", "b{x=\"2\"} 0"),
            ("a_total{x=\"2\"} 0", "a_total{x=\"2\"} -1"),
            ("a_total{x=\"2\"} 0", "a_total{x=\"2} 0"),
            ("a_total{x=\"2\"} 0", "a_total{x=\"2\"} 0x"),
            ("# TYPE a_total counter", "# TYPE a_total gauge"),
            ("h_bucket{le=\"+Inf\"} 2\n", ""),
            ("h_bucket{le=\"1.0\"} 1", "h_bucket{le=\"1.0\"} 3"),
            ("h_sum 3.5\n", ""),
            ("h_count 2\n", "h_count 3\n"),
            ("h_count 2\n", "h_count 2\n# EOF\n"),
            (
                "h_count 2\n",
                "h_count 2\n# HELP a_total Again.\n# TYPE a_total counter\na_total 1\n",
            ),
        ] {
            assert!(GOOD.contains(good));
            let text = GOOD.replace(good, bad);
            assert!(Exposition::read(&text, false).is_err(), "{text}");
        }
    }

    #[test]
    fn openmetrics_ends_and_names_counters_differently() {
        let open = GOOD
            .replace("HELP a_total", "HELP a")
            .replace("TYPE a_total", "TYPE a")
            + "# EOF\n";
        assert!(Exposition::read(&open, true).is_ok());
        assert!(Exposition::read(&open, false).is_err() && Exposition::read(GOOD, true).is_err());
    }
}
