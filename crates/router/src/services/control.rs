// SPDX-License-Identifier: Apache-2.0
//! haproxy's master process, spoken to on its socket: whether a worker serves, what it knows of its members, and what
//! they have done so far.

use std::io::{self, Read, Write};
use std::net::Shutdown;
use std::os::unix::net::UnixStream;
use std::time::{Duration, Instant};

use outgate_model::RouterSpec;
use outgate_model::host::{LbMemberStatistics, LbStatistics};
use outgate_plan::plan::{HAPROXY_SOCKET, HAPROXY_STATE};

use crate::RouterError;

/// How long one answer may take.
const ANSWER: Duration = Duration::from_secs(2);
/// No answer is longer: 10,000 members at some 500 bytes.
const ANSWER_MAX: u64 = 8 << 20;
/// What a worker that knows nothing tells its successor: the version of the form, and nothing.
const NO_STATE: &str = "1\n";

/// What the master says of itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Master {
    /// How often it has read its configuration anew.
    pub(super) reloads: u64,
    /// How often in a row that failed.
    pub(super) failed: u64,
    /// Whether a worker serves the newest configuration.
    pub(super) serves: bool,
}

/// Asks the master; it closes the connection after its answer to the last question.
fn ask(socket: &str, question: &str) -> io::Result<String> {
    let mut stream = UnixStream::connect(socket)?;
    stream.set_read_timeout(Some(ANSWER))?;
    stream.set_write_timeout(Some(ANSWER))?;
    stream.write_all(question.as_bytes())?;
    stream.write_all(b"\n")?;
    stream.shutdown(Shutdown::Write)?;
    let mut answer = String::new();
    stream.take(ANSWER_MAX).read_to_string(&mut answer)?;
    Ok(answer)
}

/// What the master says of itself; `None` while it does not answer, which it does not in the middle of a reload.
pub(super) fn master(socket: &str) -> Option<Master> {
    read_master(&ask(socket, "show proc").ok()?)
}

/// Whether a worker serves the newest configuration.
pub(crate) fn serves() -> bool {
    master(HAPROXY_SOCKET).is_some_and(|master| master.serves)
}

fn read_master(answer: &str) -> Option<Master> {
    let mut master = None;
    let mut workers = false;
    for line in answer.lines() {
        workers = match line {
            "# workers" => true,
            line if line.starts_with("# ") => false,
            _ => workers,
        };
        let mut words = line.split_whitespace().skip(1);
        match (words.next(), words.next()) {
            (Some("master"), Some(reloads)) => {
                let failed = line.split_once("failed: ")?.1.split(']').next()?;
                master = Some(Master {
                    reloads: reloads.parse().ok()?,
                    failed: failed.parse().ok()?,
                    serves: false,
                });
            }
            (Some("worker"), Some("0")) if workers => {
                if let Some(master) = &mut master {
                    master.serves = true;
                }
            }
            _ => {}
        }
    }
    master
}

/// Waits until `is_so` of the master; `None` when `deadline` came first.
pub(super) fn wait_for(
    socket: &str,
    deadline: Instant,
    mut is_so: impl FnMut(Option<Master>) -> bool,
) -> Option<()> {
    loop {
        if is_so(master(socket)) {
            return Some(());
        }
        if Instant::now() >= deadline {
            return None;
        }
        std::thread::sleep(Duration::from_millis(5));
    }
}

/// Keeps what the worker knows of its members' health for its successor, which would else take each for healthy. Where
/// there is no worker yet, that is nothing.
pub(super) fn keep_state(socket: &str) -> io::Result<()> {
    let state = ask(socket, "@1 show servers state").unwrap_or_default();
    let text = if state.starts_with(NO_STATE) {
        state.as_str()
    } else {
        NO_STATE
    };
    std::fs::write(HAPROXY_STATE, text)
}

/// What haproxy has balanced since its worker started. Nothing when `spec` balances nothing.
///
/// # Errors
/// When it gives no answer that can be read.
pub fn statistics(spec: &RouterSpec) -> Result<Vec<LbStatistics>, RouterError> {
    let mut balancers = spec.public.addresses.iter().flat_map(|a| &a.load_balancers);
    if balancers.all(|balancer| balancer.members.is_empty()) {
        return Ok(Vec::new());
    }
    let failed = |e: &dyn std::fmt::Display| RouterError::failed("reading haproxy's statistics", e);
    // In the middle of a reload the master does not answer.
    let deadline = Instant::now() + ANSWER;
    loop {
        match ask(HAPROXY_SOCKET, "@1 show stat") {
            Ok(answer) => {
                let statistics = read_statistics(&answer);
                return statistics.ok_or_else(|| failed(&"it gave an answer of another form"));
            }
            Err(error) if Instant::now() >= deadline => return Err(failed(&error)),
            Err(_) => std::thread::sleep(Duration::from_millis(20)),
        }
    }
}

