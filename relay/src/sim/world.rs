//! Peers that find each other through a few of them, settle, and then spread a rumour while things go wrong.

use super::model::{Model, Packet};
use super::network::{DIAL_FAILS_MS, Network};
use super::outcome::{Outcome, Overlay, Sent};
use super::queue::Queue;
use super::scenario::Scenario;
use driftline_core::base::id::{ConnectionId, PeerId};
use driftline_core::base::rng::Rng;
use driftline_core::gossip::book::Standing;
use driftline_core::gossip::membership::{Effect, Membership, MembershipConfig};
use driftline_core::gossip::message::GossipMessage;
use driftline_core::gossip::rumour::RumourConfig;

/// Peers that one knows when it comes.
const SEEDS: usize = 3;
/// One in so many is known to others when they come, but three at least are.
const PEERS_PER_SEED: usize = 300;
/// Milliseconds in which a hundred peers come, once the first ten seconds are over.
const JOIN_MS_PER_HUNDRED: u64 = 20;
/// Milliseconds from when the last peer has come until the rumour starts.
const SETTLE_MS: u64 = 60_000;
/// Milliseconds in which those fall silent who do.
const CHURN_MS: u64 = 5_000;
/// Milliseconds after which they come back, at least and at most.
const AWAY_MS: (u64, u64) = (5_000, 20_000);
/// Milliseconds after the last fault in which all must hold the rumour.
const PATIENCE_MS: u64 = 300_000;
/// Events between two words on how far it is.
const PROGRESS_EVENTS: u64 = 500_000;

/// How far a run is.
#[derive(Clone, Copy, Debug)]
pub struct Progress {
    /// Milliseconds of the made-up clock.
    pub now_ms: u64,
    /// Peers that are there.
    pub here: usize,
    /// Of these, who lack the rumour; nothing before it starts.
    pub lacking: Option<usize>,
}

#[derive(Debug)]
enum Event {
    Join(u32),
    Leave(u32),
    /// A peer may have something to do.
    Wake(u32),
    /// A dial arrives.
    Dialled {
        from: u32,
        life: u32,
        to: u32,
    },
    /// A dial led nowhere.
    DialFailed {
        from: u32,
        life: u32,
        to: u32,
    },
    /// A dial led to a connection.
    Opened {
        link: u32,
    },
    /// A message arrives at an end of a connection.
    Arrived {
        link: u32,
        end: usize,
        message: Message,
    },
    /// The other side has closed a connection, on purpose or because nobody is there who knows it.
    Closed {
        link: u32,
        end: usize,
        on_purpose: bool,
    },
    /// The rumour starts.
    Start,
    /// The halves are one again.
    Heal,
    /// All push.
    Round,
}

#[derive(Debug)]
enum Message {
    Gossip(Box<GossipMessage>),
    Rumour(Packet),
}

struct Node {
    membership: Membership,
    model: Model,
    is_up: bool,
    life: u32,
    /// When it is woken next.
    wake_ms: u64,
    /// Since when it could hold the rumour.
    since_ms: u64,
    /// How long it then took, and when that was.
    waited_ms: Option<(u64, u64)>,
    hops: u32,
}

/// The world.
pub struct World {
    scenario: Scenario,
    now_ms: u64,
    queue: Queue<Event>,
    network: Network,
    nodes: Vec<Node>,
    rng: Rng,
    here: usize,
    started_ms: Option<u64>,
    lacking: usize,
    faults_end_ms: u64,
    rounds: u64,
    sent: Sent,
}

impl World {
    /// A world in which nothing has happened yet.
    pub fn new(scenario: Scenario) -> Self {
        let mut seed = [0; 32];
        seed[..8].copy_from_slice(&scenario.seed.to_le_bytes());
        let mut rng = Rng::new(seed);
        let mut network = Network::new(&scenario, rng.bytes());
        network.is_lossy = true;
        let mut world = Self {
            now_ms: 0,
            queue: Queue::default(),
            network,
            nodes: Vec::with_capacity(scenario.peers),
            here: 0,
            started_ms: None,
            lacking: 0,
            faults_end_ms: 0,
            rounds: 0,
            sent: Sent::default(),
            scenario,
            rng,
        };
        for _ in 0..world.scenario.peers {
            let membership = Membership::new(PeerId(world.rng.bytes()), MembershipConfig::default(), world.rng.bytes(), 0);
            let model = Model::new(world.rumour_config(), world.rng.bytes(), 0);
            let node =
                Node { membership, model, is_up: false, life: 0, wake_ms: u64::MAX, since_ms: 0, waited_ms: None, hops: 0 };
            world.nodes.push(node);
        }
        world.plan();
        world
    }

