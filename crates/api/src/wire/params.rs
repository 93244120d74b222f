// SPDX-License-Identifier: Apache-2.0
//! Declared parameters: a command lists what it takes, and parsing, checking and `listApis` follow from the list.

use std::collections::BTreeMap;
use std::net::Ipv4Addr;

use ipnet::Ipv4Net;
use jiff::Timestamp;
use outgate_model::MacAddr;
use uuid::Uuid;

use super::date;
use super::error::ApiError;
use super::request::Parameters;

/// Most entries of a list parameter.
pub const MAX_LIST: usize = 500;

/// Of what a parameter gives the id. Whether such an object exists is checked before the command runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[allow(
    missing_docs,
    reason = "each is named after the kind of object whose id it is"
)]
pub enum Of {
    Account,
    Address,
    Alert,
    Cluster,
    Domain,
    Event,
    FirewallRule,
    Guest,
    Host,
    Job,
    Network,
    Nic,
    NetworkOffering,
    PhysicalNetwork,
    Pod,
    PortForwardingRule,
    Project,
    Range,
    Role,
    RolePermission,
    Router,
    SecondaryIp,
    ServiceOffering,
    ServiceProvider,
    Template,
    TrafficType,
    User,
    Zone,
    Vpc,
    VpcOffering,
    NetworkAclList,
    NetworkAclItem,
    PrivateGateway,
    StaticRoute,
    LoadBalancerRule,
    StickinessPolicy,
    HealthCheckPolicy,
    IpForwardingRule,
    /// Something that Outgate does not have, such as a storage pool: no id is one.
    Nothing,
    /// Anything; no check.
    Anything,
}

/// What a parameter's value must look like.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// The id of an object. Anything else is answered as an id that does not exist.
    Uuid(Of),
    /// Ids, joined by commas.
    Uuids(Of),
    /// Text of at most so many characters, nothing unprintable in it.
    Text(usize),
    /// Text of at most so many bytes, anything in it, that no error and no log may show: a password.
    Secret(usize),
    /// One of these words, in any case.
    OneOf(&'static [&'static str]),
    /// An integer from the first to the second.
    Int(i64, i64),
    /// A TCP or UDP port, 1 to 65535.
    Port,
    /// `true` or `false`, in any case.
    Bool,
    /// An IPv4 address.
    Address,
    /// An Ethernet address.
    Mac,
    /// IPv4 CIDRs, joined by commas: `10.0.0.0/8,192.0.2.1/32`.
    Cidrs,
    /// A moment with its offset, or a day.
    Date,
    /// Maps: `name[0].field=value`.
    Maps,
}

impl Kind {
    /// The type's name in `listApis`.
    pub fn api_name(self) -> &'static str {
        match self {
            Self::Uuid(_) => "uuid",
            Self::Uuids(_) | Self::Cidrs => "list",
            Self::Text(_) | Self::Secret(_) | Self::OneOf(_) | Self::Address | Self::Mac => "string",
            Self::Int(..) | Self::Port => "integer",
            Self::Bool => "boolean",
            Self::Date => "date",
            Self::Maps => "map",
        }
    }

    /// What would be right, for error texts.
    fn expected(self) -> String {
        match self {
            Self::Uuid(_) => "an id".to_owned(),
            Self::Uuids(_) => format!("at most {MAX_LIST} ids joined by commas"),
            Self::Text(max) => format!("at most {max} printable characters"),
            Self::Secret(max) => format!("at most {max} bytes"),
            Self::OneOf(words) => format!("one of {}", words.join(", ")),
            Self::Int(min, max) => format!("an integer from {min} to {max}"),
            Self::Port => "a port from 1 to 65535".to_owned(),
            Self::Bool => "true or false".to_owned(),
            Self::Address => "an IPv4 address such as 192.0.2.10".to_owned(),
            Self::Mac => "six hexadecimal bytes such as 02:00:1a:2b:3c:4d".to_owned(),
            Self::Cidrs => format!("at most {MAX_LIST} CIDRs such as 10.0.0.0/8 joined by commas"),
            Self::Date => "a date such as 2026-01-31T12:00:00+0000".to_owned(),
            Self::Maps => "maps such as name[0].field=value".to_owned(),
        }
    }

    fn read(self, text: &str) -> Option<Value> {
        Some(match self {
            Self::Uuid(_) => Value::Uuid(uuid(text)?),
            Self::Uuids(_) => Value::Uuids(listed(text, uuid)?),
            Self::Text(max) => {
                let fits = text.chars().count() <= max && !text.chars().any(char::is_control);
                Value::Text(fits.then(|| text.to_owned())?)
            }
            Self::Secret(max) => Value::Text((text.len() <= max).then(|| text.to_owned())?),
            Self::OneOf(words) => Value::Word(words.iter().find(|w| w.eq_ignore_ascii_case(text))?),
            Self::Int(min, max) => Value::Int(text.parse().ok().filter(|value| (min..=max).contains(value))?),
            Self::Port => Value::Port(text.parse().ok().filter(|port| *port > 0)?),
            Self::Bool => Value::Bool(boolean(text)?),
            Self::Address => Value::Address(text.parse().ok()?),
            Self::Mac => Value::Mac(text.parse().ok()?),
            Self::Cidrs => Value::Cidrs(listed(text, |cidr| cidr.parse().ok())?),
            Self::Date => Value::Date(date::parse_day_or_moment(text)?),
            Self::Maps => return None,
        })
    }
}

