// SPDX-License-Identifier: Apache-2.0
//! `outgate server`: the management server. It puts the rooms together: store, host, manager, API.

mod config;
mod listener;
mod password;

use std::net::TcpListener;
use std::sync::Arc;

use anyhow::Context as _;
use outgate_api::ServerConfig;
use outgate_host::{NamespaceConfig, NamespaceHost};
use outgate_manager::audit::Exposure;
use outgate_manager::{BootstrapConfig, Drivers, Manager, ManagerConfig, Pace, RangeConfig, RouterSettings};
use outgate_store::SqliteStore;
use tokio::signal::unix::{SignalKind, signal};
use tokio::task::JoinSet;

pub use config::Args;
use config::Config;

use crate::client::Credentials;
use crate::logging;

/// The host's name in the store; this build has one.
const HOST: &str = "host1";

/// Serves until SIGTERM or SIGINT. Routers and guests stay.
pub fn run(args: Args) -> anyhow::Result<()> {
    let config = args.check()?;
    logging::start(config.log_format);
    let sockets = Sockets {
        api: listener::open(config.listen)?,
        integration: config.integration_listen.map(listener::bind).transpose()?,
        metrics: config.metrics.map(listener::bind).transpose()?,
    };
    tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()?
        .block_on(serve(&config, sockets))
}

/// What is listened to.
struct Sockets {
    api: TcpListener,
    integration: Option<TcpListener>,
    metrics: Option<TcpListener>,
}

async fn serve(config: &Config, sockets: Sockets) -> anyhow::Result<()> {
    let address = sockets.api.local_addr()?;
    let (mut terminate, mut interrupt) = (signal(SignalKind::terminate())?, signal(SignalKind::interrupt())?);
    let store = open_store(config)?;
    let host = NamespaceHost::start(host_config(config)?)
        .await
        .context("starting the namespace host")?;
    let drivers: Drivers = [(HOST.to_owned(), Arc::new(host) as Arc<dyn outgate_host::Host>)].into();
    let manager = Manager::start(Arc::clone(&store) as _, drivers, manager_config(config)).await;
    let manager = manager.context("starting the manager")?;
    manager.exposed(Exposure {
        listens: Some(address),
        integration: config.integration_listen,
    });
    if let Some(path) = &config.credentials_file {
        let admin = manager.admin_credentials().context("the administrator's keys")?;
        let endpoint = format!("http://{address}{}", outgate_api::server::PATH);
        Credentials {
            endpoint,
            key: admin.api_key,
            secret: admin.secret_key,
        }
        .write(path)?;
    }
    if let Some(path) = &config.admin_password_file {
        let password = password::read_or_make(path)?;
        manager
            .set_admin_password(&password)
            .await
            .context("the administrator's password")?;
    }
    tracing::info!(%address, instance = config.instance, "the API is served");
    let asked_to_end = async move {
        tokio::select! {
            _ = terminate.recv() => {}
            _ = interrupt.recv() => {}
        }
    };
    let served = serve_api(manager.clone(), sockets, asked_to_end).await;
    tracing::info!("the server ends; routers and guests go on");
    manager.shutdown().await;
    store.close().await;
    served.context("serving the API")
}

/// Serves every port until `asked_to_end`.
async fn serve_api(
    manager: Manager,
    sockets: Sockets,
    asked_to_end: impl Future<Output = ()> + Send + 'static,
) -> std::io::Result<()> {
    let api = outgate_api::Api::new(manager);
    let (end, ends) = tokio::sync::watch::channel(false);
    let mut beside = JoinSet::new();
    if let Some(listener) = sockets.integration {
        let address = listener.local_addr();
        tracing::warn!(
            ?address,
            "the integration port is open: every program of this machine is root admin there"
        );
        let (config, ended) = (ServerConfig::default(), told(ends.clone()));
        beside.spawn(outgate_api::serve_integration(
            listener,
            api.clone(),
            config,
            ended,
        ));
    }
    if let Some(listener) = sockets.metrics {
        let address = listener.local_addr();
        tracing::info!(?address, "metrics are served on /metrics");
        beside.spawn(outgate_api::serve_metrics(listener, api.clone(), told(ends)));
    }
    let served = outgate_api::serve(sockets.api, api, ServerConfig::default(), asked_to_end).await;
    end.send_replace(true);
    while let Some(ended) = beside.join_next().await {
        ended??;
    }
    served
}

/// Resolves when the server ends.
async fn told(mut ends: tokio::sync::watch::Receiver<bool>) {
    // An error means that the server is gone, too.
    let _ = ends.wait_for(|end| *end).await;
}

fn open_store(config: &Config) -> anyhow::Result<Arc<SqliteStore>> {
    use std::os::unix::fs::DirBuilderExt as _;
    std::fs::DirBuilder::new()
        .recursive(true)
        .mode(0o700)
        .create(&config.data_dir)
        .with_context(|| format!("making {}", config.data_dir.display()))?;
    Ok(Arc::new(SqliteStore::open(&config.data_dir.join("outgate.db"))?))
}

fn host_config(config: &Config) -> anyhow::Result<NamespaceConfig> {
    Ok(NamespaceConfig {
        instance: config.instance.clone(),
        run_dir: config.run_dir.join(&config.instance),
        program: std::env::current_exe().context("finding this program")?,
        public_bridge: config.public_bridge.clone(),
        control_bridge: config.control_bridge.clone(),
        control_address: "169.254.0.1/16".parse()?,
        ssh_key: config.ssh_key.clone(),
        environment: logging::environment(config.log_format),
    })
}

fn manager_config(config: &Config) -> ManagerConfig {
    ManagerConfig {
        bootstrap: BootstrapConfig {
            zone: config.zone.clone(),
            dns: config.dns.clone(),
            guest_cidr: config.guest_cidr,
            network_domain: config.network_domain.clone(),
            public_mtu: config.public_mtu,
            ranges: vec![RangeConfig {
                gateway: config.public_gateway,
                range: config.public_range,
                vlan: "vlan://untagged".to_owned(),
            }],
            hosts: vec![HOST.to_owned()],
            hypervisor: "Simulator".to_owned(),
        },
        key_file: config.data_dir.join("secret.key"),
        router: RouterSettings {
            authorized_keys: vec![config.authorized_key.clone()],
            fastpath: config.fastpath,
            fastpath_hook: config.fastpath_hook,
            nat_log_collector: config.nat_log_collector,
            ..RouterSettings::default()
        },
        pace: Pace::default(),
    }
}