    fn rumour_config(&self) -> RumourConfig {
        RumourConfig { fanout: self.scenario.fanout, round_ms: self.scenario.round_ms, ..RumourConfig::default() }
    }

    /// How many peers are known to others when they come.
    fn seeds(&self) -> usize {
        (self.scenario.peers / PEERS_PER_SEED).clamp(SEEDS, 1_000).min(self.scenario.peers)
    }

    /// Who comes and goes when, and when the rumour starts.
    fn plan(&mut self) {
        let peers = self.scenario.peers as u64;
        let join_ms = 10_000 + peers / 100 * JOIN_MS_PER_HUNDRED;
        for peer in 0..self.scenario.peers {
            let at_ms = if peer < self.seeds() { 0 } else { 1 + self.rng.below(join_ms) };
            self.queue.push(at_ms, Event::Join(peer as u32));
        }
        let start_ms = join_ms + SETTLE_MS;
        self.queue.push(start_ms, Event::Start);
        self.faults_end_ms = start_ms;
        if self.scenario.partition_ms > 0 {
            self.faults_end_ms = start_ms + self.scenario.partition_ms;
            self.queue.push(self.faults_end_ms, Event::Heal);
        }
        for peer in self.seeds()..self.scenario.peers {
            if self.rng.below(100) < self.scenario.churn_percent {
                let leaves_ms = start_ms + 1 + self.rng.below(CHURN_MS);
                let comes_ms = leaves_ms + AWAY_MS.0 + self.rng.below(AWAY_MS.1 - AWAY_MS.0);
                self.queue.push(leaves_ms, Event::Leave(peer as u32));
                self.queue.push(comes_ms, Event::Join(peer as u32));
                self.faults_end_ms = self.faults_end_ms.max(comes_ms);
            }
        }
    }

    /// Lives until all hold the rumour, or until that takes too long.
    pub fn run(mut self, told: &mut dyn FnMut(Progress)) -> Outcome {
        let mut events = 0u64;
        let mut overlay = Overlay::default();
        while let Some((now_ms, event)) = self.queue.pop() {
            self.now_ms = now_ms;
            if matches!(event, Event::Start) {
                overlay = self.overlay();
            }
            self.happen(event);
            events += 1;
            if events.is_multiple_of(PROGRESS_EVENTS) {
                told(Progress { now_ms, here: self.here, lacking: self.started_ms.map(|_| self.lacking) });
            }
            let is_calm = self.started_ms.is_some() && now_ms >= self.faults_end_ms;
            if is_calm && (self.lacking == 0 || now_ms > self.faults_end_ms + PATIENCE_MS) {
                break;
            }
        }
        self.outcome(overlay)
    }

    fn outcome(self, overlay: Overlay) -> Outcome {
        let started_ms = self.started_ms.unwrap_or(self.now_ms);
        let (mut waits, mut heard): (Vec<u64>, Vec<u64>) = self.nodes.iter().filter_map(|node| node.waited_ms).unzip();
        waits.sort_unstable();
        heard.sort_unstable();
        let quantile = |of: &[u64], share: f64| {
            let at = ((of.len() as f64 * share).ceil() as usize).clamp(1, of.len().max(1)) - 1;
            of.get(at).copied().unwrap_or(0)
        };
        Outcome {
            converged: self.lacking == 0,
            lacking: self.lacking,
            time_ms: self.now_ms - started_ms,
            after_faults_ms: self.now_ms.saturating_sub(self.faults_end_ms),
            wait_ms: [0.5, 0.99, 1.0].map(|share| quantile(&waits, share)),
            spread_ms: (1..=20).map(|part| quantile(&heard, f64::from(part) / 20.0).saturating_sub(started_ms)).collect(),
            rounds: self.scenario.lockstep.then_some(self.rounds),
            rounds_in_theory: self.scenario.rounds_in_theory(),
            hops: self.nodes.iter().map(|node| node.hops).max().unwrap_or(0),
            sent: self.sent,
            overlay,
            scenario: self.scenario,
        }
    }

