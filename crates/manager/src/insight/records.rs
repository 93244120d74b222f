// SPDX-License-Identifier: Apache-2.0
//! Usage records: one a day for each object and type, with CloudStack's numbers. Pure.

use jiff::civil::{Date, Time};
use jiff::{Timestamp, tz::TimeZone};
use outgate_model::Realm;
use outgate_model::id::{AccountId, NetworkId, NetworkOfferingId, VpcId, ZoneId};
use outgate_model::usage::{Held, HeldKind, MonthBytes};
use uuid::Uuid;

/// A type of usage.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum UsageType {
    /// Hours of a public address.
    Address,
    /// Bytes to the outside.
    BytesSent,
    /// Bytes from the outside.
    BytesReceived,
    /// Hours of a network or tier.
    Network,
    /// Hours of a VPC.
    Vpc,
}

impl UsageType {
    /// Each of them.
    pub const ALL: [Self; 5] = [
        Self::Address,
        Self::BytesSent,
        Self::BytesReceived,
        Self::Network,
        Self::Vpc,
    ];

    /// CloudStack's number.
    pub fn number(self) -> i64 {
        match self {
            Self::Address => 3,
            Self::BytesSent => 4,
            Self::BytesReceived => 5,
            Self::Network => 30,
            Self::Vpc => 31,
        }
    }

    /// CloudStack's name.
    pub fn name(self) -> &'static str {
        match self {
            Self::Address => "IP_ADDRESS",
            Self::BytesSent => "NETWORK_BYTES_SENT",
            Self::BytesReceived => "NETWORK_BYTES_RECEIVED",
            Self::Network => "NETWORK",
            Self::Vpc => "VPC",
        }
    }

    /// CloudStack's description.
    pub fn description(self) -> &'static str {
        match self {
            Self::Address => "IP Address Usage",
            Self::BytesSent => "Network Usage (Bytes Sent)",
            Self::BytesReceived => "Network Usage (Bytes Received)",
            Self::Network => "Network Usage",
            Self::Vpc => "VPC Usage",
        }
    }

    /// The type with this number.
    pub fn of(number: i64) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| kind.number() == number)
    }
}

/// A usage record.
#[derive(Debug, Clone, PartialEq)]
pub struct Record {
    /// Its type.
    pub kind: UsageType,
    /// Whose usage it is.
    pub account: AccountId,
    /// The zone.
    pub zone: ZoneId,
    /// What was used: the address, the network, the VPC; of bytes the router.
    pub used: Uuid,
    /// Its name.
    pub name: String,
    /// The public address, where it is about one.
    pub address: Option<String>,
    /// Hours, or bytes.
    pub raw: f64,
    /// Bytes as they were counted.
    pub bytes: Option<u64>,
    /// Whether the address is a source NAT address.
    pub source_nat: Option<bool>,
    /// The network.
    pub network: Option<NetworkId>,
    /// The VPC.
    pub vpc: Option<VpcId>,
    /// The network offering.
    pub offering: Option<NetworkOfferingId>,
    /// The day's first moment.
    pub from: Timestamp,
    /// The day's last second.
    pub until: Timestamp,
}

/// Midnight at the day's start, in UTC.
fn start_of(day: Date) -> Option<Timestamp> {
    TimeZone::UTC.to_timestamp(day.to_datetime(Time::midnight())).ok()
}

/// Adds the records of one day; what is still held is counted up to `now`.
pub(super) fn of_day(
    day: Date,
    now: Timestamp,
    held: &[Held],
    bytes: &[MonthBytes],
    kind: Option<UsageType>,
    records: &mut Vec<Record>,
) {
    let Some((from, next)) = start_of(day).zip(day.tomorrow().ok().and_then(start_of)) else {
        return;
    };
    let until = Timestamp::from_second(next.as_second() - 1).unwrap_or(next);
    let begin = records.len();
    let wanted = |of: UsageType| kind.is_none_or(|kind| kind == of);
    for held in held.iter().filter(|held| wanted(type_of(held.kind))) {
        let last = held.until.unwrap_or(now).min(next);
        let seconds = last.duration_since(held.from.max(from)).as_secs_f64();
        if seconds > 0.0 {
            records.push(of_held(held, seconds / 3_600.0, (from, until)));
        }
    }
    for router in bytes {
        let of_day = router.days.get(&day.day().unsigned_abs());
        for (address, [came, went]) in of_day.into_iter().flatten() {
            for (of, count) in [(UsageType::BytesSent, went), (UsageType::BytesReceived, came)] {
                if wanted(of) {
                    let address = address.to_string();
                    records.push(of_bytes(router, address, of, *count, held, (from, until)));
                }
            }
        }
    }
    if let Some(of_day) = records.get_mut(begin..) {
        of_day.sort_by(|a, b| (a.kind, a.used, &a.address).cmp(&(b.kind, b.used, &b.address)));
    }
}

