// SPDX-License-Identifier: Apache-2.0
//! busybox `nslookup`.

/// What a resolver said to one question.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Resolved {
    /// It answered, be it that the name does not exist.
    Answered,
    /// It answered that it could not find out (SERVFAIL, REFUSED).
    Failed,
    /// It did not answer.
    Silent,
}

/// Reads both outputs of nslookup; `ended` says whether it ended by itself.
pub fn resolved(stdout: &str, stderr: &str, ended: bool) -> Option<Resolved> {
    let has = |words: &str| stdout.contains(words) || stderr.contains(words);
    if has("SERVFAIL") || has("REFUSED") {
        Some(Resolved::Failed)
    } else if has("NXDOMAIN") || has("\nName:") || has("No answer") || has("canonical name") {
        Some(Resolved::Answered)
    } else if !ended || has("timed out") || has("no servers could be reached") || has("can't connect") {
        Some(Resolved::Silent)
    } else {
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_that_does_not_exist_is_an_answer_and_silence_is_none() {
        assert_eq!(
            resolved("** server can't find x: NXDOMAIN\n", "", true),
            Some(Resolved::Answered)
        );
        assert_eq!(
            resolved("Server:\t10.1.1.1\n\nName:\tx\nAddress: 192.0.2.1\n", "", true),
            Some(Resolved::Answered)
        );
        assert_eq!(
            resolved("** server can't find x: SERVFAIL\n", "", true),
            Some(Resolved::Failed)
        );
        assert_eq!(
            resolved(";; connection timed out; no servers could be reached\n", "", true),
            Some(Resolved::Silent)
        );
        assert_eq!(resolved("Server:\t10.1.1.1\n", "", false), Some(Resolved::Silent));
        assert_eq!(resolved("", "nslookup: not found", true), None);
    }
}
