//! A peer's neighbours: about eight, chosen at random among those it knows, and replaced as they go.
//!
//! The driver tells what happens ([`Membership::handle_found`], [`Membership::handle_connected`], ...), drains
//! [`Membership::poll_effect`], and sleeps until [`Membership::next_deadline`], as it does with the engine. Who is connected is
//! told by the driver once the other side has proved its key: everything here goes by ids that are proved.
//!
//! What keeps the overlay whole: a peer with fewer neighbours than it wants dials someone known, a lost neighbour is replaced at once
//! and dialled again beside, and every few minutes somebody else takes the place of one of them. What keeps a peer from being
//! surrounded: half of its neighbours it chose itself, and of those it chose no teller accounts for more than two.

use super::book::{Book, Redial, Standing, Teller, teller};
use super::message::{Addresses, Contact, GossipMessage, bounded};
use super::neighbour::{Neighbour, Silence};
use crate::base::id::{ConnectionId, PeerId};
use crate::base::limits::{CONTACTS_MAX, NEIGHBOURS_CHOSEN_MIN, NEIGHBOURS_MANY, NEIGHBOURS_MAX, NEIGHBOURS_MIN};
use crate::base::rng::Rng;
use std::collections::{BTreeMap, VecDeque};

/// Milliseconds after which a dial that was not answered counts as failed.
const DIAL_MS_MAX: u64 = 30_000;
/// Two connections of one pair that both sides dialled within this time were dialled at once, in milliseconds.
const SIMULTANEOUS_MS: u64 = 10_000;
/// Milliseconds between two questions for others while there are too few neighbours and nobody to dial.
const HUNGRY_MS: u64 = 2_000;
/// Milliseconds a peer from which one parted is left alone, and those a neighbour is kept at least.
const REST_MS: u64 = 30_000;
/// Milliseconds a peer that was full is left alone.
const FULL_MS: u64 = 60_000;
/// Milliseconds between two partings where there are many neighbours.
const TRIM_MS: u64 = 5_000;
/// Of those that are too many, one in so many is parted from at once: a peer that all dial when they come is soon one like others.
const TRIM_PART: usize = 4;

/// How often a peer does what it does; the bounds are in [`crate::base::limits`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MembershipConfig {
    /// Silence after which a neighbour is asked whether it is there, in milliseconds.
    pub heartbeat_idle_ms: u64,
    /// ... when something was sent to it since, in milliseconds.
    pub heartbeat_busy_ms: u64,
    /// How often a neighbour is asked whom it knows, in milliseconds.
    pub shuffle_ms: u64,
    /// How often somebody else takes the place of a neighbour, in milliseconds.
    pub rotate_ms: u64,
    /// How often all is compared with a neighbour chosen at random, in milliseconds.
    pub compare_ms: u64,
    /// Most peers dialled at once.
    pub dials_max: usize,
    /// ... of those that were neighbours and are missed.
    pub missed_dials_max: usize,
    /// How those are dialled again that do not answer.
    pub redial: Redial,
}

impl Default for MembershipConfig {
    fn default() -> Self {
        Self {
            heartbeat_idle_ms: 30_000,
            heartbeat_busy_ms: 5_000,
            shuffle_ms: 60_000,
            rotate_ms: 300_000,
            compare_ms: 10_000,
            dials_max: 4,
            missed_dials_max: 4,
            redial: Redial::default(),
        }
    }
}

/// What a peer wants done about its neighbours.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Effect {
    /// Dial a peer at one of its addresses, and answer with [`Membership::handle_connected`] or [`Membership::handle_dial_failed`].
    Dial {
        /// Whom.
        peer: PeerId,
        /// Where, the best first.
        addresses: Addresses,
    },
    /// Send a message.
    Send {
        /// On which connection.
        connection: ConnectionId,
        /// What.
        message: GossipMessage,
    },
    /// Close a connection once what was sent on it has left. It is no neighbour any more, or never was one.
    Hangup {
        /// Which.
        connection: ConnectionId,
        /// A sentence for people.
        reason: &'static str,
    },
    /// A connection is a neighbour: sync with it.
    Joined {
        /// Which.
        connection: ConnectionId,
        /// Who is there.
        peer: PeerId,
    },
    /// A neighbour is one no more.
    Left {
        /// Which it was.
        connection: ConnectionId,
        /// Who was there.
        peer: PeerId,
    },
    /// Compare all that is held with this neighbour's: anti-entropy.
    Compare {
        /// Which.
        connection: ConnectionId,
    },
}

