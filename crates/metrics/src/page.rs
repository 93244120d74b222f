// SPDX-License-Identifier: Apache-2.0
//! The page that a scrape gets: Prometheus' text format 0.0.4, or OpenMetrics 1.0.0. They differ in how counters are
//! named, and in the end.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use crate::catalog::ALL;
use crate::family::{About, Family, Kind};
use crate::histogram::Histogram;

/// How a page is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Format {
    /// `text/plain; version=0.0.4`.
    #[default]
    Prometheus,
    /// `application/openmetrics-text; version=1.0.0`.
    OpenMetrics,
}

impl Format {
    /// What an HTTP reply calls it.
    pub fn content_type(self) -> &'static str {
        match self {
            Self::Prometheus => "text/plain; version=0.0.4; charset=utf-8",
            Self::OpenMetrics => "application/openmetrics-text; version=1.0.0; charset=utf-8",
        }
    }

    /// What a client wants that sends this `Accept` header: OpenMetrics only if it says so, and likes plain text no more.
    pub fn wanted(accept: &str) -> Self {
        let quality = |kind: &str| {
            let mut ranges = accept.split(',').filter_map(|range| {
                let mut parts = range.split(';').map(str::trim);
                let is_it = parts.next()?.eq_ignore_ascii_case(kind);
                let given = parts.find_map(|part| part.strip_prefix("q="));
                is_it.then(|| given.map_or(1.0, |q| q.parse().unwrap_or(0.0)))
            });
            ranges.next().unwrap_or(0.0_f64)
        };
        let open = quality("application/openmetrics-text");
        if open > 0.0 && open >= quality("text/plain") {
            Self::OpenMetrics
        } else {
            Self::Prometheus
        }
    }
}

/// A sample's value.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Value {
    /// Counts, exactly.
    Whole(u64),
    /// Everything else.
    Real(f64),
}

impl From<u64> for Value {
    fn from(value: u64) -> Self {
        Self::Whole(value)
    }
}

impl From<u32> for Value {
    fn from(value: u32) -> Self {
        Self::Whole(value.into())
    }
}

impl From<usize> for Value {
    fn from(value: usize) -> Self {
        Self::Whole(u64::try_from(value).unwrap_or(u64::MAX))
    }
}

impl From<bool> for Value {
    fn from(value: bool) -> Self {
        Self::Whole(value.into())
    }
}

impl From<f64> for Value {
    fn from(value: f64) -> Self {
        Self::Real(value)
    }
}

