// SPDX-License-Identifier: Apache-2.0
//! The outermost JSON of a reply: exactly one key, named after the command.

use serde_json::{Map, Value, json};

use super::error::ApiError;
use super::xml;

/// A JSON object.
pub type Object = Map<String, Value>;

/// The version of CloudStack whose API this is.
pub const CLOUDSTACK_VERSION: &str = "4.20.1.0";

/// How a reply is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Format {
    /// As JSON.
    #[default]
    Json,
    /// As XML, CloudStack's own default.
    Xml,
}

/// A complete HTTP reply.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Reply {
    /// The HTTP status: 200, or CloudStack's error code.
    pub status: u16,
    /// The body: an object with one key.
    pub body: Value,
    /// How the body is written.
    pub format: Format,
    /// The error's text, for the `X-Description` header.
    pub description: Option<String>,
    /// `Set-Cookie` headers.
    pub cookies: Vec<String>,
}

impl Reply {
    /// `{"<command>response": inner}` with status 200.
    pub fn success(command: &str, inner: Object) -> Self {
        Self {
            status: 200,
            body: wrapped(&response_key(command), Value::Object(inner)),
            format: Format::Json,
            description: None,
            cookies: Vec::new(),
        }
    }

    /// CloudStack's error body. Without a known command the key is `errorresponse`.
    pub fn error(command: Option<&str>, e: &ApiError) -> Self {
        let key = command.map_or_else(|| "errorresponse".to_owned(), response_key);
        let inner = json!({
            "uuidList": [],
            "errorcode": e.code,
            "cserrorcode": e.cs_code,
            "errortext": e.text,
        });
        Self {
            status: e.code,
            body: wrapped(&key, inner),
            format: Format::Json,
            description: Some(e.text.clone()),
            cookies: Vec::new(),
        }
    }

    /// The same, written in this format.
    pub fn in_format(self, format: Format) -> Self {
        Self { format, ..self }
    }

    /// The body's bytes.
    pub fn bytes(&self) -> String {
        match self.format {
            Format::Json => self.body.to_string(),
            Format::Xml => xml::document(&self.body, CLOUDSTACK_VERSION),
        }
    }

    /// The body's media type.
    pub fn content_type(&self) -> &'static str {
        match self.format {
            Format::Json => "application/json; charset=UTF-8",
            Format::Xml => "text/xml; charset=UTF-8",
        }
    }
}

/// A list: `{}` when nothing matches, else the number of matches on all pages and one list key, which a page past the
/// end leaves out.
pub fn list(key: &str, total: usize, items: Vec<Value>) -> Object {
    let mut inner = Object::new();
    if total > 0 {
        inner.insert("count".to_owned(), json!(total));
        if !items.is_empty() {
            inner.insert(key.to_owned(), Value::Array(items));
        }
    }
    inner
}

/// `{key: value}`.
pub fn single(key: &str, value: Value) -> Object {
    let mut inner = Object::new();
    inner.insert(key.to_owned(), value);
    inner
}

/// The reply that starts a job; `id` is the new object's, for commands that make one.
pub fn job(job: outgate_model::id::JobId, id: Option<uuid::Uuid>) -> Object {
    let mut inner = single("jobid", json!(job.to_string()));
    if let Some(id) = id {
        inner.insert("id".to_owned(), json!(id.as_hyphenated().to_string()));
    }
    inner
}

fn wrapped(key: &str, inner: Value) -> Value {
    Value::Object(single(key, inner))
}

fn response_key(command: &str) -> String {
    format!("{}response", command.to_ascii_lowercase())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_empty_list_has_neither_count_nor_key() {
        let reply = Reply::success("listZones", list("zone", 0, vec![]));
        assert_eq!(reply.body.to_string(), r#"{"listzonesresponse":{}}"#);
    }

    #[test]
    fn a_page_past_the_end_still_counts() {
        assert_eq!(
            Value::Object(list("zone", 3, vec![])).to_string(),
            r#"{"count":3}"#
        );
    }

    #[test]
    fn an_error_of_no_known_command_is_an_errorresponse() {
        let reply = Reply::error(None, &ApiError::unauthenticated());
        assert_eq!(reply.status, 401);
        assert_eq!(reply.body["errorresponse"]["errorcode"], 401);
        assert_eq!(reply.body["errorresponse"]["uuidList"], json!([]));
    }
}
