// SPDX-License-Identifier: Apache-2.0
//! The public segment: the upstream gateway answers, and nobody else has our address.

use super::{Case, outside};
use crate::finding::{Cause, Finding};

pub(super) fn check(case: &Case<'_>) -> Vec<Finding> {
    let public = &case.spec.public;
    let mut findings = Vec::new();
    if let Some(answers) = case.router.gateway.as_ref().filter(|answers| answers.is_empty()) {
        let seen = format!(
            "arping -I {} {}: {} answers",
            public.interface,
            public.gateway,
            answers.len()
        );
        let place = format!("upstream gateway {}", public.gateway);
        findings.push(outside(Cause::GatewaySilent, place, vec![seen]));
    }
    let rivals: Vec<String> = case
        .router
        .rivals
        .iter()
        .flatten()
        .filter(|mac| **mac != public.mac)
        .map(|mac| {
            let address = case
                .spec
                .source_nat_address()
                .map(|a| a.address.addr().to_string());
            let address = address.unwrap_or_default();
            format!(
                "arping -D -I {} {address}: {mac} answers too, the router is {}",
                public.interface, public.mac
            )
        })
        .collect();
    if !rivals.is_empty() {
        let place = format!("public segment of {}", public.interface);
        findings.push(outside(Cause::AddressConflict, place, rivals));
    }
    findings
}
