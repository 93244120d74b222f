// SPDX-License-Identifier: Apache-2.0
//! Every metric there is: its name, what it means, and what tells its series apart. docs/metrics.md is made from this.
//!
//! Labels hold names and addresses, never secrets. How many series there can be is bounded by the number of routers,
//! networks, addresses and commands; of guests only the busiest of each router have any.

use crate::family::{About, Family, Kind};

/// So many guests of a router have series of their own: those with the most sessions.
pub const GUESTS_OF_ROUTER: usize = 10;

macro_rules! metrics {
    ($($constant:ident = $kind:ident $name:literal [$($label:literal),*] $help:literal;)+) => {
        $(
            #[doc = $help]
            pub static $constant: Family<{ <[&str]>::len(&[$($label),*]) }> = Family(About {
                name: $name,
                kind: Kind::$kind,
                help: $help,
                labels: &[$($label),*],
            });
        )+

        /// All of them, in the order in which they are written.
        pub static ALL: &[About] = &[$(About {
            name: $name,
            kind: Kind::$kind,
            help: $help,
            labels: &[$($label),*],
        }),+];
    };
}

metrics! {
    // The server.
    BUILD_INFO = Gauge "outgate_build_info" ["version"]
        "The version that the server runs; always 1.";
    START_TIME = Gauge "outgate_server_start_time_seconds" []
        "When the server started, in seconds since 1970.";
    LEADING = Gauge "outgate_server_leading" []
        "Whether this server drives hosts and ends jobs; of several servers one does. Only it has readings of routers.";
    STORE_REVISION = Gauge "outgate_store_revision" []
        "The store's revision as this server knows it: it rises with each transaction.";
    OBJECTS = Gauge "outgate_objects" ["kind"]
        "Objects there are, by kind: network, vpc, router, guest, public_address, firewall_rule, port_forwarding, load_balancer.";
    CAPACITY_USED = Gauge "outgate_zone_capacity_used" ["zone", "resource"]
        "How much of a zone's public addresses, control addresses and VLANs is used.";
    CAPACITY = Gauge "outgate_zone_capacity" ["zone", "resource"]
        "How many public addresses, control addresses and VLANs a zone has.";
    ALERTS = Gauge "outgate_alerts" ["type"]
        "Alerts whose cause lasts and that nobody has put away, by CloudStack's type.";
    EVENTS = Counter "outgate_events_total" ["type", "level"]
        "Events written since this server started, by type and level.";

    // Jobs, the API, changes of routers.
    JOBS_PENDING = Gauge "outgate_jobs_pending" []
        "Jobs that have not ended.";
    JOBS_OLDEST = Gauge "outgate_jobs_pending_oldest_seconds" []
        "Age of the oldest job that has not ended; 0 when there is none.";
    JOB_SECONDS = Histogram "outgate_job_duration_seconds" ["command"]
        "From a command to the end of its job, failed ones too, by command.";
    JOB_FAILURES = Counter "outgate_job_failures_total" ["command"]
        "Jobs that failed, by command.";
    API_REQUESTS = Counter "outgate_api_requests_total" ["command", "code"]
        "Calls answered by the API, by command (unknown: no command of it) and HTTP status.";
    API_SECONDS = Histogram "outgate_api_request_duration_seconds" ["command"]
        "How long the API took to answer, by command.";
    APPLY_SECONDS = Histogram "outgate_apply_duration_seconds" []
        "How long routers took from a spec to the kernel.";
    APPLY_FAILURES = Counter "outgate_apply_failures_total" ["reason"]
        "Specs that were not applied, each try counted: refused (the router cannot use it), failed (everything else).";

    // Routers: what is known of them.
    ROUTER_INFO = Gauge "outgate_router_info"
        ["router", "router_id", "zone", "account", "kind", "name", "host", "version"]
        "A router: what it serves (kind network or vpc, and its name), where, and the version that it runs; always 1.";
    ROUTER_WANTED = Gauge "outgate_router_wanted" ["router"]
        "Whether a router is meant to run.";
    ROUTER_UP = Gauge "outgate_router_up" ["router"]
        "Whether a router runs.";
    ROUTER_STATE = Gauge "outgate_router_state" ["router", "state"]
        "CloudStack's state of a router: 1 for the one it is in, 0 for the others.";
    ROUTER_REDUNDANT = Gauge "outgate_router_redundant_state" ["router", "state"]
        "CloudStack's redundant state of a router, as listRouters says it: 1 for the one it is in, 0 for the others; UNKNOWN where a router is not one of a pair.";
    ROUTER_BEHIND = Gauge "outgate_router_generations_behind" ["router"]
        "Changes that a router which is meant to run has not applied yet.";
    ROUTER_READ = Gauge "outgate_router_reading_time_seconds" ["router"]
        "When a router's counters were last read, in seconds since 1970: the time of all that follows.";
    ROUTER_HEALTH = Gauge "outgate_router_health_check" ["router", "check"]
        "Whether a router's health check passed when it was last run.";
    ROUTER_HEALTH_TIME = Gauge "outgate_router_health_time_seconds" ["router"]
        "When a router's health checks were last written down, in seconds since 1970; the same results at least every 10 minutes.";

    // Routers: sessions.
    SESSIONS = Gauge "outgate_router_sessions" ["router"]
        "Entries of a router's connection tracking table.";
    SESSIONS_LIMIT = Gauge "outgate_router_sessions_limit" ["router"]
        "How many entries that table may have.";
    SESSIONS_LAST = Gauge "outgate_router_sessions_exhaustion_seconds" ["router"]
        "In how many seconds that table is full, if its use goes on as lately; absent while it does not rise.";
    DROPS = Counter "outgate_router_drops_total" ["router", "reason"]
        "Packets that a router dropped, by rules: spoofed, invalid (of no session, and can begin none), unsolicited, limit, egress, acl, noway, router (for itself); or by the kernel: conntrack_insert_failed (ports were taken), conntrack_full.";
    REFUSED = Counter "outgate_router_limit_refused_total" ["router", "limit"]
        "Packets that a router refused because of a limit: guest_sessions, guest_rate, source_rate, ping_rate (router.guest.sessions.max and so on); only of limits that there are.";
    EARLY_DROPS = Counter "outgate_router_conntrack_early_drops_total" ["router"]
        "Sessions without an answer that made room for others in a full table.";
    INTERFACE_DROPS = Counter "outgate_router_interface_drops_total" ["router", "interface", "direction"]
        "Packets that an interface of a router dropped, by direction (receive, transmit).";

    // Routers: what they did.
    APPLIES = Counter "outgate_router_applies_total" ["router"]
        "Specs that a router's process has applied since it started.";
    REPAIRS = Counter "outgate_router_repairs_total" ["router"]
        "How often a router found its kernel or services changed behind its back and repaired them.";
    REPAIR_FAILURES = Counter "outgate_router_repair_failures_total" ["router"]
        "How often a router could not repair what it found, each try counted.";
    FAST_PATH = Gauge "outgate_router_fastpath_running" ["router"]
        "Whether a router's fast path translates; absent where it is off.";
    FAST_PATH_PACKETS = Counter "outgate_router_fastpath_packets_total" ["router", "way"]
        "Packets that the fast path's programs saw, by way: hit is translated there, everything else is the kernel's.";
    NAT_RECORDS = Counter "outgate_router_nat_log_records_total" ["router"]
        "NAT log records written.";
    NAT_LOST = Counter "outgate_router_nat_log_lost_total" ["router"]
        "NAT log records lost.";

    // Networks, public addresses, guests.
    NETWORK_INFO = Gauge "outgate_network_info" ["network_id", "network", "zone", "account", "state", "router"]
        "An isolated network or a tier, with CloudStack's state and the router that serves it; always 1.";
    NETWORK_GUESTS = Gauge "outgate_network_guests" ["network_id"]
        "Guests with a NIC on a network.";
    NETWORK_BYTES = Counter "outgate_network_bytes_total" ["network_id", "router", "direction"]
        "Bytes forwarded for a network across the public side, by direction (in, out).";
    NETWORK_PACKETS = Counter "outgate_network_packets_total" ["network_id", "router", "direction"]
        "Packets forwarded for a network across the public side, by direction (in, out).";
    NETWORK_SESSIONS = Gauge "outgate_network_sessions" ["network_id", "router"]
        "Sessions with a guest of a network or tier inside; of one between two tiers the sender's.";
    ADDRESS_BYTES = Counter "outgate_address_bytes_total" ["router", "address", "direction"]
        "Bytes that crossed the public side with a public address, by direction (in, out).";
    ADDRESS_PACKETS = Counter "outgate_address_packets_total" ["router", "address", "direction"]
        "Packets that crossed the public side with a public address, by direction (in, out).";
    ADDRESS_SESSIONS = Gauge "outgate_address_sessions" ["router", "address"]
        "Sessions that leave through a public address, come in to it, or end at it.";
    ADDRESS_PORTS = Gauge "outgate_address_ports_used" ["router", "address", "protocol"]
        "Different ports of a public address that source NAT uses.";
    ADDRESS_BUSIEST = Gauge "outgate_address_destination_ports_used" ["router", "address", "protocol"]
        "Ports in use towards the destination that has the most: each session to the same destination needs its own.";
    ADDRESS_LIMIT = Gauge "outgate_address_ports_limit" ["router", "address"]
        "How many ports there are for each protocol and destination.";
    ADDRESS_LAST = Gauge "outgate_address_ports_exhaustion_seconds" ["router", "address"]
        "In how many seconds the ports towards the busiest destination run out, if use goes on as lately; absent while it does not rise.";
    POOL_BUSIEST = Gauge "outgate_router_pool_ports_used" ["router"]
        "Ports in use on all addresses of a router's source NAT pool towards the destination that has the most.";
    POOL_LIMIT = Gauge "outgate_router_pool_ports_limit" ["router"]
        "How many ports they have for each protocol and destination.";
    POOL_LAST = Gauge "outgate_router_pool_ports_exhaustion_seconds" ["router"]
        "In how many seconds the last address of the pool has no port left towards that destination, if use goes on as lately; absent while it does not rise.";
    GUEST_SESSIONS = Gauge "outgate_guest_sessions" ["router", "guest", "address"]
        "Sessions of a guest through public addresses; only of the 10 busiest of each router.";
    GUEST_REFUSED = Counter "outgate_guest_limit_refused_total" ["router", "guest", "address", "limit"]
        "Packets of a guest that a limit refused; only of the 10 most refused of each limit.";
    GUEST_BYTES = Counter "outgate_guest_bytes_total" ["router", "guest", "address", "public", "direction"]
        "Bytes that a guest's sessions carried through a public address while they were read, by direction (in, out); only of the 10 busiest of each router, without the fast path.";
    GUEST_PACKETS = Counter "outgate_guest_packets_total" ["router", "guest", "address", "public", "direction"]
        "Packets that a guest's sessions carried through a public address while they were read, by direction (in, out); only of the 10 busiest of each router, without the fast path.";
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn names_are_unique_and_say_what_they_hold() {
        let names: BTreeSet<_> = ALL.iter().map(|about| about.name).collect();
        assert_eq!(names.len(), ALL.len());
        for about in ALL {
            let name = about.name;
            assert!(name.starts_with("outgate_"), "{name}");
            assert_eq!(name.ends_with("_total"), about.kind == Kind::Counter, "{name}");
            assert_eq!(
                name.ends_with("_duration_seconds"),
                about.kind == Kind::Histogram,
                "{name}"
            );
            assert!(
                about.help.ends_with('.') && !about.help.contains(['\n', '\\']),
                "{name}"
            );
            let labels: BTreeSet<_> = about.labels.iter().collect();
            assert_eq!(labels.len(), about.labels.len(), "{name}");
        }
    }

    #[test]
    fn the_number_of_guests_is_told() {
        assert!(
            GUEST_SESSIONS
                .about()
                .help
                .contains(&GUESTS_OF_ROUTER.to_string())
        );
    }
}
