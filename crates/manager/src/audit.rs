// SPDX-License-Identifier: Apache-2.0
//! The audit: gathers what a router and the server show, and has [`outgate_doctor::audit`] name the deviations from the
//! hardened profile. Changes nothing.

use std::net::SocketAddr;
use std::sync::Arc;

use jiff::{SignedDuration, Timestamp};
use outgate_doctor::audit::{self, Audit, Audited, ServerSeen};
use outgate_doctor::probe;
use outgate_doctor::read::files;
use outgate_host::Host;
use outgate_model::id::RouterId;
use outgate_model::object::{Power, User};
use outgate_model::{Realm, RouterSpec};

use crate::command::Caller;
use crate::diagnose::gather::{Place, Running};
use crate::diagnose::{Patient, realm_of};
use crate::spec::{Source, router_spec};
use crate::{CommandError, Manager, bootstrap};

/// Passwords that everybody tries first; CloudStack's own default is the first.
const GUESSES: [&str; 5] = ["password", "admin", "changeme", "cloudstack", "outgate"];
/// From this age on keys should be changed.
const KEYS_AGE: SignedDuration = SignedDuration::from_hours(365 * 24);
/// So many users are named.
const NAMED: usize = 20;

/// Where the server can be reached, which only the server knows.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Exposure {
    /// Where the API listens; it speaks HTTP. `None` when it was handed a socket.
    pub listens: Option<SocketAddr>,
    /// Where calls need no signature.
    pub integration: Option<SocketAddr>,
}

/// What the audit says, and of whom.
#[derive(Debug, Clone)]
pub struct Examined {
    /// What was audited.
    pub realm: Realm,
    /// The name of the network or VPC.
    pub name: String,
    /// The name of its router.
    pub router: Option<String>,
    /// The answer.
    pub audit: Audit,
}

impl Manager {
    /// Says where the server can be reached. Only the first call counts.
    pub fn exposed(&self, exposure: Exposure) {
        // A second server in one process would be a test's.
        let _ = self.inner.exposure.set(exposure);
    }

    /// How a network or VPC deviates from the hardened profile. The server is looked at for root admins only.
    ///
    /// # Errors
    /// When there is no such thing for the caller.
    pub async fn audit(&self, caller: &Caller, whom: Patient) -> Result<Examined, CommandError> {
        let _turn = self.diagnosis_turn().await?;
        let (realm, name, router, spec) = {
            let view = self.view();
            let (realm, _) = realm_of(&view, caller, whom)?;
            let standing = view.standing(realm);
            let standing = standing.ok_or_else(|| CommandError::not_found("networkid", realm))?;
            let router = view
                .router_of(realm)
                .filter(|router| router.power == Power::On)
                .cloned();
            let spec = router_spec(Source::stored(&view), &self.inner.config.router, realm);
            (realm, standing.name, router, spec.ok().flatten())
        };
        let mut seen = Audited {
            spec,
            realm: Some(realm),
            ..Audited::default()
        };
        let driver = router
            .as_ref()
            .and_then(|router| self.host(router.host))
            .map(Arc::clone);
        if let (Some(router), Some(driver), Some(spec)) = (&router, driver, seen.spec.clone()) {
            let driver: Arc<dyn Host> = driver;
            look(&driver, router.id, &spec, &mut seen).await;
        }
        if caller.admin() {
            seen.server = Some(self.server_seen().await);
        }
        Ok(Examined {
            realm,
            name,
            router: router.map(|router| router.name.clone()),
            audit: audit::audit(&seen),
        })
    }

    async fn server_seen(&self) -> ServerSeen {
        let admin = bootstrap::administrator(&self.view());
        let mut guessed = None;
        // One without a password cannot be guessed, and asking takes as long.
        if let Some(admin) = admin.filter(|admin| admin.password_hash.is_some()) {
            for guess in GUESSES {
                if self.verify_password(Some(&admin), guess).await {
                    guessed = Some(guess.to_owned());
                    break;
                }
            }
        }
        let exposure = self.inner.exposure.get().copied().unwrap_or_default();
        let now = Timestamp::now();
        let view = self.view();
        let is_old = |user: &&crate::mirror::Stored<User>| {
            let since = user.keys_since.unwrap_or(user.created);
            !user.api_key.is_empty() && now.duration_since(since) >= KEYS_AGE
        };
        let mut old_keys: Vec<_> = view
            .all::<User>()
            .filter(is_old)
            .map(|u| u.username.clone())
            .collect();
        old_keys.sort();
        old_keys.truncate(NAMED);
        ServerSeen {
            listens: exposure.listens,
            integration: exposure.integration,
            guessed_password: guessed,
            old_keys,
        }
    }
}

/// Everything that programs in the router show, side by side.
async fn look(driver: &Arc<dyn Host>, router: RouterId, spec: &RouterSpec, seen: &mut Audited) {
    let start = |run| Running::start(driver, Place::Router(router), run);
    let (listing, sockets) = (start(probe::listing()), start(probe::listeners()));
    let (parameters, helpers) = (start(probe::files(spec)), start(probe::helpers()));
    let login = start(probe::login(spec));
    seen.listing = listing.text().await;
    seen.sockets = sockets.text().await;
    // grep fails where one file is missing, and has printed the others.
    let printed = parameters.output().await.map(|output| output.stdout);
    let helpers = helpers.output().await.map(|output| output.stdout);
    seen.parameters = printed
        .filter(|text| !text.is_empty())
        .map(|text| files::files(&(text + &helpers.unwrap_or_default())));
    let said = login.output().await.map(|output| output.stderr);
    seen.login = said.filter(|text| text.contains("Permission denied"));
}
