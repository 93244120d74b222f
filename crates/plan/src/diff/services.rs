// SPDX-License-Identifier: Apache-2.0
//! Services and their files.

use std::collections::BTreeMap;

use super::{Changes, ServiceAction, Step};
use crate::RouterPlan;
use crate::router_plan::{File, OnChange, Service};

impl Changes {
    pub(super) fn services(&mut self, observed: &RouterPlan, plan: &RouterPlan) {
        for (name, service) in &plan.services {
            self.service(name, observed.services.get(name), service);
        }
        for name in observed
            .services
            .keys()
            .filter(|name| !plan.services.contains_key(*name))
        {
            let step = Step::Service {
                name: name.clone(),
                write: BTreeMap::new(),
                action: ServiceAction::Stop,
            };
            self.step(step, format!("{name} runs and should not"));
        }
    }

    fn service(&mut self, name: &str, seen: Option<&Service>, wanted: &Service) {
        let start = ServiceAction::Start {
            argv: wanted.argv.clone(),
        };
        let Some(seen) = seen else {
            let step = Step::Service {
                name: name.to_owned(),
                write: wanted.files.clone(),
                action: start,
            };
            self.step(step, format!("{name} does not run"));
            return;
        };
        let same = |path: &String, file: &File| {
            seen.files
                .get(path)
                .is_some_and(|f| f.content == file.content && f.mode == file.mode)
        };
        let write: BTreeMap<_, _> = wanted
            .files
            .iter()
            .filter(|(p, f)| !same(p, f))
            .map(|(p, f)| (p.clone(), f.clone()))
            .collect();
        for path in write.keys() {
            let what = if seen.files.contains_key(path) {
                "differs"
            } else {
                "is missing"
            };
            self.differences.push(format!("{name}'s file {path} {what}"));
        }
        let restart = seen.argv != wanted.argv;
        if restart {
            self.differences.push(format!("{name} runs with other arguments"));
        }
        let action = match write.values().map(|f| f.on_change).max() {
            _ if restart => start,
            Some(OnChange::Restart) => start,
            Some(OnChange::Hangup) => ServiceAction::Hangup,
            Some(OnChange::Nothing) => ServiceAction::None,
            None => return,
        };
        self.steps.push(Step::Service {
            name: name.to_owned(),
            write,
            action,
        });
    }
}
