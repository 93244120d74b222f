// SPDX-License-Identifier: Apache-2.0
//! Settings (CloudStack: configurations): what an administrator may change while the server runs. Only such are listed
//! that have an effect. Who needs a value asks for it each time, so a change is live at once:
//!
//! ```text
//! view.setting(&settings::NETWORK_GC_WAIT)                      an integer, the global value
//! view.setting_in(&settings::MAX_PUBLIC_IPS, &[account scope])  the narrowest value that somebody set, else the global
//! ```

use std::collections::BTreeMap;

use outgate_model::Realm;
use outgate_model::id::SettingId;
use outgate_model::object::{Network, Setting, SettingScope};

use crate::draft::Draft;
use crate::mirror::View;
use crate::spec::Source;

/// Where a setting may be given another value than everywhere.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Narrower {
    /// Nowhere.
    Nowhere,
    /// In a zone.
    Zone,
    /// In a zone, for a network offering or VPC offering, for a network or VPC: what routers are made from.
    Router,
    /// In a domain or for an account.
    Account,
}

impl Narrower {
    /// Where its value may differ, in words.
    pub fn words(self) -> &'static str {
        match self {
            Self::Nowhere => "everything",
            Self::Zone => "each zone",
            Self::Router => "each zone, offering, network and VPC",
            Self::Account => "each domain or account",
        }
    }
}

/// What a setting's value is. All are whole numbers; a truth value is 0 or 1.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Form {
    /// From the first to the second.
    Number(i64, i64),
    /// `true` or `false`.
    Truth,
}

/// A setting that there is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Known {
    /// Its name.
    pub name: &'static str,
    /// CloudStack's category.
    pub category: &'static str,
    /// What it does, in one sentence, with its unit.
    pub description: &'static str,
    /// What values it takes.
    pub form: Form,
    /// Its value while nobody has changed it.
    pub default: i64,
    /// Where it may differ.
    pub narrower: Narrower,
}

const fn known(
    name: &'static str,
    category: &'static str,
    description: &'static str,
    form: Form,
    default: i64,
    narrower: Narrower,
) -> Known {
    Known {
        name,
        category,
        description,
        form,
        default,
        narrower,
    }
}

const SECONDS: Form = Form::Number(1, 31_536_000);
const LIMIT: Form = Form::Number(-1, 1_000_000_000);

