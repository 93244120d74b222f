// SPDX-License-Identifier: Apache-2.0
//! From words on the command line to a request: `name=value`, checked against what the server says it takes.

use std::io::Read as _;

use anyhow::Context as _;

use super::catalog::{Api, Catalog};
use crate::exit::Usage;
use crate::near::hint;

/// The largest value that is read from a file or standard input, in bytes.
const MAX_VALUE: u64 = 1 << 20;

/// A request: the command as the server spells it, and its parameters.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Request {
    /// `createNetwork`.
    pub command: String,
    /// Names and values, each name once.
    pub params: Vec<(String, String)>,
}

/// One parameter as it was typed: the name before the first `=`, the value after it.
pub fn parse(word: &str) -> anyhow::Result<(String, String)> {
    let (name, value) = word.split_once('=').with_context(|| {
        Usage(format!(
            "{word:?} is no parameter: write NAME=VALUE, for example zoneid={word}"
        ))
    })?;
    let tame = |c: char| c.is_ascii_alphanumeric() || "_-.:[]".contains(c);
    anyhow::ensure!(
        !name.is_empty() && name.chars().all(tame),
        Usage(format!("{name:?} is no name of a parameter"))
    );
    Ok((name.to_owned(), value.to_owned()))
}

/// The value that is meant: `@FILE` is the file's content, `@-` standard input's, `@@x` is `@x` itself. So secrets need
/// not stand on the command line.
pub fn value(name: &str, text: &str) -> anyhow::Result<String> {
    let Some(path) = text.strip_prefix('@') else {
        return Ok(text.to_owned());
    };
    if path.starts_with('@') {
        return Ok(path.to_owned());
    }
    let mut read = String::new();
    let told = || {
        Usage(format!(
            "{name}: cannot read {path} (write @@ for a value that starts with @)"
        ))
    };
    let done = if path == "-" {
        std::io::stdin().take(MAX_VALUE).read_to_string(&mut read)
    } else {
        std::fs::File::open(path).and_then(|file| file.take(MAX_VALUE).read_to_string(&mut read))
    };
    done.with_context(told)?;
    Ok(read.trim_end_matches(['\n', '\r']).to_owned())
}

/// The command that is meant. Errors name what is near.
pub fn command<'a>(catalog: &'a Catalog, name: &str) -> anyhow::Result<&'a Api> {
    catalog.find(name).with_context(|| {
        let hint = hint(&catalog.near(name));
        Usage(format!(
            "the server knows no command {name}, or does not allow it to you{hint}; `outgate api list` shows all"
        ))
    })
}

/// A request for a command that the catalog describes: names in the server's spelling, repeated ones joined by commas.
/// Errors name unknown parameters with what is near, and what is missing.
pub fn checked(api: &Api, typed: &[(String, String)]) -> anyhow::Result<Request> {
    let mut params: Vec<(String, String)> = Vec::new();
    for (name, value) in typed {
        let param = api.param(name).with_context(|| {
            let hint = hint(&api.near(name));
            Usage(format!(
                "{} takes no parameter {name}{hint}; `outgate api help {}` shows all",
                api.name, api.name
            ))
        })?;
        // What stands in brackets keeps its case: details[0].MTU.
        let rest = name.get(param.name.len()..).unwrap_or("");
        add(&mut params, format!("{}{rest}", param.name), value, &param.kind)?;
    }
    let given = |name: &str| params.iter().any(|(n, v)| outer(n) == name && !v.is_empty());
    let missing: Vec<String> = api
        .params
        .iter()
        .filter(|p| p.required && !given(&p.name))
        .map(|p| format!("{} ({})", p.name, p.kind))
        .collect();
    anyhow::ensure!(
        missing.is_empty(),
        Usage(format!(
            "{} needs {}; `outgate api help {}` says more",
            api.name,
            listed(&missing),
            api.name
        ))
    );
    Ok(Request {
        command: api.name.clone(),
        params,
    })
}

