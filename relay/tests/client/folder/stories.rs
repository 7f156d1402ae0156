//! What people do with files, and what comes of it elsewhere.

use super::shelf::{Place, converge};
use driftline_core::doc::path::IntoPath as _;
use driftline_core::doc::value::Value;
use driftline_relay::folder::Deed;

fn two() -> [Place; 2] {
    [Place::new(1), Place::new(2)]
}

fn deeds(report: &driftline_relay::folder::Report) -> Vec<Deed> {
    report.acts.iter().map(|act| act.deed).collect()
}

#[test]
fn a_folder_comes_over_as_it_is() {
    let mut places = two();
    places[0].write("a.md", "one\r\ntwo\r\n");
    places[0].write("sub/deep/b.txt", "b");
    places[0].write("empty", "");
    places[0].write("picture.png", [0, 159, 146, 150, 255]);
    converge(&mut places);
    assert_eq!(places[1].files(), places[0].files());
    assert_eq!(places[1].read("a.md"), "one\r\ntwo\r\n");
    assert!(places[0].settle().is_in_step());
}

#[test]
fn both_write_in_one_file_and_both_keep_what_they_wrote() {
    let mut places = two();
    places[0].write("a.md", "High water at six.\nSlack water at nine.\n");
    converge(&mut places);
    places[0].write("a.md", "High water at seven.\nSlack water at nine.\n");
    places[1].write("a.md", "High water at six, Friday.\nSlack water at nine.\nEbb.\n");
    converge(&mut places);
    assert_eq!(places[0].read("a.md"), "High water at seven, Friday.\nSlack water at nine.\nEbb.\n");
    assert_eq!(places[1].files(), places[0].files());
}

#[test]
fn a_file_is_a_note_of_the_web_demo_and_a_note_is_a_file() {
    let mut places = two();
    places[0].write("Tides.md", "High water\n");
    places[0].settle();
    let note = places[0].books.find(|document| document.text("title").as_deref() == Some("Tides")).unwrap();
    places[0].books.change(note, |document| {
        assert_eq!(document.text("body").as_deref(), Some("High water\n"));
        assert!(document.value("created").unwrap().as_i64().is_some() && document.value("edited").unwrap().as_i64().is_some());
        assert_eq!(document.value("deleted"), Some(Value::Null), "which the demo takes for no time");
        document.change(None, 0, |tx| tx.splice("body", 0, 0, "# ")).unwrap();
    });
    places[0].books.put(7, |document| {
        let note = [
            ("title", Value::Text("Gulls: a list".to_owned())),
            ("body", Value::Text("1\n".to_owned())),
            ("created", Value::Int(5)),
        ];
        document.change(None, 0, |tx| note.into_iter().try_for_each(|(key, value)| tx.put(key, value))).unwrap();
    });
    converge(&mut places);
    assert_eq!(places[1].read("Tides.md"), "# High water\n");
    assert_eq!(places[1].read("Gulls_ a list.md"), "1\n");
    // Deleted in the demo, it is deleted in folders, and comes back the same way.
    places[1].books.change(note, |document| drop(document.change(None, 0, |tx| tx.put("deleted", 9)).unwrap()));
    converge(&mut places);
    assert_eq!(places[0].names(), ["Gulls_ a list.md"]);
    places[1].books.change(note, |document| drop(document.change(None, 0, |tx| tx.delete("deleted".into_path())).unwrap()));
    converge(&mut places);
    assert_eq!(places[0].read("Tides.md"), "# High water\n");
}

#[test]
fn a_file_that_is_renamed_keeps_who_it_is() {
    let mut places = two();
    places[0].write("a.md", "one\ntwo\nthree\n");
    places[0].write("b.md", "other\n");
    converge(&mut places);
    let documents = places[0].books.len();
    places[0].rename("a.md", "sub/c.md");
    assert_eq!(deeds(&places[0].pass()), [Deed::Renamed]);
    // Someone else writes in it at the same time, under its old name.
    places[1].write("a.md", "one\ntwo\nthree\nfour\n");
    converge(&mut places);
    assert_eq!(places[0].names(), ["b.md", "sub/c.md"]);
    assert_eq!(places[0].read("sub/c.md"), "one\ntwo\nthree\nfour\n");
    // Renamed and edited in one go.
    places[1].rename("sub/c.md", "d.md");
    places[1].write("d.md", "zero\none\ntwo\nthree\nfour\n");
    converge(&mut places);
    assert_eq!(places[0].names(), ["b.md", "d.md"]);
    assert_eq!(places[0].files(), places[1].files());
    assert_eq!(places[0].books.len(), documents, "no document was made");
}

