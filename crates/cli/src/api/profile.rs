// SPDX-License-Identifier: Apache-2.0
//! Which server is asked, and as whom: profiles as `cs` keeps them, the environment, and the labs of this machine.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::Duration;

use anyhow::Context as _;

use super::ini::Ini;
use crate::client::{Client, Credentials, Method, Options, Tls, Trust};
use crate::exit::Usage;
use crate::lab::state::{self, Instance};

/// A server, who we are to it, and how it is asked.
#[derive(Debug, Clone)]
pub struct Profile {
    /// Its name: a section of an INI file, `lab:NAME`, or `environment`.
    pub name: String,
    /// Where it was found.
    pub source: String,
    /// Endpoint, key and secret.
    pub credentials: Credentials,
    /// How requests are made.
    pub options: Options,
    /// Where what the server can do is remembered; `None` where nothing may be written.
    pub cache: Option<PathBuf>,
}

/// What the command line says about it.
#[derive(Debug, Clone, Default, clap::Args)]
pub struct Choice {
    /// The profile: a section of cs's INI files, or lab:NAME
    #[arg(short, long, env = "OUTGATE_PROFILE", value_name = "NAME")]
    pub profile: Option<String>,
    /// The lab to ask, as --profile lab:NAME
    #[arg(long, env = "OUTGATE_INSTANCE", value_name = "NAME")]
    pub instance: Option<Instance>,
    /// Read this INI file instead of cs's own
    #[arg(long, env = "OUTGATE_CREDENTIALS", value_name = "FILE")]
    pub credentials_file: Option<PathBuf>,
}

impl Profile {
    /// The profile to use: the one that is named, else the environment's, else section `[cloudstack]` (or
    /// `$CLOUDSTACK_REGION`) of cs's files, else the lab named default.
    pub fn choose(choice: &Choice) -> anyhow::Result<Self> {
        if let Some(name) = &choice.profile {
            return match name.strip_prefix("lab:") {
                Some(lab) => Self::of_lab(&lab.parse().map_err(Usage)?),
                None => Self::of_section(choice, name),
            };
        }
        if let Some(lab) = &choice.instance {
            return Self::of_lab(lab);
        }
        if choice.credentials_file.is_none()
            && let Some(found) = Self::of_environment()
        {
            return found;
        }
        let region = variable("CLOUDSTACK_REGION").unwrap_or_else(|| "cloudstack".to_owned());
        let (ini, read) = files(choice)?;
        if ini.section(&region).is_some() || choice.credentials_file.is_some() {
            return Self::of_section(choice, &region);
        }
        let default: Instance = "default".parse().map_err(Usage)?;
        if default.paths()?.credentials().exists() {
            return Self::of_lab(&default);
        }
        let told = format!(
            "no server is known: start a lab (outgate lab up), write ~/.cloudstack.ini with [cloudstack] endpoint, key and \
             secret, or set CLOUDSTACK_ENDPOINT, CLOUDSTACK_KEY and CLOUDSTACK_SECRET{}",
            if read.is_empty() {
                String::new()
            } else {
                format!(" (looked for [{region}] in {})", read.join(", "))
            }
        );
        Err(Usage(told).into())
    }

    /// Every profile that could be chosen by name.
    pub fn all(choice: &Choice) -> anyhow::Result<Vec<Self>> {
        let mut found: Vec<Self> = Self::of_environment().into_iter().flatten().collect();
        let (ini, _) = files(choice)?;
        found.extend(
            ini.sections()
                .filter_map(|name| Self::of_section(choice, name).ok()),
        );
        let labs = state::all()?;
        found.extend(labs.iter().filter_map(|(lab, _)| Self::of_lab(lab).ok()));
        Ok(found)
    }

    fn of_lab(lab: &Instance) -> anyhow::Result<Self> {
        let paths = lab.paths()?;
        let credentials = Credentials::read(&paths.credentials())?;
        Ok(Self {
            name: format!("lab:{lab}"),
            source: paths.credentials().display().to_string(),
            credentials,
            options: options(&BTreeMap::new())?,
            cache: Some(paths.dir().join("apis.json")),
        })
    }

