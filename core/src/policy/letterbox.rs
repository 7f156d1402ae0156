//! What a relay keeps of letters: for whom, from whom, until when, and no more than it may.

use crate::base::id::{LetterId, PeerId};
use crate::base::limits::{
    LETTERS_BYTES_MAX, LETTERS_MAX, LETTERS_PER_RECIPIENT_BYTES_MAX, LETTERS_PER_RECIPIENT_MAX, LETTERS_PER_SENDER_MAX,
};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

/// A letter that is kept.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KeptLetter {
    /// For whom.
    pub recipient: PeerId,
    /// When it ends, in seconds of Unix time.
    pub expires: u64,
    /// The key over whose connection it came.
    pub from: PeerId,
    /// Whether it counts as that key's: a relay brings what others wrote.
    pub counts: bool,
    /// Relays that had passed it on when it came.
    pub hops: u64,
    /// The letter, whole.
    pub bytes: Arc<[u8]>,
    /// Whether a crash could no more take it.
    pub durable: bool,
}

/// Why a letter is not kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Full {
    /// As many wait for the recipient as may.
    Recipient,
    /// As many of the sender's wait as may.
    Sender,
    /// As many wait as may.
    All,
}

/// Letters that are kept.
#[derive(Clone, Debug, Default)]
pub struct Letterbox {
    letters: BTreeMap<LetterId, KeptLetter>,
    of: BTreeSet<(PeerId, LetterId)>,
    ends: BTreeSet<(u64, LetterId)>,
    recipients: BTreeMap<PeerId, (usize, usize)>,
    senders: BTreeMap<PeerId, usize>,
    bytes: usize,
}

impl Letterbox {
    /// Keeps a letter that is not kept yet.
    ///
    /// # Errors
    ///
    /// There is no room for it.
    pub fn put(&mut self, id: LetterId, letter: KeptLetter) -> Result<(), Full> {
        let size = letter.bytes.len();
        let (letters, bytes) = self.recipients.get(&letter.recipient).copied().unwrap_or_default();
        if letters >= LETTERS_PER_RECIPIENT_MAX || bytes + size > LETTERS_PER_RECIPIENT_BYTES_MAX {
            return Err(Full::Recipient);
        }
        if letter.counts && self.senders.get(&letter.from).is_some_and(|letters| *letters >= LETTERS_PER_SENDER_MAX) {
            return Err(Full::Sender);
        }
        if self.letters.len() >= LETTERS_MAX || self.bytes + size > LETTERS_BYTES_MAX {
            return Err(Full::All);
        }
        self.remove(&id);
        self.bytes += size;
        let (letters, bytes) = self.recipients.entry(letter.recipient).or_default();
        (*letters, *bytes) = (*letters + 1, *bytes + size);
        if letter.counts {
            *self.senders.entry(letter.from).or_default() += 1;
        }
        self.of.insert((letter.recipient, id));
        self.ends.insert((letter.expires, id));
        self.letters.insert(id, letter);
        Ok(())
    }

    /// Keeps a letter no longer.
    pub fn remove(&mut self, id: &LetterId) -> Option<KeptLetter> {
        let letter = self.letters.remove(id)?;
        let size = letter.bytes.len();
        self.bytes -= size;
        self.of.remove(&(letter.recipient, *id));
        self.ends.remove(&(letter.expires, *id));
        if let Some((letters, bytes)) = self.recipients.get_mut(&letter.recipient) {
            (*letters, *bytes) = (*letters - 1, *bytes - size);
            if *letters == 0 {
                self.recipients.remove(&letter.recipient);
            }
        }
        if let Some(letters) = self.senders.get_mut(&letter.from).filter(|_| letter.counts) {
            *letters -= 1;
            if *letters == 0 {
                self.senders.remove(&letter.from);
            }
        }
        Some(letter)
    }

    /// A letter that is kept.
    pub fn get(&self, id: &LetterId) -> Option<&KeptLetter> {
        self.letters.get(id)
    }

    /// Notes that a crash could no more take a letter.
    pub fn on_durable(&mut self, id: &LetterId) {
        if let Some(letter) = self.letters.get_mut(id) {
            letter.durable = true;
        }
    }

    /// Those that are kept for someone, durably.
    pub fn of(&self, recipient: &PeerId) -> impl Iterator<Item = LetterId> + '_ {
        let all = (*recipient, LetterId([0; 32]))..=(*recipient, LetterId([0xff; 32]));
        self.of.range(all).map(|(_, id)| *id).filter(|id| self.letters.get(id).is_some_and(|letter| letter.durable))
    }

    /// All that are kept durably.
    pub fn durable(&self) -> impl Iterator<Item = (&LetterId, &KeptLetter)> {
        self.letters.iter().filter(|(_, letter)| letter.durable)
    }

    /// When the next one ends.
    pub fn next_end(&self) -> Option<u64> {
        self.ends.first().map(|(expires, _)| *expires)
    }

    /// One that has ended.
    pub fn ended(&self, unix_s: u64) -> Option<LetterId> {
        self.ends.first().filter(|(expires, _)| *expires <= unix_s).map(|(_, id)| *id)
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.letters.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.letters.is_empty()
    }

    /// The bytes of them.
    pub fn bytes(&self) -> usize {
        self.bytes
    }
}

/// Something that is remembered of letters until they end.
#[derive(Clone, Debug)]
pub struct Remembered<V> {
    letters: BTreeMap<LetterId, (u64, V)>,
    ends: BTreeSet<(u64, LetterId)>,
    max: usize,
}

