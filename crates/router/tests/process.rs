// SPDX-License-Identifier: Apache-2.0
//! A whole router as a process of its own, spoken to over its control socket as a host does.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    reason = "a test's helpers may panic too"
)]

mod support;

use std::path::Path;
use std::time::Duration;

use nix::sys::signal::Signal;
use outgate_kernel::namespace::{Spawned, spawn};
use outgate_model::RouterSpec;
use outgate_model::host::{HostEvent, Run};
use outgate_router::client::RouterEvents;
use outgate_router::{RouterClient, RouterError, ServeOptions, serve};
use outgate_testkit::{Namespace, poll_until};
use support::{add_forward, spec, with_forwards};

const LIMIT: Duration = Duration::from_secs(60);

/// Not a test: what [`Router::start`] runs, this very program, as process 1 of a router.
#[test]
fn the_router_process() {
    let Ok(dir) = std::env::var("OUTGATE_TEST_DIR") else {
        return;
    };
    let id = serde_json::from_str(&std::env::var("OUTGATE_TEST_ID").unwrap()).unwrap();
    serve(&ServeOptions {
        dir: dir.into(),
        id,
        name: "r-1-VM".to_owned(),
        boot: 3,
    })
    .unwrap();
}

struct Router {
    process: Spawned,
    wires: Vec<Namespace>,
    client: RouterClient,
}

impl Router {
    async fn start(dir: &Path, spec: &RouterSpec) -> Self {
        let program = std::env::current_exe().unwrap();
        let argv = [
            program.to_str().unwrap(),
            "the_router_process",
            "--exact",
            "--nocapture",
        ];
        let id = serde_json::to_string(&spec.id).unwrap();
        let environment = [
            ("OUTGATE_TEST_DIR", dir.to_str().unwrap()),
            ("OUTGATE_TEST_ID", &id),
        ];
        let process = spawn(&argv.map(str::to_owned), &environment, &dir.join("process.log")).unwrap();
        let mut others = Vec::new();
        for n in 0..3 {
            let other = Namespace::new().await.unwrap();
            plug(&other, n, spec, &process).await;
            others.push(other);
        }
        let client = RouterClient::new(dir);
        let answers = || async { client.observe().await.ok() };
        poll_until(LIMIT, "the router answers", answers).await.unwrap();
        Self {
            process,
            wires: others,
            client,
        }
    }

    async fn run(&self, command: &str) -> String {
        let argv = command.split(' ').map(str::to_owned).collect();
        let output = self
            .client
            .run(&Run {
                argv,
                timeout_millis: 60_000,
            })
            .await
            .unwrap();
        assert_eq!(
            output.code,
            Some(0),
            "{command}: {}{}",
            output.stdout,
            output.stderr
        );
        output.stdout
    }

    async fn log_says(&self, words: &str) {
        let says = || async {
            self.run("cat /var/log/cloud.log")
                .await
                .contains(words)
                .then_some(())
        };
        poll_until(LIMIT, words, says).await.unwrap();
    }
}

/// Waits for the event of a repair of what these words say.
async fn repaired(events: &mut RouterEvents, words: &str) {
    loop {
        let event = tokio::time::timeout(LIMIT, events.next()).await.expect(words);
        let Some(HostEvent::Drift {
            differences, error, ..
        }) = event.unwrap()
        else {
            panic!("{words}")
        };
        assert_eq!(error, None, "{words}");
        if differences.iter().any(|d| d.contains(words)) {
            return;
        }
    }
}

impl Drop for Router {
    fn drop(&mut self) {
        let _ = self.process.process.signal(Signal::SIGKILL);
    }
}

