//! Strands: one actor's entries in one document, as they travel on one connection.
//!
//! A sender gives each strand a number, the same on all its connections, so that a frame made once suits every peer that
//! has been sent the same. On each connection a strand begins with one entry sent whole; from then on the number stands for
//! space, document and actor, and an entry may be given by what differs from the one before it.
//!
//! Nobody has to guess what the other side knows. What is remembered of a connection follows from the frames that it carried, in
//! order, by one rule at both ends: the newest few entries of each strand, and of the strands those that were used last. A new
//! connection begins with nothing.

use super::packed;
use crate::base::codec::{Reader, Writer};
use crate::base::error::DecodeError;
use crate::base::id::{ActorId, ChangeHash, DocumentId, SpaceId};
use crate::base::limits::{FRAME_ENTRIES_MAX, FRAME_STRANDS_MAX, STRAND_NUMBERS_MAX, STRANDS_MAX};
use crate::log::entry::Entry;
use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;

/// Entries of a strand that others may be named by.
pub const WINDOW_ENTRIES: usize = 8;

/// How an entry travels.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Form {
    /// Whole, and the strand begins with it.
    Begin {
        /// The space of the document.
        space: SpaceId,
        /// The document.
        document: DocumentId,
    },
    /// Whole, after the strand's newest.
    Whole,
    /// As what differs from the strand's newest.
    Abridged,
}

/// One entry in a frame.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Item {
    /// The number of its strand.
    pub strand: u64,
    /// How it travels.
    pub form: Form,
    /// Its payload, or what differs.
    pub bytes: Arc<[u8]>,
}

impl Item {
    /// Writes it.
    pub fn encode(strand: u64, form: &Form, bytes: &[u8], w: &mut Writer) {
        let head = strand << 2;
        match form {
            Form::Begin { space, document } => {
                w.uint(head);
                w.put(&space.0);
                w.put(&document.0);
            }
            Form::Whole => w.uint(head | 1),
            Form::Abridged => w.uint(head | 2),
        }
        w.bytes(bytes);
    }

    fn decode(r: &mut Reader<'_>) -> Result<Self, DecodeError> {
        let head = r.uint()?;
        let form = match head & 3 {
            0 => Form::Begin { space: SpaceId(r.array()?), document: DocumentId(r.array()?) },
            1 => Form::Whole,
            2 => Form::Abridged,
            tag => return Err(DecodeError::UnknownTag { what: "how an entry travels", tag: tag as u8 }),
        };
        Ok(Self { strand: head >> 2, form, bytes: Arc::from(r.bytes(usize::MAX)?) })
    }

    /// Reads all that a frame has, deflated or not.
    pub fn decode_all(r: &mut Reader<'_>) -> Result<Vec<Self>, DecodeError> {
        let count = r.count(FRAME_ENTRIES_MAX, 2)?;
        if count > 0 {
            return Self::decode_some(count, r);
        }
        let unpacked = packed::unpack(r.take(r.remaining())?)?;
        let mut r = Reader::new(&unpacked);
        let count = r.count(FRAME_ENTRIES_MAX, 2)?;
        let items = Self::decode_some(count, &mut r)?;
        r.end()?;
        if items.is_empty() { Err(DecodeError::Invalid("a frame of strands without entries")) } else { Ok(items) }
    }

    fn decode_some(count: usize, r: &mut Reader<'_>) -> Result<Vec<Self>, DecodeError> {
        let mut items = Vec::with_capacity(count);
        for _ in 0..count {
            items.push(Self::decode(r)?);
        }
        Ok(items)
    }
}

/// The numbers of a sender's strands.
#[derive(Clone, Debug, Default)]
pub struct Numbers {
    numbers: BTreeMap<(DocumentId, ActorId), u64>,
    next: u64,
}

impl Numbers {
    /// The number of a strand, which is given one if it has none. A number is never given again.
    pub fn number(&mut self, document: DocumentId, actor: ActorId) -> u64 {
        if let Some(number) = self.numbers.get(&(document, actor)) {
            return *number;
        }
        // With new numbers every strand begins anew, once on each connection: cheaper than remembering which are in use.
        if self.numbers.len() >= STRAND_NUMBERS_MAX {
            self.numbers.clear();
        }
        let number = self.next;
        self.next += 1;
        self.numbers.insert((document, actor), number);
        number
    }

    /// The number of a strand that has one.
    pub fn get(&self, document: DocumentId, actor: ActorId) -> Option<u64> {
        self.numbers.get(&(document, actor)).copied()
    }
}

/// The newest entries of a strand that a peer was sent, as their sender remembers them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Window {
    last: u64,
    /// Beginnings of hashes, the newest first: an actor with two histories must not be taken for one.
    marks: [u64; WINDOW_ENTRIES],
    count: u64,
}