/// `a`, `a and b`, `a, b and c`.
fn listed(words: &[String]) -> String {
    match words {
        [] => String::new(),
        [one] => one.clone(),
        [most @ .., last] => format!("{} and {last}", most.join(", ")),
    }
}

/// A request of which nothing is known, as it was typed.
pub fn unchecked(command: &str, typed: &[(String, String)]) -> anyhow::Result<Request> {
    let mut params = Vec::new();
    for (name, value) in typed {
        add(&mut params, name.clone(), value, "list")?;
    }
    Ok(Request {
        command: command.to_owned(),
        params,
    })
}

fn add(params: &mut Vec<(String, String)>, name: String, value: &str, kind: &str) -> anyhow::Result<()> {
    match params.iter_mut().find(|(n, _)| n.eq_ignore_ascii_case(&name)) {
        Some((_, before)) if kind == "list" && !name.contains('[') => {
            before.push(',');
            before.push_str(value);
        }
        Some(_) => return Err(Usage(format!("{name} is given twice, and is no list")).into()),
        None => params.push((name, value.to_owned())),
    }
    Ok(())
}

/// A parameter's name without what stands in brackets.
pub fn outer(name: &str) -> &str {
    name.split('[').next().unwrap_or(name)
}

#[cfg(test)]
mod tests {
    use super::super::catalog::Param;
    use super::*;

    fn api() -> Api {
        let param = |name: &str, kind: &str, required| Param {
            name: name.into(),
            kind: kind.into(),
            description: String::new(),
            required,
        };
        Api {
            name: "createThing".into(),
            params: vec![
                param("name", "string", true),
                param("zoneid", "uuid", true),
                param("cidrlist", "list", false),
                param("details", "map", false),
            ],
            ..Api::default()
        }
    }

    fn typed(words: &[&str]) -> Vec<(String, String)> {
        words.iter().map(|w| parse(w).unwrap()).collect()
    }

    #[test]
    fn names_take_the_servers_spelling_and_lists_may_be_repeated() {
        let words = [
            "Name=a=b",
            "ZONEID=z",
            "cidrlist=1.0.0.0/8",
            "CidrList=2.0.0.0/8",
            "Details[0].MTU=9",
        ];
        let request = checked(&api(), &typed(&words)).unwrap();
        let expected = [
            ("name", "a=b"),
            ("zoneid", "z"),
            ("cidrlist", "1.0.0.0/8,2.0.0.0/8"),
            ("details[0].MTU", "9"),
        ];
        let got: Vec<_> = request
            .params
            .iter()
            .map(|(n, v)| (n.as_str(), v.as_str()))
            .collect();
        assert_eq!(got, expected);
    }

    #[test]
    fn what_is_wrong_is_said_before_the_server_is_asked() {
        let told = |words: &[&str]| checked(&api(), &typed(words)).unwrap_err().to_string();
        assert!(told(&["nam=x", "zoneid=z"]).contains("did you mean name?"));
        assert!(told(&["name=x"]).contains("needs zoneid (uuid);"));
        assert!(told(&[]).contains("needs name (string) and zoneid (uuid);"));
        let three = ["a", "b", "c"].map(str::to_owned);
        assert_eq!(listed(&three), "a, b and c");
        assert!(told(&["name=x", "name=y", "zoneid=z"]).contains("given twice"));
        assert!(parse("name").unwrap_err().to_string().contains("NAME=VALUE"));
        assert!(parse("a&b=c").is_err());
    }

    #[test]
    fn a_value_can_come_from_a_file() {
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), "secret\n").unwrap();
        assert_eq!(
            value("password", &format!("@{}", file.path().display())).unwrap(),
            "secret"
        );
        assert_eq!(value("name", "@@home").unwrap(), "@home");
        assert!(value("name", "@/nowhere/at/all").is_err());
    }
}
