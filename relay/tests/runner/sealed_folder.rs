//! A search of all that a real relay came to see of a folder in a sealed space: its store, its logs, and what was sent to and by it. The
//! same search of a folder in an owned space that is not sealed finds things of every kind, or it would mean nothing.

use crate::owned::{Device, PATIENCE};
use crate::process::{Process, driftline};
use driftline_core::base::id::{DocumentId, SpaceId, to_hex};
use sha2::{Digest as _, Sha256};
use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::Path;
use std::process::{Child, Stdio};
use std::sync::{Arc, Mutex};
use std::time::Instant;
use tempfile::TempDir;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};

/// How often everything is written to.
const ROUNDS: usize = 6;
/// What people are called, and files.
const NAMES: [&str; 2] = ["Leocadia Winterbottom", "Ferdinand Quackenbush"];
const FILES: [&str; 4] =
    ["Harbour minutes of May.md", "letters/To Wilhelmina.txt", "letters/Sluice gate.png", "Ottoline's photograph.jpeg"];
const RENAMED: [&str; 2] = ["Harbour minutes of June.md", "Palimpsest.md"];

/// Everything that is sent through it, as it is on the wire but for the masks of WebSocket.
#[derive(Clone)]
struct Tap {
    seen: Arc<Mutex<Vec<u8>>>,
    url: String,
}

impl Tap {
    async fn to(relay: &str) -> Self {
        let relay = relay.strip_prefix("ws://").unwrap().split('/').next().unwrap().to_owned();
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("ws://{}/sync", listener.local_addr().unwrap());
        let seen = Arc::new(Mutex::new(Vec::new()));
        let all = Arc::clone(&seen);
        tokio::spawn(async move {
            while let Ok((client, _)) = listener.accept().await {
                let Ok(relay) = TcpStream::connect(&relay).await else { continue };
                let ((from_client, to_client), (from_relay, to_relay)) = (client.into_split(), relay.into_split());
                tokio::spawn(pass(from_client, to_relay, Arc::clone(&all)));
                tokio::spawn(pass(from_relay, to_client, Arc::clone(&all)));
            }
        });
        Self { seen, url }
    }
}

/// Passes on what comes, and keeps it.
async fn pass(mut from: tokio::net::tcp::OwnedReadHalf, mut to: tokio::net::tcp::OwnedWriteHalf, seen: Arc<Mutex<Vec<u8>>>) {
    let (mut bytes, mut stream) = (vec![0; 64 * 1024], Vec::new());
    while let Ok(count @ 1..) = from.read(&mut bytes).await {
        stream.extend_from_slice(&bytes[..count]);
        if to.write_all(&bytes[..count]).await.is_err() {
            break;
        }
    }
    seen.lock().unwrap().extend(unmasked(&stream));
}

/// What a stream of WebSocket says (RFC 6455, section 5.2), with the request before it.
fn unmasked(stream: &[u8]) -> Vec<u8> {
    let begin = stream.windows(4).position(|four| four == b"\r\n\r\n").map_or(stream.len(), |at| at + 4);
    let (mut plain, mut rest) = (stream[..begin].to_vec(), &stream[begin..]);
    while let [_, second, after @ ..] = rest {
        let (length, after) = match second & 0x7f {
            126 if after.len() >= 2 => (usize::from(u16::from_be_bytes(*after.first_chunk().unwrap())), &after[2..]),
            127 if after.len() >= 8 => (u64::from_be_bytes(*after.first_chunk().unwrap()) as usize, &after[8..]),
            length => (usize::from(length), after),
        };
        let (mask, after) = match (second & 0x80 != 0, after.first_chunk::<4>()) {
            (true, Some(mask)) => (*mask, &after[4..]),
            _ => ([0; 4], after),
        };
        let length = length.min(after.len());
        plain.extend(after[..length].iter().zip(mask.iter().cycle()).map(|(byte, mask)| byte ^ mask));
        rest = &after[length..];
    }
    plain
}

/// `driftline peer` on a folder, in a process of its own.
struct Peer(Child);

