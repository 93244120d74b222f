// SPDX-License-Identifier: Apache-2.0
//! Dates as CloudStack writes and reads them.

use jiff::Timestamp;

/// `2021-10-04T04:37:08+0000`: yyyy-MM-dd'T'HH:mm:ssZ, always in UTC.
pub fn format(at: Timestamp) -> String {
    at.strftime("%Y-%m-%dT%H:%M:%S+0000").to_string()
}

/// Reads a moment with an offset: `+0000`, `+00:00` or `Z`. A `+` that a careless client left unencoded has become a
/// space on its way, and is understood too. `None` for anything else.
pub fn parse(text: &str) -> Option<Timestamp> {
    if text.len() > 40 {
        return None;
    }
    text.replace(' ', "+").parse().ok()
}

/// Reads a moment, or a plain date (`2026-01-31`), which stands for its first second in UTC.
pub fn parse_day_or_moment(text: &str) -> Option<Timestamp> {
    parse(text).or_else(|| parse(&format!("{text}T00:00:00Z")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_date_is_written_with_seconds_and_a_plus_zero_offset() {
        let at: Timestamp = "2021-10-04T04:37:08.25Z".parse().unwrap();
        assert_eq!(format(at), "2021-10-04T04:37:08+0000");
    }

    #[test]
    fn every_clients_way_to_write_an_offset_is_understood() {
        let at: Timestamp = "2026-01-01T00:00:00Z".parse().unwrap();
        for text in [
            "2026-01-01T00:00:00+0000",
            "2026-01-01T00:00:00+00:00",
            "2026-01-01T00:00:00Z",
            "2026-01-01T00:00:00 0000",
            "2026-01-01T01:00:00+0100",
            "2025-12-31T19:00:00-0500",
        ] {
            assert_eq!(parse(text), Some(at), "{text}");
        }
        assert_eq!(parse_day_or_moment("2026-01-01"), Some(at));
        for text in [
            "",
            "2026-01-01",
            "2026-01-01T00:00:00",
            "1767225600",
            "tomorrow",
            "2026-13-01T00:00:00Z",
        ] {
            assert_eq!(parse(text), None, "{text}");
        }
    }
}
