//! Who is known, and how well: the address book of one peer.
//!
//! What one knows oneself and what one was told are kept apart, each within a bound of its own, so that no stranger's word displaces
//! what one knows. Of what was told it is remembered who told it: each teller has a share of the book and of the neighbours
//! chosen from it, and what it tells beyond that displaces what it told itself.

use super::message::{Addresses, Contact};
use crate::base::backoff::{self, Backoff};
use crate::base::id::PeerId;
use crate::base::limits::{CONFIGURED_MAX, FOUND_MAX, MET_MAX, NEIGHBOURS_PER_TELLER_MAX, TOLD_MAX, TOLD_PER_TELLER_MAX};
use crate::base::rng::Rng;
use std::collections::{BTreeMap, BTreeSet};

/// Tellers remembered of one peer.
const TELLERS_MAX: usize = 3;
/// Failures in a row after which a peer is forgotten that was met once.
const FAILURES_MAX: u8 = 8;
/// ... and one that others told of.
const TOLD_FAILURES_MAX: u8 = 2;
/// Milliseconds that a peer leaves the dialling to the other, where both have found each other and it is the other's turn.
const YIELD_MS: u64 = 2_000;
/// How long a lost neighbour is dialled again although there are others, in milliseconds.
const MISSED_MS: u64 = 3_600_000;
/// A connection that lasted for less was no success: the wait before the next attempt goes on growing. In milliseconds.
const STEADY_MS: u64 = 5_000;

/// How a peer is dialled again that was lost or did not answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Redial {
    /// Longest wait between two attempts, in milliseconds.
    pub longest_ms: u64,
    /// ... at one that has been away for [`Self::away_ms`].
    pub longest_away_ms: u64,
    /// Milliseconds without a peer after which it is away.
    pub away_ms: u64,
    /// Whether of two that both know where the other is, one waits each time for the other to dial. Without it that is so of the first
    /// attempt.
    pub one_first: bool,
    /// Whether a peer that someone configured is dialled however many neighbours there are, and not parted from.
    pub keeps_configured: bool,
}

impl Default for Redial {
    fn default() -> Self {
        Self {
            longest_ms: backoff::LONGEST_MS,
            longest_away_ms: backoff::LONGEST_MS,
            away_ms: 600_000,
            one_first: false,
            keeps_configured: false,
        }
    }
}

/// How a peer came to be known, from the least to the most of one's own knowledge.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Standing {
    /// Others told of it.
    Told,
    /// It was found on the network around.
    Found,
    /// It was dialled, and was there.
    Met,
    /// Someone configured it.
    Configured,
}

impl Standing {
    /// Most peers known so.
    pub fn most(self) -> usize {
        match self {
            Self::Told => TOLD_MAX,
            Self::Found => FOUND_MAX,
            Self::Met => MET_MAX,
            Self::Configured => CONFIGURED_MAX,
        }
    }
}

/// A peer that told of others: the first bytes of its id, which cost as much to forge as one can spend on 64 bits.
pub(super) type Teller = u64;

/// What stands for a peer that tells of others.
pub(super) fn teller(peer: &PeerId) -> Teller {
    let mut first = [0; 8];
    first.copy_from_slice(&peer.0[..8]);
    u64::from_be_bytes(first)
}

/// Whether of two it is `me` that dials first. By half of all pairs that is the lower id, by the others the higher: were it always the
/// lower, whoever has a high id would be dialled by all that come together.
fn dials_first(me: &PeerId, other: &PeerId) -> bool {
    (me < other) == ((me.0[0] ^ other.0[0]) & 1 == 0)
}

/// One peer that is known.
#[derive(Clone, Debug)]
struct Known {
    addresses: Addresses,
    standing: Standing,
    tellers: [Option<Teller>; TELLERS_MAX],
    /// When someone was connected to it, as far as is known.
    seen_ms: u64,
    /// When it came into the book.
    since_ms: u64,
    /// It is not dialled before.
    not_before_ms: u64,
    /// Until when it is dialled again because it was a neighbour and was lost.
    missed_until_ms: u64,
    backoff: Backoff,
    failures: u8,
}