    fn happen(&mut self, event: Event) {
        let now_ms = self.now_ms;
        match event {
            Event::Join(peer) => self.on_join(peer),
            Event::Leave(peer) => self.on_leave(peer),
            Event::Wake(peer) => {
                let node = &mut self.nodes[peer as usize];
                if node.is_up && node.wake_ms == now_ms {
                    node.wake_ms = u64::MAX;
                    if now_ms >= node.membership.next_deadline() {
                        node.membership.handle_time(now_ms);
                    }
                    self.settle(peer);
                }
            }
            Event::Dialled { from, life, to } => self.on_dialled(from, life, to),
            Event::DialFailed { from, life, to } => {
                let whom = self.nodes[to as usize].membership.peer_id();
                let node = &mut self.nodes[from as usize];
                if node.is_up && node.life == life {
                    node.membership.handle_dial_failed(now_ms, &whom);
                    self.settle(from);
                }
            }
            Event::Opened { link } => {
                let [from, to] = self.network.link(link).ends;
                if self.is_there(link, 0) {
                    self.network.set_open(link, 0, true);
                    let whom = self.nodes[to as usize].membership.peer_id();
                    let connection = ConnectionId(u64::from(link));
                    self.nodes[from as usize].membership.handle_connected(now_ms, connection, whom, true);
                    self.settle(from);
                }
            }
            Event::Arrived { link, end, message } => self.on_arrived(link, end, message),
            Event::Closed { link, end, on_purpose } => {
                if self.is_there(link, end) && self.network.link(link).open[end] {
                    self.network.set_open(link, end, false);
                    let peer = self.network.link(link).ends[end];
                    let membership = &mut self.nodes[peer as usize].membership;
                    let connection = ConnectionId(u64::from(link));
                    if on_purpose {
                        membership.handle_parted(now_ms, connection);
                    } else {
                        membership.handle_disconnected(now_ms, connection);
                    }
                    self.settle(peer);
                }
            }
            Event::Start => self.on_start(),
            Event::Heal => self.network.is_cut = false,
            Event::Round => {
                self.rounds += 1;
                for peer in 0..self.nodes.len() as u32 {
                    if self.nodes[peer as usize].is_up {
                        self.push(peer);
                    }
                }
                self.queue.push(now_ms + self.scenario.round_ms, Event::Round);
            }
        }
    }

    fn on_join(&mut self, peer: u32) {
        let among = self.seeds() as u64;
        let mut known: Vec<u32> = (0..SEEDS).map(|_| self.rng.below(among) as u32).collect();
        known.extend((peer < among as u32).then_some(0));
        let seeds: Vec<(PeerId, String)> =
            known.into_iter().map(|seed| (self.nodes[seed as usize].membership.peer_id(), address(seed))).collect();
        let (config, now_ms, seed, choices) = (self.rumour_config(), self.now_ms, self.rng.bytes(), self.rng.bytes());
        let node = &mut self.nodes[peer as usize];
        node.is_up = true;
        node.life += 1;
        let me = node.membership.peer_id();
        // Who comes back has stored whom it knew, and what it held.
        let old = std::mem::replace(&mut node.membership, Membership::new(me, MembershipConfig::default(), seed, now_ms));
        node.membership.handle_listening([address(peer)]);
        for (known, _, addresses) in old.book().own() {
            let addresses = addresses.iter().map(|address| address.to_string());
            node.membership.handle_found(now_ms, known, addresses, Standing::Met);
        }
        node.model = Model::new(config, choices, node.model.holds());
        for (seed, address) in seeds {
            node.membership.handle_found(now_ms, seed, [address], Standing::Configured);
        }
        node.since_ms = now_ms;
        self.here += 1;
        if self.started_ms.is_some() && self.nodes[peer as usize].model.holds() == 0 {
            self.lacking += 1;
        }
        self.settle(peer);
    }

    fn on_leave(&mut self, peer: u32) {
        let node = &mut self.nodes[peer as usize];
        node.is_up = false;
        node.wake_ms = u64::MAX;
        self.here -= 1;
        if node.model.holds() == 0 {
            self.lacking -= 1;
        }
    }

    fn on_start(&mut self) {
        self.started_ms = Some(self.now_ms);
        self.network.is_cut = self.scenario.partition_ms > 0;
        let origin = self.rng.below(self.nodes.len() as u64) as usize;
        for node in &mut self.nodes {
            node.since_ms = node.since_ms.max(self.now_ms);
        }
        self.lacking = self.here - 1;
        self.sent = Sent::default();
        self.nodes[origin].model.handle_fresh(self.now_ms, 0);
        if self.scenario.lockstep {
            self.queue.push(self.now_ms, Event::Round);
        }
        self.settle(origin as u32);
    }

