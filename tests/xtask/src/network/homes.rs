//! Homes on an internet of their own: each machine is behind a router that translates addresses and lets in only what was asked for.
//!
//! The internet is a bridge in a namespace, with a machine at an address of its own that everyone reaches. A home is two namespaces more: a router with nftables, and a
//! machine behind it.

use super::wires::ip;
use crate::job::on_path;
use crate::repository::Repository;
use anyhow::{Context as _, Result, bail};
use std::io::Write as _;
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};

/// How a router names what leaves it.
#[derive(Clone, Copy)]
pub(super) enum Router {
    /// By the same port to whomever it goes, as most do: who knows the port can be met there.
    Alike,
    /// By a port of its own for each that it goes to, drawn at random: nobody can tell where to meet.
    Apart,
}

/// An internet with one machine, and two homes on it. It goes when this does.
pub(super) struct Homes {
    name: String,
}

impl Homes {
    /// What this machine lacks for it, as the end of a sentence. Installs what can be installed without asking anyone.
    pub(super) fn missing(repository: &Repository) -> Result<Option<String>> {
        let is_root = || repository.program("id", &["-u"]).read().is_ok_and(|id| id.trim() == "0");
        if !on_path("nft") && Path::new("/etc/debian_version").exists() && on_path("apt-get") && is_root() {
            repository.say("Installing nftables with apt-get, for the routers of the network tests");
            let update = repository.program("apt-get", &["update", "-qq"]).run();
            let install = repository
                .program("apt-get", &["install", "-y", "-qq", "--no-install-recommends", "nftables"])
                .env("DEBIAN_FRONTEND", "noninteractive")
                .run();
            if let Err(error) = update.and(install) {
                return Ok(Some(format!("nftables cannot be installed: {error:#}")));
            }
        }
        if !on_path("nft") {
            return Ok(Some(
                "there is no `nft`: install nftables (on Debian or Ubuntu `sudo apt-get install nftables`)".to_owned(),
            ));
        }
        // The kernel may have no tables, or not translate.
        let homes = Self::new();
        ip(&["netns", "add", &homes.hub()])?;
        let tried = homes.nft(&homes.hub(), &rules(Router::Apart));
        Ok(tried.err().map(|error| format!("this kernel's nftables cannot do what a router does: {error:#}")))
    }

    fn new() -> Self {
        static NETWORKS: AtomicU32 = AtomicU32::new(0);
        Self { name: format!("driftline-{}-homes{}", std::process::id(), NETWORKS.fetch_add(1, Ordering::Relaxed)) }
    }

    /// Builds two homes with such routers.
    pub(super) fn build(router: Router) -> Result<Self> {
        let homes = Self::new();
        let hub = homes.hub();
        ip(&["netns", "add", &hub])?;
        ip(&["-n", &hub, "link", "add", "hub", "type", "bridge"])?;
        ip(&["-n", &hub, "link", "set", "hub", "up"])?;
        homes.plug_in(&homes.middle(), "middle", &format!("{}/24", Self::MIDDLE))?;
        for home in 0..2 {
            let (outside, inside) = (homes.router(home), homes.machine(home));
            homes.plug_in(&outside, &format!("home{home}"), &format!("203.0.113.{}/24", 10 + home))?;
            ip(&["netns", "add", &inside])?;
            ip(&["-n", &inside, "link", "set", "lo", "up"])?;
            ip(&["-n", &outside, "link", "add", "home", "type", "veth", "peer", "name", "lan", "netns", &inside])?;
            ip(&["-n", &outside, "address", "add", &format!("10.8{home}.0.1/24"), "dev", "home"])?;
            ip(&["-n", &outside, "link", "set", "home", "up"])?;
            ip(&["-n", &inside, "address", "add", &format!("10.8{home}.0.2/24"), "dev", "lan"])?;
            ip(&["-n", &inside, "link", "set", "lan", "up"])?;
            ip(&["-n", &inside, "route", "add", "default", "via", &format!("10.8{home}.0.1")])?;
            ip(&["netns", "exec", &outside, "sh", "-c", "echo 1 > /proc/sys/net/ipv4/ip_forward"])?;
            homes.nft(&outside, &rules(router))?;
        }
        Ok(homes)
    }

    /// The address of the machine that everyone reaches.
    pub(super) const MIDDLE: &str = "203.0.113.1";

    /// A command that runs on the machine that everyone reaches.
    pub(super) fn in_the_middle(&self, program: &Path) -> Command {
        self.on(&self.middle(), program)
    }

    /// A command that runs at home.
    pub(super) fn at(&self, home: usize, program: &Path) -> Command {
        self.on(&self.machine(home), program)
    }

    /// From now on a router lets nothing out to the other home.
    pub(super) fn wall(&self, home: usize) -> Result<()> {
        let other = format!("203.0.113.{}", 10 + (1 - home));
        self.nft(&self.router(home), &format!("insert rule ip router through ip daddr {other} drop\n"))
    }

    fn on(&self, namespace: &str, program: &Path) -> Command {
        let mut command = Command::new("ip");
        command.args(["netns", "exec", namespace]).arg(program);
        command
    }

    /// Makes a namespace that is on the internet.
    fn plug_in(&self, namespace: &str, port: &str, address: &str) -> Result<()> {
        let hub = self.hub();
        ip(&["netns", "add", namespace])?;
        ip(&["-n", namespace, "link", "set", "lo", "up"])?;
        ip(&["-n", &hub, "link", "add", port, "type", "veth", "peer", "name", "net", "netns", namespace])?;
        ip(&["-n", &hub, "link", "set", port, "master", "hub", "up"])?;
        ip(&["-n", namespace, "address", "add", address, "dev", "net"])?;
        ip(&["-n", namespace, "link", "set", "net", "up"])
    }

    fn nft(&self, namespace: &str, rules: &str) -> Result<()> {
        let mut command = Command::new("ip");
        command.args(["netns", "exec", namespace, "nft", "-f", "-"]);
        command.stdin(Stdio::piped()).stdout(Stdio::null()).stderr(Stdio::piped());
        let mut child = command.spawn().context("`nft` could not be started")?;
        child.stdin.take().context("it was piped")?.write_all(rules.as_bytes())?;
        let output = child.wait_with_output()?;
        if !output.status.success() {
            bail!("`nft` failed: {}", String::from_utf8_lossy(&output.stderr).trim());
        }
        Ok(())
    }

    fn hub(&self) -> String {
        format!("{}-hub", self.name)
    }

    fn middle(&self) -> String {
        format!("{}-middle", self.name)
    }

    fn router(&self, home: usize) -> String {
        format!("{}-router{home}", self.name)
    }

    fn machine(&self, home: usize) -> String {
        format!("{}-{home}", self.name)
    }
}

impl Drop for Homes {
    fn drop(&mut self) {
        for namespace in [self.machine(0), self.machine(1), self.router(0), self.router(1), self.middle(), self.hub()] {
            // Some may not have come to be.
            drop(ip(&["netns", "del", &namespace]));
        }
    }
}

/// What a router does: what comes from outside unasked goes nowhere, without an answer, and what leaves bears the router's address.
fn rules(router: Router) -> String {
    let ports = match router {
        Router::Alike => "",
        Router::Apart => "random,fully-random",
    };
    format!(
        "table ip router {{
            chain through {{ type filter hook forward priority 0; policy drop; iifname \"home\" accept; ct state established,related accept; }}
            chain to {{ type filter hook input priority 0; policy accept; iifname \"net\" ct state new drop; }}
            chain out {{ type nat hook postrouting priority 100; oifname \"net\" masquerade {ports}; }}
        }}\n"
    )
}