/// Everyone who is known.
#[derive(Clone, Debug)]
pub struct Book {
    me: PeerId,
    redial: Redial,
    known: BTreeMap<PeerId, Known>,
    /// How many are known in each way, in the order of [`Standing`].
    counts: [usize; 4],
    /// Of how many each teller told that are still in the book.
    told_by: BTreeMap<Teller, usize>,
    /// Who is connected: nobody displaces these.
    connected: BTreeSet<PeerId>,
    /// Until when someone who was lost may be dialled again.
    missed_until_ms: u64,
}

impl Book {
    /// The empty book of a peer.
    pub fn new(me: PeerId, redial: Redial) -> Self {
        Self {
            me,
            redial,
            known: BTreeMap::new(),
            counts: [0; 4],
            told_by: BTreeMap::new(),
            connected: BTreeSet::new(),
            missed_until_ms: 0,
        }
    }

    /// How many are known so.
    pub fn count(&self, standing: Standing) -> usize {
        self.counts[standing as usize]
    }

    /// How many are known.
    pub fn len(&self) -> usize {
        self.known.len()
    }

    /// Whether nobody is known.
    pub fn is_empty(&self) -> bool {
        self.known.is_empty()
    }

    /// How well a peer is known.
    pub fn standing(&self, peer: &PeerId) -> Option<Standing> {
        Some(self.known.get(peer)?.standing)
    }

    /// How many are known because this peer told of them.
    pub fn told_by(&self, by: &PeerId) -> usize {
        self.told_by.get(&teller(by)).copied().unwrap_or(0)
    }

    /// Everyone known by one's own knowledge, to be stored and found again at the next start.
    pub fn own(&self) -> impl Iterator<Item = (PeerId, Standing, &Addresses)> {
        let own = self.known.iter().filter(|(_, known)| known.standing > Standing::Told);
        own.map(|(peer, known)| (*peer, known.standing, &known.addresses))
    }

    /// Learns by oneself of a peer, or where else it is.
    pub(super) fn note_own(&mut self, peer: PeerId, addresses: Addresses, standing: Standing, now_ms: u64) {
        if peer == self.me {
            return;
        }
        // Both sides find each other: one dials, and the other only where nobody comes.
        let yields = standing == Standing::Found && !dials_first(&self.me, &peer);
        let ready_ms = if yields { now_ms + YIELD_MS } else { now_ms };
        if let Some(known) = self.known.get_mut(&peer) {
            if !addresses.is_empty() && addresses != known.addresses {
                // It is somewhere else now: what was tried before says nothing.
                known.not_before_ms = known.not_before_ms.min(ready_ms);
                known.backoff.reset();
                known.addresses = addresses;
            }
            if standing <= known.standing {
                return;
            }
            self.raise(&peer, standing);
        } else {
            let known = Known { standing, not_before_ms: ready_ms, ..Known::new(addresses, now_ms) };
            self.insert(peer, known);
        }
        self.keep_within(standing, &peer);
    }

    /// Takes a neighbour's word for a peer, within the share of who tells.
    pub(super) fn note_told(&mut self, by: &PeerId, contact: &Contact, now_ms: u64) {
        if contact.peer == self.me || contact.addresses.is_empty() {
            return;
        }
        let by = teller(by);
        let seen_ms = now_ms.saturating_sub(contact.age_s.saturating_mul(1_000));
        match self.known.get_mut(&contact.peer) {
            Some(known) => {
                if known.is_own() || known.tellers.contains(&Some(by)) {
                    return;
                }
                let Some(free) = known.tellers.iter_mut().find(|teller| teller.is_none()) else { return };
                *free = Some(by);
                if known.standing > Standing::Told {
                    return;
                }
                known.seen_ms = known.seen_ms.max(seen_ms);
                *self.told_by.entry(by).or_default() += 1;
            }
            None => {
                let mut known = Known::new(contact.addresses.clone(), now_ms);
                (known.tellers[0], known.seen_ms) = (Some(by), seen_ms);
                self.insert(contact.peer, known);
            }
        }
        while self.told_by.get(&by).is_some_and(|told| *told > TOLD_PER_TELLER_MAX) {
            if !self.forget_one_of(by, &contact.peer) {
                self.forget_word(by, &contact.peer);
            }
        }
        while self.count(Standing::Told) > Standing::Told.most() {
            let loudest = self.told_by.iter().max_by_key(|(_, told)| **told).map(|(teller, _)| *teller);
            if !loudest.is_some_and(|loudest| self.forget_one_of(loudest, &contact.peer)) {
                // Everyone else is connected, and there is no room for one more.
                self.remove(&contact.peer);
            }
        }
    }