/// haproxy's CSV: its first line names the columns, then a line for each frontend, server and backend.
fn read_statistics(answer: &str) -> Option<Vec<LbStatistics>> {
    let mut lines = answer.lines();
    let columns: Vec<&str> = lines.next()?.strip_prefix("# ")?.split(',').collect();
    let place = |name| columns.iter().position(|column| *column == name);
    let (proxy, server, status) = (place("pxname")?, place("svname")?, place("status")?);
    let numbers = [
        place("scur")?,
        place("stot")?,
        place("bin")?,
        place("bout")?,
        place("econ")?,
    ];
    let mut all: Vec<LbStatistics> = Vec::new();
    for line in lines.filter(|line| !line.is_empty()) {
        let words: Vec<&str> = line.split(',').collect();
        let word = |at: usize| words.get(at).copied().unwrap_or_default();
        let [sessions, total, received, sent, errors] = numbers.map(|at| word(at).parse().unwrap_or(0));
        let Ok(rule) = word(proxy).parse() else { continue };
        match word(server) {
            "FRONTEND" => all.push(LbStatistics {
                rule,
                sessions,
                total_sessions: total,
                bytes_in: received,
                bytes_out: sent,
                members: Vec::new(),
            }),
            "BACKEND" => {}
            member => {
                let of = all.iter_mut().find(|one| one.rule == rule)?;
                of.members.push(LbMemberStatistics {
                    address: member.parse().ok()?,
                    healthy: word(status).starts_with("UP") || word(status) == "no check",
                    status: word(status).to_owned(),
                    sessions,
                    total_sessions: total,
                    bytes_in: received,
                    bytes_out: sent,
                    connection_errors: errors,
                });
            }
        }
    }
    Some(all)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_master_tells_how_often_it_read_its_configuration_and_whether_a_worker_serves_it() {
        let head = "#<PID>  <type>  <reloads>  <uptime>  <version>\n";
        let fresh = format!(
            "{head}15 master 2 [failed: 0] 0d00h 2.6\n# workers\n34 worker 0 0d00h 2.6\n# programs\n\n"
        );
        let serves = Master {
            reloads: 2,
            failed: 0,
            serves: true,
        };
        assert_eq!(read_master(&fresh), Some(serves));
        let failed = format!(
            "{head}15 master 3 [failed: 1] 0d00h 2.6\n# workers\n34 worker 1 0d00h 2.6\n# old workers\n30 worker 0 x\n"
        );
        let failed = read_master(&failed).unwrap();
        assert_eq!((failed.failed, failed.serves), (1, false));
        assert_eq!(read_master("Unknown command"), None);
    }

    #[test]
    fn statistics_are_read_by_the_names_of_their_columns() {
        let id = "00000000-0000-4000-8000-000000000060";
        let csv = format!(
            "# pxname,svname,qcur,qmax,scur,smax,slim,stot,bin,bout,dreq,dresp,ereq,econ,eresp,wretr,wredis,status,weight\n\
             {id},FRONTEND,,,1,2,4000,9,100,200,0,0,0,,,,,OPEN,\n\
             {id},10.1.1.5,0,0,1,1,,5,60,120,,0,,2,0,0,0,UP 1/3,1\n\
             {id},10.1.1.6,0,0,0,1,,4,40,80,,0,,0,0,0,0,DOWN,1\n\
             {id},BACKEND,0,0,1,2,400,9,100,200,0,0,,0,0,0,0,UP,2\n\n"
        );
        let all = read_statistics(&csv).unwrap();
        assert_eq!(all.len(), 1);
        assert_eq!(
            (all[0].sessions, all[0].total_sessions, all[0].bytes_out),
            (1, 9, 200)
        );
        let members: Vec<_> = all[0]
            .members
            .iter()
            .map(|m| (m.total_sessions, m.healthy, m.connection_errors))
            .collect();
        assert_eq!(members, [(5, true, 2), (4, false, 0)]);
        assert_eq!(read_statistics("no such thing"), None);
    }
}