fn mark(hash: &ChangeHash) -> u64 {
    let mut bytes = [0; 8];
    bytes.copy_from_slice(&hash.0[..8]);
    u64::from_le_bytes(bytes)
}

impl Window {
    /// A strand that begins with this entry.
    pub fn begin(entry: &Entry) -> Self {
        let mut marks = [0; WINDOW_ENTRIES];
        marks[0] = mark(&entry.hash);
        Self { last: entry.seq, marks, count: 1 }
    }

    /// Goes on with the actor's next entry.
    pub fn push(&mut self, entry: &Entry) {
        debug_assert_eq!(entry.seq, self.last + 1, "a strand has no gaps");
        self.marks.copy_within(..WINDOW_ENTRIES - 1, 1);
        self.marks[0] = mark(&entry.hash);
        self.last = entry.seq;
        self.count = (self.count + 1).min(WINDOW_ENTRIES as u64);
    }

    /// Sequence number of the newest.
    pub fn last(&self) -> u64 {
        self.last
    }

    /// Whether the receiver can look this entry up.
    pub fn holds(&self, seq: u64, hash: &ChangeHash) -> bool {
        let back = self.last.checked_sub(seq).filter(|back| *back < self.count);
        back.is_some_and(|back| self.marks[back as usize] == mark(hash))
    }
}

/// What a sender remembers of one connection.
#[derive(Clone, Debug, Default)]
pub struct Outgoing {
    strands: BTreeMap<u64, (Window, u64)>,
    uses: u64,
}

impl Outgoing {
    /// How far a strand has come.
    pub fn window(&self, strand: u64) -> Option<&Window> {
        self.strands.get(&strand).map(|(window, _)| window)
    }

    /// Learns what a frame has sent: how far each strand in it has come, in the order in which they were last used.
    pub fn on_sent(&mut self, strands: &[(u64, Window)]) {
        for (strand, window) in strands {
            self.uses += 1;
            self.strands.insert(*strand, (window.clone(), self.uses));
        }
        forget_oldest(&mut self.strands, |(_, used)| *used);
    }
}

/// What a receiver remembers of a strand; `L` is whatever the newest entry is abridged by.
#[derive(Clone, Debug)]
pub struct Strand<L> {
    /// The space of the document.
    pub space: SpaceId,
    /// The document.
    pub document: DocumentId,
    /// Whose entries they are.
    pub actor: ActorId,
    /// Sequence number of the newest.
    pub seq: u64,
    /// What is remembered of the newest.
    pub last: L,
    /// The newest hashes, the newest last.
    hashes: VecDeque<ChangeHash>,
    used: u64,
}

impl<L> Strand<L> {
    /// The hash of one of the newest entries.
    pub fn hash(&self, seq: u64) -> Option<ChangeHash> {
        let back = usize::try_from(self.seq.checked_sub(seq)?).ok()?;
        self.hashes.iter().rev().nth(back).copied()
    }
}

/// What a receiver remembers of one connection.
#[derive(Clone, Debug)]
pub struct Incoming<L> {
    strands: BTreeMap<u64, Strand<L>>,
    uses: u64,
}

impl<L> Default for Incoming<L> {
    fn default() -> Self {
        Self { strands: BTreeMap::new(), uses: 0 }
    }
}

impl<L> Incoming<L> {
    /// A strand that has begun and was not forgotten.
    pub fn strand(&self, number: u64) -> Option<&Strand<L>> {
        self.strands.get(&number)
    }

    /// Begins a strand with `entry`; answers whether there is room for it.
    #[must_use]
    pub fn begin(&mut self, number: u64, space: SpaceId, entry: &Entry, last: L) -> bool {
        self.uses += 1;
        let (used, hashes) = (self.uses, VecDeque::from([entry.hash]));
        let strand = Strand { space, document: entry.document, actor: entry.actor, seq: entry.seq, last, hashes, used };
        self.strands.insert(number, strand);
        self.strands.len() <= STRANDS_MAX + FRAME_STRANDS_MAX
    }

    /// Goes on with a strand; answers whether `entry` is the next of it.
    #[must_use]
    pub fn advance(&mut self, number: u64, entry: &Entry, last: L) -> bool {
        let Some(strand) = self.strands.get_mut(&number) else { return false };
        if strand.document != entry.document || strand.actor != entry.actor || strand.seq.checked_add(1) != Some(entry.seq) {
            return false;
        }
        self.uses += 1;
        strand.hashes.push_back(entry.hash);
        if strand.hashes.len() > WINDOW_ENTRIES {
            strand.hashes.pop_front();
        }
        (strand.seq, strand.last, strand.used) = (entry.seq, last, self.uses);
        true
    }

    /// The frame is over: strands above the bound are forgotten, at both ends the same.
    pub fn on_frame_end(&mut self) {
        forget_oldest(&mut self.strands, |strand| strand.used);
    }
}

