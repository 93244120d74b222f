// SPDX-License-Identifier: Apache-2.0
//! nftables: loads a script as one transaction, lists a table, and knows by one message whether anybody wrote since.

use crate::KernelError;
use crate::netlink::{self, Attributes, Request, Socket, Until};
use crate::program::run;

/// `NFNL_SUBSYS_NFTABLES` and `NFT_MSG_GETGEN`, `NFT_MSG_NEWGEN`, `NFTA_GEN_ID` of linux/netfilter/nf_tables.h.
const GET_GENERATION: u16 = (10 << 8) | 16;
pub(crate) const NEW_GENERATION: u16 = (10 << 8) | 15;
pub(crate) const GENERATION_ID: u16 = 1;

/// Runs a script of nft commands as one transaction: all of it takes effect at one moment, or nothing.
///
/// # Errors
/// nft's own words, with the place in the script.
pub fn load(script: &str) -> Result<(), KernelError> {
    run(&["nft", "-f", "-"], script).map(drop)
}

/// The table `family name` (such as `ip outgate`) as nft prints it: numeric, without counters. `None` if there is no
/// such table.
///
/// # Errors
/// When nft cannot be run or refuses.
pub fn list(family: &str, table: &str) -> Result<Option<String>, KernelError> {
    absent_is_none(run(&["nft", "-n", "-s", "list", "table", family, table], ""))
}

/// Every table, in the same form.
///
/// # Errors
/// When nft cannot be run or refuses.
pub fn list_all() -> Result<String, KernelError> {
    run(&["nft", "-n", "-s", "list", "ruleset"], "")
}

/// Every table without its sets' elements, each rule with its handle: the words behind a trace.
///
/// # Errors
/// When nft cannot be run or refuses.
pub fn list_rules_with_handles() -> Result<String, KernelError> {
    run(&["nft", "-n", "-s", "-t", "-a", "list", "ruleset"], "")
}

/// One table as JSON, libnftables' schema.
///
/// # Errors
/// When nft cannot be run or refuses.
pub fn list_json(family: &str, table: &str) -> Result<Option<String>, KernelError> {
    absent_is_none(run(
        &["nft", "-j", "-n", "-s", "list", "table", family, table],
        "",
    ))
}

/// One table as JSON, libnftables' schema, with what its counters have counted.
///
/// # Errors
/// When nft cannot be run or refuses.
pub fn list_counters(family: &str, table: &str) -> Result<Option<String>, KernelError> {
    absent_is_none(run(&["nft", "-j", "-n", "list", "table", family, table], ""))
}

/// The named counters of one table as JSON, libnftables' schema. Costs by their number only.
///
/// # Errors
/// When nft cannot be run or refuses.
pub fn list_named_counters(family: &str, table: &str) -> Result<Option<String>, KernelError> {
    absent_is_none(run(
        &["nft", "-j", "-n", "list", "counters", "table", family, table],
        "",
    ))
}

/// One set of a table as JSON, libnftables' schema, with what its counters have counted.
///
/// # Errors
/// When nft cannot be run or refuses.
pub fn list_set(family: &str, table: &str, set: &str) -> Result<Option<String>, KernelError> {
    absent_is_none(run(&["nft", "-j", "-n", "list", "set", family, table, set], ""))
}

fn absent_is_none(listed: Result<String, KernelError>) -> Result<Option<String>, KernelError> {
    match listed {
        Ok(text) => Ok(Some(text)),
        Err(KernelError::Refused { reason, .. }) if reason.contains("No such file or directory") => Ok(None),
        Err(error) => Err(error),
    }
}

/// The number of the ruleset's generation in this network namespace: rises by one with each committed transaction, of
/// whoever (iptables-nft's too). Equal numbers mean that nobody wrote anything in between.
///
/// # Errors
/// When the kernel refuses or its answer cannot be understood.
pub fn generation() -> Result<u32, KernelError> {
    const DOING: &str = "asking for the ruleset's generation";
    let socket = Socket::open(netlink::NETFILTER)?;
    socket.send(Request::netfilter(GET_GENERATION, 0, 0), DOING)?;
    let mut found = None;
    socket.receive(DOING, Until::First, |message| {
        if message.kind == NEW_GENERATION {
            found = Attributes(message.attributes())
                .find(GENERATION_ID)
                .and_then(netlink::be32);
        }
        Ok(())
    })?;
    found.ok_or_else(|| KernelError::Garbled {
        doing: DOING.to_owned(),
        reason: "no generation in it".to_owned(),
    })
}
