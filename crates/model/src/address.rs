// SPDX-License-Identifier: Apache-2.0
//! MAC addresses, port ranges and address ranges.

use std::fmt;
use std::net::Ipv4Addr;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use crate::FieldError;

/// An Ethernet address, written `02:00:1a:2b:3c:4d`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct MacAddr(pub [u8; 6]);

impl fmt::Display for MacAddr {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let [a, b, c, d, e, g] = self.0;
        write!(f, "{a:02x}:{b:02x}:{c:02x}:{d:02x}:{e:02x}:{g:02x}")
    }
}

impl FromStr for MacAddr {
    type Err = FieldError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let wrong = || FieldError::new("mac", text, "six hexadecimal bytes such as 02:00:1a:2b:3c:4d");
        let mut bytes = [0; 6];
        let mut parts = text.split(':');
        for byte in &mut bytes {
            let part = parts.next().filter(|p| p.len() == 2).ok_or_else(wrong)?;
            *byte = u8::from_str_radix(part, 16).map_err(|_| wrong())?;
        }
        if parts.next().is_some() {
            Err(wrong())
        } else {
            Ok(Self(bytes))
        }
    }
}

impl TryFrom<String> for MacAddr {
    type Error = FieldError;
    fn try_from(text: String) -> Result<Self, FieldError> {
        text.parse()
    }
}

impl From<MacAddr> for String {
    fn from(mac: MacAddr) -> Self {
        mac.to_string()
    }
}

/// Ports `first..=last` of TCP or UDP, 1 to 65535, never upside down.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "(u16, u16)", into = "(u16, u16)")]
pub struct PortRange {
    first: u16,
    last: u16,
}

impl PortRange {
    /// Every port there is.
    pub const ALL: Self = Self {
        first: 1,
        last: u16::MAX,
    };

    /// Ports `first..=last`. Errors when a port is 0 or the range is upside down.
    pub fn new(first: u16, last: u16) -> Result<Self, FieldError> {
        if first == 0 || first > last {
            return Err(FieldError::new(
                "ports",
                format!("{first}-{last}"),
                "a port from 1 to 65535, the first not above the last",
            ));
        }
        Ok(Self { first, last })
    }

    /// The one port `port`. Errors when it is 0.
    pub fn single(port: u16) -> Result<Self, FieldError> {
        Self::new(port, port)
    }

    /// The lowest port.
    pub fn first(self) -> u16 {
        self.first
    }

    /// The highest port, itself included.
    pub fn last(self) -> u16 {
        self.last
    }

    /// How many ports the range holds, 1 to 65535.
    pub fn count(self) -> u32 {
        u32::from(self.last) - u32::from(self.first) + 1
    }

    /// Whether `port` is one of the range's.
    pub fn contains(self, port: u16) -> bool {
        (self.first..=self.last).contains(&port)
    }

    /// Whether any port is in both.
    pub fn overlaps(self, other: Self) -> bool {
        self.first <= other.last && other.first <= self.last
    }
}

impl TryFrom<(u16, u16)> for PortRange {
    type Error = FieldError;
    fn try_from((first, last): (u16, u16)) -> Result<Self, FieldError> {
        Self::new(first, last)
    }
}

impl From<PortRange> for (u16, u16) {
    fn from(range: PortRange) -> Self {
        (range.first, range.last)
    }
}

impl fmt::Display for PortRange {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.first == self.last {
            write!(f, "{}", self.first)
        } else {
            write!(f, "{}-{}", self.first, self.last)
        }
    }
}

/// Addresses `first..=last`, never upside down.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(try_from = "(Ipv4Addr, Ipv4Addr)", into = "(Ipv4Addr, Ipv4Addr)")]
pub struct Ipv4Range {
    first: Ipv4Addr,
    last: Ipv4Addr,
}

impl Ipv4Range {
    /// Addresses `first..=last`. Errors when the range is upside down.
    pub fn new(first: Ipv4Addr, last: Ipv4Addr) -> Result<Self, FieldError> {
        if first > last {
            return Err(FieldError::new(
                "range",
                format!("{first}-{last}"),
                "a range whose first address is not above its last",
            ));
        }
        Ok(Self { first, last })
    }

    /// The lowest address.
    pub fn first(self) -> Ipv4Addr {
        self.first
    }

    /// The highest address, itself included.
    pub fn last(self) -> Ipv4Addr {
        self.last
    }

    /// Whether `address` is one of the range's.
    pub fn contains(self, address: Ipv4Addr) -> bool {
        (self.first..=self.last).contains(&address)
    }

    /// Whether any address is in both.
    pub fn overlaps(self, other: Self) -> bool {
        self.first <= other.last && other.first <= self.last
    }

    /// How many addresses it holds; 2^32 - 1 for all there are.
    pub fn count(self) -> u32 {
        (self.last.to_bits() - self.first.to_bits()).saturating_add(1)
    }

    /// Every address, lowest first.
    pub fn iter(self) -> impl Iterator<Item = Ipv4Addr> {
        (self.first.to_bits()..=self.last.to_bits()).map(Ipv4Addr::from_bits)
    }
}

impl TryFrom<(Ipv4Addr, Ipv4Addr)> for Ipv4Range {
    type Error = FieldError;
    fn try_from((first, last): (Ipv4Addr, Ipv4Addr)) -> Result<Self, FieldError> {
        Self::new(first, last)
    }
}

impl From<Ipv4Range> for (Ipv4Addr, Ipv4Addr) {
    fn from(range: Ipv4Range) -> Self {
        (range.first, range.last)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_mac_address_prints_as_it_was_read() {
        assert_eq!(
            "02:00:1a:2b:3c:4d".parse::<MacAddr>().unwrap().to_string(),
            "02:00:1a:2b:3c:4d"
        );
        for wrong in [
            "",
            "02:00:1a:2b:3c",
            "02:00:1a:2b:3c:4d:5e",
            "02:00:1a:2b:3c:4g",
            "2:0:1a:2b:3c:4d",
        ] {
            assert!(wrong.parse::<MacAddr>().is_err(), "{wrong}");
        }
    }

    #[test]
    fn a_port_range_upside_down_or_with_port_zero_is_refused() {
        assert!(PortRange::new(80, 79).is_err());
        assert!(PortRange::single(0).is_err());
        assert_eq!(PortRange::ALL.count(), 65_535);
    }

    #[test]
    fn ranges_that_share_one_port_overlap() {
        let range = |a, b| PortRange::new(a, b).unwrap();
        assert!(range(10, 20).overlaps(range(20, 30)));
        assert!(!range(10, 20).overlaps(range(21, 30)));
    }
}