/// A parameter that a command takes.
#[derive(Debug, Clone, Copy)]
pub struct Param {
    /// Its name, in lower case.
    pub name: &'static str,
    /// What its value must look like.
    pub kind: Kind,
    /// Whether the command needs it.
    pub required: bool,
    /// What it is for, in `listApis`.
    pub description: &'static str,
}

impl Param {
    /// A parameter that may be left out.
    pub const fn optional(name: &'static str, kind: Kind, description: &'static str) -> Self {
        Self {
            name,
            kind,
            required: false,
            description,
        }
    }

    /// A parameter that the command needs.
    pub const fn required(name: &'static str, kind: Kind, description: &'static str) -> Self {
        Self {
            name,
            kind,
            required: true,
            description,
        }
    }
}

#[derive(Debug, Clone, PartialEq)]
enum Value {
    Uuid(Uuid),
    Uuids(Vec<Uuid>),
    Text(String),
    Word(&'static str),
    Int(i64),
    Port(u16),
    Bool(bool),
    Address(Ipv4Addr),
    Mac(MacAddr),
    Cidrs(Vec<Ipv4Net>),
    Date(Timestamp),
    Maps(Vec<BTreeMap<String, String>>),
}

/// Which part of a list is asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Page {
    /// How many matches come before it.
    pub skip: usize,
    /// At most how many it holds.
    pub take: usize,
}

/// CloudStack's default and largest page.
pub const MAX_PAGE: usize = 500;

/// A command's parameters, checked. Those that were not given, or blank, are unset.
#[derive(Debug, Clone)]
pub struct Params {
    command: &'static str,
    values: BTreeMap<&'static str, Value>,
}