impl Peer {
    fn start(folder: &Path, link: &str, name: &str) -> Self {
        let mut command = driftline();
        command.arg("peer").arg("--folder").arg(folder).args(["--join", link, "--note", name, "--no-lan"]);
        Self(command.stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap())
    }

    fn stop(mut self) {
        let told = std::process::Command::new("kill").args(["-TERM", &self.0.id().to_string()]).status().unwrap();
        assert!(told.success() && self.0.wait().unwrap().success());
    }
}

impl Drop for Peer {
    fn drop(&mut self) {
        // It has mostly ended already.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// Every file below a folder, but for the data directory.
fn files(folder: &Path) -> BTreeMap<String, Vec<u8>> {
    let mut files = BTreeMap::new();
    for entry in fs::read_dir(folder).unwrap().flatten() {
        let name = entry.file_name().into_string().unwrap();
        if entry.path().is_dir() {
            if name != ".driftline" {
                files.extend(self::files(&entry.path()).into_iter().map(|(below, bytes)| (format!("{name}/{below}"), bytes)));
            }
        } else if !name.starts_with(".driftline-") {
            files.insert(name, fs::read(entry.path()).unwrap_or_default());
        }
    }
    files
}

/// Waits until both folders hold this.
async fn both_hold(one: &Path, two: &Path, wanted: &BTreeMap<String, Vec<u8>>) {
    let since = Instant::now();
    while files(one) != *wanted || files(two) != *wanted {
        assert!(since.elapsed() < PATIENCE, "{:?} and {:?}", files(one).keys(), files(two).keys());
        tokio::time::sleep(std::time::Duration::from_millis(20)).await;
    }
}

/// What someone writes in a round: found nowhere else.
fn token(file: usize, round: usize) -> String {
    format!("tok{file}x{round}quinquereme")
}

/// What nobody but the members may come to see, by what it is.
#[derive(Default)]
struct Secrets(BTreeMap<Vec<u8>, &'static str>);

impl Secrets {
    fn add(&mut self, what: &'static str, secret: impl AsRef<[u8]>) {
        self.0.insert(secret.as_ref().to_vec(), what);
    }

    /// A file as it is at one time, by its parts, what they hold, and how each would be named openly.
    fn add_file(&mut self, path: &str, bytes: &[u8], space: &SpaceId) {
        for name in path.split('/').filter(|name| name.len() >= 8) {
            self.add("a name", name.rsplit_once('.').map_or(name, |(stem, _)| stem));
        }
        let digest = Sha256::digest(bytes);
        self.add("a digest", digest);
        self.add("a digest", to_hex(&digest));
        for piece in bytes.chunks(256 * 1024) {
            let piece = Sha256::new().chain_update(b"driftline chunk\0").chain_update(Sha256::digest(piece)).finalize();
            let owned =
                Sha256::new().chain_update(b"driftline owned file\0").chain_update(space.0).chain_update(piece).finalize();
            for named in [piece, owned] {
                let id = DocumentId(*named.first_chunk().unwrap());
                self.add("a piece", id.0);
                self.add("a piece", id.to_string());
                self.add("a piece", to_hex(&id.0));
            }
        }
    }

    /// How many of each kind stand in what was seen.
    fn found_in(&self, seen: &[u8]) -> BTreeMap<&'static str, usize> {
        let mut of_start: BTreeMap<[u8; 8], Vec<(&Vec<u8>, &'static str)>> = BTreeMap::new();
        for (secret, what) in &self.0 {
            of_start.entry(*secret.first_chunk().expect("all are longer")).or_default().push((secret, what));
        }
        let mut found = BTreeSet::new();
        for at in 0..seen.len().saturating_sub(7) {
            let start: [u8; 8] = *seen[at..].first_chunk().unwrap();
            let of_start = of_start.get(&start).into_iter().flatten();
            found.extend(of_start.filter(|(secret, _)| seen[at..].starts_with(secret)).copied());
        }
        let mut counts = BTreeMap::new();
        for (_, what) in found {
            *counts.entry(what).or_default() += 1;
        }
        counts
    }
}

/// Two write in a folder in a space of this kind; answers what was found of it in all that the relay came to see.
async fn search(kind: &str) -> BTreeMap<&'static str, usize> {
    let (data, log) = (TempDir::new().unwrap(), tempfile::NamedTempFile::new().unwrap());
    let mut relay = driftline();
    relay.args(["relay", "--listen", "127.0.0.1:0", "--log", "trace", "--data"]).arg(data.path());
    let mut relay = Process::spawn(relay.stderr(log.reopen().unwrap()));
    let tap = Tap::to(relay.told("sync")).await;
    let owner = Device::new(&tap.url);
    let space = owner.prints(&["space", "create", kind]).await;
    let link = owner.prints(&["share", "--write", "--space", &space]).await;
    let space: SpaceId = space.parse().unwrap();
    let (one, two) = (TempDir::new().unwrap(), TempDir::new().unwrap());
    let (one, two) = (one.path(), two.path());
    let mut secrets = Secrets::default();
    NAMES.iter().for_each(|name| secrets.add("a person", name));
    let mut wanted = BTreeMap::new();
    let peers = [Peer::start(one, &link, NAMES[0]), Peer::start(two, &link, NAMES[1])];
    let mut paths = FILES.map(str::to_owned);
    for round in 0..ROUNDS {
        if let Some(to) = RENAMED.get(round.wrapping_sub(2)) {
            let (folder, from) = (if round % 2 == 0 { one } else { two }, paths[0].clone());
            fs::rename(folder.join(&from), folder.join(to)).unwrap();
            let bytes = wanted.remove(&from).unwrap();
            wanted.insert((*to).to_owned(), bytes);
            paths[0] = (*to).to_owned();
            both_hold(one, two, &wanted).await;
        }
        for (number, path) in paths.iter().enumerate() {
            let folder = if (number + round) % 2 == 0 { one } else { two };
            let token = token(number, round);
            secrets.add("a word", &token);
            let bytes = match number {
                0 | 1 => [wanted.get(path).cloned().unwrap_or_default(), format!("{token}\n").into_bytes()].concat(),
                2 => [&[0][..], token.as_bytes()].concat(),
                _ => [vec![0], token.into_bytes().repeat(20_000)].concat(),
            };
            secrets.add_file(path, &bytes, &space);
            fs::create_dir_all(folder.join(path).parent().unwrap()).unwrap();
            fs::write(folder.join(path), &bytes).unwrap();
            wanted.insert(path.clone(), bytes);
        }
        both_hold(one, two, &wanted).await;
    }
    fs::remove_file(one.join(&paths[2])).unwrap();
    wanted.remove(&paths[2]);
    both_hold(one, two, &wanted).await;
    peers.into_iter().for_each(Peer::stop);
    relay.signal("TERM");
    relay.ended(PATIENCE);
    // Whoever passes on has read to the end by now, or soon will have.
    let since = Instant::now();
    while Arc::strong_count(&tap.seen) > 2 {
        assert!(since.elapsed() < PATIENCE, "a connection never ends");
        tokio::time::sleep(std::time::Duration::from_millis(10)).await;
    }
    let stored: Vec<u8> = files(data.path()).into_values().flatten().collect();
    let (logged, sent) = (fs::read(log.path()).unwrap(), tap.seen.lock().unwrap().clone());
    let sizes = [stored.len(), logged.len(), sent.len()];
    assert!(
        sizes[0] > 100_000 && sizes[1] > 200 && sizes[2] > 50_000,
        "{sizes:?} bytes in its store, its logs and what was sent"
    );
    let seen = [stored, logged, sent].concat();
    secrets.found_in(&seen)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_search_of_all_that_a_relay_came_to_see_of_a_sealed_folder_finds_no_word_name_digest_or_piece() {
    assert_eq!(search("--sealed").await, BTreeMap::new());
}

#[tokio::test(flavor = "multi_thread")]
async fn the_same_search_of_a_folder_that_is_not_sealed_finds_things_of_every_kind() {
    let found = search("--owned").await;
    // Larger changes travel deflated, and what a look at the folder takes together is one: of names it can be a single one.
    for (what, least) in [("a person", 1), ("a word", 4), ("a name", 1), ("a digest", 1), ("a piece", 4)] {
        assert!(found.get(what).is_some_and(|count| *count >= least), "of {what} at least {least}: {found:?}");
    }
}
