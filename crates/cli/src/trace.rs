// SPDX-License-Identifier: Apache-2.0
//! `outgate trace --src ... --dst ...`: what a router does with one packet, by its rules and by its kernel.

mod ends;

use serde_json::Value;

use crate::client::{Client, Target};
use crate::doctor::{self, End};
use crate::exit;
use crate::output::{self, Format};
use ends::{Places, Whom};

/// Explain what a router does with one packet: which rule, route and translation it gets, and whether its kernel agrees.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
The router's rules are read step by step, and a packet is followed through its kernel with nftables' trace. It is the \
router's own: it takes the way of any packet of the flow, reaches neither guests nor the outside, and leaves no session. \
With --wait the next real packet of the flow is followed instead.

Examples:
  outgate trace --src guest1 --dst 198.51.100.7:443             may this guest reach it, and as whom?
  outgate trace --src 198.51.100.7 --dst 203.0.113.10:80        what comes in?
  outgate trace --network lab-net --proto udp --src 10.1.1.2 --dst 198.51.100.53:53
  outgate trace --proto icmp --src 10.1.1.2 --dst 198.51.100.7
  outgate trace --src 10.1.1.2:40000 --dst 198.51.100.7:443 --wait 10s
  outgate trace --in eth0 --src 192.0.2.1 --dst 198.51.100.7:443    a spoofed source
  outgate trace --src 10.1.1.2 --dst 198.51.100.7:443 -o json | jq -r .comparison

Exit codes: 0 the packet passes, 1 it does not, 3 the rules and the kernel disagree, 64 there is no such network or guest, \
69 the server does not answer.")]
pub struct Args {
    /// The name or id of a network or VPC; without it, whose the addresses are, else the first one there is
    #[arg(long, value_name = "NAME", conflicts_with_all = ["router", "guest"])]
    network: Option<String>,
    /// The name or id of a router, for admins
    #[arg(long, value_name = "NAME", conflicts_with = "guest")]
    router: Option<String>,
    /// The name or id of a guest, for the router of its first network
    #[arg(long, value_name = "NAME")]
    guest: Option<String>,
    /// Who sends: a guest by its name or address, or somebody outside; without a port, from one that no session has
    #[arg(long, value_name = "WHO[:PORT]")]
    src: Whom,
    /// To whom: somebody outside, a public address, or a guest
    #[arg(long, value_name = "WHO[:PORT]")]
    dst: Whom,
    /// The protocol; tcp where the destination has a port, else icmp
    #[arg(long, value_parser = ["tcp", "udp", "icmp"])]
    proto: Option<String>,
    /// The router's interface that the packet comes in on; the one that its source lies behind when left out
    #[arg(long = "in", value_name = "INTERFACE")]
    interface: Option<String>,
    /// Follow the next real packet of the flow, waiting for so many seconds (1 to 30)
    #[arg(long, value_name = "SECONDS", value_parser = seconds)]
    wait: Option<u64>,
    /// Whom to ask
    #[command(flatten)]
    target: Target,
}

/// `10` or `10s`.
fn seconds(text: &str) -> Result<u64, String> {
    let number = text.strip_suffix('s').unwrap_or(text).parse();
    let fits = number.ok().filter(|seconds| (1..=30).contains(seconds));
    fits.ok_or_else(|| format!("{text:?} is no number of seconds from 1 to 30, such as 10s"))
}

/// Asks the server and prints.
pub fn run(args: &Args, format: Format) -> anyhow::Result<()> {
    let client = Client::connect(&args.target)?;
    let places = Places::of(&client)?;
    let (src, dst) = (places.end(&args.src)?, places.end(&args.dst)?);
    let mut params = match (&args.network, &args.router, &args.guest) {
        (None, None, None) => places.router(src.address, dst.address)?.into_iter().collect(),
        _ => Vec::new(),
    };
    if params.is_empty() {
        params = patient(&client, args)?;
    }
    params.extend(flow(args, src, dst));
    let params: Vec<(&str, &str)> = params.iter().map(|(k, v)| (k.as_str(), v.as_str())).collect();
    let trace = client.call("traceFlow", &params)?["trace"].clone();
    match format {
        Format::Json => output::json(&trace)?,
        Format::Table => print(&trace)?,
    }
    match (&trace["agree"], trace["passes"] == true) {
        (Value::Bool(false), _) => Err(exit::Code(exit::DISAGREE).into()),
        (_, true) => Ok(()),
        (_, false) => Err(exit::Code(exit::FAILED).into()),
    }
}

fn patient(client: &Client, args: &Args) -> anyhow::Result<Vec<(String, String)>> {
    let (kinds, wanted) = match (&args.router, &args.guest) {
        (Some(router), _) => (doctor::ROUTERS, Some(router)),
        (None, Some(guest)) => (doctor::GUESTS, Some(guest)),
        (None, None) => (doctor::NETWORKS, args.network.as_ref()),
    };
    doctor::patient(client, kinds, wanted.map(String::as_str))
}