    /// Learns that a peer is connected; `dialled` when this side dialled it, so that its address is proved.
    pub(super) fn on_connected(&mut self, peer: PeerId, dialled: bool, now_ms: u64) {
        self.connected.insert(peer);
        let Some(known) = self.known.get_mut(&peer) else { return };
        known.seen_ms = now_ms;
        known.missed_until_ms = 0;
        known.failures = 0;
        if dialled && known.standing < Standing::Met {
            self.raise(&peer, Standing::Met);
            self.keep_within(Standing::Met, &peer);
        }
    }

    /// Learns that a neighbour parted from this peer, or this peer from it: there is no hurry to meet again.
    pub(super) fn on_parted(&mut self, peer: &PeerId, now_ms: u64, rest_ms: u64) {
        self.connected.remove(peer);
        if let Some(known) = self.known.get_mut(peer) {
            known.seen_ms = now_ms;
            known.backoff.reset();
            known.not_before_ms = now_ms + rest_ms;
        }
    }

    /// Learns that a neighbour was lost: it is dialled again, also where there are others, because it is owed what it misses.
    pub(super) fn on_lost(&mut self, peer: &PeerId, now_ms: u64, rng: &mut Rng) {
        let yields = if self.redial.one_first { !dials_first(&self.me, peer) } else { *peer < self.me };
        self.connected.remove(peer);
        self.missed_until_ms = now_ms + MISSED_MS;
        if let Some(known) = self.known.get_mut(peer) {
            known.missed_until_ms = now_ms + MISSED_MS;
            if now_ms >= known.seen_ms + STEADY_MS {
                known.backoff.reset();
            }
            known.seen_ms = now_ms;
            let wait_ms = known.backoff.next_ms_within(self.redial.longest_ms, rng) + if yields { YIELD_MS } else { 0 };
            known.not_before_ms = now_ms + wait_ms;
        }
    }

    /// Learns that dialling a peer led nowhere.
    pub(super) fn on_failed(&mut self, peer: &PeerId, now_ms: u64, rng: &mut Rng) {
        let yields = self.redial.one_first && !dials_first(&self.me, peer);
        let Some(known) = self.known.get_mut(peer) else { return };
        known.failures = known.failures.saturating_add(1);
        let is_away = now_ms >= known.seen_ms.saturating_add(self.redial.away_ms);
        let longest_ms = if is_away { self.redial.longest_away_ms } else { self.redial.longest_ms };
        known.not_before_ms = now_ms + known.backoff.next_ms_within(longest_ms, rng) + if yields { YIELD_MS } else { 0 };
        let is_missed = known.missed_until_ms > now_ms;
        let forgotten = match known.standing {
            Standing::Told => known.failures >= TOLD_FAILURES_MAX && !is_missed,
            Standing::Met => known.failures >= FAILURES_MAX && !is_missed,
            Standing::Found | Standing::Configured => false,
        };
        if forgotten {
            self.remove(peer);
        }
    }

    /// Learns that a peer has gone from the network around.
    pub(super) fn on_vanished(&mut self, peer: &PeerId) {
        if self.standing(peer) == Some(Standing::Found) && !self.connected.contains(peer) {
            self.remove(peer);
        }
    }

    /// A peer to dial, at random: one that is known oneself as often as one that others told of, where there are both. `dialling` are
    /// being dialled, and `charged` says how many neighbours each teller has given already.
    pub(super) fn choose(
        &self,
        now_ms: u64,
        dialling: &BTreeMap<PeerId, u64>,
        charged: &BTreeMap<Teller, usize>,
        rng: &mut Rng,
    ) -> Option<(PeerId, &Addresses)> {
        let (mut own, mut told) = (Vec::new(), Vec::new());
        for (peer, known) in &self.known {
            if known.not_before_ms > now_ms || known.addresses.is_empty() || self.is_taken(peer, dialling) {
                continue;
            }
            match known.standing {
                _ if !known.may_be_charged(charged) => {}
                Standing::Told => told.push((*peer, &known.addresses)),
                _ => own.push((*peer, &known.addresses)),
            }
        }
        let (first, second) = if rng.below(2) == 0 { (own, told) } else { (told, own) };
        let among = if first.is_empty() { second } else { first };
        if among.is_empty() { None } else { Some(among[rng.below(among.len() as u64) as usize]) }
    }