/// One peer's neighbours, and whom else it knows.
pub struct Membership {
    me: PeerId,
    config: MembershipConfig,
    rng: Rng,
    pub(super) book: Book,
    addresses: Addresses,
    pub(super) neighbours: BTreeMap<ConnectionId, Neighbour>,
    /// Who is being dialled, and since when.
    pub(super) dialling: BTreeMap<PeerId, u64>,
    /// Who is to take the place of another.
    rotating: Option<PeerId>,
    effects: VecDeque<Effect>,
    shuffle_at_ms: u64,
    rotate_at_ms: u64,
    compare_at_ms: u64,
    trim_at_ms: u64,
    /// When to look for someone to dial; never where there is nothing to look for.
    fill_at_ms: Option<u64>,
}

impl Membership {
    /// A peer that knows nobody. `seed` decides all its choices.
    pub fn new(me: PeerId, config: MembershipConfig, seed: [u8; 32], now_ms: u64) -> Self {
        let mut rng = Rng::new(seed);
        // Peers that start together must not ask together.
        let mut first = |every_ms: u64| now_ms + 1 + rng.below(every_ms.max(1));
        let shuffle_at_ms = first(config.shuffle_ms);
        let compare_at_ms = first(config.compare_ms);
        let rotate_at_ms = first(config.rotate_ms) + config.rotate_ms / 2;
        Self {
            me,
            rng,
            book: Book::new(me, config.redial),
            config,
            addresses: Addresses::from([]),
            neighbours: BTreeMap::new(),
            dialling: BTreeMap::new(),
            rotating: None,
            effects: VecDeque::new(),
            shuffle_at_ms,
            rotate_at_ms,
            compare_at_ms,
            trim_at_ms: now_ms,
            fill_at_ms: None,
        }
    }

    /// Who this is.
    pub fn peer_id(&self) -> PeerId {
        self.me
    }

    /// Whom it knows.
    pub fn book(&self) -> &Book {
        &self.book
    }

    /// Its neighbours, in the order of their connections.
    pub fn neighbours(&self) -> impl Iterator<Item = (ConnectionId, PeerId)> {
        self.neighbours.iter().map(|(connection, neighbour)| (*connection, neighbour.peer))
    }

    /// How many they are.
    pub fn degree(&self) -> usize {
        self.neighbours.len()
    }

    /// How many of them it chose itself.
    pub fn chosen(&self) -> usize {
        self.neighbours.values().filter(|neighbour| neighbour.chosen).count()
    }

    /// Learns where this peer can be reached: neighbours to come are told.
    pub fn handle_listening(&mut self, addresses: impl IntoIterator<Item = String>) {
        self.addresses = bounded(addresses);
    }

    /// Learns of a peer by itself: from the network around ([`Standing::Found`]), from whoever configures it
    /// ([`Standing::Configured`]), or from what was stored of an earlier life ([`Standing::Met`]).
    pub fn handle_found(&mut self, now_ms: u64, peer: PeerId, addresses: impl IntoIterator<Item = String>, standing: Standing) {
        self.book.note_own(peer, bounded(addresses), standing, now_ms);
        self.fill(now_ms);
    }

    /// Learns that a peer that was found is on the network around no more.
    pub fn handle_vanished(&mut self, peer: &PeerId) {
        self.book.on_vanished(peer);
    }

