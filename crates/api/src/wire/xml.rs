// SPDX-License-Identifier: Apache-2.0
//! Replies as XML, CloudStack's default: the same tree as in JSON, each list as repeated elements.

use std::fmt::Write as _;

use serde_json::Value;

/// The document of a reply's body, an object with one key, which becomes the root element.
pub fn document(body: &Value, version: &str) -> String {
    let mut text = "<?xml version=\"1.0\" encoding=\"UTF-8\"?>".to_owned();
    for (name, inner) in body.as_object().into_iter().flatten() {
        let name = Name(name);
        // Writing to a string cannot fail.
        let _ = write!(
            text,
            "<{} cloud-stack-version=\"{}\">",
            name.open(),
            Escaped(version)
        );
        children(&mut text, inner);
        let _ = write!(text, "</{}>", name.close());
    }
    text
}

fn children(text: &mut String, value: &Value) {
    match value {
        Value::Null => {}
        Value::Object(fields) => {
            for (name, value) in fields {
                element(text, name, value);
            }
        }
        // A list in a list, which no reply has.
        Value::Array(items) => items.iter().for_each(|item| element(text, "item", item)),
        Value::String(value) => {
            let _ = write!(text, "{}", Escaped(value));
        }
        Value::Bool(_) | Value::Number(_) => {
            let _ = write!(text, "{value}");
        }
    }
}

/// A field; nothing for null and for an empty list, an element for each item of a list.
fn element(text: &mut String, name: &str, value: &Value) {
    match value {
        Value::Null => {}
        Value::Array(items) => items.iter().for_each(|item| element(text, name, item)),
        _ => {
            let name = Name(name);
            let _ = write!(text, "<{}>", name.open());
            children(text, value);
            let _ = write!(text, "</{}>", name.close());
        }
    }
}

/// An element's name. What XML does not allow as one, such as a user's own key in `details`, becomes an attribute.
struct Name<'a>(&'a str);

impl Name<'_> {
    fn is_plain(&self) -> bool {
        let allowed = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '-' | '.');
        self.0.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_') && self.0.chars().all(allowed)
    }

    fn open(&self) -> String {
        if self.is_plain() {
            self.0.to_owned()
        } else {
            format!("entry name=\"{}\"", Escaped(self.0))
        }
    }

    fn close(&self) -> &str {
        if self.is_plain() { self.0 } else { "entry" }
    }
}

/// Text as it stands in an element or an attribute. Characters that XML 1.0 cannot hold become U+FFFD.
struct Escaped<'a>(&'a str);

impl std::fmt::Display for Escaped<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        for c in self.0.chars() {
            match c {
                '&' => f.write_str("&amp;")?,
                '<' => f.write_str("&lt;")?,
                '>' => f.write_str("&gt;")?,
                '"' => f.write_str("&quot;")?,
                '\'' => f.write_str("&apos;")?,
                '\r' => f.write_str("&#13;")?,
                '\t' | '\n' => f.write_char(c)?,
                '\u{0}'..='\u{1f}' | '\u{fffe}' | '\u{ffff}' => f.write_char('\u{fffd}')?,
                c => f.write_char(c)?,
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::json;

    use super::*;

    #[test]
    fn lists_are_repeated_elements_and_what_has_no_value_is_left_out() {
        let body = json!({"listzonesresponse": {
            "count": 2,
            "zone": [{"id": "a", "tags": [], "on": true, "vpcid": null}, {"id": "b", "dns": ["1", "2"]}],
        }});
        assert_eq!(
            document(&body, "4.20"),
            "<?xml version=\"1.0\" encoding=\"UTF-8\"?><listzonesresponse cloud-stack-version=\"4.20\">\
             <count>2</count><zone><id>a</id><on>true</on></zone><zone><dns>1</dns><dns>2</dns><id>b</id></zone>\
             </listzonesresponse>"
        );
        assert_eq!(
            document(&json!({"xresponse": {}}), "1"),
            "<?xml version=\"1.0\" encoding=\"UTF-8\"?><xresponse cloud-stack-version=\"1\"></xresponse>"
        );
    }

    #[test]
    fn nothing_in_a_value_or_a_key_can_leave_its_element() {
        let body = json!({"r": {"a": "</a><b x='1\">&\u{1}", "no name": "x", "<b>": 1}});
        let text = document(&body, "1");
        assert!(
            text.contains("<a>&lt;/a&gt;&lt;b x=&apos;1&quot;&gt;&amp;\u{fffd}</a>"),
            "{text}"
        );
        assert!(
            text.contains("<entry name=\"no name\">x</entry>") && text.contains("<entry name=\"&lt;b&gt;\">")
        );
    }

    proptest! {
        #[test]
        fn markup_is_balanced_whatever_the_values_are(key in ".{0,12}", value in ".{0,40}") {
            let text = document(&json!({"r": {key: [value.clone(), value]}}), "1");
            prop_assert_eq!(text.matches('<').count(), text.matches('>').count());
            let opened = text.matches('<').count() - 1 - text.matches("</").count();
            prop_assert_eq!(opened, text.matches("</").count());
        }
    }
}
