// SPDX-License-Identifier: Apache-2.0
//! A user of an account of its own, who is no admin, logged in over HTTP.

use outgate_manager::CommitError;
use outgate_model::object::{Account, RoleType, User};

use super::{Answer, Served, agent, answered, encoded, text};

const PASSWORD: &str = "correct horse";

/// Someone who owns nothing.
pub struct Stranger {
    url: String,
    cookie: String,
    key: String,
}

impl Stranger {
    /// A new one.
    pub async fn new(served: &Served, name: &str) -> Self {
        let hash = outgate_manager::password::hash(PASSWORD).await.unwrap();
        let domain = served.world.admin.domain;
        let made = served.world.manager.commit(|_, draft| {
            let account = Account::new(draft.number("account"), name, domain, RoleType::User);
            let mut user = User::new(account.id, name);
            user.password_hash = Some(hash.clone());
            draft.create(&account);
            draft.create(&user);
            Ok::<_, CommitError>(())
        });
        made.await.unwrap();
        let login = encoded(&[
            ("command", "login"),
            ("username", name),
            ("password", PASSWORD),
            ("response", "json"),
        ]);
        let url = format!("{}?{login}", served.url());
        let (answer, cookie) = tokio::task::spawn_blocking(move || {
            let response = agent().get(&url).call().unwrap();
            let cookie = response.headers().get("set-cookie").unwrap().to_str().unwrap();
            let cookie = cookie.split(';').next().unwrap().to_owned();
            (answered(Ok(response)), cookie)
        })
        .await
        .unwrap();
        Self {
            url: served.url(),
            cookie,
            key: text(answer.inner(), "sessionkey").to_owned(),
        }
    }

    /// Calls a command.
    pub async fn call(&self, command: &str, params: &[(&str, &str)]) -> Answer {
        let own = [
            ("command", command),
            ("response", "json"),
            ("sessionkey", &self.key),
        ];
        let query = encoded(&[params, &own].concat());
        let (url, cookie) = (format!("{}?{query}", self.url), self.cookie.clone());
        tokio::task::spawn_blocking(move || answered(agent().get(&url).header("cookie", cookie).call()))
            .await
            .unwrap()
    }
}