    /// Learns that a connection is open, that `peer` has proved to be at its other end, and whether this side dialled it.
    pub fn handle_connected(&mut self, now_ms: u64, connection: ConnectionId, peer: PeerId, dialled: bool) {
        if dialled {
            self.dialling.remove(&peer);
        }
        let rotates = dialled && self.rotating.take_if(|rotating| *rotating == peer).is_some();
        if peer == self.me {
            return self.hang_up(connection, "a peer that reached itself");
        }
        let older =
            self.neighbours.iter().find(|(_, neighbour)| neighbour.peer == peer).map(|(older, known)| (*older, known.clone()));
        if let Some((older, known)) = older {
            if !self.is_newer_kept(&known, now_ms, dialled) {
                self.hang_up(connection, "one connection a pair is enough");
                return self.fill(now_ms);
            }
            self.part(older, "one connection a pair is enough");
        } else if self.neighbours.len() >= NEIGHBOURS_MAX {
            let contacts = self.sample(now_ms, &peer);
            self.effects.push_back(Effect::Send { connection, message: GossipMessage::Full { contacts } });
            return self.hang_up(connection, "as many neighbours as there may be");
        }
        let charged = self.charged();
        let account = self.book.account(&peer, &charged).filter(|_| dialled);
        let chosen = dialled || self.book.standing(&peer).is_some_and(|standing| standing > Standing::Told);
        let neighbour = Neighbour {
            peer,
            dialled,
            chosen,
            account,
            since_ms: now_ms,
            heard_ms: now_ms,
            expecting: false,
            misses: 0,
            due_ms: now_ms + self.config.heartbeat_idle_ms,
            greeted: false,
            asked: false,
            asked_us_ms: None,
        };
        self.neighbours.insert(connection, neighbour);
        self.book.on_connected(peer, dialled, now_ms);
        self.effects.push_back(Effect::Joined { connection, peer });
        let greeting = GossipMessage::Greeting { addresses: self.addresses.clone(), contacts: self.sample(now_ms, &peer) };
        self.effects.push_back(Effect::Send { connection, message: greeting });
        if rotates && self.neighbours.len() > NEIGHBOURS_MIN {
            self.part_from_one(now_ms, Some(connection));
        }
        self.fill(now_ms);
    }

    /// Learns that dialling a peer led nowhere; or to one that has become a neighbour meanwhile, which is no failure.
    pub fn handle_dial_failed(&mut self, now_ms: u64, peer: &PeerId) {
        if self.dialling.remove(peer).is_some() {
            self.rotating.take_if(|rotating| rotating == peer);
            if !self.neighbours.values().any(|neighbour| neighbour.peer == *peer) {
                self.book.on_failed(peer, now_ms, &mut self.rng);
            }
            self.fill(now_ms);
        }
    }

    /// Learns that a connection has ended, whoever ended it.
    pub fn handle_disconnected(&mut self, now_ms: u64, connection: ConnectionId) {
        let Some(neighbour) = self.neighbours.remove(&connection) else { return };
        self.effects.push_back(Effect::Left { connection, peer: neighbour.peer });
        self.book.on_lost(&neighbour.peer, now_ms, &mut self.rng);
        self.fill(now_ms);
    }

    /// Learns that a neighbour has closed a connection on purpose: it is there, and has others.
    pub fn handle_parted(&mut self, now_ms: u64, connection: ConnectionId) {
        let Some(neighbour) = self.neighbours.remove(&connection) else { return };
        self.effects.push_back(Effect::Left { connection, peer: neighbour.peer });
        self.book.on_parted(&neighbour.peer, now_ms, REST_MS);
        self.fill(now_ms);
    }

    /// Learns that something came on a connection, whatever it was: its peer is there.
    pub fn handle_heard(&mut self, now_ms: u64, connection: ConnectionId) {
        if let Some(neighbour) = self.neighbours.get_mut(&connection) {
            neighbour.on_heard(now_ms, self.config.heartbeat_idle_ms);
        }
    }

