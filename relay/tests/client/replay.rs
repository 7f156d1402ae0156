//! `driftline doc replay`: small histories of both kinds, made here.

use crate::place::Harbour;
use driftline_core::base::id::{ActorId, ChangeHash, DocumentId};
use driftline_core::doc::document::Document;
use driftline_core::doc::edit::{Edit, Op};
use driftline_core::doc::value::{Prop, TextUnit, Value};
use serde_json::{Value as Json, json};
use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

async fn replay(harbour: &Harbour, trace: &Path, words: &[&str]) -> (i32, Json) {
    let mut command = tokio::process::Command::new(env!("CARGO_BIN_EXE_driftline"));
    command.args(["doc", "replay", "--json", "--relay", &harbour.url()]).arg(trace).args(words).kill_on_drop(true);
    let output = tokio::time::timeout(Duration::from_secs(60), command.output()).await.expect("it ends").unwrap();
    let last = |bytes: &[u8]| String::from_utf8_lossy(bytes).lines().last().unwrap_or_default().to_owned();
    let printed = if output.stdout.is_empty() { last(&output.stderr) } else { last(&output.stdout) };
    (output.status.code().unwrap(), serde_json::from_str(&printed).unwrap_or(Json::String(printed)))
}

/// Numbers that look random and are the same each time (Numerical Recipes' generator).
struct Numbers(u32);

impl Numbers {
    fn below(&mut self, bound: usize) -> usize {
        self.0 = self.0.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        (self.0 >> 8) as usize % bound
    }
}

/// Someone types 2,500 letters, some of them outside ASCII, and now and then deletes a few.
fn sequential() -> Json {
    let mut numbers = Numbers(1);
    let mut text: Vec<char> = "start: ".chars().collect();
    let start: String = text.iter().collect();
    let mut transactions = Vec::new();
    for _ in 0..2_500 {
        let at = numbers.below(text.len() + 1);
        let delete = if numbers.below(5) == 0 { numbers.below(4).min(text.len() - at) } else { 0 };
        let insert = ["a", "¿", "b ", "ƒ÷", ""][numbers.below(5)];
        text.splice(at..at + delete, insert.chars());
        transactions.push(json!({ "time": "1970-01-01T00:00:00Z", "patches": [[at, delete, insert]] }));
    }
    json!({ "startContent": start, "endContent": text.iter().collect::<String>(), "txns": transactions })
}

/// Two people type at once, each on their side of a bar, and see each other's typing now and then.
fn concurrent() -> Json {
    let mut numbers = Numbers(2);
    let replica = |actor| Document::new(DocumentId([1; 16]), ActorId::new(&[actor]).unwrap(), TextUnit::CodePoint);
    let mut replicas = [replica(1), replica(2)];
    let body = || vec![Prop::from("body")];
    let begin = Edit { ops: vec![Op::Put { path: body(), value: Value::Text(String::new()) }], message: None };
    let root = Arc::new(replicas[0].edit(None, &begin, 0).unwrap().unwrap());
    replicas[1].apply([root.clone()]).unwrap();
    let mut entries = vec![root.clone()];
    let mut index_of: BTreeMap<ChangeHash, usize> = BTreeMap::new();
    let mut transactions = Vec::new();
    let mut write =
        |replicas: &mut [Document; 2], entries: &mut Vec<Arc<_>>, agent: usize, at: usize, delete: usize, insert: &str| {
            let parents: Vec<usize> = replicas[agent].heads().iter().filter_map(|head| index_of.get(head).copied()).collect();
            let splice = Op::Splice { path: body(), index: at, delete, insert: insert.to_owned() };
            let entry = replicas[agent].edit(None, &Edit { ops: vec![splice], message: None }, 0).unwrap().unwrap();
            index_of.insert(entry.hash, transactions.len());
            entries.push(Arc::new(entry));
            transactions.push(
                json!({ "parents": parents, "numChildren": 0, "agent": agent, "time": "", "patches": [[at, delete, insert]] }),
            );
        };
    write(&mut replicas, &mut entries, 0, 0, 0, "left | right");
    let both = entries.clone();
    replicas[1].apply(both).unwrap();
    for _ in 0..400 {
        let agent = numbers.below(2);
        if numbers.below(6) == 0 {
            replicas[agent].apply(entries.clone()).unwrap();
        }
        let text: Vec<char> = replicas[agent].text("body").unwrap().chars().collect();
        let bar = text.iter().position(|letter| *letter == '|').unwrap();
        let (from, to) = if agent == 0 { (0, bar) } else { (bar + 1, text.len()) };
        let at = from + numbers.below(to - from + 1);
        let delete = if numbers.below(4) == 0 { 1.min(to - at) } else { 0 };
        write(&mut replicas, &mut entries, agent, at, delete, ["x", "ö", "yz "][numbers.below(3)]);
    }
    for replica in &mut replicas {
        replica.apply(entries.clone()).unwrap();
    }
    write(&mut replicas, &mut entries, 1, 0, 0, "end: ");
    json!({ "kind": "concurrent", "endContent": replicas[1].text("body"), "numAgents": 2, "txns": transactions })
}

#[tokio::test]
async fn one_writer_and_a_late_reader_come_to_the_text_the_history_ends_with() {
    let harbour = Harbour::open().await;
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("sequential.json");
    let mut trace = sequential();
    std::fs::write(&file, trace.to_string()).unwrap();
    let (exit, report) = replay(&harbour, &file, &[]).await;
    assert_eq!(exit, 0, "{report}");
    assert_eq!((&report["kind"], &report["transactions"], &report["equal"]), (&json!("sequential"), &json!(2_500), &json!(true)));
    assert_eq!(report["readers"].as_array().unwrap().len(), 2);

    let (exit, report) = replay(&harbour, &file, &["--limit", "700", "--memory"]).await;
    assert_eq!((exit, &report["transactions"], &report["equal"]), (0, &json!(700), &json!(true)), "{report}");

    trace["endContent"] = json!("something else");
    std::fs::write(&file, trace.to_string()).unwrap();
    let (exit, report) = replay(&harbour, &file, &["--memory"]).await;
    assert_eq!((exit, &report["equal"]), (7, &json!(false)), "{report}");
}

#[tokio::test]
async fn two_writers_at_once_and_a_late_reader_come_to_the_same_text() {
    let harbour = Harbour::open().await;
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("concurrent.json");
    let trace = concurrent();
    let merges = trace["txns"].as_array().unwrap().iter().filter(|txn| txn["parents"].as_array().unwrap().len() == 2).count();
    assert!(merges > 20, "the history has {merges} merges: too few to show anything");
    std::fs::write(&file, trace.to_string()).unwrap();
    let (exit, report) = replay(&harbour, &file, &[]).await;
    assert_eq!(exit, 0, "{report}");
    assert_eq!((&report["kind"], &report["equal"]), (&json!("concurrent"), &json!(true)));
    let names: Vec<&str> = report["readers"].as_array().unwrap().iter().filter_map(|reader| reader["name"].as_str()).collect();
    assert_eq!(names, ["author 1", "author 2", "late client"]);
    let (exit, report) = replay(&harbour, &file, &["--limit", "150"]).await;
    assert_eq!((exit, &report["equal"]), (0, &json!(true)), "{report}");
}