async fn plug(other: &Namespace, n: usize, spec: &RouterSpec, router: &Spawned) {
    use outgate_kernel::link::{Veth, VethEnd};
    use std::os::fd::AsFd;
    let mac = [spec.guest_networks[0].mac, spec.control.mac, spec.public.mac][n];
    let name = format!("eth{n}");
    let links = other.links().unwrap();
    let veth = Veth {
        near: VethEnd {
            name: "far",
            mac: None,
        },
        master: None,
        far: VethEnd {
            name: &name,
            mac: Some(mac),
        },
        namespace: Some(router.network.as_fd()),
        mtu: 1_500,
    };
    links.add_veth(&veth).await.unwrap();
    links.set_up("far").await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_router_waits_for_its_first_spec_then_is_it_and_says_so() {
    let dir = tempfile::tempdir().unwrap();
    let spec = spec();
    let router = Router::start(dir.path(), &spec).await;
    let status = router.client.observe().await.unwrap();
    assert_eq!((status.id, status.boot, status.generation), (spec.id, 3, None));
    assert!(
        router.client.verify().await.is_err(),
        "there is nothing to verify yet"
    );

    let applied = router.client.apply(&spec).await.unwrap();
    assert!(!applied.changes.is_empty());
    assert_eq!(
        router.client.apply(&spec).await.unwrap().changes,
        Vec::<String>::new()
    );
    let status = router.client.observe().await.unwrap();
    assert_eq!(
        (status.generation, status.differences, status.error),
        (Some(1), Vec::new(), None)
    );
    for check in router.client.verify().await.unwrap() {
        assert!(check.pass, "{check:?}");
    }
    assert_eq!(router.run("hostname").await.trim(), "r-1-VM");
    assert!(
        router
            .run("cat /proc/1/cmdline")
            .await
            .contains("the_router_process"),
        "it is process 1"
    );
    let lo = router.run("ip link show lo").await;
    assert!(lo.contains(",UP"), "{lo}");
    router.log_says("applied generation 1").await;

    let mut other = spec.clone();
    other.id = outgate_model::id::RouterId::new();
    assert!(matches!(
        router.client.apply(&other).await,
        Err(RouterError::BadSpec { .. })
    ));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn drift_is_repaired_without_anyone_asking_and_told_and_logged() {
    let dir = tempfile::tempdir().unwrap();
    let spec = with_forwards(3);
    let router = Router::start(dir.path(), &spec).await;
    router.client.apply(&spec).await.unwrap();
    let mut events = router.client.events().await.unwrap();
    for (command, words) in [
        ("nft flush ruleset", "table ip outgate is missing"),
        (
            "sysctl -w net.ipv4.ip_forward=0",
            "sysctl net.ipv4.ip_forward is 0, should be 1",
        ),
        (
            "ip address del 203.0.113.10/24 dev eth2",
            "address 203.0.113.10/24 is missing on eth2",
        ),
        ("iptables -t nat -F", "iptables rule is missing"),
        ("pkill -9 -x sshd", "sshd does not run"),
        ("pkill -9 -x dnsmasq", "dnsmasq does not run"),
    ] {
        let started = std::time::Instant::now();
        router.run(command).await;
        repaired(&mut events, words).await;
        println!("{command}: repaired after {:?}", started.elapsed());
        router.log_says(words).await;
    }
    let fine = || async {
        router
            .client
            .observe()
            .await
            .unwrap()
            .differences
            .is_empty()
            .then_some(())
    };
    poll_until(LIMIT, "no differences are left", fine).await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_cannot_be_repaired_is_told_once_and_not_tried_without_end() {
    let dir = tempfile::tempdir().unwrap();
    let spec = spec();
    let router = Router::start(dir.path(), &spec).await;
    router.client.apply(&spec).await.unwrap();
    let mut events = router.client.events().await.unwrap();
    router.run("ip link set eth2 down").await;
    router.run("ip link set eth2 name wan").await;
    loop {
        let event = tokio::time::timeout(LIMIT, events.next()).await.unwrap().unwrap();
        let Some(HostEvent::Drift { error, .. }) = event else {
            panic!("the router ended")
        };
        if error.as_deref() == Some("Interface eth2 not found") {
            break;
        }
    }
    router.log_says("ERROR Interface eth2 not found").await;
    let mut late = router.client.events().await.unwrap();
    let event = tokio::time::timeout(LIMIT, late.next()).await.unwrap().unwrap();
    assert!(
        matches!(event, Some(HostEvent::Drift { error: Some(_), .. })),
        "told to who listens later"
    );
    let attempts = router
        .run("cat /var/log/cloud.log")
        .await
        .matches("Interface eth2 not found")
        .count();
    assert!(attempts <= 3, "{attempts} lines");
    router.run("ip link set wan name eth2").await;
    let fine = || async {
        router
            .client
            .observe()
            .await
            .unwrap()
            .error
            .is_none()
            .then_some(())
    };
    poll_until(LIMIT, "it is repaired", fine).await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_router_whose_engine_or_whole_process_was_killed_is_what_it_was() {
    let dir = tempfile::tempdir().unwrap();
    let mut spec = with_forwards(3);
    let router = Router::start(dir.path(), &spec).await;
    router.client.apply(&spec).await.unwrap();
    add_forward(&mut spec, 80, 80);
    spec.generation = 2;
    router.client.apply(&spec).await.unwrap();
    let key = router.run("ssh-keygen -y -f /etc/ssh/ssh_host_ed25519_key").await;

    let engine = router.run("pgrep -P 1 -f the_router_process").await;
    let _ = router
        .client
        .run(&Run {
            argv: vec!["kill".into(), "-9".into(), engine.trim().into()],
            timeout_millis: 1_000,
        })
        .await;
    let again = || async {
        router
            .client
            .observe()
            .await
            .ok()
            .filter(|s| s.generation == Some(2))
            .map(drop)
    };
    poll_until(LIMIT, "the engine is back", again).await.unwrap();
    router.log_says("resumed generation 2").await;
    spec.generation = 3;
    router.client.apply(&spec).await.unwrap();
    let mut events = router.client.events().await.unwrap();
    for _ in 0..2 {
        router.run("nft flush ruleset").await;
        repaired(&mut events, "table ip outgate is missing").await;
    }
    let log = router.run("cat /var/log/cloud.log").await;
    assert_eq!(log.matches("resumed generation").count(), 1, "{log}");

    drop(router);
    let router = Router::start(dir.path(), &spec).await;
    let again = || async {
        router
            .client
            .observe()
            .await
            .ok()
            .filter(|s| s.generation == Some(3))
            .map(drop)
    };
    poll_until(LIMIT, "the router is back", again).await.unwrap();
    assert!(
        router
            .run("nft list map ip outgate port_forward")
            .await
            .contains("203.0.113.10 . tcp . 80")
    );
    assert_eq!(
        router.run("ssh-keygen -y -f /etc/ssh/ssh_host_ed25519_key").await,
        key,
        "one host key for its life"
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_truncated_spec_file_is_refused_with_a_message_and_never_read_as_empty() {
    let dir = tempfile::tempdir().unwrap();
    let spec = with_forwards(3);
    let whole = serde_json::to_string(&spec).unwrap();
    std::fs::write(dir.path().join("spec.json"), &whole[..whole.len() / 2]).unwrap();
    let router = Router::start(dir.path(), &spec).await;
    let said = || async { router.client.observe().await.unwrap().error };
    let error = poll_until(LIMIT, "it says what is wrong", said).await.unwrap();
    assert!(
        error.contains("spec.json") && error.contains("not read as empty"),
        "{error}"
    );
    let mut events = router.client.events().await.unwrap();
    let event = tokio::time::timeout(LIMIT, events.next()).await.unwrap().unwrap();
    assert!(matches!(event, Some(HostEvent::Drift { error: Some(_), .. })));
    router.log_says("not read as empty").await;
    assert_eq!(
        std::fs::read_to_string(dir.path().join("spec.json"))
            .unwrap()
            .len(),
        whole.len() / 2,
        "it is kept"
    );
    router.client.apply(&spec).await.unwrap();
    assert_eq!(router.client.observe().await.unwrap().error, None);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_spec_that_could_not_be_written_down_is_never_reported_as_applied() {
    let dir = tempfile::tempdir().unwrap();
    let spec = spec();
    let router = Router::start(dir.path(), &spec).await;
    let in_the_way = dir.path().join("spec.json.new");
    std::fs::create_dir(&in_the_way).unwrap();
    for attempt in 0..3 {
        let error = router.client.apply(&spec).await.expect_err("it is not on disk");
        assert!(error.to_string().contains("spec.json"), "{attempt}: {error}");
    }
    std::fs::remove_dir(&in_the_way).unwrap();
    // By itself too, without anyone asking.
    let kept = || async { dir.path().join("spec.json").exists().then_some(()) };
    poll_until(LIMIT, "it is written down", kept).await.unwrap();
    router.client.apply(&spec).await.unwrap();
    assert_eq!(router.client.observe().await.unwrap().error, None);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nothing_of_the_machine_is_changed() {
    let files = [
        "/etc/passwd",
        "/etc/shadow",
        "/etc/hostname",
        "/etc/hosts",
        "/etc/resolv.conf",
    ];
    let before = files.map(|f| std::fs::read(f).ok());
    let mounts = std::fs::read_to_string("/proc/self/mounts").unwrap();
    let dir = tempfile::tempdir().unwrap();
    let spec = spec();
    let router = Router::start(dir.path(), &spec).await;
    router.client.apply(&spec).await.unwrap();
    assert!(router.run("getent passwd root").await.starts_with("root:x:0:0:"));
    assert!(
        router
            .run("cat /root/.ssh/authorized_keys")
            .await
            .contains(&spec.ssh.authorized_keys[0])
    );
    assert_eq!(
        router
            .run("stat -L -c %a /root/.ssh/authorized_keys")
            .await
            .trim(),
        "600"
    );
    let listening = router.run("ss -Hltn").await;
    assert!(listening.contains("169.254.1.2:3922"), "{listening}");
    assert_eq!(files.map(|f| std::fs::read(f).ok()), before);
    assert_eq!(std::fs::read_to_string("/proc/self/mounts").unwrap(), mounts);
    assert!(!Path::new("/run/outgate-vr").exists());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_texts_commands_work_over_ssh_on_the_control_side_and_only_with_the_key() {
    let dir = tempfile::tempdir().unwrap();
    let key = dir.path().join("id_rsa.cloud");
    let key = key.to_str().unwrap();
    let made = std::process::Command::new("ssh-keygen")
        .args(["-q", "-t", "ed25519", "-N", "", "-f", key])
        .status();
    assert!(made.unwrap().success());
    let mut spec = spec();
    spec.ssh.authorized_keys = vec![
        std::fs::read_to_string(format!("{key}.pub"))
            .unwrap()
            .trim()
            .to_owned(),
    ];
    let router = Router::start(dir.path(), &spec).await;
    router.client.apply(&spec).await.unwrap();
    let host = &router.wires[1];
    host.address("far", "169.254.0.1/16".parse().unwrap())
        .await
        .unwrap();
    let options =
        "-F /dev/null -p 3922 -o StrictHostKeyChecking=no -o UserKnownHostsFile=/dev/null -o BatchMode=yes";
    let ssh = |more: &str, command: &str| {
        let line = format!("ssh {options} {more} root@169.254.1.2");
        host.run(&line.split(' ').chain([command]).collect::<Vec<_>>())
            .unwrap()
    };
    let says = |command: &str| {
        let output = ssh(&format!("-i {key}"), command);
        assert!(
            output.status.success(),
            "{command}: {}",
            String::from_utf8_lossy(&output.stderr)
        );
        String::from_utf8(output.stdout).unwrap()
    };
    let up = || async { ssh(&format!("-i {key}"), "true").status.success().then_some(()) };
    poll_until(LIMIT, "sshd answers", up).await.unwrap();
    assert!(says("ip addr show eth2").contains("inet 203.0.113.10/24"));
    assert!(says("iptables -t nat -S POSTROUTING").contains("-o eth2 -j SNAT --to-source 203.0.113.10"));
    assert_eq!(
        says("sysctl net.ipv4.ip_forward").trim(),
        "net.ipv4.ip_forward = 1"
    );
    assert!(says("conntrack -C").trim().parse::<u32>().is_ok());
    assert!(says("tail -n 1 /var/log/cloud.log").contains("20"));
    let terminal = ssh(&format!("-tt -i {key}"), "tty");
    assert!(
        String::from_utf8_lossy(&terminal.stdout).contains("/dev/pts/"),
        "{terminal:?}"
    );
    assert!(
        !ssh("-i /dev/null", "true").status.success(),
        "not without the key"
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn process_1_reaps_whatever_is_left_to_it() {
    let dir = tempfile::tempdir().unwrap();
    let router = Router::start(dir.path(), &spec()).await;
    let script = "for n in 1 2 3 4 5; do sleep 0.0$n & done; exec true";
    let argv = ["sh", "-c", script].map(str::to_owned).to_vec();
    router
        .client
        .run(&Run {
            argv,
            timeout_millis: 5_000,
        })
        .await
        .unwrap();
    let reaped = || async {
        let processes = router.run("ps -eo stat,comm").await;
        (!processes.contains("sleep")).then_some(())
    };
    poll_until(LIMIT, "no sleep and no zombie is left", reaped)
        .await
        .unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn requests_that_are_none_get_an_answer_and_do_no_harm() {
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    let dir = tempfile::tempdir().unwrap();
    let router = Router::start(dir.path(), &spec()).await;
    for line in [
        "\n",
        "{}\n",
        "{\"apply\":{}}\n",
        "\"no such request\"\n",
        "[[[[[[[[\n",
        "\u{0}\u{ff}\n",
    ] {
        let mut stream = tokio::net::UnixStream::connect(dir.path().join("control.sock"))
            .await
            .unwrap();
        stream.write_all(line.as_bytes()).await.unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).await.unwrap();
        assert!(
            answer.starts_with("{\"failed\":{") && answer.contains("reading a request"),
            "{line:?}: {answer}"
        );
    }
    assert!(router.client.observe().await.is_ok());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_engine_killed_while_it_applies_leaves_nothing_half_done() {
    let dir = tempfile::tempdir().unwrap();
    let mut spec = with_forwards(500);
    let router = Router::start(dir.path(), &spec).await;
    router.client.apply(&spec).await.unwrap();
    for (round, millis) in [1, 7, 15, 30].into_iter().enumerate() {
        let round = u16::try_from(round).unwrap();
        let engine = router.run("pgrep -P 1 -f the_router_process").await;
        add_forward(&mut spec, 100 + round, 80);
        spec.public.addresses[0].port_forwarding.remove(0);
        spec.generation += 1;
        let (client, sent) = (router.client.clone(), spec.clone());
        let applying = tokio::spawn(async move { client.apply(&sent).await });
        tokio::time::sleep(Duration::from_millis(millis)).await;
        let argv = ["kill", "-9", engine.trim()].map(str::to_owned).to_vec();
        let _ = router
            .client
            .run(&Run {
                argv,
                timeout_millis: 1_000,
            })
            .await;
        let _ = applying.await;
        let back = || async {
            router
                .client
                .observe()
                .await
                .ok()
                .filter(|s| s.generation.is_some())
                .map(drop)
        };
        poll_until(LIMIT, "the engine is back", back).await.unwrap();
        router.client.apply(&spec).await.unwrap();
        let status = router.client.observe().await.unwrap();
        assert_eq!(
            (status.generation, status.differences),
            (Some(spec.generation), Vec::new())
        );
        let map = router.run("nft -n list map ip outgate port_forward").await;
        assert_eq!(
            map.matches(" : 10.1.1.11 . ").count(),
            500,
            "none lost, none doubled"
        );
    }
}