    /// Learns that something was sent on a connection that its peer answers: it is asked sooner whether it is there.
    pub fn handle_sent(&mut self, now_ms: u64, connection: ConnectionId) {
        if let Some(neighbour) = self.neighbours.get_mut(&connection) {
            neighbour.on_sent(now_ms, self.config.heartbeat_busy_ms);
        }
    }

    /// Takes a message of a neighbour's.
    pub fn handle_message(&mut self, now_ms: u64, connection: ConnectionId, message: GossipMessage) {
        self.handle_heard(now_ms, connection);
        let shuffle_ms = self.config.shuffle_ms;
        let Some(neighbour) = self.neighbours.get_mut(&connection) else { return };
        let peer = neighbour.peer;
        match message {
            // Nobody is asked for these twice, and who sends them all the same is not listened to.
            GossipMessage::Greeting { addresses, contacts } => {
                if std::mem::replace(&mut neighbour.greeted, true) {
                    return;
                }
                self.note(now_ms, peer, &[Contact { peer, addresses, age_s: 0 }]);
                self.note(now_ms, peer, &contacts);
            }
            GossipMessage::Full { contacts } => {
                if !std::mem::replace(&mut neighbour.greeted, true) {
                    self.note(now_ms, peer, &contacts);
                }
                self.handle_parted(now_ms, connection);
                self.book.on_parted(&peer, now_ms, FULL_MS);
                self.hang_up(connection, "the other side has as many neighbours as it may");
            }
            GossipMessage::Shuffle { contacts } => {
                let soon_ms = HUNGRY_MS.min(shuffle_ms) / 2;
                if neighbour.asked_us_ms.is_some_and(|last_ms| now_ms < last_ms + soon_ms) {
                    return;
                }
                neighbour.asked_us_ms = Some(now_ms);
                let answer = self.sample(now_ms, &peer);
                self.effects.push_back(Effect::Send { connection, message: GossipMessage::Contacts { contacts: answer } });
                self.note(now_ms, peer, &contacts);
            }
            GossipMessage::Contacts { contacts } => {
                if std::mem::take(&mut neighbour.asked) {
                    self.note(now_ms, peer, &contacts);
                }
            }
            GossipMessage::Heartbeat => self.effects.push_back(Effect::Send { connection, message: GossipMessage::Alive }),
            GossipMessage::Alive => {}
        }
        self.fill(now_ms);
    }

    /// Does what time asks for. To be called at [`Self::next_deadline`].
    pub fn handle_time(&mut self, now_ms: u64) {
        self.listen_for_silence(now_ms);
        let overdue: Vec<PeerId> =
            self.dialling.iter().filter(|(_, since_ms)| now_ms >= **since_ms + DIAL_MS_MAX).map(|(peer, _)| *peer).collect();
        for peer in overdue {
            self.handle_dial_failed(now_ms, &peer);
        }
        if now_ms >= self.shuffle_at_ms {
            self.shuffle_at_ms = now_ms + self.jittered(self.config.shuffle_ms);
            self.shuffle(now_ms);
        }
        if now_ms >= self.compare_at_ms {
            self.compare_at_ms = now_ms + self.jittered(self.config.compare_ms);
            if let Some(connection) = self.random_neighbour(|_| true) {
                self.effects.push_back(Effect::Compare { connection });
            }
        }
        if now_ms >= self.rotate_at_ms {
            self.rotate_at_ms = now_ms + self.jittered(self.config.rotate_ms);
            self.rotating = self.dial_someone(now_ms);
        }
        if self.neighbours.len() > NEIGHBOURS_MANY && now_ms >= self.trim_at_ms {
            self.trim_at_ms = now_ms + TRIM_MS;
            for _ in 0..(self.neighbours.len() - NEIGHBOURS_MANY).div_ceil(TRIM_PART) {
                self.part_from_one(now_ms, None);
            }
        }
        self.fill(now_ms);
    }

    /// The next thing to do, until there is none.
    pub fn poll_effect(&mut self) -> Option<Effect> {
        self.effects.pop_front()
    }

