// SPDX-License-Identifier: Apache-2.0
//! The outermost JSON of a reply: exactly one key, named after the command.

use serde_json::{Map, Value, json};

use super::error::ApiError;

/// A JSON object.
pub type Object = Map<String, Value>;

/// A complete HTTP reply.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Reply {
    /// The HTTP status: 200, or CloudStack's error code.
    pub status: u16,
    /// The body, JSON.
    pub body: Value,
    /// The error's text, for the `X-Description` header.
    pub description: Option<String>,
}

impl Reply {
    /// `{"<command>response": inner}` with status 200.
    pub fn success(command: &str, inner: Object) -> Self {
        Self {
            status: 200,
            body: wrapped(&response_key(command), Value::Object(inner)),
            description: None,
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
            description: Some(e.text.clone()),
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