    fn of_environment() -> Option<anyhow::Result<Self>> {
        let names = [
            "endpoint",
            "key",
            "secret",
            "verify",
            "cert",
            "cert_key",
            "timeout",
            "method",
            "expiration",
            "poll_interval",
            "job_timeout",
            "dangerous_no_tls_verify",
        ];
        let set = names.iter().filter_map(|n| {
            Some((
                (*n).to_owned(),
                variable(&format!("CLOUDSTACK_{}", n.to_uppercase()))?,
            ))
        });
        let set: BTreeMap<String, String> = set.collect();
        let whole = ["endpoint", "key", "secret"].iter().all(|n| set.contains_key(*n));
        whole.then(|| Self::of_values("environment", "CLOUDSTACK_ENDPOINT", &set))
    }

    fn of_section(choice: &Choice, name: &str) -> anyhow::Result<Self> {
        let (ini, read) = files(choice)?;
        let Some(values) = ini.section(name) else {
            let known: Vec<&str> = ini.sections().collect();
            let files = if read.is_empty() {
                "~/.cloudstack.ini".to_owned()
            } else {
                read.join(", ")
            };
            let known = if known.is_empty() {
                "none".to_owned()
            } else {
                known.join(", ")
            };
            let told = format!("there is no profile {name} in {files}; there are: {known}");
            return Err(Usage(told).into());
        };
        Self::of_values(name, &read.join(", "), &values)
    }

    fn of_values(name: &str, source: &str, values: &BTreeMap<String, String>) -> anyhow::Result<Self> {
        let need = |key: &str| {
            let found = values.get(key).cloned();
            found.with_context(|| Usage(format!("profile {name} in {source} has no {key}")))
        };
        let credentials = Credentials {
            endpoint: need("endpoint")?,
            key: need("key")?,
            secret: need("secret")?,
        };
        let options = options(values).with_context(|| format!("profile {name} in {source}"))?;
        let cache = cache_file(name, &credentials);
        Ok(Self {
            name: name.to_owned(),
            source: source.to_owned(),
            credentials,
            options,
            cache,
        })
    }

    /// A client of this server.
    pub fn client(&self) -> anyhow::Result<Client> {
        Client::with(self.credentials.clone(), self.options.clone())
    }
}

/// cs's files, or the one that is named; with those that were read.
fn files(choice: &Choice) -> anyhow::Result<(Ini, Vec<String>)> {
    let (mut ini, mut read) = (Ini::default(), Vec::new());
    let named = choice
        .credentials_file
        .clone()
        .or_else(|| variable("CLOUDSTACK_CONFIG").map(expanded));
    let own = [
        home().map(|home| home.join(".cloudstack.ini")),
        Some(PathBuf::from("cloudstack.ini")),
    ];
    let own = own
        .into_iter()
        .flatten()
        .filter(|_| choice.credentials_file.is_none());
    for path in own.chain(named.clone()) {
        match std::fs::read_to_string(&path) {
            Ok(text) => {
                ini.add(&text);
                read.push(path.display().to_string());
            }
            Err(e) if e.kind() == std::io::ErrorKind::NotFound && Some(&path) != named.as_ref() => {}
            Err(e) => return Err(e).context(Usage(format!("cannot read {}", path.display()))),
        }
    }
    Ok((ini, read))
}

fn options(values: &BTreeMap<String, String>) -> anyhow::Result<Options> {
    let seconds = |key: &str, default: f64| -> anyhow::Result<Duration> {
        let Some(text) = values.get(key) else {
            return Ok(Duration::from_secs_f64(default));
        };
        let parsed = text
            .parse()
            .ok()
            .and_then(|s| Duration::try_from_secs_f64(s).ok());
        parsed.with_context(|| Usage(format!("{key} = {text} is no number of seconds")))
    };
    let method = match values.get("method").map(|m| m.to_lowercase()).as_deref() {
        None => Method::Auto,
        Some("get") => Method::Get,
        Some("post") => Method::Post,
        Some(other) => return Err(Usage(format!("method = {other} is neither get nor post")).into()),
    };
    let headers = values.iter().filter_map(|(key, value)| {
        let name = key.strip_prefix("header_")?.replace('_', "-");
        Some((name, value.clone()))
    });
    Ok(Options {
        method,
        timeout: seconds("timeout", 60.0)?,
        expiration: seconds("expiration", 600.0)?,
        job_timeout: seconds("job_timeout", 600.0)?,
        poll: seconds("poll_interval", 2.0)?,
        headers: headers.collect(),
        tls: tls(values),
    })
}

