// SPDX-License-Identifier: Apache-2.0
//! Load balancing: a port of a public address whose connections haproxy, in the router, spreads over guests.
//!
//! Whatever of it ends up in haproxy's configuration is a number, an address, a word of an enum, or a text whose type
//! lets nothing through that the configuration's grammar could mistake.

use std::fmt;
use std::net::Ipv4Addr;
use std::str::FromStr;

use ipnet::Ipv4Net;
use serde::{Deserialize, Serialize};

use crate::FieldError;
use crate::id::LoadBalancerRuleId;

/// One balanced port of a public address.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LoadBalancer {
    /// The rule's id, for messages, and the name of its part of haproxy's configuration.
    pub id: LoadBalancerRuleId,
    /// The TCP port of the public address, 1 to 65535.
    pub public_port: u16,
    /// The guests' TCP port, 1 to 65535.
    pub private_port: u16,
    /// How a guest is chosen.
    pub algorithm: LbAlgorithm,
    /// What guests are spoken to in.
    pub protocol: LbProtocol,
    /// Which sources may connect; never empty. Outside a VPC a firewall rule must let them in too.
    pub sources: Vec<Ipv4Net>,
    /// The guests, lowest address first, each once; none means that connections are refused.
    pub members: Vec<Ipv4Addr>,
    /// How a client stays with its guest.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub stickiness: Option<Stickiness>,
    /// How it is found out whether a guest serves; without one, whether its port takes connections.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub health_check: Option<HealthCheck>,
}

/// How a guest is chosen for a new connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum LbAlgorithm {
    /// Each in turn.
    RoundRobin,
    /// The one with the fewest connections.
    LeastConn,
    /// By the client's address: the same client gets the same guest while the guests stay.
    Source,
}

impl LbAlgorithm {
    /// CloudStack's word, which is haproxy's too.
    pub fn name(self) -> &'static str {
        match self {
            Self::RoundRobin => "roundrobin",
            Self::LeastConn => "leastconn",
            Self::Source => "source",
        }
    }
}

/// What guests are spoken to in.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum LbProtocol {
    /// The client's bytes as they are.
    #[serde(rename = "tcp")]
    Tcp,
    /// First a line that tells the client's address (PROXY protocol, version 1), then the client's bytes.
    #[serde(rename = "tcp-proxy")]
    TcpProxy,
}

impl LbProtocol {
    /// CloudStack's word.
    pub fn name(self) -> &'static str {
        match self {
            Self::Tcp => "tcp",
            Self::TcpProxy => "tcp-proxy",
        }
    }
}

/// How a client stays with its guest. Durations are in seconds.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "snake_case", tag = "method")]
pub enum Stickiness {
    /// By a cookie that the router sets or changes (CloudStack's `LbCookie`). The rule then speaks HTTP.
    LbCookie {
        /// The cookie's name.
        name: CookieName,
        /// How the cookie gets its value.
        mode: LbCookieMode,
        /// Answers that set it may not be cached.
        nocache: bool,
        /// The guest does not see it, and a client that has it is not given it again.
        indirect: bool,
        /// It is set in answers to POST only.
        postonly: bool,
        /// The domain that it is valid for; the host that was asked when `None`.
        domain: Option<CookieDomain>,
    },
    /// By a cookie that the guests set (CloudStack's `AppCookie`). The rule then speaks HTTP.
    AppCookie {
        /// The cookie's name.
        name: CookieName,
        /// How many characters of its value count, 1 to 1024.
        length: u16,
        /// How long a value is remembered after its last use.
        hold_secs: u32,
        /// Whether values that clients send unasked are learnt too.
        request_learn: bool,
        /// Where the value stands when it is no cookie; `None` looks at cookies only.
        mode: Option<AppCookieMode>,
    },
    /// By the client's address (CloudStack's `SourceBased`).
    SourceBased {
        /// How many clients are remembered, 1 to 1,048,576.
        table_size: u32,
        /// How long a client is remembered after its last connection.
        expire_secs: u32,
    },
}

/// How a cookie of the router's gets its value.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum LbCookieMode {
    /// The router adds a cookie of its own.
    Insert,
    /// The router overwrites the value that the guest sets.
    Rewrite,
    /// The router puts its value in front of the guest's.
    Prefix,
}