#[test]
fn two_files_change_names_and_a_round_of_three_too() {
    let mut places = two();
    for name in ["a", "b", "c"] {
        places[0].write(name, format!("{name}\n").repeat(3));
    }
    converge(&mut places);
    let documents = places[0].books.len();
    for (from, to) in [("a", "x"), ("c", "a"), ("b", "c"), ("x", "b")] {
        places[0].rename(from, to);
    }
    let before = places[0].files();
    converge(&mut places);
    assert_eq!(places[0].files(), before);
    assert_eq!(places[1].files(), before);
    // Told as renames from elsewhere, each wants the other's place.
    let ids: Vec<_> = ["a", "b", "c"]
        .iter()
        .map(|name| places[0].books.find(|document| document.value("path") == Some(Value::String((*name).to_owned()))).unwrap())
        .collect();
    for (id, to) in ids.iter().zip(["b", "c", "a"]) {
        places[0]
            .books
            .change(*id, |document| drop(document.change(None, 0, |tx| tx.put("path", Value::String(to.to_owned()))).unwrap()));
    }
    converge(&mut places);
    assert_eq!(places[0].names(), ["a", "b", "c"]);
    assert_eq!(places[0].files()["b"], before["a"]);
    assert_eq!(places[0].files(), places[1].files());
    assert_eq!(places[0].books.len(), documents);
}

#[test]
fn two_that_are_renamed_to_one_name_are_both_kept_everywhere() {
    let mut places = two();
    places[0].write("a.md", "a\n");
    places[0].write("b.md", "b\n");
    converge(&mut places);
    places[0].rename("a.md", "c.md");
    places[1].rename("b.md", "c.md");
    converge(&mut places);
    let names = places[0].names();
    assert_eq!(names.len(), 2);
    assert!(names.contains(&"c.md".to_owned()) && names.iter().all(|name| name.starts_with("c")), "{names:?}");
    assert_eq!(places[0].files(), places[1].files());
}

#[test]
fn one_file_that_two_rename_has_one_name() {
    let mut places = two();
    places[0].write("a.md", "a\n");
    converge(&mut places);
    places[0].rename("a.md", "b.md");
    places[1].rename("a.md", "c.md");
    converge(&mut places);
    assert_eq!(places[0].names().len(), 1);
    assert_eq!(places[0].files(), places[1].files());
}

#[test]
fn a_deletion_travels_and_an_edit_beside_it_wins() {
    let mut places = two();
    places[0].write("a.md", "a\n");
    places[0].write("b.md", "b\n");
    converge(&mut places);
    places[0].remove("a.md");
    converge(&mut places);
    assert_eq!(places[1].names(), ["b.md"]);
    places[0].write("c.md", "c\n");
    places[0].remove("b.md");
    places[1].write("b.md", "b\nmore\n");
    converge(&mut places);
    assert_eq!(places[0].read("b.md"), "b\nmore\n");
    assert_eq!(places[0].files(), places[1].files());
    // The same file again, as it was.
    places[0].write("a.md", "a\n");
    converge(&mut places);
    assert_eq!(places[1].read("a.md"), "a\n");
}

#[test]
fn two_that_begin_with_the_same_folder_end_with_it() {
    let mut places = two();
    for place in &places {
        place.write("a.md", "same\n");
        place.write("b.md", "same too\n");
    }
    places[1].write("b.md", "same two\n");
    converge(&mut places);
    assert_eq!(places[0].files(), places[1].files());
    let names = places[0].names();
    assert_eq!((names[0].as_str(), names.len()), ("a.md", 3), "{names:?}");
    places[0].write("a.md", "same but\n");
    converge(&mut places);
    assert_eq!(places[1].read("a.md"), "same but\n");
}

