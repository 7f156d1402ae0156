//! What a prefix of a history must read, found without any network.

use super::super::failure::{Failure, FailureKind};
use super::text::PlainText;
use super::trace::{Trace, Transaction};
use driftline_core::base::id::{ActorId, ChangeHash, DocumentId};
use driftline_core::doc::document::Document;
use driftline_core::doc::edit::{Edit, Op};
use driftline_core::doc::value::{Prop, TextUnit, Value};

/// The text after all of the trace's transactions: by plain splicing where they come one after the other, and in one
/// document, on one replica, where they branch.
pub(crate) fn text_after(trace: &Trace) -> Result<String, Failure> {
    if trace.concurrent { branching(trace) } else { Ok(straight(trace)) }
}

fn straight(trace: &Trace) -> String {
    let mut text = PlainText::new(&trace.start);
    for patch in trace.transactions.iter().flat_map(|transaction| &transaction.patches) {
        text.splice(patch.0, patch.1, &patch.2);
    }
    text.read()
}

fn branching(trace: &Trace) -> Result<String, Failure> {
    let invalid = |error| Failure::new(FailureKind::Failed, format!("the history cannot be played: {error}"));
    let actor = ActorId::new(&[1]).expect("one byte is short enough");
    let mut document = Document::new(DocumentId([0; 16]), actor, TextUnit::CodePoint);
    let body = vec![Prop::from("body")];
    let begin = Edit { ops: vec![Op::Put { path: body, value: Value::Text(trace.start.clone()) }], message: None };
    document.edit(None, &begin, 0).map_err(invalid)?;
    let mut versions = Versions::new(trace.transactions.len(), document.heads());
    for (index, transaction) in trace.transactions.iter().enumerate() {
        // Parents come first, so they are all known.
        let at = versions.before(transaction).unwrap_or_default();
        let entry = document.edit(Some(&at), &edit_of(transaction), 0).map_err(invalid)?;
        versions.set(index, entry.map_or(at, |entry| vec![entry.hash]));
    }
    Ok(document.text("body").unwrap_or_default())
}

/// The version after each transaction, as far as they have been played.
#[derive(Debug)]
pub(crate) struct Versions {
    root: Vec<ChangeHash>,
    after: Vec<Option<Vec<ChangeHash>>>,
}

impl Versions {
    /// Of `transactions`, none of them played yet, which begin at `root`.
    pub(crate) fn new(transactions: usize, root: Vec<ChangeHash>) -> Self {
        Self { root, after: vec![None; transactions] }
    }

    /// The version that a transaction applies to: its parents', merged. Nothing while one of them has not been played.
    pub(crate) fn before(&self, transaction: &Transaction) -> Option<Vec<ChangeHash>> {
        if transaction.parents.is_empty() {
            return Some(self.root.clone());
        }
        let mut heads = Vec::new();
        for parent in &transaction.parents {
            heads.extend_from_slice(self.after.get(*parent)?.as_deref()?);
        }
        heads.sort_unstable();
        heads.dedup();
        Some(heads)
    }

    /// A transaction was played, and gave this version.
    pub(crate) fn set(&mut self, index: usize, heads: Vec<ChangeHash>) {
        self.after[index] = Some(heads);
    }
}

/// A transaction as an edit of the body.
pub(crate) fn edit_of(transaction: &Transaction) -> Edit {
    let body = || vec![Prop::from("body")];
    let splice =
        |patch: &super::trace::Patch| Op::Splice { path: body(), index: patch.0, delete: patch.1, insert: patch.2.clone() };
    Edit { ops: transaction.patches.iter().map(splice).collect(), message: None }
}

#[cfg(test)]
mod tests {
    use super::super::trace::Patch;
    use super::*;

    fn transaction(parents: &[usize], agent: usize, patch: Patch) -> Transaction {
        Transaction { parents: parents.to_vec(), agent, patches: vec![patch] }
    }

    fn trace(concurrent: bool, transactions: Vec<Transaction>) -> Trace {
        Trace { start: String::new(), end: String::new(), agents: 2, concurrent, transactions }
    }

    #[test]
    fn a_straight_history_is_spliced() {
        let typed = vec![transaction(&[], 0, Patch(0, 0, "hat".into())), transaction(&[], 0, Patch(0, 1, "c".into()))];
        assert_eq!(text_after(&trace(false, typed)).unwrap(), "cat");
    }

    #[test]
    fn in_a_branching_history_each_author_types_on_what_they_saw() {
        let typed = vec![
            transaction(&[], 0, Patch(0, 0, "middle".into())),
            transaction(&[0], 0, Patch(0, 0, "start ".into())),
            transaction(&[0], 1, Patch(6, 0, " end".into())),
            transaction(&[1, 2], 0, Patch(16, 0, "!".into())),
        ];
        assert_eq!(text_after(&trace(true, typed)).unwrap(), "start middle end!");
    }

    #[test]
    fn a_transaction_waits_for_all_its_parents() {
        let mut versions = Versions::new(3, vec![ChangeHash([0; 32])]);
        let merge = transaction(&[0, 1], 0, Patch(0, 0, String::new()));
        versions.set(0, vec![ChangeHash([2; 32])]);
        assert_eq!(versions.before(&merge), None);
        versions.set(1, vec![ChangeHash([1; 32])]);
        assert_eq!(versions.before(&merge), Some(vec![ChangeHash([1; 32]), ChangeHash([2; 32])]));
    }
}
