//! A bridge in a namespace of its own, and machines on it, each in another.

use anyhow::{Context as _, Result, bail};
use std::process::Command;
use std::sync::atomic::{AtomicU32, Ordering};

/// Where a machine is cut off.
#[derive(Clone, Copy)]
pub(super) enum Cut {
    /// Between the two: neither machine is told anything.
    Network,
    /// At the machine, which knows: its link is down.
    Machine,
}

/// Machines on one bridge. The network goes when this does.
pub(super) struct Wires {
    name: String,
    machines: usize,
}

impl Wires {
    /// What this machine lacks for it, as the end of a sentence.
    pub(super) fn missing() -> Option<&'static str> {
        if !cfg!(target_os = "linux") {
            return Some("only Linux has them");
        }
        let probe = format!("driftline-probe-{}", std::process::id());
        match ip(&["netns", "add", &probe]) {
            Ok(()) => ip(&["netns", "del", &probe]).err().map(|_| "`ip netns` does not work here"),
            Err(_) => Some("`ip netns add` does not work here: it takes iproute2 and root"),
        }
    }

    /// The address of a machine.
    pub(super) fn address(machine: usize) -> String {
        format!("10.77.0.{}", machine + 1)
    }

    /// Lays wires for so many machines.
    pub(super) fn lay(machines: usize) -> Result<Self> {
        static NETWORKS: AtomicU32 = AtomicU32::new(0);
        let name = format!("driftline-{}-{}", std::process::id(), NETWORKS.fetch_add(1, Ordering::Relaxed));
        let wires = Self { name, machines };
        let hub = wires.hub();
        ip(&["netns", "add", &hub])?;
        ip(&["-n", &hub, "link", "add", "hub", "type", "bridge"])?;
        ip(&["-n", &hub, "link", "set", "hub", "up"])?;
        for machine in 0..machines {
            let (space, port) = (wires.namespace(machine), port(machine));
            ip(&["netns", "add", &space])?;
            ip(&["-n", &space, "link", "set", "lo", "up"])?;
            ip(&["-n", &hub, "link", "add", &port, "type", "veth", "peer", "name", "lan", "netns", &space])?;
            ip(&["-n", &hub, "link", "set", &port, "master", "hub", "up"])?;
            let address = format!("{}/24", Self::address(machine));
            ip(&["-n", &space, "address", "add", &address, "dev", "lan"])?;
            ip(&["-n", &space, "link", "set", "lan", "up"])?;
        }
        Ok(wires)
    }

    /// Cuts a machine off.
    pub(super) fn cut(&self, machine: usize, cut: Cut) -> Result<()> {
        match cut {
            Cut::Network => ip(&["-n", &self.hub(), "link", "set", &port(machine), "nomaster"]),
            Cut::Machine => ip(&["-n", &self.namespace(machine), "link", "set", "lan", "down"]),
        }
    }

    /// Plugs it in again.
    pub(super) fn heal(&self, machine: usize, cut: Cut) -> Result<()> {
        match cut {
            Cut::Network => ip(&["-n", &self.hub(), "link", "set", &port(machine), "master", "hub"]),
            Cut::Machine => ip(&["-n", &self.namespace(machine), "link", "set", "lan", "up"]),
        }
    }

    /// A command that runs on a machine.
    pub(super) fn on(&self, machine: usize, program: &std::path::Path) -> Command {
        let mut command = Command::new("ip");
        command.args(["netns", "exec", &self.namespace(machine)]).arg(program);
        command
    }

    fn hub(&self) -> String {
        format!("{}-hub", self.name)
    }

    fn namespace(&self, machine: usize) -> String {
        format!("{}-{machine}", self.name)
    }
}

impl Drop for Wires {
    fn drop(&mut self) {
        for machine in 0..self.machines {
            // Some may not have come to be.
            drop(ip(&["netns", "del", &self.namespace(machine)]));
        }
        drop(ip(&["netns", "del", &self.hub()]));
    }
}

/// The bridge's end of a machine's wire.
fn port(machine: usize) -> String {
    format!("port{machine}")
}

pub(super) fn ip(arguments: &[&str]) -> Result<()> {
    let shown = arguments.join(" ");
    let output = Command::new("ip").args(arguments).output().with_context(|| format!("`ip {shown}` could not be started"))?;
    if !output.status.success() {
        bail!("`ip {shown}` failed: {}", String::from_utf8_lossy(&output.stderr).trim());
    }
    Ok(())
}
