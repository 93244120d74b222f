// SPDX-License-Identifier: Apache-2.0
//! The steps of the reference text's seven that run in the router: 3 to 6, by the very commands of the text.

use outgate_model::RouterSpec;
use outgate_model::host::{Check, Run, RunOutput};

use crate::command::run;

/// How long each command may take.
const TIMEOUT_MILLIS: u64 = 10_000;
/// A table filled beyond this part of its limit, in percent, is about to drop new sessions.
const FULL_PERCENT: u64 = 90;
/// At most so many characters of a command's output are shown.
const SEEN_MAX: usize = 2_000;

/// Runs steps 3 to 6 against a router that should be this.
pub fn verify(spec: &RouterSpec) -> Vec<Check> {
    vec![
        public_interface(spec),
        nat_rules(spec),
        forwarding(),
        sessions(spec),
    ]
}

fn public_interface(spec: &RouterSpec) -> Check {
    let interface = &spec.public.interface;
    let expected: Vec<String> = spec
        .public
        .addresses
        .iter()
        .map(|a| format!("inet {} ", a.address))
        .collect();
    let remedy = format!(
        "Interface {interface} must be up and hold every public address; \
         the router repairs this by itself, see /var/log/cloud.log for why it could not"
    );
    check(
        3,
        "Public interface",
        &["ip", "addr", "show", interface],
        &remedy,
        |seen| seen.contains(",UP") && expected.iter().all(|address| seen.contains(address)),
    )
}

fn nat_rules(spec: &RouterSpec) -> Check {
    let interface = &spec.public.interface;
    let pool: Vec<String> = spec.source_nat_pool().map(|a| a.to_string()).collect();
    let address = pool.join(", ");
    let remedy = format!(
        "there must be a rule that translates what leaves through {interface} to {address}; \
         look for \"Failed to apply nat rules\" in /var/log/cloud.log, then restart the network"
    );
    check(
        4,
        "Source NAT rule",
        &["iptables", "-t", "nat", "-S", "POSTROUTING"],
        &remedy,
        |seen| {
            let out = format!("-o {interface} ");
            let lines: Vec<_> = seen.lines().filter(|line| line.contains(&out)).collect();
            let translates = |address: &String| {
                let to = format!("--to-source {address}");
                lines
                    .iter()
                    .any(|line| line.ends_with(&to) || line.contains("-j MASQUERADE"))
            };
            !pool.is_empty() && pool.iter().all(translates)
        },
    )
}

fn forwarding() -> Check {
    let remedy = "packets are dropped between the guests and the outside: run sysctl -w net.ipv4.ip_forward=1; \
                  the router repairs this by itself, see /var/log/cloud.log for why it could not";
    check(
        5,
        "IP forwarding",
        &["sysctl", "net.ipv4.ip_forward"],
        remedy,
        |seen| seen.trim() == "net.ipv4.ip_forward = 1",
    )
}

fn sessions(spec: &RouterSpec) -> Check {
    let limit = outgate_kernel::sysctl::read("net.netfilter.nf_conntrack_max")
        .ok()
        .and_then(|l| l.parse::<u64>().ok());
    let remedy = "the connection tracking table is nearly full: raise nf_conntrack_max, lower \
                  nf_conntrack_tcp_timeout_established, or add public addresses";
    let mut check = check(6, "Connection tracking", &["conntrack", "-C"], remedy, |seen| {
        let count = seen.trim().parse::<u64>();
        count.is_ok_and(|count| limit.is_none_or(|limit| count * 100 <= limit * FULL_PERCENT))
    });
    if let Some(limit) = limit {
        check.seen = format!(
            "{} of at most {limit} sessions{}",
            check.seen,
            not_as_wanted(limit, spec.conntrack.max)
        );
    }
    check
}

/// That the limit is another than the router's settings want, and whose it is then. No failure: such a router works.
fn not_as_wanted(limit: u64, wanted: u32) -> String {
    if limit == u64::from(wanted) {
        return String::new();
    }
    format!(
        "; router.conntrack.max asks for {wanted}, which a router in a namespace cannot have: its host's limit holds (on the \
         host: sysctl -w net.netfilter.nf_conntrack_max={wanted})"
    )
}

fn check(step: u8, title: &str, argv: &[&str], remedy: &str, is_fine: impl FnOnce(&str) -> bool) -> Check {
    let argv: Vec<String> = argv.iter().map(ToString::to_string).collect();
    let command = argv.join(" ");
    let (seen, pass) = match run(&Run {
        argv,
        timeout_millis: TIMEOUT_MILLIS,
    }) {
        Ok(RunOutput {
            code: Some(0),
            stdout,
            ..
        }) => {
            let pass = is_fine(&stdout);
            (stdout, pass)
        }
        Ok(output) => (output.stderr, false),
        Err(error) => (error.to_string(), false),
    };
    Check {
        step,
        title: title.to_owned(),
        command,
        seen: seen.trim().chars().take(SEEN_MAX).collect(),
        pass,
        remedy: if pass { String::new() } else { remedy.to_owned() },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_limit_that_is_the_hosts_is_told_with_what_changes_it() {
        assert_eq!(not_as_wanted(262_144, 262_144), "");
        let told = not_as_wanted(262_144, 100_000);
        assert!(
            told.contains("router.conntrack.max asks for 100000") && told.contains("nf_conntrack_max=100000"),
            "{told}"
        );
    }
}
