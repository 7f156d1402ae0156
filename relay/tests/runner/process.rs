//! The real program, as an operator runs it: started, asked nonsense, stopped, killed.

use crate::replica::{PATIENCE, Replica};
use driftline_core::base::id::DocumentId;
use driftline_core::doc::value::Value;
use std::io::{BufRead as _, BufReader, Read as _};
use std::path::Path;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};
use tempfile::TempDir;

const NOTE: DocumentId = DocumentId([9; 16]);
/// How often the relay is killed.
const KILLS: u8 = 20;
/// Longest time that `driftline relay` takes to stop, as its help promises.
const STOP_TIME_MAX: Duration = Duration::from_secs(10);

pub(crate) fn driftline() -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_driftline"));
    for (name, _) in std::env::vars().filter(|(name, _)| name.starts_with("DRIFTLINE_")) {
        command.env_remove(name);
    }
    command
}

/// A relay in a process of its own.
pub(crate) struct Process {
    pub(crate) child: Child,
    greeting: String,
}

impl Process {
    pub(crate) fn start(data: &Path) -> Self {
        Self::spawn(driftline().args(["relay", "--listen", "127.0.0.1:0", "--log", "warn", "--data"]).arg(data))
    }

    pub(crate) fn spawn(command: &mut Command) -> Self {
        let mut child = command.stdout(Stdio::piped()).spawn().unwrap();
        let mut lines = BufReader::new(child.stdout.as_mut().unwrap()).lines();
        let mut greeting = String::new();
        while !greeting.contains("  stop ") {
            let line = lines.next().expect("the relay greets before it ends").unwrap();
            greeting += &format!("{line}\n");
        }
        Self { child, greeting }
    }

    pub(crate) fn told(&self, what: &str) -> &str {
        let line = self.greeting.lines().find_map(|line| line.trim_start().strip_prefix(what));
        line.unwrap_or_else(|| panic!("{what} in {}", self.greeting)).trim()
    }

    pub(crate) fn signal(&self, name: &str) {
        let sent = Command::new("kill").args([&format!("-{name}"), &self.child.id().to_string()]).status().unwrap();
        assert!(sent.success());
    }

