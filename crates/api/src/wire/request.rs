// SPDX-License-Identifier: Apache-2.0
//! A request's parameters: the GET query and the POST form together, bounded, decoded once.

use std::collections::BTreeMap;

use percent_encoding::percent_decode_str;

use super::envelope::Format;
use super::error::ApiError;

/// Longest query and longest form, in bytes each.
pub const MAX_BYTES: usize = 64 * 1024;
/// Most parameters of a request.
pub const MAX_PARAMETERS: usize = 200;
/// Longest name of a parameter, in bytes.
pub const MAX_NAME: usize = 255;

/// Parameters as they were sent: names with their case, in the order of the wire. What the signature covers.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct RawParameters(Vec<(String, String)>);

impl std::fmt::Debug for RawParameters {
    /// Names only: values may be signatures or user data.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_set()
            .entries(self.0.iter().map(|(name, _)| name))
            .finish()
    }
}

impl RawParameters {
    /// Decodes the query and the form. Errors (430) when either is too long, holds too many parameters, or decodes
    /// to something that is no UTF-8.
    pub fn parse(query: &str, form: &[u8]) -> Result<Self, ApiError> {
        let form =
            std::str::from_utf8(form).map_err(|_| ApiError::malformed("the request's body is not UTF-8"))?;
        let mut all = Vec::new();
        for (what, text) in [("query", query), ("body", form)] {
            if text.len() > MAX_BYTES {
                let text = format!("the request's {what} is longer than {MAX_BYTES} bytes");
                return Err(ApiError::malformed(text));
            }
            for pair in text.split('&').filter(|pair| !pair.is_empty()) {
                if all.len() == MAX_PARAMETERS {
                    let text = format!("the request has more than {MAX_PARAMETERS} parameters");
                    return Err(ApiError::malformed(text));
                }
                let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
                all.push((decoded_name(name)?, decoded(value)?));
            }
        }
        Ok(Self(all))
    }

    /// Parameters from decoded pairs, for tests and tools.
    pub fn from_pairs<N: Into<String>, V: Into<String>>(pairs: impl IntoIterator<Item = (N, V)>) -> Self {
        Self(
            pairs
                .into_iter()
                .map(|(name, value)| (name.into(), value.into()))
                .collect(),
        )
    }

    /// How the reply to a request is written, as far as can be told of one that may be unreadable otherwise: JSON
    /// for `response=json`, else XML.
    pub fn format(query: &str, form: &[u8]) -> Format {
        let form = form.split(|b| *b == b'&');
        let mut pairs = query.as_bytes().split(|b| *b == b'&').chain(form);
        if pairs.any(|pair| pair.eq_ignore_ascii_case(b"response=json")) {
            Format::Json
        } else {
            Format::Xml
        }
    }

    /// Every parameter as it was sent.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &str)> {
        self.0.iter().map(|(name, value)| (name.as_str(), value.as_str()))
    }

    /// The first value of the parameter of this name, in any case.
    pub fn get(&self, name: &str) -> Option<&str> {
        self.iter()
            .find(|(n, _)| n.eq_ignore_ascii_case(name))
            .map(|(_, value)| value)
    }

    /// Names folded to lower case (the part before brackets only), blank values dropped. Errors (430) when two
    /// parameters of one name contradict each other.
    pub fn fold(self) -> Result<Parameters, ApiError> {
        let mut folded: BTreeMap<String, String> = BTreeMap::new();
        for (name, value) in self.0 {
            let (outer, rest) = name.split_at(name.find('[').unwrap_or(name.len()));
            let name = outer.to_ascii_lowercase() + rest;
            let as_sent = AS_SENT.contains(&name.as_str());
            let value = if as_sent { value } else { value.trim().to_owned() };
            if folded.get(&name).is_some_and(|other| *other != value) {
                return Err(ApiError::malformed(format!(
                    "parameter {name} is given twice, with different values"
                )));
            }
            folded.insert(name, value);
        }
        folded.retain(|_, value| !value.is_empty());
        Ok(Parameters(folded))
    }
}

/// Secrets stay as they were sent: a password may begin or end with a space.
const AS_SENT: [&str; 3] = ["password", "currentpassword", "usersecretkey"];

/// Parameters by lower-case name; none is blank.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct Parameters(BTreeMap<String, String>);

impl std::fmt::Debug for Parameters {
    /// Names only: values may be signatures or user data.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_set().entries(self.0.keys()).finish()
    }
}