/// Where an application's session id stands in the URL.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum AppCookieMode {
    /// After a semicolon: `/page;NAME=value`.
    PathParameters,
    /// In the query: `/page?NAME=value`.
    QueryString,
}

/// How it is found out whether a guest serves.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct HealthCheck {
    /// Asked for with HTTP GET; an answer of 200 to 399 is healthy.
    pub ping_path: PingPath,
    /// How often, in seconds, 1 to 20,940.
    pub interval_secs: u32,
    /// How long an answer may take, in seconds, 1 to 60.
    pub timeout_secs: u32,
    /// After so many good answers in a row a guest gets connections, 1 to 255.
    pub healthy: u8,
    /// After so many bad ones it gets none, 1 to 255.
    pub unhealthy: u8,
}

macro_rules! checked_texts {
    ($($(#[$doc:meta])* $name:ident, $field:literal, $expected:literal, $fine:expr;)+) => {$(
        $(#[$doc])*
        #[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        #[serde(try_from = "String", into = "String")]
        pub struct $name(String);

        impl $name {
            /// The text.
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl TryFrom<String> for $name {
            type Error = FieldError;
            fn try_from(text: String) -> Result<Self, FieldError> {
                let is_fine: fn(&str) -> bool = $fine;
                if is_fine(&text) {
                    Ok(Self(text))
                } else {
                    Err(FieldError::new($field, text, $expected))
                }
            }
        }

        impl FromStr for $name {
            type Err = FieldError;
            fn from_str(text: &str) -> Result<Self, FieldError> {
                text.to_owned().try_into()
            }
        }

        impl From<$name> for String {
            fn from(text: $name) -> Self {
                text.0
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }
    )+};
}

checked_texts! {
    /// A cookie's name: 1 to 64 letters, digits, underscores, dots and hyphens.
    CookieName, "cookie-name", "1 to 64 letters, digits, underscores, dots and hyphens", |text| {
        (1..=64).contains(&text.len())
            && text.bytes().all(|b| b.is_ascii_alphanumeric() || b"_.-".contains(&b))
    };
    /// A cookie's domain: letters, digits, inner hyphens and dots, one of them possibly first; at most 253.
    CookieDomain, "domain", "a DNS domain, possibly with a dot before it", |text| {
        let labels = text.strip_prefix('.').unwrap_or(text);
        let is_label = |label: &str| {
            (1..=63).contains(&label.len())
                && label.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-')
                && !label.starts_with('-')
                && !label.ends_with('-')
        };
        text.len() <= 253 && labels.split('.').all(is_label)
    };
    /// The path of a health check: a slash and at most 254 more characters of a URL's path and query (RFC 3986) without
    /// those that haproxy's configuration gives a meaning.
    PingPath, "pingpath", "a path such as /health of at most 255 letters, digits and -._~:@%&=+,;?!*()/", |text| {
        text.starts_with('/')
            && text.len() <= 255
            && text.bytes().all(|b| b.is_ascii_alphanumeric() || b"-._~:@%&=+,;?!*()/".contains(&b))
    };
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts_that_haproxy_could_mistake_are_refused_by_their_types() {
        for wrong in [
            "", "a b", "a\nb", "a\"b", "a'b", "a\\b", "a#b", "$HOME", "a,b", "ä",
        ] {
            assert!(wrong.parse::<CookieName>().is_err(), "{wrong:?}");
            assert!(wrong.parse::<CookieDomain>().is_err(), "{wrong:?}");
            assert!(format!("/{wrong}x").parse::<PingPath>().is_err() || wrong.is_empty() || wrong == "a,b");
            assert!(wrong.parse::<PingPath>().is_err(), "{wrong:?}");
        }
        for fine in ["JSESSIONID", "a.b-c_d"] {
            assert!(fine.parse::<CookieName>().is_ok());
        }
        for fine in ["/", "/health?full=1&x=%20"] {
            assert!(fine.parse::<PingPath>().is_ok());
        }
        for fine in ["example.org", ".example.org"] {
            assert!(fine.parse::<CookieDomain>().is_ok());
        }
        let json = serde_json::from_str::<CookieName>("\"a\\nserver evil 1.2.3.4\"");
        assert!(json.is_err());
    }
}
