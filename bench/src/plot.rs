// SPDX-License-Identifier: Apache-2.0
//! Bars, as SVG: one group for each reading, one bar for each contender, a line for its spread.

use std::fmt::Write;

use crate::results::{Results, Row};

const WIDTH: f64 = 900.0;
const LABEL: f64 = 190.0;
const BAR: f64 = 18.0;
const GAP: f64 = 26.0;
const COLOURS: [&str; 8] = [
    "#4e79a7", "#f28e2b", "#e15759", "#76b7b2", "#59a14f", "#edc948", "#b07aa1", "#9c755f",
];

/// The readings whose names begin so. `None` when there are none.
pub fn bars(results: &Results, title: &str, begins: &str) -> Option<String> {
    let names: Vec<&str> = results
        .names()
        .into_iter()
        .filter(|name| name.starts_with(begins) && !name.ends_with(": lost") && !name.ends_with(": CPU"))
        .collect();
    if names.is_empty() {
        return None;
    }
    let mut body = String::new();
    let mut y = 40.0;
    for name in names {
        let rows: Vec<&Row> = results.rows().iter().filter(|row| row.name == name).collect();
        group(name, &rows, &mut y, &mut body);
    }
    Some(format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"{WIDTH}\" height=\"{y}\" font-family=\"sans-serif\" font-size=\"12\">\n\
         <rect width=\"100%\" height=\"100%\" fill=\"white\"/>\n\
         <text x=\"10\" y=\"22\" font-size=\"16\">{}</text>\n{body}</svg>\n",
        escaped(title)
    ))
}

fn group(name: &str, rows: &[&Row], y: &mut f64, body: &mut String) {
    let most = rows.iter().map(|row| row.spread().1).fold(0.0, f64::max);
    let unit = rows.first().map_or("", |row| row.unit);
    let scale = (WIDTH - LABEL - 110.0) / if most > 0.0 { most } else { 1.0 };
    let _ = writeln!(
        body,
        "<text x=\"10\" y=\"{:.0}\" font-weight=\"bold\">{} ({unit})</text>",
        *y + 8.0,
        escaped(name)
    );
    *y += 16.0;
    for (n, row) in rows.iter().enumerate() {
        let (median, (least, most)) = (row.median(), row.spread());
        let (middle, colour) = (*y + BAR / 2.0, COLOURS[n % COLOURS.len()]);
        let _ = writeln!(
            body,
            "<text x=\"{:.0}\" y=\"{:.0}\" text-anchor=\"end\">{}</text>\
             <rect x=\"{LABEL}\" y=\"{:.0}\" width=\"{:.1}\" height=\"{}\" fill=\"{colour}\"/>\
             <line x1=\"{:.1}\" x2=\"{:.1}\" y1=\"{middle:.0}\" y2=\"{middle:.0}\" stroke=\"black\"/>\
             <text x=\"{:.1}\" y=\"{:.0}\">{median:.2}</text>",
            LABEL - 8.0,
            *y + 13.0,
            escaped(&row.contender),
            *y,
            median * scale,
            BAR - 3.0,
            LABEL + least * scale,
            LABEL + most * scale,
            LABEL + most * scale + 6.0,
            *y + 13.0,
        );
        *y += BAR;
    }
    *y += GAP;
}

fn escaped(text: &str) -> String {
    text.replace('&', "&amp;")
        .replace('<', "&lt;")
        .replace('>', "&gt;")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::workload::{Better, Reading};

    #[test]
    fn a_plot_has_a_bar_for_each_contender_and_no_markup_of_its_names() {
        let mut results = Results::default();
        for contender in ["a<b", "c"] {
            let reading = Reading {
                name: "udp64 x".to_owned(),
                unit: "Mpps",
                better: Better::Higher,
                value: 1.5,
            };
            results.add(contender, reading);
        }
        let svg = bars(&results, "UDP", "udp64").unwrap();
        assert_eq!(svg.matches("<rect x=").count(), 2);
        assert!(svg.contains("a&lt;b") && !svg.contains("a<b"));
        assert_eq!(bars(&results, "TCP", "tcp"), None);
    }
}
