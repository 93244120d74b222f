// SPDX-License-Identifier: Apache-2.0
//! Pure: what the fast path does with a flow. It carries packets of sessions that are settled; all else is the kernel's.

use outgate_kernel::conntrack::{Flow, STATUS_ASSURED, STATUS_SEEN_REPLY};
use outgate_model::trace::{FastPathSays, TraceProtocol};

use crate::fast_path::FastPathStatus;

/// The kernel's number of TCP's ESTABLISHED.
const ESTABLISHED: u8 = 3;

/// Whether it carries packets of this flow, with the session that there is.
pub(super) fn says(
    status: &FastPathStatus,
    protocol: TraceProtocol,
    session: Option<&Flow>,
    to_router: bool,
) -> FastPathSays {
    let kernel = |why: &str| FastPathSays {
        carries: false,
        why: why.to_owned(),
    };
    let is_echo = protocol == TraceProtocol::Icmp;
    // No session of pings is ever assured.
    let must = STATUS_SEEN_REPLY | if is_echo { 0 } else { STATUS_ASSURED };
    match (session, &status.reason) {
        _ if status.mode.is_off() => kernel("it is off: the kernel does all of it"),
        (_, Some(reason)) if !status.running => kernel(&format!("it does not run: {reason}")),
        _ if to_router => kernel("it is for the router itself"),
        _ if is_echo && status.without_echo.is_some() => kernel(&format!(
            "it does without pings here: {}",
            status.without_echo.as_deref().unwrap_or_default()
        )),
        (None, _) => {
            kernel("no session yet: its first packets are the kernel's; once it is settled, they are carried")
        }
        (Some(flow), _) if flow.status & must != must => {
            kernel("the session is not settled: both sides must have sent packets")
        }
        (Some(flow), _) if flow.tcp_state.is_some_and(|state| state != ESTABLISHED) => {
            kernel("the connection is being opened or ends: the kernel follows its state")
        }
        (Some(_), _) if is_echo => FastPathSays {
            carries: true,
            why: format!(
                "both sides have sent packets: carried at {}, but for the first of each direction in a second, packets \
                 with options and fragments",
                status.hook.as_deref().unwrap_or("its hook")
            ),
        },
        (Some(_), _) => FastPathSays {
            carries: true,
            why: format!(
                "the session is settled: carried at {}, but for packets with options, fragments, SYN, FIN and RST",
                status.hook.as_deref().unwrap_or("its hook")
            ),
        },
    }
}

#[cfg(test)]
mod tests {
    use outgate_kernel::conntrack::{Transport, Tuple};
    use outgate_model::router_spec::FastPathMode;

    use super::*;

    fn status(mode: FastPathMode, running: bool, reason: Option<&str>) -> FastPathStatus {
        FastPathStatus {
            mode,
            hook: Some("tcx".to_owned()),
            running,
            reason: reason.map(str::to_owned),
            ..FastPathStatus::default()
        }
    }

    fn session(status: u32, tcp_state: u8) -> Flow {
        let tuple = Tuple {
            source: [10, 1, 1, 5].into(),
            destination: [198, 51, 100, 7].into(),
            protocol: 6,
            transport: Transport::Ports {
                source: 40_000,
                destination: 443,
            },
        };
        Flow {
            id: None,
            original: tuple,
            reply: tuple,
            status,
            timeout_secs: None,
            mark: 0,
            carried: None,
            began_nanos: None,
            tcp_state: Some(tcp_state),
        }
    }

    #[test]
    fn only_a_settled_session_is_carried_and_every_other_says_why_not() {
        let on = status(FastPathMode::Auto, true, None);
        let both = STATUS_SEEN_REPLY | STATUS_ASSURED;
        let settled = session(both, ESTABLISHED);
        let tcp = TraceProtocol::Tcp;
        let carried = says(&on, tcp, Some(&settled), false);
        assert!(carried.carries && carried.why.contains("tcx"), "{carried:?}");
        let ping = TraceProtocol::Icmp;
        let echoed = Flow {
            tcp_state: None,
            ..session(STATUS_SEEN_REPLY, 0)
        };
        let carried = says(&on, ping, Some(&echoed), false);
        assert!(carried.carries && carried.why.contains("tcx"), "{carried:?}");
        let deaf = FastPathStatus {
            without_echo: Some("no CONFIG_NETFILTER_BPF_LINK".to_owned()),
            ..status(FastPathMode::Auto, true, None)
        };
        assert!(says(&deaf, tcp, Some(&settled), false).carries);
        let refused = status(FastPathMode::Auto, false, Some("no BTF"));
        let cases = [
            (
                &status(FastPathMode::Off, false, None),
                tcp,
                Some(&settled),
                false,
                "it is off",
            ),
            (&refused, tcp, Some(&settled), false, "no BTF"),
            (&on, ping, Some(&session(0, 0)), false, "not settled"),
            (&on, ping, Some(&echoed), true, "the router itself"),
            (&deaf, ping, Some(&echoed), false, "no CONFIG_NETFILTER_BPF_LINK"),
            (&on, tcp, Some(&settled), true, "the router itself"),
            (&on, tcp, None, false, "no session yet"),
            (
                &on,
                tcp,
                Some(&session(STATUS_SEEN_REPLY, ESTABLISHED)),
                false,
                "not settled",
            ),
            (&on, tcp, Some(&session(both, 7)), false, "being opened or ends"),
        ];
        for (status, protocol, flow, to_router, why) in cases {
            let said = says(status, protocol, flow, to_router);
            assert!(!said.carries && said.why.contains(why), "{why}: {said:?}");
        }
    }
}
