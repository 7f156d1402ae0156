//! Folders of members: in an owned space every change is someone's, and what two have made of one file becomes one.

use super::shelf::{Place, converge};
use driftline_core::base::id::DocumentId;
use driftline_core::doc::value::Value;
use driftline_relay::folder::{Deed, Report, Terms};

fn two() -> [Place; 2] {
    [Place::sealed(1), Place::sealed(2)]
}

fn three() -> [Place; 3] {
    [Place::sealed(1), Place::sealed(2), Place::sealed(3)]
}

fn refused(report: &Report) -> Vec<&str> {
    report.refused.iter().map(|(path, _)| path.as_str()).collect()
}

/// The documents in which a file is that was made at this path.
fn made_at(place: &Place, path: &str) -> Vec<DocumentId> {
    place.books.find_all(|document| {
        document.value("origin").is_some_and(|origin| origin.as_map().unwrap()["path"].as_str() == Some(path))
    })
}

#[test]
fn a_folder_comes_over_in_a_sealed_space_as_it_does_in_an_open_one() {
    let mut places = two();
    places[0].write("a.md", "one\r\ntwo\r\n");
    places[0].write("sub/deep/b.txt", "b");
    places[0].write("empty", "");
    places[0].write("picture.png", [0, 159, 146, 150, 255]);
    places[0].write("large.bin", (0..700_000_u32).map(|at| (at * 7 % 251) as u8).collect::<Vec<_>>());
    converge(&mut places);
    assert_eq!(places[1].files(), places[0].files());
    assert!(places[0].settle().is_in_step() && places[1].settle().is_in_step());
    places[1].rename("sub/deep/b.txt", "c.txt");
    places[1].write("a.md", "one\r\ntwo\r\nthree\r\n");
    places[1].remove("empty");
    converge(&mut places);
    assert_eq!(places[0].names(), ["a.md", "c.txt", "large.bin", "picture.png"]);
    assert_eq!(places[1].files(), places[0].files());
    // What was deleted is made again as it was, in the same document.
    let documents = places[0].books.len();
    places[0].write("empty", "");
    converge(&mut places);
    assert_eq!((places[0].books.len(), places[1].names().len()), (documents, 5));
}

#[test]
fn two_that_begin_with_the_same_folder_end_with_one_of_every_file_and_all_that_either_wrote_since() {
    let mut places = three();
    for place in &mut places[..2] {
        for name in ["a.md", "b.md", "c.md", "d.md"] {
            place.write(name, format!("{name}\none\ntwo\nthree\n"));
        }
        place.write("e.bin", [0, 1, 2]);
        place.settle();
    }
    assert_ne!(made_at(&places[0], "a.md"), made_at(&places[1], "a.md"), "no two make one document by two first changes");
    // Since then the first wrote in b and d, the other in c and d.
    places[0].write("b.md", "b.md\nzero\none\ntwo\nthree\n");
    places[0].write("d.md", "d.md\nzero\none\ntwo\nthree\n");
    places[1].write("c.md", "c.md\none\ntwo\nthree\nfour\n");
    places[1].write("d.md", "d.md\none\ntwo\nthree\nfour\n");
    converge(&mut places);
    assert_eq!(places[2].names(), ["a.md", "b.md", "c.md", "d.md", "e.bin"]);
    assert_eq!(places[2].read("b.md"), "b.md\nzero\none\ntwo\nthree\n");
    assert_eq!(places[2].read("c.md"), "c.md\none\ntwo\nthree\nfour\n");
    assert_eq!(places[2].read("d.md"), "d.md\nzero\none\ntwo\nthree\nfour\n");
    for place in &places[..2] {
        assert_eq!(place.files(), places[2].files());
    }
    // And from now on it is one file for all.
    places[0].write("d.md", "d.md\nzero\none\nthree\nfour\n");
    places[1].write("d.md", "d.md\nzero\none\ntwo\nthree\nfour\nfive\n");
    converge(&mut places);
    assert_eq!(places[2].read("d.md"), "d.md\nzero\none\nthree\nfour\nfive\n");
}

