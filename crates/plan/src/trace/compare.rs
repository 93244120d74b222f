// SPDX-License-Identifier: Apache-2.0
//! Whether the model and the kernel say the same of a packet.

use std::net::Ipv4Addr;

use outgate_model::trace::TraceVerdict::{self, AsSession, Delivered, Dropped, Leaves, Vanished};

/// Whether they agree, and one sentence. Source ports are not compared: the kernel takes another where one is taken. Nor is
/// one address of the source NAT `pool` told from another: which of them has a port left, only the kernel knows.
pub fn compare(model: &TraceVerdict, kernel: &TraceVerdict, pool: &[Ipv4Addr]) -> (bool, String) {
    let alike = |a: Ipv4Addr, b: Ipv4Addr| a == b || (pool.contains(&a) && pool.contains(&b));
    let agree = match (model, kernel) {
        (Dropped { .. }, Dropped { .. } | Vanished { .. })
        | (Delivered, Delivered)
        | (AsSession, Leaves { .. } | Delivered) => true,
        (
            Leaves { interface, from, to },
            Leaves {
                interface: other,
                from: other_from,
                to: other_to,
            },
        ) => interface == other && alike(from.address, other_from.address) && to == other_to,
        _ => false,
    };
    let says = match (agree, kernel) {
        (true, Dropped { by, foreign: true }) => {
            format!("model and kernel agree that it is dropped, but somebody else's rule is first: {by}")
        }
        (true, _) => format!("model and kernel agree: it {}", both(model, kernel)),
        (false, _) => format!("they disagree: by the model it {model}; in the kernel it {kernel}"),
    };
    (agree, says)
}

/// The one that says more.
fn both<'a>(model: &'a TraceVerdict, kernel: &'a TraceVerdict) -> &'a TraceVerdict {
    if matches!(model, Dropped { .. }) {
        model
    } else {
        kernel
    }
}

#[cfg(test)]
mod tests {
    use outgate_model::stats::Endpoint;

    use super::*;

    fn leaves(interface: &str, from: [u8; 4], port: u16) -> TraceVerdict {
        let end = |address: [u8; 4], port| Endpoint {
            address: address.into(),
            port,
        };
        Leaves {
            interface: interface.to_owned(),
            from: end(from, port),
            to: end([198, 51, 100, 7], 443),
        }
    }

    fn dropped(by: &str, foreign: bool) -> TraceVerdict {
        Dropped {
            by: by.to_owned(),
            foreign,
        }
    }

    #[test]
    fn another_source_port_is_no_disagreement_and_another_address_or_interface_is() {
        let model = leaves("eth2", [203, 0, 113, 10], 40_000);
        assert!(compare(&model, &leaves("eth2", [203, 0, 113, 10], 1_024), &[]).0);
        assert!(!compare(&model, &leaves("eth2", [203, 0, 113, 11], 40_000), &[]).0);
        assert!(!compare(&model, &leaves("eth1", [203, 0, 113, 10], 40_000), &[]).0);
    }

    #[test]
    fn another_address_of_the_source_nat_pool_is_no_disagreement() {
        let pool = [[203, 0, 113, 10], [203, 0, 113, 11]].map(Ipv4Addr::from);
        let model = leaves("eth2", [203, 0, 113, 10], 40_000);
        assert!(compare(&model, &leaves("eth2", [203, 0, 113, 11], 40_000), &pool).0);
        assert!(!compare(&model, &leaves("eth2", [203, 0, 113, 12], 40_000), &pool).0);
    }

    #[test]
    fn a_rule_of_somebody_else_is_loud_whether_the_verdicts_agree_or_not() {
        let kernel = dropped("rule x in table inet bad", true);
        let (agree, says) = compare(&leaves("eth2", [203, 0, 113, 10], 1), &kernel, &[]);
        assert!(!agree && says.starts_with("they disagree: ") && says.contains("rule x in table inet bad"));
        let (agree, says) = compare(&dropped("egress", false), &kernel, &[]);
        assert!(agree && says.contains("somebody else's rule"), "{says}");
    }

    #[test]
    fn what_vanishes_is_dropped_in_effect_and_a_known_session_passes() {
        let vanished = Vanished {
            by: "rp_filter".to_owned(),
        };
        assert!(compare(&dropped("spoofed", false), &vanished, &[]).0);
        assert!(!compare(&Delivered, &vanished, &[]).0);
        assert!(compare(&AsSession, &leaves("eth2", [203, 0, 113, 10], 1), &[]).0);
        assert!(!compare(&AsSession, &vanished, &[]).0);
    }
}
