//! `cargo xtask demo`: from a clean checkout to the notes demo in a browser.

use crate::job::{Running, on_path};
use crate::repository::Repository;
use crate::stamp::Stamp;
use crate::{browser, npm, wasm};
use anyhow::{Context as _, Result, bail};
use lexopt::prelude::*;
use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::process::ExitCode;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

/// The demo's npm package, and where its build lies.
pub(crate) const PACKAGE: &str = "web-demo";
const BUILT: &str = "web-demo/dist";
/// Where the relay listens when nothing is said and the port is free.
const PORT_USUAL: u16 = 8080;
/// How long the relay may take to answer, and to end.
const START_TIME_MAX: Duration = Duration::from_secs(30);
const STOP_TIME_MAX: Duration = Duration::from_secs(10);

/// `cargo xtask demo`
pub(crate) fn command(repository: &Repository, mut arguments: lexopt::Parser) -> Result<ExitCode> {
    let (mut port, mut open, mut check) = (None, true, false);
    while let Some(argument) = arguments.next()? {
        match argument {
            Long("port") => port = Some(arguments.value()?.parse()?),
            Long("no-open") => open = false,
            Long("check") => check = true,
            other => return Err(other.unexpected().into()),
        }
    }
    let began = Instant::now();
    repository.say("Driftline's notes demo. The first build takes a few minutes, later ones seconds.\n");
    repository.say("[1/3] The engine for the browser, and the npm package around it");
    wasm::build(repository)?;
    repository.say("[2/3] The notes demo");
    build(repository)?;
    repository.say("[3/3] The relay");
    // Without optimisation: it is there in a fraction of the time, and fast enough for a house full of people.
    repository.cargo(&["build", "--package", "driftline-relay", "--bin", "driftline"]).run()?;
    repository.say(&format!("Built in {:.0} s.", began.elapsed().as_secs_f64()));

    let address = address(port)?;
    if check { converge(repository, address) } else { serve(repository, address, open) }
}

/// Builds the demo if it or the npm package has changed.
pub(crate) fn build(repository: &Repository) -> Result<()> {
    let stamp = Stamp::of(repository, "demo", &[PACKAGE], &wasm::state(repository))?;
    if stamp.is_fresh(&[repository.path(BUILT).join("index.html")]) {
        return Ok(());
    }
    npm::script(repository, PACKAGE, "build")?;
    stamp.set()
}

/// The address asked for, or the usual one, or any that is free.
fn address(port: Option<u16>) -> Result<SocketAddr> {
    let at = |port| SocketAddr::from(([127, 0, 0, 1], port));
    if let Some(port) = port {
        TcpListener::bind(at(port)).with_context(|| format!("port {port} is not free; choose another with --port"))?;
        return Ok(at(port));
    }
    match TcpListener::bind(at(PORT_USUAL)) {
        Ok(_) => Ok(at(PORT_USUAL)),
        Err(_) => Ok(TcpListener::bind(at(0)).context("there is no free port")?.local_addr()?),
    }
}

fn start_relay(repository: &Repository, address: SocketAddr, data: &str) -> Result<Running> {
    let program = repository.binary("debug", "driftline").to_string_lossy().into_owned();
    let listen = address.to_string();
    let built = repository.path(BUILT).to_string_lossy().into_owned();
    let mut relay = repository
        .program(&program, &["relay", "--listen", &listen, "--data", data, "--web", &built, "--log", "warn"])
        .start()?;
    let began = Instant::now();
    while !answers(address) {
        if let Some(status) = relay.ended()? {
            bail!("the relay ended at once ({status}); what it said is above");
        }
        if began.elapsed() > START_TIME_MAX {
            bail!("the relay did not answer within {} s", START_TIME_MAX.as_secs());
        }
        std::thread::sleep(Duration::from_millis(50));
    }
    Ok(relay)
}

fn answers(address: SocketAddr) -> bool {
    let ask = || -> std::io::Result<bool> {
        let mut connection = TcpStream::connect_timeout(&address, Duration::from_secs(1))?;
        connection.set_read_timeout(Some(Duration::from_secs(1)))?;
        write!(connection, "GET /readyz HTTP/1.1\r\nHost: {address}\r\nConnection: close\r\n\r\n")?;
        let mut head = [0; 12];
        connection.read_exact(&mut head)?;
        Ok(&head == b"HTTP/1.1 200")
    };
    ask().unwrap_or(false)
}

/// Serves until someone presses Ctrl-C.
fn serve(repository: &Repository, address: SocketAddr, open: bool) -> Result<ExitCode> {
    let stop = Arc::new(AtomicBool::new(false));
    let asked = Arc::clone(&stop);
    ctrlc::set_handler(move || asked.store(true, Ordering::SeqCst))?;
    let data = repository.target.join("demo-data");
    let mut relay = start_relay(repository, address, &data.to_string_lossy())?;
    let url = format!("http://{address}/");
    println!("\n  Open {url} in two windows and write in both. Let one work offline,");
    println!("  go on writing in both, and let it back online.\n");
    if open {
        open_browser(repository, &url);
    }
    while !stop.load(Ordering::SeqCst) {
        if let Some(status) = relay.ended()? {
            bail!("the relay has ended ({status}); what it said is above");
        }
        std::thread::sleep(Duration::from_millis(100));
    }
    println!("\nStopping.");
    relay.stop(STOP_TIME_MAX)?;
    Ok(ExitCode::SUCCESS)
}

/// Shows the address in the browser of whoever sits in front of this machine; says nothing where nobody does.
fn open_browser(repository: &Repository, url: &str) {
    let has_screen = std::env::var_os("DISPLAY").is_some() || std::env::var_os("WAYLAND_DISPLAY").is_some();
    let opener = match std::env::consts::OS {
        "macos" => Some(("open", vec![url])),
        "windows" => Some(("cmd", vec!["/C", "start", url])),
        _ if has_screen && on_path("xdg-open") => Some(("xdg-open", vec![url])),
        _ => None,
    };
    if let Some((program, arguments)) = opener {
        // That no browser opens is no failure: the address is on the screen.
        let _ = repository.program(program, &arguments).read();
    }
}

/// Proves the demo: two browsers without windows that converge on a note.
fn converge(repository: &Repository, address: SocketAddr) -> Result<ExitCode> {
    let chromium = browser::chromium(repository)?;
    npm::install(repository, browser::PACKAGE)?;
    let data = std::env::temp_dir().join(format!("driftline-demo-check-{}", std::process::id()));
    let checked = start_relay(repository, address, &data.to_string_lossy()).and_then(|relay| {
        repository
            .program("node", &["check-demo.mjs", &format!("http://{address}/")])
            .in_folder(browser::PACKAGE)
            .env("CHROMIUM", chromium)
            .run()?;
        relay.stop(STOP_TIME_MAX)
    });
    let _ = std::fs::remove_dir_all(&data);
    checked?;
    Ok(ExitCode::SUCCESS)
}