fn forget_oldest<S>(strands: &mut BTreeMap<u64, S>, used: impl Fn(&S) -> u64) {
    while strands.len() > STRANDS_MAX {
        let oldest = strands.iter().min_by_key(|(_, strand)| used(strand)).map(|(number, _)| *number);
        oldest.and_then(|oldest| strands.remove(&oldest));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn entry(document: u8, actor: u8, seq: u64) -> Entry {
        let hash = ChangeHash(std::array::from_fn(|at| [document, actor, seq as u8, (seq >> 8) as u8][at % 4]));
        let (document, actor) = (DocumentId([document; 16]), ActorId::new(&[actor]).unwrap());
        Entry { document, actor, seq, hash, deps: Vec::new(), payload: Arc::from([]) }
    }

    #[test]
    fn a_window_holds_the_newest_entries_of_one_history() {
        let mut window = Window::begin(&entry(1, 1, 5));
        assert!(window.holds(5, &entry(1, 1, 5).hash) && !window.holds(4, &entry(1, 1, 4).hash));
        (6..=20).for_each(|seq| window.push(&entry(1, 1, seq)));
        for seq in 1..30 {
            let held = (13..=20).contains(&seq);
            assert_eq!(window.holds(seq, &entry(1, 1, seq).hash), held, "{seq}");
            assert!(!window.holds(seq, &entry(1, 2, seq).hash), "another history");
        }
    }

    #[test]
    fn numbers_are_not_given_twice_and_do_not_grow_without_end() {
        let mut numbers = Numbers::default();
        let first = numbers.number(DocumentId([1; 16]), ActorId::new(&[1]).unwrap());
        assert_eq!(numbers.number(DocumentId([1; 16]), ActorId::new(&[1]).unwrap()), first);
        for at in 0..STRAND_NUMBERS_MAX as u32 {
            numbers.number(DocumentId([2; 16]), ActorId::new(&at.to_be_bytes()).unwrap());
        }
        assert!(numbers.numbers.len() <= STRAND_NUMBERS_MAX);
        assert_eq!(numbers.get(DocumentId([1; 16]), ActorId::new(&[1]).unwrap()), None, "forgotten");
        assert!(numbers.number(DocumentId([1; 16]), ActorId::new(&[1]).unwrap()) > first);
    }

    #[test]
    fn a_frame_that_begins_more_strands_than_there_may_be_is_refused() {
        let mut incoming = Incoming::default();
        let room = |number: u64| (number as usize) < STRANDS_MAX + FRAME_STRANDS_MAX;
        for number in 0..=(STRANDS_MAX + FRAME_STRANDS_MAX) as u64 {
            assert_eq!(incoming.begin(number, SpaceId([0; 16]), &entry(1, 1, 1), ()), room(number));
        }
        incoming.on_frame_end();
        assert_eq!(incoming.strands.len(), STRANDS_MAX);
    }

    proptest! {
        /// Frames of a few entries each of many strands, some of them with a gap: then the strand begins anew.
        #[test]
        fn both_ends_remember_the_same(
            frames in proptest::collection::vec(proptest::collection::vec((0u8..250, any::<bool>()), 1..20), 1..60)
        ) {
            let (mut outgoing, mut incoming) = (Outgoing::default(), Incoming::default());
            let mut seqs = [0u64; 250];
            for frame in frames {
                let mut sent: Vec<(u64, Window)> = Vec::new();
                for (actor, gap) in frame {
                    let number = u64::from(actor);
                    let seq = &mut seqs[usize::from(actor)];
                    *seq += 1 + u64::from(gap);
                    let entry = entry(1, actor, *seq);
                    let before = sent.iter().position(|(strand, _)| *strand == number).map(|at| sent.remove(at).1);
                    let before = before.or_else(|| outgoing.window(number).cloned());
                    match before.filter(|window| window.last() + 1 == *seq) {
                        Some(mut window) => {
                            prop_assert!(incoming.advance(number, &entry, ()));
                            window.push(&entry);
                            sent.push((number, window));
                        }
                        None => {
                            prop_assert!(incoming.begin(number, SpaceId([0; 16]), &entry, ()));
                            sent.push((number, Window::begin(&entry)));
                        }
                    }
                }
                outgoing.on_sent(&sent);
                incoming.on_frame_end();
                prop_assert!(outgoing.strands.len() <= STRANDS_MAX);
                prop_assert!(outgoing.strands.keys().eq(incoming.strands.keys()));
                for (number, (window, _)) in &outgoing.strands {
                    let strand = incoming.strand(*number).unwrap();
                    for seq in 0..=window.last() + 1 {
                        let hash = entry(1, *number as u8, seq).hash;
                        prop_assert_eq!(window.holds(seq, &hash), strand.hash(seq) == Some(hash));
                    }
                }
            }
        }
    }
}
