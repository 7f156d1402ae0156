//! What is to happen, in order of time; at one time in the order in which it was planned.

use std::collections::{BTreeMap, VecDeque};

/// Events by the millisecond in which they happen.
#[derive(Debug)]
pub struct Queue<E> {
    by_ms: BTreeMap<u64, VecDeque<E>>,
}

impl<E> Default for Queue<E> {
    fn default() -> Self {
        Self { by_ms: BTreeMap::new() }
    }
}

impl<E> Queue<E> {
    /// Plans an event.
    pub fn push(&mut self, at_ms: u64, event: E) {
        self.by_ms.entry(at_ms).or_default().push_back(event);
    }

    /// When the next event happens.
    pub fn next_ms(&self) -> Option<u64> {
        self.by_ms.first_key_value().map(|(at_ms, _)| *at_ms)
    }

    /// The next event, and when it happens.
    pub fn pop(&mut self) -> Option<(u64, E)> {
        let mut first = self.by_ms.first_entry()?;
        let at_ms = *first.key();
        let event = first.get_mut().pop_front();
        if first.get().is_empty() {
            first.remove();
        }
        Some((at_ms, event?))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_happens_first_comes_first_and_what_was_planned_first_before_the_rest() {
        let mut queue = Queue::default();
        for (at_ms, event) in [(5, 'c'), (1, 'a'), (5, 'd'), (2, 'b')] {
            queue.push(at_ms, event);
        }
        assert_eq!(queue.next_ms(), Some(1));
        let order: String = std::iter::from_fn(|| queue.pop()).map(|(_, event)| event).collect();
        assert_eq!((order.as_str(), queue.next_ms()), ("abcd", None));
    }
}
