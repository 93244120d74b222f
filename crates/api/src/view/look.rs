// SPDX-License-Identifier: Apache-2.0
//! One look at the cloud through one caller's eyes.

use outgate_manager::{Caller, View};
use outgate_model::id::{AccountId, HostId, TagSetId};
use outgate_model::object::{Account, Cluster, Domain, Host, Pod, Project, Router, ServiceOffering, TagSet};
use serde_json::Value;
use uuid::Uuid;

use crate::view;
use crate::view::tag::Tag;

/// A consistent look at everything, for one caller.
#[derive(Debug, Clone, Copy)]
pub struct Look<'a> {
    /// What there is.
    pub view: &'a View<'a>,
    /// Who looks.
    pub caller: &'a Caller,
}

/// Whose an object is, as responses say it.
#[derive(Debug, Clone, Default)]
pub struct Owner {
    /// The account's name.
    pub account: Option<String>,
    /// The domain's name.
    pub domain: Option<String>,
    /// The domain's id.
    pub domain_id: Option<String>,
    /// The domain's path: `ROOT/sales`.
    pub domain_path: Option<String>,
    /// The project's name, for what a project owns: it has no account's then.
    pub project: Option<String>,
    /// The project's id.
    pub project_id: Option<String>,
}

/// What says whose an object is: its owner's id, or the words themselves.
pub trait Owns {
    /// The words.
    fn words(self, look: &Look<'_>) -> Owner;
}

impl Owns for Owner {
    fn words(self, _look: &Look<'_>) -> Owner {
        self
    }
}

impl Owns for AccountId {
    fn words(self, look: &Look<'_>) -> Owner {
        let Some(account) = look.view.get::<Account>(self) else {
            return Owner::default();
        };
        let domain = look.view.get::<Domain>(account.domain);
        let project = account.project.and_then(|id| look.view.get::<Project>(id));
        Owner {
            account: account.project.is_none().then(|| account.name.clone()),
            project: project.map(|project| project.name.clone()),
            project_id: account.project.map(|id| id.to_string()),
            domain: domain.map(|d| d.name.clone()),
            domain_id: Some(account.domain.to_string()),
            domain_path: domain.map(|d| d.path.clone()),
        }
    }
}

impl<'a> Look<'a> {
    /// Account or project, and domain, of an object's owner.
    pub fn owner(&self, of: impl Owns) -> Owner {
        of.words(self)
    }

    /// The tags of the object of kind `name` ([`outgate_model::key::Object::NAME`]) with this id, as its field
    /// `tags` shows them: empty when it has none.
    pub fn tags(&self, name: &str, id: Uuid) -> Vec<Value> {
        let set = self.view.get::<TagSet>(TagSetId(id));
        let set = set.filter(|set| set.kind == name);
        set.iter()
            .flat_map(|set| Tag::each(set))
            .map(|tag| Value::Object(view::tag::render(self, tag)))
            .collect()
    }

    /// The cluster and the pod that a host is in.
    pub fn place(&self, host: HostId) -> (Option<&'a Cluster>, Option<&'a Pod>) {
        let cluster = self.view.get::<Host>(host).and_then(|host| host.cluster);
        let cluster = cluster.and_then(|id| self.view.get::<Cluster>(id)).map(|c| &**c);
        let pod = cluster.and_then(|cluster| self.view.get::<Pod>(cluster.pod));
        (cluster, pod.map(|pod| &**pod))
    }

    /// The size of a router: its own, or the one that routers get.
    pub fn router_size(&self, router: &Router) -> Option<&'a ServiceOffering> {
        let own = router
            .service_offering
            .and_then(|id| self.view.get::<ServiceOffering>(id));
        own.map(|o| &**o).or_else(|| self.system_offering())
    }

    /// The offering that system VMs, the routers, are made from.
    pub fn system_offering(&self) -> Option<&'a ServiceOffering> {
        self.view
            .all::<ServiceOffering>()
            .map(|o| &**o)
            .filter(|o| o.system && !o.removed)
            .min_by_key(|o| (o.created, o.id))
    }
}