fn tls(values: &BTreeMap<String, String>) -> Tls {
    let yes = |text: &String| ["1", "true", "yes", "on", "y", "t"].contains(&text.to_lowercase().as_str());
    let no = |text: &String| ["0", "false", "no", "off"].contains(&text.to_lowercase().as_str());
    let trust = match values.get("verify") {
        _ if values.get("dangerous_no_tls_verify").is_some_and(yes) => Trust::Anybody,
        Some(text) if no(text) => Trust::Anybody,
        Some(text) if !yes(text) => Trust::File(expanded(text.clone())),
        _ => Trust::Machine,
    };
    Tls {
        trust,
        certificate: values.get("cert").cloned().map(expanded),
        key: values.get("cert_key").cloned().map(expanded),
    }
}

/// The file that remembers what a server lets this key do: by profile, so that one can be found and removed by name.
fn cache_file(name: &str, who: &Credentials) -> Option<PathBuf> {
    use std::hash::{Hash as _, Hasher as _};
    let base = variable("XDG_CACHE_HOME")
        .map(PathBuf::from)
        .filter(|p| p.is_absolute());
    let base = base.or_else(|| home().map(|home| home.join(".cache")))?;
    let tame: String = name
        .chars()
        .map(|c| if c.is_ascii_alphanumeric() { c } else { '_' })
        .collect();
    // Only tells two servers of one profile's name apart; nothing depends on how well it mixes.
    let mut hasher = std::hash::DefaultHasher::new();
    (&who.endpoint, &who.key).hash(&mut hasher);
    Some(base.join(format!("outgate/api/{tame}-{:016x}.json", hasher.finish())))
}

fn variable(name: &str) -> Option<String> {
    std::env::var(name).ok().filter(|value| !value.is_empty())
}

fn home() -> Option<PathBuf> {
    variable("HOME").map(PathBuf::from).filter(|p| p.is_absolute())
}

/// A path with `~/` as a shell would read it.
fn expanded(path: String) -> PathBuf {
    match (path.strip_prefix("~/"), home()) {
        (Some(rest), Some(home)) => home.join(rest),
        _ => PathBuf::from(path),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn values(text: &str) -> BTreeMap<String, String> {
        let mut ini = Ini::default();
        ini.add(&format!(
            "[x]\nendpoint = https://c/\nkey = k\nsecret = hidden\n{text}"
        ));
        ini.section("x").unwrap()
    }

    #[test]
    fn what_cs_writes_into_its_file_is_understood() {
        let all = values(
            "method = post\ntimeout = 2.5\nexpiration = 60\nverify = /etc/ca.pem\nheader_x_team = net\n",
        );
        let profile = Profile::of_values("x", "file", &all).unwrap();
        assert_eq!(profile.options.method, Method::Post);
        assert_eq!(profile.options.timeout, Duration::from_millis(2500));
        assert_eq!(profile.options.tls.trust, Trust::File("/etc/ca.pem".into()));
        assert_eq!(profile.options.headers, [("x-team".to_owned(), "net".to_owned())]);
        assert!(
            !format!("{profile:?}").contains("hidden"),
            "secrets are never shown"
        );
        assert_eq!(tls(&values("verify = false")).trust, Trust::Anybody);
        assert_eq!(tls(&values("verify = true")).trust, Trust::Machine);
        assert_eq!(
            tls(&values("dangerous_no_tls_verify = True")).trust,
            Trust::Anybody
        );
    }

    #[test]
    fn what_is_wrong_in_a_profile_is_named() {
        let told = Profile::of_values("x", "file", &values("timeout = soon")).unwrap_err();
        assert!(format!("{told:#}").contains("timeout = soon"), "{told:#}");
        let mut some = values("");
        some.remove("secret");
        let told = Profile::of_values("x", "file", &some).unwrap_err();
        assert!(format!("{told:#}").contains("has no secret"), "{told:#}");
    }
}
