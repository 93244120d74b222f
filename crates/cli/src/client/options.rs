// SPDX-License-Identifier: Apache-2.0
//! How requests are made.

use std::time::Duration;

use super::Tls;

/// Which HTTP method a request uses.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Method {
    /// GET for what only looks, POST for what changes something.
    Auto,
    /// Always GET.
    Get,
    /// Always POST.
    #[default]
    Post,
}

impl Method {
    /// Whether this command is sent by GET.
    pub fn is_get(self, command: &str) -> bool {
        let command = command.to_ascii_lowercase();
        match self {
            Self::Auto => ["list", "get", "query", "is"]
                .iter()
                .any(|verb| command.starts_with(verb)),
            Self::Get => true,
            Self::Post => false,
        }
    }
}

/// How requests are made.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Options {
    /// The HTTP method.
    pub method: Method,
    /// How long one request may take.
    pub timeout: Duration,
    /// How long a request may be under way before the server refuses it as a replay.
    pub expiration: Duration,
    /// How long a job may take.
    pub job_timeout: Duration,
    /// How rarely a job that takes long is asked about.
    pub poll: Duration,
    /// Headers that each request carries, besides HTTP's own.
    pub headers: Vec<(String, String)>,
    /// For https.
    pub tls: Tls,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            method: Method::default(),
            timeout: Duration::from_secs(60),
            expiration: Duration::from_secs(600),
            job_timeout: Duration::from_secs(120),
            poll: Duration::from_millis(50),
            headers: Vec::new(),
            tls: Tls::default(),
        }
    }
}

impl Options {
    /// The usual ones, but a request may take so long.
    pub fn patient_for(timeout: Duration) -> Self {
        Self {
            timeout,
            ..Self::default()
        }
    }

    /// The agent that makes the requests. The environment's proxy is asked unless the server is on this machine.
    pub(super) fn agent(&self, endpoint: &str, tls: Option<ureq::tls::TlsConfig>) -> ureq::Agent {
        let local = ["://127.", "://localhost", "://[::1]"]
            .iter()
            .any(|here| endpoint.contains(here));
        let proxy = if local { None } else { ureq::Proxy::try_from_env() };
        let mut config = ureq::Agent::config_builder()
            .timeout_global(Some(self.timeout))
            .http_status_as_error(false)
            .user_agent(concat!("outgate/", env!("CARGO_PKG_VERSION")))
            .proxy(proxy);
        if let Some(tls) = tls {
            config = config.tls_config(tls);
        }
        config.build().into()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_only_looks_is_sent_by_get() {
        for command in ["listNetworks", "getUser", "queryAsyncJobResult", "LISTZONES"] {
            assert!(Method::Auto.is_get(command), "{command}");
        }
        assert!(!Method::Auto.is_get("createNetwork"));
        assert!(!Method::Post.is_get("listNetworks"));
    }
}