impl<V> Remembered<V> {
    /// Nothing, and never more than of so many letters.
    pub fn new(max: usize) -> Self {
        Self { letters: BTreeMap::new(), ends: BTreeSet::new(), max }
    }

    /// Remembers something of a letter until it ends; answers which is forgotten for want of room.
    pub fn insert(&mut self, id: LetterId, expires: u64, value: V) -> Option<LetterId> {
        self.remove(&id);
        self.letters.insert(id, (expires, value));
        self.ends.insert((expires, id));
        let first = self.ends.first().filter(|_| self.letters.len() > self.max).map(|(_, id)| *id)?;
        self.remove(&first);
        Some(first)
    }

    /// Forgets it.
    pub fn remove(&mut self, id: &LetterId) -> Option<V> {
        let (expires, value) = self.letters.remove(id)?;
        self.ends.remove(&(expires, *id));
        Some(value)
    }

    /// What is remembered of a letter.
    pub fn get(&self, id: &LetterId) -> Option<&V> {
        self.letters.get(id).map(|(_, value)| value)
    }

    /// When the next one ends.
    pub fn next_end(&self) -> Option<u64> {
        self.ends.first().map(|(expires, _)| *expires)
    }

    /// One that has ended.
    pub fn ended(&self, unix_s: u64) -> Option<LetterId> {
        self.ends.first().filter(|(expires, _)| *expires <= unix_s).map(|(_, id)| *id)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn id(number: usize) -> LetterId {
        let mut id = [0; 32];
        id[..8].copy_from_slice(&(number as u64).to_be_bytes());
        LetterId(id)
    }

    fn peer(number: usize) -> PeerId {
        PeerId(id(number).0)
    }

    fn letter(recipient: usize, from: usize, bytes: usize) -> KeptLetter {
        let bytes = Arc::from(vec![0; bytes]);
        KeptLetter { recipient: peer(recipient), expires: 9, from: peer(from), counts: true, hops: 0, bytes, durable: true }
    }

    #[test]
    fn each_bound_is_reached_and_gives_way_when_something_leaves() {
        let mut letterbox = Letterbox::default();
        for number in 0..LETTERS_PER_RECIPIENT_MAX {
            assert_eq!(letterbox.put(id(number), letter(0, 1_000 + number, 10)), Ok(()));
        }
        assert_eq!(letterbox.put(id(9_999), letter(0, 1, 10)), Err(Full::Recipient));
        letterbox.remove(&id(0));
        assert_eq!(letterbox.put(id(9_999), letter(0, 1, 10)), Ok(()));

        let mut letterbox = Letterbox::default();
        assert_eq!(letterbox.put(id(0), letter(0, 1, LETTERS_PER_RECIPIENT_BYTES_MAX)), Ok(()));
        assert_eq!(letterbox.put(id(1), letter(0, 1, 1)), Err(Full::Recipient));

        let mut letterbox = Letterbox::default();
        for number in 0..LETTERS_PER_SENDER_MAX {
            assert_eq!(letterbox.put(id(number), letter(number, 7, 10)), Ok(()));
        }
        assert_eq!(letterbox.put(id(9_999), letter(9_999, 7, 10)), Err(Full::Sender));
        let of_a_relay = KeptLetter { counts: false, ..letter(9_999, 7, 10) };
        assert_eq!(letterbox.put(id(9_999), of_a_relay), Ok(()), "a relay brings what many wrote");

        let mut letterbox = Letterbox::default();
        for number in 0..LETTERS_MAX {
            assert_eq!(letterbox.put(id(number), letter(number, number, 10)), Ok(()));
        }
        assert_eq!(letterbox.put(id(99_999), letter(99_999, 99_999, 10)), Err(Full::All));
        let mut letterbox = Letterbox::default();
        let share = LETTERS_PER_RECIPIENT_BYTES_MAX;
        for number in 0..LETTERS_BYTES_MAX / share {
            assert_eq!(letterbox.put(id(number), letter(number, number, share)), Ok(()));
        }
        assert_eq!(letterbox.put(id(99_999), letter(99_999, 99_999, 1)), Err(Full::All));
    }

    #[test]
    fn what_is_remembered_is_forgotten_when_it_ends_or_when_others_end_later() {
        let mut remembered = Remembered::new(2);
        assert_eq!(remembered.insert(id(1), 30, ()), None);
        assert_eq!(remembered.insert(id(2), 10, ()), None);
        assert_eq!(remembered.insert(id(3), 20, ()), Some(id(2)));
        assert_eq!((remembered.next_end(), remembered.ended(19), remembered.ended(20)), (Some(20), None, Some(id(3))));
    }

    proptest! {
        #[test]
        fn the_counts_are_those_of_what_is_there(steps in proptest::collection::vec((0usize..20, 0usize..4, 0usize..4, any::<bool>()), 1..200)) {
            let mut letterbox = Letterbox::default();
            for (number, recipient, from, puts) in steps {
                if puts && letterbox.get(&id(number)).is_none() {
                    letterbox.put(id(number), letter(recipient, from, number)).unwrap();
                } else {
                    letterbox.remove(&id(number));
                }
                let letters: Vec<_> = letterbox.letters.values().collect();
                prop_assert_eq!(letterbox.bytes(), letters.iter().map(|letter| letter.bytes.len()).sum::<usize>());
                prop_assert_eq!(letterbox.recipients.values().map(|(letters, _)| letters).sum::<usize>(), letters.len());
                prop_assert_eq!(letterbox.senders.values().sum::<usize>(), letters.len());
                prop_assert_eq!((letterbox.of.len(), letterbox.ends.len()), (letters.len(), letters.len()));
            }
        }
    }
}
