// SPDX-License-Identifier: Apache-2.0
//! A plan, without its ruleset, as text for people to review.

use std::fmt::Write;

use outgate_plan::RouterPlan;
use outgate_plan::router_plan::Sysctl;

/// Everything but the ruleset.
pub fn show(plan: &RouterPlan) -> String {
    let mut text = "# links\n".to_owned();
    for (name, link) in &plan.links {
        let up = if link.up { "up" } else { "down" };
        let _ = writeln!(text, "{name} {} mtu {} {up}", link.mac, link.mtu);
        for address in &link.addresses {
            let _ = writeln!(text, "    {address}");
        }
    }
    text.push_str("\n# routes\n");
    for route in &plan.routes {
        let _ = writeln!(text, "{route}");
    }
    text.push_str("\n# iptables -t nat -S POSTROUTING\n");
    for rule in &plan.iptables_postrouting {
        let _ = writeln!(text, "{rule}");
    }
    text.push_str("\n# sysctls\n");
    for (name, Sysctl { value, required }) in &plan.sysctls {
        let _ = writeln!(
            text,
            "{name} = {value}{}",
            if *required { "" } else { " (if possible)" }
        );
    }
    for (name, service) in &plan.services {
        let _ = writeln!(text, "\n# service {name}: {}", service.argv.join(" "));
        for (path, file) in &service.files {
            let _ = writeln!(
                text,
                "\n## {path} {:o} on change: {:?}\n{}",
                file.mode,
                file.on_change,
                file.content.trim_end()
            );
        }
    }
    text
}