    /// When [`Self::handle_time`] must be called at the latest, in monotonic milliseconds.
    pub fn next_deadline(&self) -> u64 {
        let mut next_ms = self.shuffle_at_ms.min(self.compare_at_ms).min(self.rotate_at_ms);
        for neighbour in self.neighbours.values() {
            next_ms = next_ms.min(neighbour.due_ms);
        }
        for since_ms in self.dialling.values() {
            next_ms = next_ms.min(since_ms + DIAL_MS_MAX);
        }
        if self.neighbours.len() > NEIGHBOURS_MANY {
            next_ms = next_ms.min(self.trim_at_ms);
        }
        self.fill_at_ms.map_or(next_ms, |fill_ms| next_ms.min(fill_ms))
    }

    fn listen_for_silence(&mut self, now_ms: u64) {
        let (idle_ms, busy_ms) = (self.config.heartbeat_idle_ms, self.config.heartbeat_busy_ms);
        let mut gone = Vec::new();
        for (connection, neighbour) in &mut self.neighbours {
            match neighbour.on_time(now_ms, idle_ms, busy_ms) {
                Silence::Nothing => {}
                Silence::Ask => {
                    self.effects.push_back(Effect::Send { connection: *connection, message: GossipMessage::Heartbeat });
                }
                Silence::Gone => gone.push(*connection),
            }
        }
        for connection in gone {
            self.handle_disconnected(now_ms, connection);
            self.hang_up(connection, "nothing was heard from the peer");
        }
    }

    /// Whether a second connection to a neighbour takes the place of the first. Both sides come to the same answer.
    fn is_newer_kept(&self, older: &Neighbour, now_ms: u64, dialled: bool) -> bool {
        // Who dials has no other connection that it knows of: the first one is dead.
        if older.dialled == dialled || now_ms >= older.since_ms + SIMULTANEOUS_MS {
            return true;
        }
        // Both dialled at once: what the lower id dialled stays.
        (self.me < older.peer) == dialled
    }

    /// Dials as many as are wanted, and notes when to look again.
    fn fill(&mut self, now_ms: u64) {
        let mut next_ms = None;
        while self.book.misses_someone(now_ms) {
            let (missed, later_ms) = self.book.missed(now_ms, &self.dialling, &self.charged());
            next_ms = later_ms;
            let has_room = self.dialling.len() < self.config.missed_dials_max && self.neighbours.len() < NEIGHBOURS_MAX;
            let Some((peer, addresses)) = missed.filter(|_| has_room) else { break };
            self.dial(now_ms, peer, addresses);
        }
        while self.wants_more() && self.dialling.len() < self.config.dials_max {
            if self.dial_someone(now_ms).is_some() {
                continue;
            }
            // Nobody is left to dial: ask who else there is, and look again when someone may be.
            let ready_ms = self.book.next_ready_ms(now_ms, &self.dialling);
            next_ms = [next_ms, ready_ms].into_iter().flatten().min();
            self.shuffle_at_ms = self.shuffle_at_ms.min(now_ms + HUNGRY_MS);
            break;
        }
        self.fill_at_ms = next_ms;
    }

    fn wants_more(&self) -> bool {
        let all = self.neighbours.len() + self.dialling.len();
        if all >= NEIGHBOURS_MAX {
            return false;
        }
        all < NEIGHBOURS_MIN || self.chosen() + self.dialling.len() < NEIGHBOURS_CHOSEN_MIN
    }

    fn dial_someone(&mut self, now_ms: u64) -> Option<PeerId> {
        let charged = self.charged();
        let (peer, addresses) = self.book.choose(now_ms, &self.dialling, &charged, &mut self.rng)?;
        let addresses = addresses.clone();
        self.dial(now_ms, peer, addresses);
        Some(peer)
    }

    fn dial(&mut self, now_ms: u64, peer: PeerId, addresses: Addresses) {
        self.dialling.insert(peer, now_ms);
        self.effects.push_back(Effect::Dial { peer, addresses });
    }