fn type_of(kind: HeldKind) -> UsageType {
    match kind {
        HeldKind::Address => UsageType::Address,
        HeldKind::Network => UsageType::Network,
        HeldKind::Vpc => UsageType::Vpc,
    }
}

fn of_held(held: &Held, hours: f64, (from, until): (Timestamp, Timestamp)) -> Record {
    let is_address = held.kind == HeldKind::Address;
    Record {
        kind: type_of(held.kind),
        account: held.account,
        zone: held.zone,
        used: held.id,
        name: held.name.clone(),
        address: is_address.then(|| held.name.clone()),
        raw: hours,
        bytes: None,
        source_nat: is_address.then_some(held.source_nat),
        network: held.network,
        vpc: held.vpc,
        offering: held.offering,
        from,
        until,
    }
}

/// An address's bytes are its network's; of a VPC's they are the tier's that uses it, if one does.
fn of_bytes(
    router: &MonthBytes,
    address: String,
    kind: UsageType,
    count: u64,
    held: &[Held],
    (from, until): (Timestamp, Timestamp),
) -> Record {
    let (network, vpc) = match router.realm {
        Realm::Network(id) => (Some(id), None),
        Realm::Vpc(id) => {
            let of_vpc = held
                .iter()
                .find(|held| held.vpc == Some(id) && held.kind == HeldKind::Address && held.name == address);
            (of_vpc.and_then(|held| held.network), Some(id))
        }
    };
    #[allow(
        clippy::cast_precision_loss,
        reason = "CloudStack's records are floating point; the exact number stands beside it"
    )]
    let raw = count as f64;
    Record {
        kind,
        account: router.account,
        zone: router.zone,
        used: router.router.0,
        name: router.name.clone(),
        address: Some(address),
        raw,
        bytes: Some(count),
        source_nat: None,
        network,
        vpc,
        offering: None,
        from,
        until,
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;
    use outgate_model::id::RouterId;

    fn at(text: &str) -> Timestamp {
        text.parse().unwrap()
    }

    fn held(from: &str, until: Option<&str>) -> Held {
        Held {
            kind: HeldKind::Address,
            id: Uuid::new_v4(),
            name: "203.0.113.10".to_owned(),
            account: AccountId::new(),
            zone: ZoneId::new(),
            source_nat: true,
            network: Some(NetworkId::new()),
            vpc: None,
            offering: None,
            from: at(from),
            until: until.map(at),
        }
    }

    fn hours(held: &[Held], day: i8) -> Vec<f64> {
        let mut records = Vec::new();
        let day = Date::new(2026, 11, day).unwrap();
        of_day(day, at("2026-11-26T06:00:00Z"), held, &[], None, &mut records);
        records.iter().map(|r| r.raw).collect()
    }

    #[test]
    fn an_address_is_counted_by_the_hours_of_each_day_that_it_was_held() {
        let ended = [held("2026-11-24T18:00:00Z", Some("2026-11-25T01:30:00Z"))];
        assert_eq!(hours(&ended, 23), [0.0; 0]);
        assert_eq!(hours(&ended, 24), [6.0]);
        assert_eq!(hours(&ended, 25), [1.5]);
        assert_eq!(hours(&ended, 26), [0.0; 0]);
        let still = [held("2026-11-24T18:00:00Z", None)];
        assert_eq!(hours(&still, 25), [24.0]);
        assert_eq!(hours(&still, 26), [6.0], "up to now");
        assert_eq!(hours(&still, 27), [0.0; 0]);
    }

    #[test]
    fn bytes_are_recorded_both_ways_for_the_day_and_the_network() {
        let network = NetworkId::new();
        let address = std::net::Ipv4Addr::new(203, 0, 113, 10);
        let month = MonthBytes {
            router: RouterId::new(),
            name: "r-1-VM".to_owned(),
            realm: Realm::Network(network),
            zone: ZoneId::new(),
            account: AccountId::new(),
            days: BTreeMap::from([(25, BTreeMap::from([(address, [70, 30])]))]),
        };
        let mut records = Vec::new();
        let months = [month];
        let now = at("2026-11-26T06:00:00Z");
        for day in [24, 25] {
            of_day(
                Date::new(2026, 11, day).unwrap(),
                now,
                &[],
                &months,
                None,
                &mut records,
            );
        }
        let seen: Vec<_> = records.iter().map(|r| (r.kind, r.bytes, r.network)).collect();
        assert_eq!(
            seen,
            [
                (UsageType::BytesSent, Some(30), Some(network)),
                (UsageType::BytesReceived, Some(70), Some(network))
            ]
        );
        assert_eq!(records[0].from, at("2026-11-25T00:00:00Z"));
        assert_eq!(records[0].until, at("2026-11-25T23:59:59Z"));
        let mut sent = Vec::new();
        let day = Date::new(2026, 11, 25).unwrap();
        of_day(day, now, &[], &months, Some(UsageType::BytesSent), &mut sent);
        assert_eq!(sent.len(), 1);
    }
}
