// SPDX-License-Identifier: Apache-2.0
//! OpenSSH's server, on the control side only.

use std::collections::BTreeMap;
use std::fmt::Write;

use outgate_model::RouterSpec;

use crate::router_plan::{File, OnChange, Service};

/// sshd's configuration.
pub const SSHD_CONFIG: &str = "/run/outgate-vr/sshd_config";
/// The public keys that may log in as root.
pub const SSHD_AUTHORIZED_KEYS: &str = "/run/outgate-vr/authorized_keys";
/// The router's host key. The engine makes it; it is a secret and so no part of a plan.
pub const SSH_HOST_KEY: &str = "/etc/ssh/ssh_host_ed25519_key";

/// Keys only, root only, no tunnels: the router is to be looked at, not to be passed through. `StrictModes` would check the
/// owner of `/` too, which in a lab without root is a user that the router does not know; the keys' file lies on the
/// router's own tmpfs, where only root writes.
const RULES: &str = "\
PermitRootLogin prohibit-password
AllowUsers root
AuthenticationMethods publickey
PubkeyAuthentication yes
PasswordAuthentication no
KbdInteractiveAuthentication no
HostbasedAuthentication no
PermitEmptyPasswords no
StrictModes no
UsePAM no
DisableForwarding yes
PermitUserRC no
PermitUserEnvironment no
UseDNS no
PrintMotd no
PidFile none
LoginGraceTime 30
MaxAuthTries 4
MaxStartups 10:30:60
ClientAliveInterval 60
ClientAliveCountMax 5
Subsystem sftp internal-sftp
";

pub(super) fn service(spec: &RouterSpec) -> Service {
    let argv = ["/usr/sbin/sshd", "-D", "-e", "-f", SSHD_CONFIG];
    let mut keys = String::new();
    for key in &spec.ssh.authorized_keys {
        let _ = writeln!(keys, "{key}");
    }
    // SIGHUP makes sshd execute itself anew; sessions stay.
    let config = File {
        content: config(spec),
        mode: 0o600,
        on_change: OnChange::Hangup,
    };
    let keys = File {
        content: keys,
        mode: 0o600,
        on_change: OnChange::Nothing,
    };
    Service {
        argv: argv.map(str::to_owned).to_vec(),
        files: BTreeMap::from([
            (SSHD_CONFIG.to_owned(), config),
            (SSHD_AUTHORIZED_KEYS.to_owned(), keys),
        ]),
        check: Vec::new(),
        control: None,
    }
}

fn config(spec: &RouterSpec) -> String {
    let (address, port) = (spec.control.address.addr(), spec.ssh.port);
    format!(
        "# Made by outgate from the router's spec; changes here are undone.\n\
         Port {port}\nAddressFamily inet\nListenAddress {address}:{port}\n\
         HostKey {SSH_HOST_KEY}\nAuthorizedKeysFile {SSHD_AUTHORIZED_KEYS}\n{RULES}"
    )
}