impl Parameters {
    /// The value of a parameter, by its lower-case name.
    pub fn get(&self, name: &str) -> Option<&str> {
        self.0.get(name).map(String::as_str)
    }

    /// The maps of `name[0].field=value`, by index, gaps closed. Errors (430) on other bracket forms.
    pub fn maps(&self, name: &str) -> Result<Vec<BTreeMap<String, String>>, ApiError> {
        let mut maps: BTreeMap<u32, BTreeMap<String, String>> = BTreeMap::new();
        let prefix = format!("{name}[");
        for (key, value) in self
            .0
            .range(prefix.clone()..)
            .take_while(|(key, _)| key.starts_with(&prefix))
        {
            let (index, field) = key[prefix.len()..]
                .split_once("].")
                .filter(|(_, field)| !field.is_empty())
                .and_then(|(index, field)| Some((index.parse().ok()?, field)))
                .ok_or_else(|| {
                    ApiError::malformed(format!("parameter {key} is not of the form {name}[0].field"))
                })?;
            maps.entry(index)
                .or_default()
                .insert(field.to_ascii_lowercase(), value.clone());
        }
        Ok(maps.into_values().collect())
    }
}

/// Clients sign names as they are. One with `=` or `&` in it could hide other parameters from a request whose signature
/// stays right, such as the end of its validity.
fn decoded_name(name: &str) -> Result<String, ApiError> {
    let name = decoded(name)?;
    if name.contains(|c: char| matches!(c, '=' | '&' | '%' | '+') || c.is_whitespace() || c.is_control()) {
        return Err(ApiError::malformed(
            "a parameter's name holds one of = & % + or a space",
        ));
    }
    if name.len() > MAX_NAME || name.is_empty() {
        return Err(ApiError::malformed(format!(
            "a parameter's name is empty or longer than {MAX_NAME} bytes"
        )));
    }
    Ok(name)
}

fn decoded(text: &str) -> Result<String, ApiError> {
    let spaced = text.replace('+', " ");
    percent_decode_str(&spaced)
        .decode_utf8()
        .map(std::borrow::Cow::into_owned)
        .map_err(|_| ApiError::malformed("a parameter is not UTF-8 after percent-decoding"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parsed(query: &str, form: &str) -> RawParameters {
        RawParameters::parse(query, form.as_bytes()).unwrap()
    }

    #[test]
    fn query_and_form_are_one_and_names_fold_to_lower_case() {
        let p = parsed("Command=listZones&x=a%20b+c", "apiKEY=k&tags[0].Key=v&empty=")
            .fold()
            .unwrap();
        assert_eq!(p.get("command"), Some("listZones"));
        assert_eq!(p.get("x"), Some("a b c"));
        assert_eq!(p.get("apikey"), Some("k"));
        assert_eq!(p.get("empty"), None);
        assert_eq!(p.maps("tags").unwrap()[0]["key"], "v");
    }

    #[test]
    fn a_name_given_twice_is_refused_unless_it_says_the_same() {
        assert!(parsed("id=1&ID=1", "id=1").fold().is_ok());
        assert_eq!(parsed("id=1&ID=2", "").fold().unwrap_err().code, 430);
    }

    #[test]
    fn too_much_of_anything_is_refused() {
        let many: String = (0..=MAX_PARAMETERS).map(|i| format!("p{i}=1&")).collect();
        let long = format!("a={}", "x".repeat(MAX_BYTES));
        let name = format!("{}=1", "n".repeat(MAX_NAME + 1));
        for query in [many.as_str(), &long, &name, "=1", "a=%ff"] {
            assert_eq!(RawParameters::parse(query, b"").unwrap_err().code, 430);
        }
    }

    #[test]
    fn a_name_cannot_hide_other_parameters() {
        for query in [
            "a%3D1%26b=2",
            "a%26b=2",
            "a%20b=1",
            "a+b=1",
            "a%2520b=1",
            "a%0ab=1",
        ] {
            assert_eq!(RawParameters::parse(query, b"").unwrap_err().code, 430, "{query}");
        }
    }

    #[test]
    fn brackets_of_another_form_are_malformed() {
        for wrong in [
            "tags[0]=x",
            "tags[x].key=1",
            "tags[0].=1",
            "tags[0=1",
            "tags[-1].key=1",
        ] {
            let p = parsed(wrong, "").fold().unwrap();
            assert_eq!(p.maps("tags").unwrap_err().code, 430, "{wrong}");
        }
    }
}