    fn on_dialled(&mut self, from: u32, life: u32, to: u32) {
        let now_ms = self.now_ms;
        if self.network.is_cut_between(from, to) || !self.nodes[to as usize].is_up {
            return self.queue.push(now_ms + DIAL_FAILS_MS, Event::DialFailed { from, life, to });
        }
        let link = self.network.connect((from, life), (to, self.nodes[to as usize].life));
        let opened_ms = self.network.arrival_ms(now_ms, link, 0);
        self.queue.push(opened_ms, Event::Opened { link });
        let whom = self.nodes[from as usize].membership.peer_id();
        self.nodes[to as usize].membership.handle_connected(now_ms, ConnectionId(u64::from(link)), whom, false);
        self.settle(to);
    }

    /// Whether the peer at an end of a connection is there, in the life in which it was connected.
    fn is_there(&self, link: u32, end: usize) -> bool {
        let link = self.network.link(link);
        let node = &self.nodes[link.ends[end] as usize];
        node.is_up && node.life == link.lives[end]
    }

    fn on_arrived(&mut self, link: u32, end: usize, message: Message) {
        let [from, peer] = [1 - end, end].map(|end| self.network.link(link).ends[end]);
        let is_push = matches!(message, Message::Rumour(Packet::Push(_)));
        if !self.is_there(link, end) {
            self.sent.pushes_lost += u64::from(is_push);
            // The machine is there and knows nothing of this connection: it says so.
            if self.nodes[peer as usize].is_up && !self.network.is_cut_between(from, peer) {
                let closed_ms = self.network.arrival_ms(self.now_ms, link, 1 - end);
                self.queue.push(closed_ms, Event::Closed { link, end: 1 - end, on_purpose: false });
            }
            return;
        }
        if !self.network.link(link).open[end] {
            self.sent.pushes_lost += u64::from(is_push);
            return;
        }
        let (now_ms, connection) = (self.now_ms, ConnectionId(u64::from(link)));
        let mut answers = Vec::new();
        let node = &mut self.nodes[peer as usize];
        match message {
            Message::Gossip(message) => node.membership.handle_message(now_ms, connection, *message),
            Message::Rumour(packet) => {
                node.membership.handle_heard(now_ms, connection);
                let held = node.model.holds();
                node.model.handle_packet(now_ms, link, packet, &mut answers);
                if is_push && held == node.model.holds() {
                    self.sent.duplicates += 1;
                } else if is_push {
                    node.waited_ms = Some((now_ms - node.since_ms, now_ms));
                    self.lacking -= 1;
                    self.sent.deliveries += 1;
                    let hops = self.nodes[from as usize].hops + 1;
                    self.nodes[peer as usize].hops = hops;
                }
            }
        }
        for packet in answers {
            self.send(peer, link, packet);
        }
        self.settle(peer);
    }

    fn send(&mut self, from: u32, link: u32, packet: Packet) {
        match packet {
            Packet::Push(_) => self.sent.pushes += 1,
            Packet::Held(_) => self.sent.tells += 1,
            Packet::Compare(_) | Packet::Compared(_) => self.sent.compares += 1,
        }
        if matches!(packet, Packet::Push(_) | Packet::Compare(_)) {
            self.nodes[from as usize].membership.handle_sent(self.now_ms, ConnectionId(u64::from(link)));
        }
        let is_lost = self.dispatch(from, link, Message::Rumour(packet));
        self.sent.pushes_lost += u64::from(is_lost && matches!(packet, Packet::Push(_)));
    }

    /// Puts a message on its way; answers whether it is lost on it.
    fn dispatch(&mut self, from: u32, link: u32, message: Message) -> bool {
        let end = 1 - self.network.end_of(link, from);
        let to = self.network.link(link).ends[end];
        if self.network.is_cut_between(from, to) || self.network.loses() {
            return true;
        }
        let at_ms = self.network.arrival_ms(self.now_ms, link, end);
        self.queue.push(at_ms, Event::Arrived { link, end, message });
        false
    }

