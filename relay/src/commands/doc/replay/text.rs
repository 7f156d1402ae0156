//! Plain text with a gap where the last edit was: what a trace must come to, computed with no CRDT at all.
//!
//! People type where they typed last, so moving the gap is rare and an edit costs what it inserts.

/// Text counted in code points.
#[derive(Clone, Debug, Default)]
pub(crate) struct PlainText {
    /// What stands before the gap.
    before: Vec<char>,
    /// What stands after it, last character first.
    after: Vec<char>,
}

impl PlainText {
    /// The text that reads `text`.
    pub(crate) fn new(text: &str) -> Self {
        Self { before: text.chars().collect(), after: Vec::new() }
    }

    /// Replaces `delete` code points at `index` by `insert`; what lies beyond the end is left out.
    pub(crate) fn splice(&mut self, index: usize, delete: usize, insert: &str) {
        while self.before.len() > index {
            self.after.extend(self.before.pop());
        }
        while self.before.len() < index {
            let Some(next) = self.after.pop() else { break };
            self.before.push(next);
        }
        self.after.truncate(self.after.len().saturating_sub(delete));
        self.before.extend(insert.chars());
    }

    /// How it reads.
    pub(crate) fn read(&self) -> String {
        self.before.iter().chain(self.after.iter().rev()).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn edits_anywhere_read_as_they_do_in_a_plain_string() {
        let mut text = PlainText::new("höher");
        text.splice(5, 0, " tide");
        text.splice(0, 1, "H");
        text.splice(1, 1, "ö¿");
        text.splice(6, 100, "!");
        assert_eq!(text.read(), "Hö¿her!");
    }
}