    pub(crate) fn ended(&mut self, within: Duration) -> ExitStatus {
        let since = Instant::now();
        loop {
            if let Some(status) = self.child.try_wait().unwrap() {
                return status;
            }
            assert!(since.elapsed() < within, "the relay did not end within {within:?}");
            std::thread::sleep(Duration::from_millis(5));
        }
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        // It has mostly ended already.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Runs the program to its end; answers its exit code and what it said on both.
pub(crate) fn run(command: &mut Command) -> (i32, String) {
    let output = command.output().unwrap();
    let said = String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr);
    (output.status.code().unwrap_or(-1), said)
}

/// A stream of numbers in no pattern, the same each time.
pub(crate) fn scatter(seed: &mut u64) -> u64 {
    *seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
    *seed >> 33
}

#[tokio::test(flavor = "multi_thread")]
async fn killed_twenty_times_while_someone_writes_it_loses_nothing_it_acknowledged() {
    let data = TempDir::new().unwrap();
    let mut seed = 7;
    // For each round, how far its writer counted and heard that the relay had saved it.
    let mut acknowledged: Vec<i64> = Vec::new();
    let mut in_the_middle = 0;
    for round in 0..KILLS {
        let mut process = Process::start(data.path());
        // Nobody but the relay remembers the rounds before.
        let mut replica = Replica::dialling(round, process.told("sync")).await;
        replica.open(NOTE).await;
        for (before, number) in acknowledged.iter().enumerate() {
            replica.number_at_least(NOTE, &format!("round {before}"), *number).await;
        }

        let key = format!("round {round}");
        let (mut written, mut saved_up_to) = (0, 0);
        let bursts = 1 + scatter(&mut seed) % 10;
        for burst in 1..=bursts {
            for _ in 0..=scatter(&mut seed) % 20 {
                written += 1;
                replica.put(NOTE, &key, Value::Int(written));
            }
            if burst < bursts {
                replica.saved(NOTE, |saved| saved.relays == 1).await;
                saved_up_to = written;
            }
        }
        // Every other kill is at once: a busy machine may take so long to wake this up that all has been saved.
        if round % 2 == 0 {
            tokio::time::sleep(Duration::from_micros(scatter(&mut seed) % 20_000)).await;
        }
        process.signal("KILL");
        process.ended(PATIENCE);
        // The last burst may have been acknowledged, or be lost.
        let (saved, number) = replica.saved_and_number(NOTE, &key).await;
        acknowledged.push(if saved.relays == 1 { number } else { saved_up_to });
        in_the_middle += u32::from(saved.relays != 1);
        replica.host.shutdown().await;
    }
    assert!(in_the_middle > 0, "no kill hit a write");
}

#[tokio::test(flavor = "multi_thread")]
async fn told_to_stop_it_says_goodbye_keeps_everything_and_exits_with_0() {
    let data = TempDir::new().unwrap();
    for (round, signal) in [(1, "TERM"), (2, "INT")] {
        let mut process = Process::start(data.path());
        let mut replica = Replica::dialling(round, process.told("sync")).await;
        replica.open(NOTE).await;
        for number in 1..=200 {
            replica.put(NOTE, signal, Value::Int(number));
        }
        replica.saved(NOTE, |saved| saved.relays == 1).await;
        process.signal(signal);
        let status = process.ended(STOP_TIME_MAX);
        assert_eq!(status.code(), Some(0), "after SIG{signal}");
        assert!(!data.path().join("driftline.sqlite-wal").exists(), "the database alone is the store");
        replica.host.shutdown().await;

        let again = Process::start(data.path());
        let mut late = Replica::dialling(100 + round, again.told("sync")).await;
        late.open(NOTE).await;
        late.number_at_least(NOTE, signal, 200).await;
        late.host.shutdown().await;
    }
}

#[test]
fn what_is_wrong_with_the_command_line_is_said_in_a_sentence() {
    let folder = TempDir::new().unwrap();
    let file = folder.path().join("relay.toml");
    let cases: [(&[&str], &str, i32, &[&str]); 8] = [
        (&["--listen", "nowhere"], "", 2, &["--listen", "nowhere"]),
        (&["--lissen", "127.0.0.1:0"], "", 2, &["--lissen", "--listen"]),
        (&["--frame-bytes-max", "lots"], "", 2, &["lots", "16MiB"]),
        (&["--frame-bytes-max", "4KiB"], "", 2, &["too small", "1MiB"]),
        (&["--memory-max", "100MiB", "--connections-max", "5000"], "", 2, &["--memory-max", "5000 connections", "at least"]),
        (&["--config", "FILE"], "connections-maximum = 5\n", 2, &["connections-maximum", "relay.toml"]),
        (&["--config", "FILE"], "listen = 8080\n", 2, &["listen", "relay.toml"]),
        (&["--web", "/nowhere"], "", 2, &["/nowhere", "cargo xtask demo"]),
    ];
    for (arguments, contents, code, words) in cases {
        std::fs::write(&file, contents).unwrap();
        let arguments = arguments.iter().map(|argument| argument.replace("FILE", &file.display().to_string()));
        let (ended, said) = run(driftline().arg("relay").args(arguments).args(["--data"]).arg(folder.path().join("data")));
        assert_eq!(ended, code, "{said}");
        for word in words {
            assert!(said.contains(word), "\"{word}\" in: {said}");
        }
    }
    let (code, help) = run(driftline().args(["relay", "--help"]));
    assert_eq!(code, 0);
    for word in ["DRIFTLINE_LISTEN", "Examples:", "driftline relay --config", "Exit codes:", "SIGTERM", "are not counted"] {
        assert!(help.contains(word), "{word} in {help}");
    }
}

#[test]
fn a_flag_comes_before_the_environment_before_the_file_before_the_default() {
    let folder = TempDir::new().unwrap();
    let path = |name: &str| folder.path().join(name);
    std::fs::write(path("relay.toml"), format!("listen = \"127.0.0.1:0\"\nlog = \"warn\"\ndata = {:?}\n", path("of-file")))
        .unwrap();
    let with_file = || {
        let mut command = driftline();
        command.args(["relay", "--config"]).arg(path("relay.toml"));
        command
    };
    let data = |process: Process| process.told("data").to_owned();
    assert_eq!(data(Process::spawn(&mut with_file())), path("of-file").display().to_string());
    assert_eq!(data(Process::spawn(with_file().env("DRIFTLINE_DATA", path("of-env")))), path("of-env").display().to_string());
    let both = data(Process::spawn(with_file().env("DRIFTLINE_DATA", path("of-env")).arg("--data").arg(path("of-flag"))));
    assert_eq!(both, path("of-flag").display().to_string());
}

#[test]
fn an_address_or_a_folder_that_is_taken_is_said_and_has_its_own_exit_code() {
    let folder = TempDir::new().unwrap();
    let first = Process::start(folder.path());
    let address = first.told("sync").trim_start_matches("ws://").trim_end_matches("/sync").to_owned();
    let (code, said) = run(driftline().args(["relay", "--listen", &address, "--data"]).arg(folder.path().join("other")));
    assert!(code == 6 && said.contains(&address) && said.contains("--listen"), "{code}: {said}");
    let (code, said) = run(driftline().args(["relay", "--listen", "127.0.0.1:0", "--data"]).arg(folder.path()));
    assert!(code == 6 && said.contains("in use") && said.contains(&folder.path().display().to_string()), "{code}: {said}");
}

#[test]
fn logs_can_be_read_by_machines() {
    let folder = TempDir::new().unwrap();
    let mut command = driftline();
    command.args(["relay", "--listen", "127.0.0.1:0", "--log-format", "json", "--data"]).arg(folder.path());
    let mut process = Process::spawn(command.stderr(Stdio::piped()));
    process.signal("TERM");
    process.ended(STOP_TIME_MAX);
    let mut logs = String::new();
    process.child.stderr.take().unwrap().read_to_string(&mut logs).unwrap();
    let lines: Vec<serde_json::Value> = logs.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert!(lines.iter().any(|line| line["fields"]["message"] == "ready" && line["level"] == "INFO"), "{logs}");
}