#[test]
fn what_someone_writes_in_the_one_that_goes_without_having_heard_of_it_is_carried_over_once() {
    let mut places = three();
    for place in &mut places[..2] {
        place.write("a.md", "one\ntwo\nthree\n");
        place.settle();
    }
    // Of the two documents the one with the higher id goes; the third has that one, and has not heard of the other.
    let goes = usize::from(made_at(&places[1], "a.md") > made_at(&places[0], "a.md"));
    let [first, second, third] = &mut places;
    let goes = if goes == 1 { &mut *second } else { &mut *first };
    third.meet(goes);
    third.settle();
    goes.write("a.md", "zero\none\ntwo\nthree\n");
    goes.settle();
    let stays = if std::ptr::eq(goes, first) { &mut *second } else { &mut *first };
    stays.write("a.md", "one\ntwo\nthree\nfour\n");
    stays.settle();
    first.meet(second);
    for place in [&mut *first, &mut *second] {
        place.settle();
    }
    first.meet(second);
    first.settle();
    assert_eq!(first.read("a.md"), "zero\none\ntwo\nthree\nfour\n");
    third.write("a.md", "one\ntwo and a half\nthree\n");
    third.settle();
    converge(&mut places);
    assert_eq!(places[0].names(), ["a.md"]);
    assert_eq!(places[0].read("a.md"), "zero\none\ntwo and a half\nthree\nfour\n");
    assert_eq!(places[2].files(), places[0].files());
}

#[test]
fn where_the_maker_of_one_never_comes_back_both_are_seen() {
    let [mut anna, mut ben, mut cat] = three();
    for place in [&mut anna, &mut ben] {
        place.write("a.md", "one\n");
        place.settle();
    }
    anna.write("a.md", "one\nanna\n");
    ben.write("a.md", "one\nben\n");
    for place in [&mut anna, &mut ben] {
        place.settle();
    }
    // Both are never heard of again.
    cat.meet(&anna);
    cat.meet(&ben);
    cat.settle();
    let texts = cat.texts();
    assert_eq!(texts.len(), 2, "{texts:?}");
    assert!(texts.values().any(|text| text == "one\nanna\n") && texts.values().any(|text| text == "one\nben\n"));
}

#[test]
fn a_file_that_only_others_made_twice_is_waited_for_and_then_made_one() {
    let [mut anna, mut ben, cat] = three();
    for place in [&mut anna, &mut ben] {
        place.write("a.md", "one\n");
        place.settle();
    }
    let mut cat = cat.patient();
    cat.meet(&anna);
    cat.meet(&ben);
    assert_eq!((cat.pass().acts.len(), cat.pass().unsettled), (0, 1), "its maker makes it one");
    cat.wait(3_100);
    cat.pass();
    assert_eq!(cat.names(), ["a.md"]);
    anna.meet(&cat);
    anna.settle();
    assert_eq!(anna.names(), ["a.md"]);
}

#[test]
fn two_that_write_the_same_piece_at_once_have_one_and_a_false_one_is_refused() {
    let mut places = two();
    let bytes: Vec<u8> = (0..300_000_u32).map(|at| (at * 7 % 251) as u8).collect();
    for place in &mut places {
        place.write("a.bin", &bytes);
        place.settle();
    }
    let pieces = |place: &Place| place.books.find_all(|document| document.value("chunk").is_some());
    assert_eq!(pieces(&places[0]), pieces(&places[1]), "a piece is named by what it holds");
    assert_eq!(pieces(&places[0]).len(), 2);
    converge(&mut places);
    assert_eq!(pieces(&places[0]).len(), 2);
    assert_eq!((places[0].names(), &places[1].files()["a.bin"]), (vec!["a.bin".to_owned()], &bytes));

    // Someone writes over a piece, and someone else has taken the name of one before it was made.
    let piece = pieces(&places[0])[0];
    places[0]
        .books
        .change(piece, |document| drop(document.change(None, 0, |tx| tx.put("chunk", Value::Bytes(vec![9]))).unwrap()));
    let mut newcomer = Place::sealed(3);
    newcomer.meet(&places[0]);
    newcomer.settle();
    assert_eq!(newcomer.files()["a.bin"], bytes);
    let mut other = Place::sealed(4);
    other.books.put_at(piece, |document| drop(document.change(None, 0, |tx| tx.put("chunk", Value::Bytes(vec![8]))).unwrap()));
    let mut forged = Place::sealed(5);
    forged.meet(&other);
    forged.write("a.bin", &bytes);
    forged.settle();
    other.meet(&forged);
    other.settle();
    assert_eq!(other.files()["a.bin"], bytes, "who has the bytes sets the piece right");
}

