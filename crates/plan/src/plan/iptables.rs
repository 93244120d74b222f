// SPDX-License-Identifier: Apache-2.0
//! What `iptables -t nat -S POSTROUTING` shows below its policy (docs/adr/0001).

use outgate_model::RouterSpec;

pub(super) fn postrouting(spec: &RouterSpec) -> Vec<String> {
    let rule = |address| {
        format!(
            "-A POSTROUTING -o {} -j SNAT --to-source {address}",
            spec.public.interface
        )
    };
    // The first is the one that would translate; the others say what else the pool has.
    spec.source_nat_pool().map(rule).collect()
}