macro_rules! getters {
    ($($(#[$doc:meta])* $name:ident: $variant:ident => $type:ty;)+) => {$(
        $(#[$doc])*
        pub fn $name(&self, name: &str) -> Option<$type> {
            match self.values.get(name) {
                Some(Value::$variant(value)) => Some(*value),
                _ => None,
            }
        }
    )+};
}

impl Params {
    /// Reads what `declared` lists out of the request; other parameters are ignored. Errors name command,
    /// parameter and value: 431 for a missing or wrong one, 430 for malformed brackets.
    pub fn parse(
        command: &'static str,
        declared: impl Iterator<Item = &'static Param>,
        given: &Parameters,
    ) -> Result<Self, ApiError> {
        let mut values = BTreeMap::new();
        for param in declared {
            if param.kind == Kind::Maps {
                let maps = given.maps(param.name)?;
                if !maps.is_empty() {
                    values.insert(param.name, Value::Maps(maps));
                }
            } else if let Some(text) = given.get(param.name) {
                let value = param.kind.read(text).ok_or_else(|| match param.kind {
                    Kind::Uuid(_) => ApiError::no_such(command, param.name, text),
                    Kind::Secret(_) => {
                        ApiError::invalid(command, param.name, "(not shown)", &param.kind.expected())
                    }
                    kind => ApiError::invalid(command, param.name, text, &kind.expected()),
                })?;
                values.insert(param.name, value);
            }
            if param.required && !values.contains_key(param.name) {
                return Err(ApiError::missing(command, param.name));
            }
        }
        Ok(Self { command, values })
    }

    /// The command's name.
    pub fn command(&self) -> &'static str {
        self.command
    }

    getters! {
        /// An id.
        id: Uuid => Uuid;
        /// A word of [`Kind::OneOf`], as declared.
        word: Word => &'static str;
        /// An integer.
        int: Int => i64;
        /// A port.
        port: Port => u16;
        /// A truth value.
        flag: Bool => bool;
        /// An IPv4 address.
        address: Address => Ipv4Addr;
        /// An Ethernet address.
        mac: Mac => MacAddr;
        /// A moment.
        date: Date => Timestamp;
    }

    /// Text.
    pub fn text(&self, name: &str) -> Option<&str> {
        match self.values.get(name) {
            Some(Value::Text(value)) => Some(value),
            _ => None,
        }
    }

    /// Text of its own.
    pub fn string(&self, name: &str) -> Option<String> {
        self.text(name).map(str::to_owned)
    }

    /// Ids; none when unset.
    pub fn ids(&self, name: &str) -> &[Uuid] {
        match self.values.get(name) {
            Some(Value::Uuids(value)) => value,
            _ => &[],
        }
    }

    /// CIDRs in the caller's order; none when unset.
    pub fn cidrs(&self, name: &str) -> Vec<Ipv4Net> {
        match self.values.get(name) {
            Some(Value::Cidrs(value)) => value.clone(),
            _ => Vec::new(),
        }
    }

    /// Maps by index; none when unset.
    pub fn maps(&self, name: &str) -> &[BTreeMap<String, String>] {
        match self.values.get(name) {
            Some(Value::Maps(value)) => value,
            _ => &[],
        }
    }

    /// An id that the table declares as required. Errors as a missing parameter otherwise.
    pub fn need_id(&self, name: &str) -> Result<Uuid, ApiError> {
        self.id(name).ok_or_else(|| ApiError::missing(self.command, name))
    }

    /// Text that the table declares as required. Errors as a missing parameter otherwise.
    pub fn need_text(&self, name: &str) -> Result<&str, ApiError> {
        self.text(name)
            .ok_or_else(|| ApiError::missing(self.command, name))
    }

    /// A port that the table declares as required. Errors as a missing parameter otherwise.
    pub fn need_port(&self, name: &str) -> Result<u16, ApiError> {
        self.port(name)
            .ok_or_else(|| ApiError::missing(self.command, name))
    }

    /// The page asked for by `page` and `pagesize`, with CloudStack's rules and texts.
    pub fn page(&self) -> Result<Page, ApiError> {
        let too_large = format!("Page size can't exceed max allowed page size value: {MAX_PAGE}");
        match (self.int("page"), self.int("pagesize")) {
            (None, None) => Ok(Page {
                skip: 0,
                take: MAX_PAGE,
            }),
            (None, Some(-1)) => Ok(Page {
                skip: 0,
                take: usize::MAX,
            }),
            (_, Some(size)) if usize::try_from(size).is_ok_and(|size| size > MAX_PAGE) => {
                Err(ApiError::parameter(too_large))
            }
            (None, Some(_)) => Err(ApiError::parameter(
                "\"page\" parameter is required when \"pagesize\" is specified",
            )),
            (Some(_), None) => Err(ApiError::parameter(
                "\"pagesize\" parameter is required when \"page\" is specified",
            )),
            (Some(page), Some(size)) => {
                match (usize::try_from(page.saturating_sub(1)), usize::try_from(size)) {
                    (Ok(page), Ok(size)) if size > 0 => Ok(Page {
                        skip: page.saturating_mul(size),
                        take: size,
                    }),
                    (Err(_), _) => Err(ApiError::invalid(
                        self.command,
                        "page",
                        &page.to_string(),
                        "1 or more",
                    )),
                    _ => Err(ApiError::invalid(
                        self.command,
                        "pagesize",
                        &size.to_string(),
                        "1 to 500, or -1 for everything, then without page",
                    )),
                }
            }
        }
    }
}

fn uuid(text: &str) -> Option<Uuid> {
    Uuid::parse_str(text).ok().filter(|_| text.len() == 36)
}

/// libcloud sends the word None for what its caller leaves out, which CloudStack, where all but true is false, reads as
/// false.
fn boolean(text: &str) -> Option<bool> {
    if text.eq_ignore_ascii_case("true") {
        Some(true)
    } else if text.eq_ignore_ascii_case("false") || text == "None" {
        Some(false)
    } else {
        None
    }
}

fn listed<T>(text: &str, read: impl Fn(&str) -> Option<T>) -> Option<Vec<T>> {
    let list: Option<Vec<T>> = text
        .split(',')
        .take(MAX_LIST + 1)
        .map(|part| read(part.trim()))
        .collect();
    list.filter(|list| list.len() <= MAX_LIST)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::request::RawParameters;

    static DECLARED: [Param; 9] = [
        Param::required("id", Kind::Uuid(Of::Anything), ""),
        Param::optional("name", Kind::Text(5), ""),
        Param::optional("port", Kind::Port, ""),
        Param::optional("flag", Kind::Bool, ""),
        Param::optional("cidrlist", Kind::Cidrs, ""),
        Param::optional("page", Kind::Int(i64::MIN, i64::MAX), ""),
        Param::optional("pagesize", Kind::Int(i64::MIN, i64::MAX), ""),
        Param::optional("state", Kind::OneOf(&["Running", "Stopped"]), ""),
        Param::optional("tags", Kind::Maps, ""),
    ];

    fn parsed(query: &str) -> Result<Params, ApiError> {
        let given = RawParameters::parse(query, b"").and_then(RawParameters::fold)?;
        Params::parse("listThings", DECLARED.iter(), &given)
    }

    const ID: &str = "id=0f2f7880-3c52-4b8d-8f1a-2f0c3e3a1b11";

    #[test]
    fn what_is_declared_is_read_and_the_rest_ignored() {
        let p = parsed(&format!(
            "{ID}&name=ab&port=80&flag=True&cidrlist=10.0.0.0/8,192.0.2.1/32&state=running&colour=red&tags[0].key=k"
        ))
        .unwrap();
        assert_eq!(p.text("name"), Some("ab"));
        assert_eq!(p.port("port"), Some(80));
        assert_eq!(p.flag("flag"), Some(true));
        let none = parsed(&format!("{ID}&flag=None")).unwrap();
        assert_eq!(none.flag("flag"), Some(false), "libcloud's word for nothing");
        assert_eq!(p.cidrs("cidrlist").len(), 2);
        assert_eq!(p.word("state"), Some("Running"));
        assert_eq!(p.maps("tags").len(), 1);
    }

    #[test]
    fn an_error_names_the_parameter_and_its_value() {
        for (query, names) in [
            ("", "missing parameter id"),
            ("id=", "missing parameter id"),
            ("id=7", "Invalid parameter id value=7 "),
            (
                "id={0f2f7880-3c52-4b8d-8f1a-2f0c3e3a1b11}",
                "Invalid parameter id ",
            ),
        ] {
            let e = parsed(query).unwrap_err();
            assert_eq!(e.code, 431);
            assert!(
                e.text.contains("listthings") && e.text.contains(names),
                "{}",
                e.text
            );
        }
        for wrong in [
            "name=abcdef",
            "port=0",
            "port=65536",
            "flag=1",
            "cidrlist=10.0.0.0",
            "cidrlist=,",
            "state=Asleep",
        ] {
            let e = parsed(&format!("{ID}&{wrong}")).unwrap_err();
            let (name, value) = wrong.split_once('=').unwrap();
            assert!(
                e.text
                    .contains(&format!("invalid value {value} for parameter {name}")),
                "{}",
                e.text
            );
        }
    }

    #[test]
    fn pages_follow_cloudstacks_rules() {
        let page = |query: &str| parsed(&format!("{ID}&{query}")).unwrap().page();
        assert_eq!(page("").unwrap(), Page { skip: 0, take: 500 });
        assert_eq!(page("page=3&pagesize=10").unwrap(), Page { skip: 20, take: 10 });
        assert_eq!(
            page("pagesize=-1").unwrap(),
            Page {
                skip: 0,
                take: usize::MAX
            }
        );
        for (query, text) in [
            (
                "page=1",
                "\"pagesize\" parameter is required when \"page\" is specified",
            ),
            (
                "pagesize=10",
                "\"page\" parameter is required when \"pagesize\" is specified",
            ),
            (
                "page=1&pagesize=501",
                "Page size can't exceed max allowed page size value: 500",
            ),
            ("page=1&pagesize=-1", "pagesize"),
            ("page=0&pagesize=5", "parameter page"),
            ("page=1&pagesize=0", "pagesize"),
            ("page=-9223372036854775808&pagesize=1", "parameter page"),
        ] {
            let e = page(query).unwrap_err();
            assert!(e.code == 431 && e.text.contains(text), "{query}: {}", e.text);
        }
    }
}