    /// When someone can be dialled who cannot be yet; nothing where nobody is left.
    pub(super) fn next_ready_ms(&self, now_ms: u64, dialling: &BTreeMap<PeerId, u64>) -> Option<u64> {
        let left = self.known.iter().filter(|(peer, known)| known.not_before_ms > now_ms && !self.is_taken(peer, dialling));
        left.map(|(_, known)| known.not_before_ms).min()
    }

    /// Whether a neighbour was lost that may be dialled again, or someone is dialled whoever else is there.
    pub(super) fn misses_someone(&self, now_ms: u64) -> bool {
        self.missed_until_ms > now_ms || (self.redial.keeps_configured && self.count(Standing::Configured) > 0)
    }

    /// Whether a peer is kept however many neighbours there are.
    pub(super) fn is_kept(&self, peer: &PeerId) -> bool {
        self.redial.keeps_configured && self.standing(peer) == Some(Standing::Configured)
    }

    /// How often in a row dialling a peer failed, and before when it is not dialled again; nothing of one that is not known.
    pub(super) fn patience(&self, peer: &PeerId) -> Option<(u8, u64)> {
        self.known.get(peer).map(|known| (known.failures, known.not_before_ms))
    }

    /// A neighbour that was lost and may be dialled again now, the one whose turn came first, and when the next may be.
    pub(super) fn missed(
        &self,
        now_ms: u64,
        dialling: &BTreeMap<PeerId, u64>,
        charged: &BTreeMap<Teller, usize>,
    ) -> (Option<(PeerId, Addresses)>, Option<u64>) {
        let is_wanted = |known: &Known| {
            known.missed_until_ms > now_ms || (self.redial.keeps_configured && known.standing == Standing::Configured)
        };
        let missed = self.known.iter().filter(|(peer, known)| is_wanted(known) && !self.is_taken(peer, dialling));
        let missed = missed.filter(|(_, known)| !known.addresses.is_empty() && known.may_be_charged(charged));
        let (mut due, mut next_ms) = (None::<(u64, PeerId, &Known)>, None::<u64>);
        for (peer, known) in missed {
            if known.not_before_ms > now_ms {
                next_ms = Some(next_ms.map_or(known.not_before_ms, |next_ms| next_ms.min(known.not_before_ms)));
            } else if due.is_none_or(|(since_ms, ..)| known.not_before_ms < since_ms) {
                due = Some((known.not_before_ms, *peer, known));
            }
        }
        (due.map(|(_, peer, known)| (peer, known.addresses.clone())), next_ms)
    }

    /// The teller on whose account a neighbour is: of those who told of it, the one with the fewest; nothing for one known oneself.
    pub(super) fn account(&self, peer: &PeerId, charged: &BTreeMap<Teller, usize>) -> Option<Teller> {
        self.known.get(peer)?.charge(charged)
    }

    /// Some to tell others of, at random: peers one has been connected to oneself, so that nobody's word goes further than to those
    /// who hear it.
    pub(super) fn sample(&self, most: usize, except: &PeerId, now_ms: u64, rng: &mut Rng) -> Vec<Contact> {
        let mut among: Vec<(&PeerId, &Known)> = self
            .known
            .iter()
            .filter(|(peer, known)| *peer != except && !known.addresses.is_empty())
            .filter(|(peer, known)| self.connected.contains(*peer) || (known.standing == Standing::Met && known.failures == 0))
            .collect();
        let mut chosen = Vec::with_capacity(most.min(among.len()));
        while chosen.len() < most && !among.is_empty() {
            let (peer, known) = among.swap_remove(rng.below(among.len() as u64) as usize);
            let age_s = if self.connected.contains(peer) { 0 } else { now_ms.saturating_sub(known.seen_ms) / 1_000 };
            chosen.push(Contact { peer: *peer, addresses: known.addresses.clone(), age_s });
        }
        chosen
    }

    fn is_taken(&self, peer: &PeerId, dialling: &BTreeMap<PeerId, u64>) -> bool {
        self.connected.contains(peer) || dialling.contains_key(peer)
    }