/// What was measured. Values may come in any order; each metric stands together when it is written.
#[derive(Debug, Default)]
pub struct Page(BTreeMap<&'static str, String>);

impl Page {
    /// Adds a series: its labels' values in the order of the metric's labels.
    pub fn put<const N: usize>(
        &mut self,
        family: &'static Family<N>,
        labels: [&str; N],
        value: impl Into<Value>,
    ) {
        let About {
            name, labels: names, ..
        } = *family.about();
        sample(self.block(name), (name, ""), (names, &labels, None), value.into());
    }

    /// Adds a histogram.
    pub fn histogram<const N: usize>(
        &mut self,
        family: &'static Family<N>,
        labels: [&str; N],
        seen: &Histogram,
    ) {
        let About {
            name, labels: names, ..
        } = *family.about();
        let block = self.block(name);
        let ends = seen.buckets().map(|(end, count)| (format!("{end:?}"), count));
        for (end, count) in ends.chain([("+Inf".to_owned(), seen.count())]) {
            sample(
                block,
                (name, "_bucket"),
                (names, &labels, Some(&end)),
                count.into(),
            );
        }
        sample(block, (name, "_sum"), (names, &labels, None), seen.sum().into());
        sample(
            block,
            (name, "_count"),
            (names, &labels, None),
            seen.count().into(),
        );
    }

    fn block(&mut self, name: &'static str) -> &mut String {
        self.0.entry(name).or_default()
    }

    /// The page's text. Metrics without a series are left out.
    pub fn text(&self, format: Format) -> String {
        let length: usize = self.0.values().map(String::len).sum();
        let mut text = String::with_capacity(length + 256 * self.0.len());
        for about in ALL {
            if let Some(block) = self.0.get(about.name) {
                head(&mut text, about, format);
                text.push_str(block);
            }
        }
        if format == Format::OpenMetrics {
            text.push_str("# EOF\n");
        }
        text
    }
}

/// OpenMetrics names a counter without the end of its samples' names.
fn head(text: &mut String, about: &About, format: Format) {
    let name = match (format, about.kind) {
        (Format::OpenMetrics, Kind::Counter) => about.name.trim_end_matches("_total"),
        _ => about.name,
    };
    let (help, kind) = (about.help, about.kind.name());
    // Writing to a string does not fail.
    let _ = writeln!(text, "# HELP {name} {help}\n# TYPE {name} {kind}");
}

type Labels<'a> = (&'a [&'a str], &'a [&'a str], Option<&'a str>);

fn sample(text: &mut String, (name, end): (&str, &str), (names, values, le): Labels<'_>, value: Value) {
    text.push_str(name);
    text.push_str(end);
    let labels = names.iter().copied().zip(values.iter().copied());
    let mut separator = '{';
    for (label, value) in labels.chain(le.map(|le| ("le", le))) {
        text.push(separator);
        separator = ',';
        text.push_str(label);
        text.push_str("=\"");
        escape(text, value);
        text.push('"');
    }
    if separator == ',' {
        text.push('}');
    }
    let _ = match value {
        Value::Whole(value) => writeln!(text, " {value}"),
        Value::Real(value) if value == f64::INFINITY => writeln!(text, " +Inf"),
        Value::Real(value) if value == f64::NEG_INFINITY => writeln!(text, " -Inf"),
        Value::Real(value) => writeln!(text, " {value}"),
    };
}

fn escape(text: &mut String, value: &str) {
    for c in value.chars() {
        match c {
            '\\' => text.push_str("\\\\"),
            '"' => text.push_str("\\\""),
            '\n' => text.push_str("\\n"),
            c => text.push(c),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::catalog::{API_REQUESTS, APPLY_SECONDS, ROUTER_INFO, STORE_REVISION};

    #[test]
    fn a_page_in_both_formats() {
        let mut page = Page::default();
        page.put(&STORE_REVISION, [], 7_u64);
        page.put(&API_REQUESTS, ["listZones", "200"], 3_u64);
        page.put(&API_REQUESTS, ["listZones", "401"], 1_u64);
        let mut took = Histogram::new(&[0.5, 1.0]);
        took.observe(0.75);
        page.histogram(&APPLY_SECONDS, [], &took);
        let plain = page.text(Format::Prometheus);
        for line in [
            "# TYPE outgate_api_requests_total counter\noutgate_api_requests_total{command=\"listZones\",code=\"200\"} 3\n",
            "outgate_api_requests_total{command=\"listZones\",code=\"401\"} 1\n",
            "# TYPE outgate_store_revision gauge\noutgate_store_revision 7\n",
            "outgate_apply_duration_seconds_bucket{le=\"0.5\"} 0\noutgate_apply_duration_seconds_bucket{le=\"1.0\"} 1\n\
             outgate_apply_duration_seconds_bucket{le=\"+Inf\"} 1\noutgate_apply_duration_seconds_sum 0.75\n\
             outgate_apply_duration_seconds_count 1\n",
        ] {
            assert!(plain.contains(line), "{line} in:\n{plain}");
        }
        let open = page.text(Format::OpenMetrics);
        assert!(open.contains("# TYPE outgate_api_requests counter\noutgate_api_requests_total{"));
        assert!(open.ends_with("# EOF\n") && !plain.contains("EOF"));
    }

    #[test]
    fn names_that_users_give_cannot_break_a_line() {
        let mut page = Page::default();
        page.put(&ROUTER_INFO, ["r", "", "", "", "", "a\"b\\c\nd", "", ""], 1_u64);
        assert!(page.text(Format::Prometheus).contains(r#"="a\"b\\c\nd""#));
    }

    #[test]
    fn a_client_gets_the_format_that_it_likes_best() {
        let prometheus = "application/openmetrics-text;version=1.0.0;q=0.5,application/openmetrics-text;version=0.0.1;q=0.4,\
                          text/plain;version=0.0.4;q=0.3,*/*;q=0.2";
        for (accept, format) in [
            (prometheus, Format::OpenMetrics),
            ("application/openmetrics-text", Format::OpenMetrics),
            (
                "text/plain;q=0.9, application/openmetrics-text;q=0.1",
                Format::Prometheus,
            ),
            ("application/openmetrics-text;q=0", Format::Prometheus),
            ("*/*", Format::Prometheus),
            ("", Format::Prometheus),
        ] {
            assert_eq!(Format::wanted(accept), format, "{accept}");
        }
    }
}
