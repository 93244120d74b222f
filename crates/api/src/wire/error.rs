// SPDX-License-Identifier: Apache-2.0
//! CloudStack's errors: HTTP status, `errorcode`, `cserrorcode` and a text that names what is wrong.

use outgate_model::FieldError;

/// The one text for an unknown key, a disabled user and a wrong signature, so that none of them can be told apart.
pub const UNAUTHENTICATED: &str = "unable to verify user credentials and/or request signature";

/// An error as the client sees it.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{code}: {text}")]
pub struct ApiError {
    /// CloudStack's error code, which is the HTTP status too: 400 to 537.
    pub code: u16,
    /// CloudStack's finer code, `cserrorcode`: 4350 for an invalid parameter ...
    pub cs_code: u16,
    /// What is wrong, naming the parameter and its value.
    pub text: String,
}

impl ApiError {
    /// An error with this code; `cs_code` follows from it.
    pub fn new(code: u16, text: impl Into<String>) -> Self {
        Self {
            code,
            cs_code: cs_code(code),
            text: text.into(),
        }
    }

    /// 400: the request as a whole cannot be used.
    pub fn bad_request(text: impl Into<String>) -> Self {
        Self::new(400, text)
    }

    /// 401: who asks could not be verified.
    pub fn unauthenticated() -> Self {
        Self::new(401, UNAUTHENTICATED)
    }

    /// 401: the signature is right, but too old. Said only to who holds the secret.
    pub fn expired(expires: &str) -> Self {
        Self::new(
            401,
            format!("{UNAUTHENTICATED}: expires={expires} is in the past or no date"),
        )
    }

    /// 429: the account has called too often.
    pub fn throttled(wait: std::time::Duration) -> Self {
        let text = "The given user has reached his/her account api limit, please retry after";
        Self::new(429, format!("{text} {} ms.", wait.as_millis()))
    }

    /// 430: a parameter cannot be read at all (encoding, brackets, size, given twice).
    pub fn malformed(text: impl Into<String>) -> Self {
        Self::new(430, text)
    }

    /// 431: a required parameter is missing.
    pub fn missing(command: &str, parameter: &str) -> Self {
        Self::unreadable(format!(
            "{} due to missing parameter {parameter}",
            unable(command)
        ))
    }

    /// 431: a parameter's value is not what its type asks for.
    pub fn invalid(command: &str, parameter: &str, value: &str, expected: &str) -> Self {
        let value = shortened(value);
        Self::unreadable(format!(
            "{} due to invalid value {value} for parameter {parameter}: expected {expected}",
            unable(command)
        ))
    }

    /// 431: an id that is no UUID, or of nothing that the caller may see. Go's clients look for exactly this text
    /// to learn that an object is gone (reference/cloudstack-api.md, success envelopes).
    pub fn no_such(command: &str, parameter: &str, value: &str) -> Self {
        let value = shortened(value);
        Self::unreadable(format!(
            "{} due to invalid value. Invalid parameter {parameter} value={value} due to incorrect long value format, \
             or entity does not exist or due to incorrect parameter annotation for the field in api cmd class.",
            unable(command)
        ))
    }

    /// CloudStack gives what fails while parameters are read (its `ServerApiException`) 431 with 9999.
    fn unreadable(text: String) -> Self {
        Self {
            code: 431,
            cs_code: 9999,
            text,
        }
    }

    /// 431: parameters contradict each other or the state of things.
    pub fn parameter(text: impl Into<String>) -> Self {
        Self::new(431, text)
    }

    /// 432: no such command (for this caller).
    pub fn unknown_command(name: &str) -> Self {
        let name = shortened(name);
        Self::new(
            432,
            format!("The given command '{name}' either does not exist or is not available for user"),
        )
    }

    /// 530: Outgate itself failed.
    pub fn internal(text: impl Into<String>) -> Self {
        Self::new(530, text)
    }

    /// 503: more requests at once than are served.
    pub fn busy() -> Self {
        Self::new(503, "too many requests are being served; try again in a second")
    }
}

impl From<FieldError> for ApiError {
    fn from(e: FieldError) -> Self {
        Self::parameter(e.to_string())
    }
}

fn unable(command: &str) -> String {
    format!("Unable to execute API command {}", command.to_ascii_lowercase())
}

/// A value as it may stand in an error text: at most 100 characters, nothing unprintable.
fn shortened(value: &str) -> String {
    let mut text: String = value
        .chars()
        .take(100)
        .map(|c| if c.is_control() { '\u{fffd}' } else { c })
        .collect();
    if value.chars().nth(100).is_some() {
        text.push('…');
    }
    text
}

/// CloudStack's `cserrorcode` beside each error code.
fn cs_code(code: u16) -> u16 {
    match code {
        401 => 4290,
        431 => 4350,
        531 => 4365,
        533 | 535 => 4370,
        534 => 4380,
        536 => 4375,
        537 => 4360,
        530 => 4250,
        _ => 9999,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_long_or_unprintable_value_is_not_echoed_as_it_came() {
        let text = ApiError::invalid(
            "listZones",
            "page",
            &format!("1\r\n{}", "9".repeat(500)),
            "an integer",
        )
        .text;
        assert!(text.len() < 300 && !text.contains('\r'), "{text}");
    }

    #[test]
    fn the_text_for_a_missing_object_is_the_one_that_go_clients_look_for() {
        let text = ApiError::no_such("deleteNetwork", "id", "abc").text;
        assert!(text.contains(
            "Invalid parameter id value=abc due to incorrect long value format, or entity does not exist"
        ));
    }
}