    fn insert(&mut self, peer: PeerId, known: Known) {
        self.counts[known.standing as usize] += 1;
        for teller in known.tellers.iter().flatten() {
            *self.told_by.entry(*teller).or_default() += 1;
        }
        self.known.insert(peer, known);
    }

    fn remove(&mut self, peer: &PeerId) {
        let Some(known) = self.known.remove(peer) else { return };
        self.counts[known.standing as usize] -= 1;
        if known.standing == Standing::Told {
            known.tellers.iter().flatten().for_each(|teller| untold(&mut self.told_by, *teller));
        }
    }

    /// Knows a peer better than before. It stays on the account of those who told of it where it was only met.
    fn raise(&mut self, peer: &PeerId, standing: Standing) {
        let Some(known) = self.known.get_mut(peer) else { return };
        self.counts[known.standing as usize] -= 1;
        self.counts[standing as usize] += 1;
        if known.standing == Standing::Told {
            known.tellers.iter().flatten().for_each(|teller| untold(&mut self.told_by, *teller));
        }
        known.standing = standing;
        if standing != Standing::Met {
            known.tellers = [None; TELLERS_MAX];
        }
    }

    /// Makes room among those known in one way: who failed most goes, and of these who was seen longest ago.
    fn keep_within(&mut self, standing: Standing, newest: &PeerId) {
        while self.count(standing) > standing.most() {
            let among = self
                .known
                .iter()
                .filter(|(peer, known)| known.standing == standing && *peer != newest && !self.connected.contains(*peer));
            let worst = among.max_by_key(|(_, known)| (known.failures, std::cmp::Reverse(known.seen_ms))).map(|(peer, _)| *peer);
            self.remove(&worst.unwrap_or(*newest));
        }
    }

    /// Forgets the word of a teller on what it told of first; answers whether there was anything that may be forgotten.
    fn forget_one_of(&mut self, by: Teller, newest: &PeerId) -> bool {
        let told = self.known.iter().filter(|(peer, known)| {
            known.standing == Standing::Told
                && known.tellers.contains(&Some(by))
                && *peer != newest
                && !self.connected.contains(*peer)
        });
        let Some(oldest) = told.min_by_key(|(_, known)| known.since_ms).map(|(peer, _)| *peer) else { return false };
        self.forget_word(by, &oldest);
        true
    }

    /// Forgets that one told of a peer, and the peer where nobody else did.
    fn forget_word(&mut self, by: Teller, peer: &PeerId) {
        let Some(known) = self.known.get_mut(peer) else { return };
        for told in known.tellers.iter_mut().filter(|teller| **teller == Some(by)) {
            *told = None;
            untold(&mut self.told_by, by);
        }
        if known.tellers.iter().all(Option::is_none) {
            self.remove(peer);
        }
    }
}

/// Counts one fewer that a teller told of.
fn untold(told_by: &mut BTreeMap<Teller, usize>, teller: Teller) {
    if let Some(told) = told_by.get_mut(&teller) {
        *told -= 1;
        if *told == 0 {
            told_by.remove(&teller);
        }
    }
}

impl Known {
    fn new(addresses: Addresses, now_ms: u64) -> Self {
        Self {
            addresses,
            standing: Standing::Told,
            tellers: [None; TELLERS_MAX],
            seen_ms: now_ms,
            since_ms: now_ms,
            not_before_ms: now_ms,
            missed_until_ms: 0,
            backoff: Backoff::default(),
            failures: 0,
        }
    }

    /// Whether it is known without anybody's word.
    fn is_own(&self) -> bool {
        self.standing > Standing::Told && self.tellers.iter().all(Option::is_none)
    }

    /// On whose account it comes: of those who told of it, the one that has given the fewest neighbours.
    fn charge(&self, charged: &BTreeMap<Teller, usize>) -> Option<Teller> {
        self.tellers.iter().flatten().copied().min_by_key(|teller| charged.get(teller).copied().unwrap_or(0))
    }

    /// Whether it is one's own, or on the account of someone who may give another neighbour.
    fn may_be_charged(&self, charged: &BTreeMap<Teller, usize>) -> bool {
        let given = |teller: Teller| charged.get(&teller).copied().unwrap_or(0);
        self.is_own() || self.charge(charged).is_some_and(|teller| given(teller) < NEIGHBOURS_PER_TELLER_MAX)
    }
}
