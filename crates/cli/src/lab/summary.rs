// SPDX-License-Identifier: Apache-2.0
//! What `lab up` says at its end: what was proved, and what to try next.

use super::proof::Built;
use super::record::Record;
use super::state::{Instance, Paths};
use crate::output::{self, Format};

/// Prints it.
pub fn print(
    instance: &Instance,
    paths: &Paths,
    record: &Record,
    built: &Built,
    format: Format,
) -> anyhow::Result<()> {
    if format == Format::Json {
        return output::json(&serde_json::json!({
            "instance": instance.as_str(),
            "endpoint": record.endpoint(),
            "credentials": paths.credentials(),
            "log": paths.log(),
            "built": built,
        }));
    }
    output::line(output::strong(&format!("Lab {instance} is up.")))?;
    if let (Some(page), Some(public)) = (&built.page, &built.public) {
        let seen = page.contains(public.as_str());
        output::line(format!(
            "\n  guest1 asked http://198.51.100.10/ and the far side answered: {page:?}"
        ))?;
        let verdict = if seen {
            "that is the network's source NAT address"
        } else {
            "that is NOT the source NAT address"
        };
        output::line(format!("  {} {public}", output::verdict(verdict, seen)))?;
        anyhow::ensure!(seen, "guest1 left through another address than {public}");
    }
    if let Some(millis) = built.millis {
        output::line(format!(
            "  from createNetwork to that answer, two guests included: {millis} ms"
        ))?;
    }
    output::line(next(instance, paths, record, built))
}

fn next(instance: &Instance, paths: &Paths, record: &Record, built: &Built) -> String {
    let suffix = if instance.as_str() == "default" {
        String::new()
    } else {
        format!(" --instance {instance}")
    };
    let me = own_name();
    let credentials = paths.credentials();
    let credentials = credentials.display();
    let mut text = format!(
        "
API          {endpoint}
Credentials  {credentials}   (INI; cs and CloudMonkey read it)

Try next:
  CLOUDSTACK_CONFIG={credentials} cs listNetworks
  {me} lab status{suffix}
  {me} lab shell guest1{suffix}",
        endpoint = record.endpoint()
    );
    if let (Some(router), Some(control)) = (&built.router, &built.control) {
        text.push_str(&seven_steps(&me, &suffix, router, control));
    }
    text.push_str(&format!(
        "\n  {me} lab down{suffix}                 leaves nothing behind"
    ));
    text
}

/// The reference's seven steps, as they are typed here.
fn seven_steps(me: &str, suffix: &str, router: &str, control: &str) -> String {
    format!(
        "
  {me} doctor{suffix}                      what is wrong, and what to do about it
  {me} top{suffix}                         what goes through the routers, live
  {me} trace{suffix} --src 10.1.1.2 --dst 198.51.100.10:80    what becomes of a packet, and why
  {me} audit{suffix}                       how far it is from the hardened profile
  {me} verify {router}{suffix}             the seven steps in one report

The seven steps by hand:
  1  cs listRouters
  2  {me} lab shell host{suffix}   and there:   ssh -i /root/.ssh/id_rsa.cloud -p 3922 root@{control}
  3  {me} lab exec {router}{suffix} -- ip addr show eth2
  4  {me} lab exec {router}{suffix} -- iptables -t nat -S POSTROUTING
  5  {me} lab exec {router}{suffix} -- sysctl net.ipv4.ip_forward
  6  {me} lab exec {router}{suffix} -- conntrack -C
  7  {me} lab exec guest1{suffix} -- ping -c 4 8.8.8.8

At the end:"
    )
}

/// How the user can call this program: by its name where the path leads to it, by its file otherwise.
fn own_name() -> String {
    let Ok(exe) = std::env::current_exe() else {
        return "outgate".to_owned();
    };
    let path = std::env::var_os("PATH").unwrap_or_default();
    let is_this =
        |dir: std::path::PathBuf| dir.join("outgate").canonicalize().is_ok_and(|found| found == exe);
    if std::env::split_paths(&path).any(is_this) {
        return "outgate".to_owned();
    }
    let here = std::env::current_dir().ok();
    let below = here.as_deref().and_then(|here| exe.strip_prefix(here).ok());
    below.unwrap_or(&exe).display().to_string()
}