    /// Does all that core wants of one peer, and plans when it is woken.
    fn settle(&mut self, peer: u32) {
        let now_ms = self.now_ms;
        while let Some(effect) = self.nodes[peer as usize].membership.poll_effect() {
            self.carry_out(peer, effect);
        }
        if !self.scenario.lockstep {
            self.push(peer);
        }
        let node = &mut self.nodes[peer as usize];
        let mut next_ms = node.membership.next_deadline();
        if !self.scenario.lockstep {
            next_ms = node.model.next_deadline().map_or(next_ms, |rumour_ms| next_ms.min(rumour_ms));
        }
        let next_ms = next_ms.max(now_ms + 1);
        if next_ms < node.wake_ms {
            node.wake_ms = next_ms;
            self.queue.push(next_ms, Event::Wake(peer));
        }
    }

    fn push(&mut self, peer: u32) {
        while let Some((link, packet)) = self.nodes[peer as usize].model.poll(self.now_ms) {
            self.send(peer, link, packet);
        }
    }

    fn carry_out(&mut self, peer: u32, effect: Effect) {
        let now_ms = self.now_ms;
        let link_of = |connection: ConnectionId| connection.0 as u32;
        match effect {
            Effect::Dial { addresses, .. } => {
                self.sent.dials += 1;
                let life = self.nodes[peer as usize].life;
                let to = addresses.iter().find_map(|address| peer_at(address)).expect("addresses are of this world");
                let at_ms = now_ms + self.network.delay_ms(peer, to);
                self.queue.push(at_ms, Event::Dialled { from: peer, life, to });
            }
            Effect::Send { connection, message } => {
                self.sent.membership += 1;
                self.dispatch(peer, link_of(connection), Message::Gossip(Box::new(message)));
            }
            Effect::Hangup { connection, .. } => {
                let link = link_of(connection);
                let end = self.network.end_of(link, peer);
                self.network.set_open(link, end, false);
                let other = self.network.link(link).ends[1 - end];
                if !self.network.is_cut_between(peer, other) {
                    let at_ms = self.network.arrival_ms(now_ms, link, 1 - end);
                    self.queue.push(at_ms, Event::Closed { link, end: 1 - end, on_purpose: true });
                }
            }
            Effect::Joined { connection, .. } => {
                let link = link_of(connection);
                self.nodes[peer as usize].model.handle_joined(link);
                // Who dialled subscribes: that is a comparison.
                if self.network.end_of(link, peer) == 0 {
                    let held = self.nodes[peer as usize].model.holds();
                    self.send(peer, link, Packet::Compare(held));
                }
            }
            Effect::Left { connection, .. } => self.nodes[peer as usize].model.handle_left(link_of(connection)),
            Effect::Compare { connection } => {
                let held = self.nodes[peer as usize].model.holds();
                self.send(peer, link_of(connection), Packet::Compare(held));
            }
        }
    }

    /// Who is whose neighbour now.
    fn overlay(&self) -> Overlay {
        let mut parts = Parts::of(self.nodes.len());
        let (mut degrees, mut known) = (Vec::new(), 0);
        for node in self.nodes.iter().filter(|node| node.is_up) {
            degrees.push(node.membership.degree());
            known += node.membership.book().len();
            for (connection, _) in node.membership.neighbours() {
                let link = self.network.link(connection.0 as u32);
                if link.open[0] && link.open[1] {
                    parts.join(link.ends[0] as usize, link.ends[1] as usize);
                }
            }
        }
        let peers = degrees.len().max(1) as f64;
        Overlay {
            components: parts.count(self.nodes.iter().map(|node| node.is_up)),
            degree_min: degrees.iter().copied().min().unwrap_or(0),
            degree_mean: degrees.iter().sum::<usize>() as f64 / peers,
            degree_max: degrees.iter().copied().max().unwrap_or(0),
            known_mean: known as f64 / peers,
        }
    }
}

fn address(peer: u32) -> String {
    format!("p{peer}")
}

fn peer_at(address: &str) -> Option<u32> {
    address.strip_prefix('p')?.parse().ok()
}

/// Sets of peers that reach each other.
struct Parts(Vec<usize>);

impl Parts {
    fn of(count: usize) -> Self {
        Self((0..count).collect())
    }

    fn find(&mut self, mut at: usize) -> usize {
        while self.0[at] != at {
            self.0[at] = self.0[self.0[at]];
            at = self.0[at];
        }
        at
    }

    fn join(&mut self, one: usize, other: usize) {
        let (one, other) = (self.find(one), self.find(other));
        self.0[one] = other;
    }

    fn count(&mut self, here: impl Iterator<Item = bool>) -> usize {
        here.enumerate().filter(|(at, is_here)| *is_here && self.0[*at] == *at).count()
    }
}