    /// Asks a neighbour whom it knows, and tells it of some.
    fn shuffle(&mut self, now_ms: u64) {
        let Some(connection) = self.random_neighbour(|_| true) else { return };
        let Some(neighbour) = self.neighbours.get_mut(&connection) else { return };
        neighbour.asked = true;
        let peer = neighbour.peer;
        let contacts = self.sample(now_ms, &peer);
        self.effects.push_back(Effect::Send { connection, message: GossipMessage::Shuffle { contacts } });
    }

    fn note(&mut self, now_ms: u64, by: PeerId, contacts: &[Contact]) {
        for contact in contacts.iter().take(CONTACTS_MAX) {
            self.book.note_told(&by, contact, now_ms);
        }
    }

    fn sample(&mut self, now_ms: u64, except: &PeerId) -> Vec<Contact> {
        self.book.sample(CONTACTS_MAX, except, now_ms, &mut self.rng)
    }

    /// Parts from one neighbour that was kept long enough, at random; from one that it chose only where there are enough of these.
    fn part_from_one(&mut self, now_ms: u64, except: Option<ConnectionId>) {
        let spare = self.chosen() > NEIGHBOURS_CHOSEN_MIN;
        let may_go = |connection: &ConnectionId, neighbour: &Neighbour| {
            Some(*connection) != except
                && (spare || !neighbour.chosen)
                && now_ms >= neighbour.since_ms + REST_MS
                && !self.book.is_kept(&neighbour.peer)
        };
        let among: Vec<ConnectionId> =
            self.neighbours.iter().filter(|(connection, neighbour)| may_go(connection, neighbour)).map(|(at, _)| *at).collect();
        if among.is_empty() {
            return;
        }
        let connection = among[self.rng.below(among.len() as u64) as usize];
        let peer = self.neighbours[&connection].peer;
        self.part(connection, "there are enough neighbours");
        self.book.on_parted(&peer, now_ms, REST_MS);
    }

    fn part(&mut self, connection: ConnectionId, reason: &'static str) {
        if let Some(neighbour) = self.neighbours.remove(&connection) {
            self.effects.push_back(Effect::Left { connection, peer: neighbour.peer });
        }
        self.hang_up(connection, reason);
    }

    fn hang_up(&mut self, connection: ConnectionId, reason: &'static str) {
        self.effects.push_back(Effect::Hangup { connection, reason });
    }

    fn random_neighbour(&mut self, is_wanted: impl Fn(&Neighbour) -> bool) -> Option<ConnectionId> {
        let among: Vec<ConnectionId> =
            self.neighbours.iter().filter(|(_, neighbour)| is_wanted(neighbour)).map(|(connection, _)| *connection).collect();
        if among.is_empty() { None } else { Some(among[self.rng.below(among.len() as u64) as usize]) }
    }

    /// How many neighbours, and peers being dialled, are on each teller's account.
    fn charged(&self) -> BTreeMap<Teller, usize> {
        let mut charged = BTreeMap::new();
        for teller in self.neighbours.values().filter_map(|neighbour| neighbour.account) {
            *charged.entry(teller).or_default() += 1;
        }
        for peer in self.dialling.keys() {
            if let Some(teller) = self.book.account(peer, &charged) {
                *charged.entry(teller).or_default() += 1;
            }
        }
        charged
    }

    /// Somewhat less or more than `every_ms`, so that peers do not fall into step.
    fn jittered(&mut self, every_ms: u64) -> u64 {
        every_ms - every_ms / 4 + self.rng.below(every_ms / 2 + 1)
    }

    /// Of the neighbours that it chose, how many it knows from this peer alone: at most [`crate::base::limits::NEIGHBOURS_PER_TELLER_MAX`].
    pub fn chosen_from(&self, by: &PeerId) -> usize {
        let by = teller(by);
        self.neighbours.values().filter(|neighbour| neighbour.account == Some(by)).count()
    }
}
