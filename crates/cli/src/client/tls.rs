// SPDX-License-Identifier: Apache-2.0
//! Whom a client trusts, and how it proves who it is, when the endpoint is https.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use anyhow::Context as _;
use ureq::tls::{Certificate, ClientCert, PemItem, PrivateKey, RootCerts, TlsConfig, parse_pem};

use crate::exit::Usage;

/// Which servers are trusted.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub enum Trust {
    /// Those with a certificate of an authority that this machine trusts (`SSL_CERT_FILE` and `SSL_CERT_DIR` change them).
    #[default]
    Machine,
    /// Those with a certificate of an authority in this PEM file.
    File(PathBuf),
    /// Every server, whoever it is. Only for trials.
    Anybody,
}

/// The TLS side of a client.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Tls {
    /// Which servers are trusted.
    pub trust: Trust,
    /// Our own certificate (PEM, with its chain), when the server wants one.
    pub certificate: Option<PathBuf>,
    /// Its private key (PEM); the certificate's file when left out.
    pub key: Option<PathBuf>,
}

impl Tls {
    /// What ureq needs. Errors when a file cannot be read or holds nothing of use.
    pub fn config(&self) -> anyhow::Result<TlsConfig> {
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let builder = TlsConfig::builder().unversioned_rustls_crypto_provider(provider);
        let builder = match &self.trust {
            Trust::Machine => builder.root_certs(machine_authorities()?),
            Trust::File(path) => builder.root_certs(RootCerts::new_with_certs(&read(
                path,
                certificates,
                "certificate",
            )?)),
            Trust::Anybody => builder.disable_verification(true),
        };
        Ok(builder.client_cert(self.own()?).build())
    }

    fn own(&self) -> anyhow::Result<Option<ClientCert>> {
        let Some(path) = &self.certificate else {
            return Ok(None);
        };
        let chain = read(path, certificates, "certificate")?;
        let keys = read(self.key.as_ref().unwrap_or(path), private_keys, "private key")?;
        let key = keys.into_iter().next();
        Ok(key.map(|key| ClientCert::new_with_certs(&chain, key)))
    }
}

fn machine_authorities() -> anyhow::Result<RootCerts> {
    let found = rustls_native_certs::load_native_certs();
    let certs: Vec<Certificate<'static>> = found
        .certs
        .iter()
        .map(|cert| Certificate::from_der(cert).to_owned())
        .collect();
    anyhow::ensure!(
        !certs.is_empty(),
        Usage(
            "this machine trusts no certificate authority: install ca-certificates, or name a PEM file as the profile's verify"
                .to_owned()
        )
    );
    Ok(RootCerts::new_with_certs(&certs))
}

/// Reads what `pick` finds in a PEM file; it must be something.
fn read<T>(path: &Path, pick: fn(PemItem<'static>) -> Option<T>, what: &str) -> anyhow::Result<Vec<T>> {
    let told = || Usage(format!("{} cannot be used as a {what}", path.display()));
    let bytes = std::fs::read(path).with_context(told)?;
    let items = parse_pem(&bytes)
        .collect::<Result<Vec<_>, _>>()
        .with_context(told)?;
    let picked: Vec<T> = items.into_iter().filter_map(pick).collect();
    anyhow::ensure!(
        !picked.is_empty(),
        Usage(format!("{} holds no {what} (PEM)", path.display()))
    );
    Ok(picked)
}

fn certificates(item: PemItem<'static>) -> Option<Certificate<'static>> {
    match item {
        PemItem::Certificate(found) => Some(found),
        _ => None,
    }
}

fn private_keys(item: PemItem<'static>) -> Option<PrivateKey<'static>> {
    match item {
        PemItem::PrivateKey(found) => Some(found),
        _ => None,
    }
}