#[test]
fn an_emptied_file_is_waited_for_and_so_is_one_that_is_gone() {
    let mut place = Place::new(1).patient();
    place.write("a.md", "all of it\n");
    assert_eq!((place.pass().acts.len(), place.pass().unsettled), (0, 1), "it may not be whole yet");
    place.wait(200);
    assert_eq!(deeds(&place.pass()), [Deed::Added]);
    // An editor truncates, and then writes.
    place.write("a.md", "");
    place.wait(500);
    assert_eq!((place.pass().acts.len(), place.pass().unsettled), (0, 1));
    place.write("a.md", "all of it, and more\n");
    place.pass();
    place.wait(200);
    assert_eq!(deeds(&place.pass()), [Deed::Edited]);
    // An editor writes elsewhere and puts it in place.
    place.rename("a.md", "a.md~");
    place.pass();
    place.wait(200);
    assert_eq!(place.pass().acts.len(), 0);
    place.write("a.md", "new\n");
    place.remove("a.md~");
    place.pass();
    place.wait(200);
    assert_eq!(deeds(&place.pass()), [Deed::Edited]);
    // It was meant.
    place.write("a.md", "");
    place.pass();
    place.wait(2_100);
    assert_eq!(deeds(&place.pass()), [Deed::Edited]);
}

#[test]
fn what_a_pattern_names_stays_at_home_and_is_not_deleted_elsewhere() {
    let mut places = two();
    places[0].write(".gitignore", "*.log\n");
    places[0].write("a.log", "mine");
    places[0].write("a.md", "ours");
    places[0].write(".git/config", "git");
    converge(&mut places);
    assert_eq!(places[1].names(), [".gitignore", "a.md"]);
    places[0].write(".driftlineignore", "a.md\n");
    assert!(deeds(&places[0].pass()).contains(&Deed::LetGo));
    converge(&mut places);
    assert!(places[1].names().contains(&"a.md".to_owned()) && places[0].names().contains(&"a.md".to_owned()));
}

#[test]
fn an_empty_folder_is_not_taken_for_a_deletion_of_all() {
    let mut places = two();
    places[0].write("a.md", "a");
    places[0].write("b.md", "b");
    converge(&mut places);
    places[0].remove("a.md");
    places[0].remove("b.md");
    let report = places[0].pass();
    assert!(report.acts.is_empty() && report.refused[0].1.contains("empty"), "{report:?}");
    assert_eq!(places[1].names().len(), 2);
}

#[test]
fn a_file_of_bytes_travels_in_pieces_and_two_versions_are_both_kept() {
    let mut places = two();
    let bytes: Vec<u8> = (0..700_000_u32).map(|at| (at * 7 % 251) as u8).collect();
    places[0].write("a.bin", &bytes);
    converge(&mut places);
    assert_eq!(places[1].files()["a.bin"], bytes);
    let documents = places[0].books.len();
    let mut other = bytes.clone();
    other[10] = 0;
    places[0].write("a.bin", &other);
    places[0].settle();
    assert_eq!(places[0].books.len(), documents + 1, "only the piece that differs is new");
    let mut third = bytes.clone();
    third[600_000] = 0;
    places[1].write("a.bin", &third);
    converge(&mut places);
    assert_eq!(places[0].files(), places[1].files());
    let files = places[0].files();
    assert_eq!(files.len(), 2, "{:?}", places[0].names());
    assert!(files.values().any(|held| *held == other) && files.values().any(|held| *held == third));
    // It becomes a text, and bytes again.
    places[0].write("a.bin", "text\n");
    converge(&mut places);
    assert_eq!(places[1].read("a.bin"), "text\n");
    places[1].write("a.bin", [0, 1, 2]);
    converge(&mut places);
    assert_eq!(places[0].files()["a.bin"], [0, 1, 2]);
    // Bytes in its place, and someone writes in the text.
    places[0].write("b.md", "one\n");
    converge(&mut places);
    places[0].write("b.md", [0, 9]);
    places[1].write("b.md", "one\ntwo\n");
    converge(&mut places);
    let files = places[0].files();
    assert!(
        files.values().any(|held| held == b"one\ntwo\n") && files.values().any(|held| held == &[0, 9]),
        "{:?}",
        places[0].names()
    );
}