#[test]
fn bytes_that_are_not_what_the_name_says_are_not_written() {
    let [mut anna, mut ben] = two();
    anna.write("a.bin", [0, 1, 2]);
    anna.settle();
    let piece = anna.books.find_all(|document| document.value("chunk").is_some())[0];
    let record = anna.books.find_all(|document| document.value("blob").is_some())[0];
    ben.books.put_at(piece, |document| drop(document.change(None, 0, |tx| tx.put("chunk", Value::Bytes(vec![8]))).unwrap()));
    ben.books.take_one(&anna.books, record);
    let report = ben.pass();
    assert_eq!((report.forged, ben.names().len()), (1, 0), "{report:?}");
}

#[test]
fn a_new_epoch_names_what_comes_after_it_and_what_was_before_keeps_its_name() {
    let mut places = two();
    let first: Vec<u8> = (0..300_000_u32).map(|at| (at * 7 % 251) as u8).collect();
    places[0].write("a.bin", &first);
    converge(&mut places);
    let documents = places[0].books.len();
    places[1].books.begin_epoch();
    converge(&mut places);
    let mut second = first.clone();
    second.extend_from_slice(b"and more");
    places[1].write("b.bin", &first);
    places[1].write("c.bin", &second);
    converge(&mut places);
    assert_eq!(places[0].books.len(), documents + 3, "the pieces that were there serve the new file, and one is new");
    assert_eq!(places[0].files(), places[1].files());
    // Who has the old key alone does not find the new piece by its bytes.
    let mut shut_out = Place::sealed(9);
    shut_out.write("a.bin", &first);
    shut_out.write("c.bin", &second);
    shut_out.settle();
    let of = |place: &Place| place.books.find_all(|document| document.value("chunk").is_some());
    let new: Vec<DocumentId> = of(&places[0]).into_iter().filter(|piece| !of(&shut_out).contains(piece)).collect();
    assert_eq!((of(&places[0]).len(), new.len()), (3, 1));
}

#[test]
fn whoever_may_only_read_keeps_their_edits_and_nobody_gets_them_until_they_may_write() {
    let mut places = two();
    for name in ["a.md", "b.md", "c.md", "d.md"] {
        places[0].write(name, format!("{name}\n"));
    }
    converge(&mut places);
    let [anna, ben] = &mut places;
    ben.books.set_terms(Some(Terms::Closed("granted read".to_owned())));
    ben.write("a.md", "a.md\nBen's\n");
    ben.rename("b.md", "x.md");
    ben.remove("c.md");
    ben.write("new.md", "new\n");
    anna.write("a.md", "Anna's\na.md\n");
    anna.write("d.md", "d.md\nAnna's\n");
    anna.settle();
    ben.meet(anna);
    let report = ben.pass();
    assert_eq!(refused(&report), ["x.md", "a.md", "new.md"], "{report:?}");
    assert!(report.refused.iter().all(|(_, why)| why.contains("granted read")));
    assert_eq!(ben.read("a.md"), "a.md\nBen's\n", "what was written here stays");
    assert_eq!((ben.read("c.md"), ben.read("d.md")), ("c.md\n".to_owned(), "d.md\nAnna's\n".to_owned()), "the rest follows");
    assert_eq!(report.acts.iter().map(|act| act.deed).collect::<Vec<_>>(), [Deed::Merged, Deed::Written]);
    anna.meet(ben);
    anna.settle();
    assert_eq!(anna.names(), ["a.md", "b.md", "c.md", "d.md"]);
    // Let in to write, what was done meanwhile is taken.
    ben.books.set_terms(None);
    converge(&mut places);
    assert_eq!(places[0].names(), ["a.md", "c.md", "d.md", "new.md", "x.md"]);
    assert_eq!(places[0].read("a.md"), "Anna's\na.md\nBen's\n");
    assert_eq!(places[1].files(), places[0].files());
}

#[test]
fn who_awaits_the_others_takes_nothing_and_takes_for_theirs_what_is() {
    let mut places = two();
    places[0].write("a.md", "one\n");
    places[0].write("b.md", "two\n");
    places[0].settle();
    let [anna, ben] = &mut places;
    ben.write("a.md", "one\n");
    ben.write("b.md", "another\n");
    ben.hold_back(true);
    let report = ben.pass();
    assert_eq!((report.acts.len(), report.unsettled, ben.books.len()), (0, 2, 0), "{report:?}");
    ben.meet(anna);
    ben.pass();
    assert_eq!(ben.books.len(), anna.books.len());
    ben.hold_back(false);
    converge(&mut places);
    assert_eq!(made_at(&places[0], "a.md").len(), 1, "it is hers");
    assert_eq!((places[0].names().len(), made_at(&places[0], "b.md").len()), (3, 2), "and the other is another");
    assert_eq!(places[0].files(), places[1].files());
}