fn flow(args: &Args, src: End, dst: End) -> Vec<(String, String)> {
    let with_port = dst.port.is_some();
    let protocol = args.proto.as_deref();
    let protocol = protocol.unwrap_or(if with_port { "tcp" } else { "icmp" });
    let given = [
        ("protocol", Some(protocol.to_owned())),
        ("source", Some(src.address.to_string())),
        ("sourceport", src.port.map(|port| port.to_string())),
        ("destination", Some(dst.address.to_string())),
        ("port", dst.port.map(|port| port.to_string())),
        ("interface", args.interface.clone()),
        ("wait", args.wait.map(|seconds| seconds.to_string())),
    ];
    let given = given
        .into_iter()
        .filter_map(|(key, value)| Some((key.to_owned(), value?)));
    given.collect()
}

fn print(trace: &Value) -> anyhow::Result<()> {
    let of = |key: &str| text(&trace[key]);
    output::line(format!(
        "{} {} -> {} on {} of router {} (network {}, generation {})",
        of("protocol"),
        of("source"),
        of("destination"),
        of("interface"),
        of("router"),
        of("name"),
        of("generation")
    ))?;
    output::line("\nby the rules:")?;
    let mut table = output::table(&[]);
    for step in list(&trace["steps"]) {
        let passes = step["pass"] == true;
        let says = match step["rule"]["kind"].as_str() {
            Some(_) => format!("{}\n{}", text(&step["says"]), rule(&step["rule"])),
            None => text(&step["says"]),
        };
        let mark = output::verdict(if passes { "ok" } else { "STOP" }, passes);
        table.add_row([format!("  {}", text(&step["at"])), says, mark]);
    }
    output::show(table)?;
    output::line(format!("  it {}", of("verdict")))?;
    if trace["kernel"].is_object() {
        print_kernel(&trace["kernel"])?;
    }
    print_rest(trace)
}

/// `egress rule 0a1b... of account admin, made 2026-...`.
fn rule(rule: &Value) -> String {
    let mut words = format!("{} {}", text(&rule["kind"]), text(&rule["id"]));
    if let Some(account) = rule["account"].as_str() {
        words.push_str(&format!(" of account {account}"));
    }
    match rule["created"].as_str() {
        // Items of the built-in lists were made by nobody at no time.
        Some(created) if created.starts_with("1970-01-01") => words.push_str(", built in"),
        Some(created) => words.push_str(&format!(", made {created}")),
        None => {}
    }
    words
}

fn print_kernel(kernel: &Value) -> anyhow::Result<()> {
    output::line("\nin the kernel:")?;
    let mut table = output::table(&[]);
    for step in list(&kernel["step"]) {
        let rule = step["rule"].as_str().unwrap_or("(policy)");
        table.add_row([
            format!("  {}", step["hook"].as_str().unwrap_or_default()),
            text(&step["chain"]),
            rule.to_owned(),
            text(&step["verdict"]),
            step["packet"].as_str().unwrap_or_default().to_owned(),
        ]);
    }
    output::show(table)?;
    if let Some(route) = kernel["route"].as_str() {
        output::line(format!("  route: {route}"))?;
    }
    output::line(format!("  it {}", text(&kernel["verdict"])))
}

fn print_rest(trace: &Value) -> anyhow::Result<()> {
    let session = &trace["session"];
    let words = match session["inside"].as_str() {
        None => "none of this flow".to_owned(),
        Some(inside) => {
            let public = session["public"]
                .as_str()
                .map_or_else(String::new, |public| format!(", as {public}"));
            let state = session["state"].as_str().unwrap_or("tracked");
            format!(
                "{inside}{public}, with {} ({state}, forgotten in {} s)",
                text(&session["outside"]),
                text(&session["timeout"])
            )
        }
    };
    output::line(format!("\nsession:   {words}"))?;
    let carries = if trace["fastpath"]["carries"] == true {
        "yes"
    } else {
        "no"
    };
    output::line(format!(
        "fast path: {carries}, {}",
        text(&trace["fastpath"]["why"])
    ))?;
    for note in list(&trace["note"]) {
        output::line(format!("note:      {}", text(note)))?;
    }
    if let Some(remedy) = trace["remedy"].as_str() {
        output::line(format!("remedy:    {remedy}"))?;
    }
    let comparison = text(&trace["comparison"]);
    let loud = match &trace["agree"] {
        Value::Bool(agree) => output::verdict(&comparison, *agree),
        _ => comparison,
    };
    output::line(format!("\n{loud}"))?;
    output::line(format!("took {} ms", trace["millis"]))
}

fn text(value: &Value) -> String {
    value.as_str().map_or_else(|| value.to_string(), str::to_owned)
}

fn list(value: &Value) -> &[Value] {
    value.as_array().map_or(&[], Vec::as_slice)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_built_in_rule_has_no_date() {
        let of = |created: &str| rule(&serde_json::json!({ "kind": "item", "id": "1", "created": created }));
        assert_eq!(of("1970-01-01T00:00:00+0000"), "item 1, built in");
        assert_eq!(
            of("2026-11-26T02:00:00+0000"),
            "item 1, made 2026-11-26T02:00:00+0000"
        );
    }

    #[test]
    fn seconds_are_a_number_with_or_without_their_unit() {
        assert_eq!(seconds("10s"), Ok(10));
        assert_eq!(seconds("30"), Ok(30));
        for wrong in ["0", "31", "10m", "", "s", "-1"] {
            assert!(seconds(wrong).unwrap_err().contains("from 1 to 30"), "{wrong}");
        }
    }
}
