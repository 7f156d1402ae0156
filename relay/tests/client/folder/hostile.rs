//! What others write is not believed.

use super::shelf::{Place, converge};
use driftline_core::doc::document::Document;
use driftline_core::doc::value::Value;

fn file(document: &mut Document, path: &str, text: &str) {
    document
        .change(None, 0, |tx| {
            tx.put("path", Value::String(path.to_owned()))?;
            tx.put("created", 5)?;
            tx.put("body", Value::Text(text.to_owned()))
        })
        .unwrap();
}

#[test]
fn no_name_leads_out_of_the_folder_or_into_what_is_not_to_be_touched() {
    let mut place = Place::new(1);
    place.write(".git/config", "git");
    let names = [
        "../out",
        "../../out",
        "/out",
        "a/../../out",
        "..",
        ".",
        "",
        "con",
        "a:b",
        "x\0y",
        ".git/config",
        ".GIT/hooks/x",
        ".driftline/driftline.sqlite",
        ".driftline-x~",
        "\\\\server\\x",
        "C:\\x",
        "git~1/config",
        ".git\u{200c}/config",
        "nul.txt",
        "trailing.",
        "trailing ",
    ];
    for (number, name) in names.iter().enumerate() {
        place.books.put(number as u8 + 1, |document| file(document, name, "theirs"));
    }
    let long = "x".repeat(5_000);
    let deep = "d/".repeat(3_000);
    place.books.put(100, |document| file(document, &long, "theirs"));
    place.books.put(101, |document| file(document, &deep, "theirs"));
    let report = place.settle();
    assert!(report.is_in_step(), "{report:?}");
    let outside: Vec<_> =
        std::fs::read_dir(place.folder.parent().unwrap()).unwrap().map(|entry| entry.unwrap().file_name()).collect();
    assert_eq!(outside, ["folder"]);
    let files = place.files();
    assert_eq!(files[".git/config"], b"git");
    assert!(files.keys().all(|name| name == ".git/config" || !name.starts_with(".git/")), "{:?}", files.keys());
    assert_eq!(files.len(), 1 + names.len() + 2, "all are kept under names of their own: {:?}", files.keys());
}

#[test]
fn names_that_some_file_system_takes_for_one_are_two_and_both_folders_agree() {
    let mut places = [Place::new(1), Place::new(2)];
    for (number, name) in ["Readme.md", "README.md", "caf\u{e9}", "cafe\u{301}", "a", "a/b"].iter().enumerate() {
        places[0].books.put(number as u8 + 1, |document| file(document, name, name));
    }
    converge(&mut places);
    let names = places[0].names();
    assert_eq!(names.len(), 6);
    let folded: std::collections::BTreeSet<String> = names.iter().map(|name| name.to_lowercase()).collect();
    assert_eq!(folded.len(), 6, "{names:?}");
    assert_eq!(places[0].files(), places[1].files());
}

#[test]
fn a_name_that_only_one_system_takes_stays_there_and_is_safe_elsewhere() {
    let mut places = [Place::new(1), Place::new(2)];
    places[0].write("what: is this?.md", "a\n");
    places[0].write("cafe\u{301}.md", "b\n");
    converge(&mut places);
    assert!(
        places[0].names().contains(&"what: is this?.md".to_owned()) && places[0].names().contains(&"cafe\u{301}.md".to_owned())
    );
    assert_eq!(places[1].names(), ["caf\u{e9}.md", "what_ is this_.md"]);
    places[1].write("what_ is this_.md", "a\nb\n");
    converge(&mut places);
    assert_eq!(places[0].read("what: is this?.md"), "a\nb\n");
}

#[cfg(unix)]
#[test]
fn nothing_is_written_or_read_through_a_link() {
    let mut place = Place::new(1);
    let elsewhere = tempfile::tempdir().unwrap();
    std::fs::write(elsewhere.path().join("x"), "theirs").unwrap();
    std::os::unix::fs::symlink(elsewhere.path(), place.folder.join("way")).unwrap();
    std::os::unix::fs::symlink(elsewhere.path().join("x"), place.folder.join("link")).unwrap();
    place.books.put(1, |document| file(document, "way/x", "hostile"));
    place.books.put(2, |document| file(document, "way/new", "hostile"));
    place.books.put(3, |document| file(document, "link", "hostile"));
    let report = place.settle();
    assert_eq!(report.in_step, 0);
    assert!(report.refused.iter().any(|(path, _)| path == "link"), "{report:?}");
    assert_eq!(std::fs::read_to_string(elsewhere.path().join("x")).unwrap(), "theirs");
    assert_eq!(std::fs::read_dir(elsewhere.path()).unwrap().count(), 1);
    assert_eq!(place.books.len(), 3, "and no document was made of what is there");
}

#[cfg(unix)]
#[test]
fn a_file_in_step_that_becomes_a_link_is_left_alone() {
    let mut places = [Place::new(1), Place::new(2)];
    places[0].write("sub/a.md", "a\n");
    places[0].write("b.md", "b\n");
    converge(&mut places);
    let elsewhere = tempfile::tempdir().unwrap();
    std::fs::write(elsewhere.path().join("a.md"), "a\n").unwrap();
    std::fs::remove_dir_all(places[0].folder.join("sub")).unwrap();
    std::os::unix::fs::symlink(elsewhere.path(), places[0].folder.join("sub")).unwrap();
    places[1].write("sub/a.md", "edited\n");
    converge(&mut places);
    assert_eq!(std::fs::read_to_string(elsewhere.path().join("a.md")).unwrap(), "a\n");
    assert_eq!(places[1].read("sub/a.md"), "edited\n", "and it is not taken for deleted");
    places[1].remove("sub/a.md");
    converge(&mut places);
    assert_eq!(std::fs::read_to_string(elsewhere.path().join("a.md")).unwrap(), "a\n");
}

#[test]
fn bytes_that_are_not_what_they_are_said_to_be_are_refused_and_counted() {
    let mut places = [Place::new(1), Place::new(2)];
    places[0].write("a.bin", [0_u8; 1000]);
    places[0].settle();
    let note = places[0].books.find(|document| document.value("blob").is_some()).unwrap();
    places[0].books.change(note, |document| {
        let Some(Value::Map(mut blob)) = document.value("blob") else { panic!() };
        blob.insert("sha256".to_owned(), Value::String("0".repeat(64)));
        document.change(None, 0, |tx| tx.put("blob", Value::Map(blob))).unwrap();
    });
    places[0].meet(&places[1]);
    let report = places[1].settle();
    assert_eq!((report.forged, report.in_step, report.files), (1, 0, 1), "{report:?}");
    assert!(places[1].names().is_empty());
}

#[test]
fn a_piece_that_has_not_come_is_waited_for() {
    let mut places = [Place::new(1), Place::new(2)];
    places[0].write("a.bin", [0_u8; 1000]);
    places[0].settle();
    let note = places[0].books.find(|document| document.value("blob").is_some()).unwrap();
    let mut copy = None;
    places[0].books.change(note, |document| copy = Some(document.save()));
    let id = note;
    use driftline_relay::folder::Shelf as _;
    places[1].books.import(id, copy.unwrap()).unwrap();
    let report = places[1].settle();
    assert_eq!((report.incomplete, report.in_step, report.files), (1, 0, 1));
    places[0].meet(&places[1]);
    assert!(places[1].settle().is_in_step());
    assert_eq!(places[1].files()["a.bin"], [0_u8; 1000]);
}