macro_rules! settings {
    ($($(#[$doc:meta])* $const:ident = $name:literal, $category:literal, $description:literal, $form:expr, $default:expr, $narrower:ident;)+) => {
        $($(#[$doc])* pub const $const: Known = known($name, $category, $description, $form, $default, Narrower::$narrower);)+

        /// Each of them.
        pub const ALL: &[&Known] = &[$(&$const),+];
    };
}

settings! {
    /// How long a network without running guests keeps its router.
    NETWORK_GC_WAIT = "network.gc.wait", "Network",
        "Seconds that a network without running guests keeps its router before it is shut down", SECONDS, 600, Nowhere;
    /// How often networks to shut down are looked for.
    NETWORK_GC_INTERVAL = "network.gc.interval", "Network",
        "Seconds between two looks for networks that can be shut down", SECONDS, 600, Nowhere;
    /// How long a destroyed guest is kept.
    EXPUNGE_DELAY = "expunge.delay", "Advanced",
        "Seconds that a destroyed guest can be recovered before it is expunged", SECONDS, 86_400, Nowhere;
    /// Whether users expunge.
    USERS_EXPUNGE = "allow.user.expunge.recover.vm", "Advanced",
        "Whether users, not only admins, may expunge and recover their guests", Form::Truth, 1, Nowhere;
    /// Whether users see what they destroyed.
    USERS_SEE_DESTROYED = "allow.user.view.destroyed.vm", "Advanced",
        "Whether lists show users, not only admins, their destroyed guests", Form::Truth, 0, Nowhere;
    /// Whether calls are counted.
    THROTTLING_ENABLED = "api.throttling.enabled", "Advanced",
        "Whether each account may only make so many API calls in an interval", Form::Truth, 0, Nowhere;
    /// The interval.
    THROTTLING_INTERVAL = "api.throttling.interval", "Advanced",
        "Seconds of the interval in which an account's API calls are counted", SECONDS, 1, Nowhere;
    /// How many calls.
    THROTTLING_MAX = "api.throttling.max", "Advanced",
        "API calls that an account may make in one interval", Form::Number(1, 1_000_000), 25, Nowhere;
    /// Public addresses of an account.
    MAX_ACCOUNT_PUBLIC_IPS = "max.account.public.ips", "Account Defaults",
        "Public addresses that an account may hold; -1 for any number", LIMIT, 20, Account;
    /// Networks of an account.
    MAX_ACCOUNT_NETWORKS = "max.account.networks", "Account Defaults",
        "Networks that an account may hold; -1 for any number", LIMIT, 20, Account;
    /// VPCs of an account.
    MAX_ACCOUNT_VPCS = "max.account.vpcs", "Account Defaults",
        "VPCs that an account may hold; -1 for any number", LIMIT, 20, Account;
    /// Guests of an account.
    MAX_ACCOUNT_GUESTS = "max.account.user.vms", "Account Defaults",
        "Guests that an account may hold; -1 for any number", LIMIT, 20, Account;
    /// Projects of an account.
    MAX_ACCOUNT_PROJECTS = "max.account.projects", "Account Defaults",
        "Projects that an account may own; -1 for any number", LIMIT, 10, Account;
    /// Public addresses of a project.
    MAX_PROJECT_PUBLIC_IPS = "max.project.public.ips", "Project Defaults",
        "Public addresses that a project may hold; -1 for any number", LIMIT, 20, Account;
    /// Networks of a project.
    MAX_PROJECT_NETWORKS = "max.project.networks", "Project Defaults",
        "Networks that a project may hold; -1 for any number", LIMIT, 20, Account;
    /// VPCs of a project.
    MAX_PROJECT_VPCS = "max.project.vpcs", "Project Defaults",
        "VPCs that a project may hold; -1 for any number", LIMIT, 20, Account;
    /// Guests of a project.
    MAX_PROJECT_GUESTS = "max.project.user.vms", "Project Defaults",
        "Guests that a project may hold; -1 for any number", LIMIT, 20, Account;
    /// Public addresses of a domain.
    MAX_DOMAIN_PUBLIC_IPS = "max.domain.public.ips", "Domain Defaults",
        "Public addresses that a domain's accounts may hold together; -1 for any number", LIMIT, -1, Account;
    /// Networks of a domain.
    MAX_DOMAIN_NETWORKS = "max.domain.networks", "Domain Defaults",
        "Networks that a domain's accounts may hold together; -1 for any number", LIMIT, -1, Account;
    /// VPCs of a domain.
    MAX_DOMAIN_VPCS = "max.domain.vpcs", "Domain Defaults",
        "VPCs that a domain's accounts may hold together; -1 for any number", LIMIT, -1, Account;
    /// Guests of a domain.
    MAX_DOMAIN_GUESTS = "max.domain.user.vms", "Domain Defaults",
        "Guests that a domain's accounts may hold together; -1 for any number", LIMIT, -1, Account;
    /// Projects of a domain.
    MAX_DOMAIN_PROJECTS = "max.domain.projects", "Domain Defaults",
        "Projects that a domain's accounts may own together; -1 for any number", LIMIT, -1, Account;
    /// How many sessions a router tracks.
    CONNTRACK_MAX = "router.conntrack.max", "Network",
        "Sessions that a router may track; a router that runs takes a change at once. Where a router is a namespace of its \
         host, the host's net.netfilter.nf_conntrack_max holds instead: outgate verify shows both",
        Form::Number(1_024, 16_777_216), 262_144, Router;
    /// How much memory a router's fast path takes.
    FASTPATH_MEMORY = "router.fastpath.memory", "Network",
        "MiB that the leases of a router's fast path take at most, where it has one (outgate server --fastpath); a \
         change restarts the fast path and breaks no session",
        Form::Number(1, 1_024), 32, Router;
    /// How long an idle TCP session lives.
    CONNTRACK_TCP = "router.conntrack.tcp.timeout.established", "Network",
        "Seconds that an idle TCP session is kept (RFC 5382: at least 7440)", Form::Number(60, 432_000), 7_440, Router;
    /// How long a UDP mapping lives that only one side has used.
    CONNTRACK_UDP = "router.conntrack.udp.timeout", "Network",
        "Seconds that a UDP mapping is kept that only one side has used (RFC 4787: at least 120)",
        Form::Number(10, 86_400), 120, Router;
    /// How long a UDP mapping lives that both sides have used.
    CONNTRACK_UDP_STREAM = "router.conntrack.udp.timeout.stream", "Network",
        "Seconds that a UDP mapping is kept that both sides have used", Form::Number(10, 86_400), 300, Router;
    /// How long an ICMP query's mapping lives.
    CONNTRACK_ICMP = "router.conntrack.icmp.timeout", "Network",
        "Seconds that an ICMP query's mapping is kept (RFC 5508: at least 60)", Form::Number(1, 86_400), 60, Router;
    /// How many sessions one guest may hold.
    GUEST_SESSIONS = "router.guest.sessions.max", "Network",
        "Sessions that one guest may hold at a time, those that it opened before the limit not counted; 0 for any number",
        Form::Number(0, 16_777_216), 0, Router;
    /// How fast one guest may open sessions.
    GUEST_RATE = "router.guest.sessions.rate", "Network",
        "Sessions that one guest may open in a second; 0 for any number", Form::Number(0, 1_000_000), 0, Router;
    /// How fast one address outside may open sessions.
    SOURCE_RATE = "router.source.sessions.rate", "Network",
        "Sessions that one address outside may open in a second to a router's public addresses; 0 for any number",
        Form::Number(0, 1_000_000), 0, Router;
    /// How many pings from outside a router answers.
    PING_RATE = "router.public.ping.rate", "Network",
        "Pings in a second that a router itself answers on its public side; 0 for any number",
        Form::Number(0, 1_000_000), 0, Router;
    /// Whether translated sessions are recorded.
    NAT_LOG = "router.natlog.enabled", "Network",
        "Whether routers record each translated session, its beginning and its end (docs/nat-log.md)",
        Form::Truth, 0, Router;
    /// How many records a router writes.
    NAT_LOG_RATE = "router.natlog.rate", "Network",
        "Records of sessions that a router writes in a second; those beyond are counted as lost",
        Form::Number(1, 1_000_000), 50_000, Router;
    /// How large a router's records may become.
    NAT_LOG_SIZE = "router.natlog.size", "Network",
        "MiB of records of sessions that a router keeps on its host; the oldest go first",
        Form::Number(8, 65_536), 256, Router;
    /// How often routers' byte counters are read.
    ROUTER_STATS_INTERVAL = "router.stats.interval", "Usage",
        "Seconds between two readings of the routers' byte counters", Form::Number(1, 86_400), 60, Nowhere;
    /// How often routers' health is checked.
    HEALTH_INTERVAL = "router.health.checks.basic.interval", "Network",
        "Minutes between two health checks of a router; 0 for none", Form::Number(0, 1_440), 3, Nowhere;
    /// How long usage records are kept.
    USAGE_KEPT_DAYS = "usage.retention.days", "Usage",
        "Days that usage is kept", Form::Number(1, 3_650), 400, Nowhere;
    /// From which share of public addresses on an alert is raised.
    PUBLIC_IP_THRESHOLD = "zone.virtualnetwork.publicip.capacity.notificationthreshold", "Alert",
        "Percentage of a zone's public addresses in use from which an alert is raised",
        Form::Number(1, 100), 75, Zone;
    /// From which share of VLANs on an alert is raised.
    VLAN_THRESHOLD = "zone.vlan.capacity.notificationthreshold", "Alert",
        "Percentage of the VLANs of a zone's physical networks in use from which an alert is raised",
        Form::Number(1, 100), 75, Zone;
    /// From which share of ports or sessions on an alert is raised.
    PORT_THRESHOLD = "router.ports.notificationthreshold", "Alert",
        "Percentage of a public address's ports, or of a router's sessions, in use from which an alert is raised",
        Form::Number(1, 100), 80, Nowhere;
}

/// The settings that routers are made from.
const OF_ROUTERS: [&Known; 13] = [
    &CONNTRACK_MAX,
    &CONNTRACK_TCP,
    &CONNTRACK_UDP,
    &CONNTRACK_UDP_STREAM,
    &CONNTRACK_ICMP,
    &GUEST_SESSIONS,
    &GUEST_RATE,
    &SOURCE_RATE,
    &PING_RATE,
    &NAT_LOG,
    &NAT_LOG_RATE,
    &NAT_LOG_SIZE,
    &FASTPATH_MEMORY,
];

/// Whether a change of this setting changes what routers must be.
pub(crate) fn is_of_routers(name: &str) -> bool {
    OF_ROUTERS.iter().any(|known| known.name == name)
}

/// Removes the values that routers' settings have in a scope that goes.
pub(crate) fn forget(view: &View<'_>, draft: &mut Draft, scope: SettingScope) {
    let ids = OF_ROUTERS.iter().map(|known| SettingId::of(scope, known.name));
    for setting in ids.filter_map(|id| view.get::<Setting>(id)) {
        draft.delete(setting);
    }
}

const HEAD: &str = "\
# Settings

Made from the table in `crates/manager/src/settings.rs` by `UPDATE_DOCS=1 cargo test -p outgate-manager --test settings`;
do not edit it. `listConfigurations` shows them, `updateConfiguration` changes one and `resetConfiguration` takes its value
back. A change is live at once; what routers are made from reaches the running ones. Where a setting may differ, the narrowest
value that somebody gave holds, else the global one: a network's (`networkid`) before its offering's (`networkofferingid`) before
its zone's (`zoneid`); a VPC's (`vpcid`) before its offering's (`vpcofferingid`) before its zone's. A tier has its VPC's router, and
so its VPC's settings. `listConfigurations` with such an id shows the value that holds there and `valuescope`, where it comes
from; `details` in lists of networks, VPCs and their offerings what was given to them.

| setting | default | values | may differ in | meaning |
|---|---|---|---|---|
";

/// The reference of every setting, docs/settings.md.
pub fn reference() -> String {
    let mut sorted = ALL.to_vec();
    sorted.sort_by_key(|known| known.name);
    let lines = sorted.into_iter().map(|known| {
        let differs = match known.narrower {
            Narrower::Nowhere => "nowhere",
            Narrower::Zone => "a zone",
            Narrower::Router => "a zone, an offering, a network or VPC",
            Narrower::Account => "a domain, an account",
        };
        let default = known.text(known.default);
        format!(
            "| `{}` | {default} | {} | {differs} | {} |\n",
            known.name,
            known.expected(),
            known.description
        )
    });
    HEAD.to_owned() + &lines.collect::<String>()
}

/// The setting of this name.
pub fn find(name: &str) -> Option<&'static Known> {
    ALL.iter()
        .find(|known| known.name.eq_ignore_ascii_case(name))
        .copied()
}

impl Known {
    /// Reads a value; `None` when the setting does not take it.
    pub fn read(&self, text: &str) -> Option<i64> {
        match self.form {
            Form::Number(least, most) => text.trim().parse().ok().filter(|n| (least..=most).contains(n)),
            Form::Truth if text.eq_ignore_ascii_case("true") => Some(1),
            Form::Truth if text.eq_ignore_ascii_case("false") => Some(0),
            Form::Truth => None,
        }
    }

    /// A value as text.
    pub fn text(&self, value: i64) -> String {
        match self.form {
            Form::Number(..) => value.to_string(),
            Form::Truth => (value != 0).to_string(),
        }
    }

    /// What values it takes, for error texts.
    pub fn expected(&self) -> String {
        match self.form {
            Form::Number(least, most) => format!("a whole number from {least} to {most}"),
            Form::Truth => "true or false".to_owned(),
        }
    }

    /// Whether it may have a value of its own in this scope.
    pub fn takes(&self, scope: SettingScope) -> bool {
        match scope {
            SettingScope::Global => true,
            SettingScope::Zone(_) => matches!(self.narrower, Narrower::Zone | Narrower::Router),
            SettingScope::Offering(_)
            | SettingScope::Network(_)
            | SettingScope::VpcOffering(_)
            | SettingScope::Vpc(_) => self.narrower == Narrower::Router,
            SettingScope::Domain(_) | SettingScope::Account(_) => self.narrower == Narrower::Account,
        }
    }
}

impl View<'_> {
    /// The value of a setting everywhere.
    pub fn setting(&self, known: &Known) -> i64 {
        self.setting_in(known, &[])
    }

    /// Whether a setting is `true`.
    pub fn setting_is_on(&self, known: &Known) -> bool {
        self.setting(known) != 0
    }

    /// The value of a setting in the first of these scopes where somebody gave it one; else the global one.
    pub fn setting_in(&self, known: &Known, scopes: &[SettingScope]) -> i64 {
        self.setting_as_given(known, scopes)
            .map_or(known.default, |(_, value)| value)
    }

    /// The value that somebody gave, and where, the first of these scopes before everywhere; `None` when the default holds.
    pub fn setting_as_given(&self, known: &Known, scopes: &[SettingScope]) -> Option<(SettingScope, i64)> {
        let mut scopes = scopes.iter().copied().chain([SettingScope::Global]);
        let stored = scopes.find_map(|scope| self.get::<Setting>(SettingId::of(scope, known.name)))?;
        Some((stored.scope, known.read(&stored.value)?))
    }

    /// Where a scope has its values from, the narrowest first and itself among them. A tier has its VPC's router, and so its
    /// VPC's settings.
    pub fn setting_scopes(&self, scope: SettingScope) -> Vec<SettingScope> {
        let realm = match scope {
            SettingScope::Global => return Vec::new(),
            SettingScope::Network(id) => self.get::<Network>(id).map(|network| network.realm()),
            SettingScope::Vpc(id) => Some(Realm::Vpc(id)),
            _ => None,
        };
        let standing = realm.and_then(|realm| self.standing(realm));
        standing.map_or_else(
            || vec![scope],
            |of| Source::stored(self).scopes(of.realm, of.zone),
        )
    }

    /// What somebody gave to the settings of routers for this scope, in it or where it has its values from; what holds
    /// everywhere is not among it. Names and values.
    pub fn router_settings(&self, scope: SettingScope) -> BTreeMap<&'static str, String> {
        if self
            .all::<Setting>()
            .all(|setting| setting.scope == SettingScope::Global)
        {
            return BTreeMap::new();
        }
        let scopes = self.setting_scopes(scope);
        let given = OF_ROUTERS.into_iter().filter_map(|known| {
            let (given_in, value) = self.setting_as_given(known, &scopes)?;
            (given_in != SettingScope::Global).then(|| (known.name, known.text(value)))
        });
        given.collect()
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn every_default_is_a_value_that_the_setting_takes() {
        let mut names = BTreeSet::new();
        for known in ALL {
            assert!(names.insert(known.name), "{}", known.name);
            assert_eq!(
                known.read(&known.text(known.default)),
                Some(known.default),
                "{}",
                known.name
            );
        }
    }
}
