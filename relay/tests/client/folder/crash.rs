//! The process ends between any two steps, and the next one loses nothing and says nothing twice.

use super::shelf::{Place, converge};
use driftline_relay::folder::FolderError;

/// Does everything a pass can do, cut off after each step in turn.
#[test]
fn wherever_the_process_ends_nothing_is_lost_and_nothing_stands_twice() {
    let mut is_cut = true;
    let mut steps = 0;
    while is_cut {
        let mut places = [Place::new(1), Place::new(2)];
        places[0].write("edited.md", "one\ntwo\nthree\n");
        places[0].write("both.md", "one\ntwo\nthree\n");
        places[0].write("renamed.md", "to be renamed\n");
        places[0].write("theirs.md", "they rename it\n");
        places[0].write("deleted.md", "to be deleted\n");
        places[0].write("gone.md", "they delete it\n");
        converge(&mut places);
        places[1].write("both.md", "one\nBTWO\nthree\n");
        places[1].rename("theirs.md", "sub/moved.md");
        places[1].remove("gone.md");
        places[1].write("come.md", "it is new there\n");
        places[1].write("come.bin", [0, 1, 2]);
        places[1].settle();
        places[0].write("edited.md", "one\ntwo\nAthree\n");
        places[0].write("both.md", "Aone\ntwo\nthree\n");
        places[0].rename("renamed.md", "new name.md");
        places[0].remove("deleted.md");
        places[0].write("fresh.md", "it is new here\n");
        places[0].write("fresh.bin", [0, 3, 4]);
        places[0].meet(&places[1]);

        places[0].cut_after(steps);
        is_cut = match places[0].try_pass() {
            Err(FolderError::Cut) => true,
            Err(error) => panic!("{error}"),
            Ok(_) => false,
        };
        places[0].restart();
        // What others write meanwhile must not be mistaken for anything.
        places[1].settle();
        places[1].write("edited.md", places[1].read("edited.md") + "after\n");
        converge(&mut places);
        let expected = [
            ("both.md", "Aone\nBTWO\nthree\n"),
            ("come.md", "it is new there\n"),
            ("edited.md", "one\ntwo\nAthree\nafter\n"),
            ("fresh.md", "it is new here\n"),
            ("new name.md", "to be renamed\n"),
            ("sub/moved.md", "they rename it\n"),
        ];
        for (path, text) in expected {
            assert_eq!(places[0].read(path), text, "{path}, cut after {steps} steps: {:?}", places[0].names());
        }
        assert_eq!(places[0].files()["come.bin"], [0, 1, 2]);
        assert_eq!(places[0].files()["fresh.bin"], [0, 3, 4]);
        assert_eq!(places[0].names().len(), expected.len() + 2, "cut after {steps} steps: {:?}", places[0].names());
        assert_eq!(places[0].files(), places[1].files(), "cut after {steps} steps");
        steps += 1;
    }
    assert!(steps > 20, "a pass has many steps, and these were {steps}");
}

/// The process ends while it writes what others did, and someone edits the file before the next begins: whether it was written
/// already shows, or is not believed.
#[test]
fn what_is_edited_after_a_write_that_may_have_been_takes_nothing_out() {
    let mut is_cut = true;
    let mut steps = 0;
    while is_cut {
        let mut places = [Place::new(1), Place::new(2)];
        places[0].write("a.md", "one two\n");
        converge(&mut places);
        places[1].write("a.md", "one two theirs\n");
        places[1].settle();
        places[0].meet(&places[1]);
        places[0].cut_after(steps);
        is_cut = places[0].try_pass().is_err();
        places[0].restart();
        let text = places[0].read("a.md").replace("one", "mine");
        places[0].write("a.md", text);
        converge(&mut places);
        assert_eq!(places[0].read("a.md"), "mine two theirs\n", "cut after {steps} steps");
        steps += 1;
    }
    assert!(steps > 3);
}

/// A version that is remembered and no longer held, as after a backup of the replica was restored.
#[test]
fn where_the_version_of_a_file_is_lost_nothing_is_taken_out() {
    let mut place = Place::new(1);
    place.write("a.md", "one\n");
    place.settle();
    let backup = place.books.backup();
    place.write("a.md", "one\ntwo\n");
    place.settle();
    // The replica forgets the last edit, and hears of another; the folder remembers.
    place.books.restore(backup);
    let note = place.books.find(|document| document.text("body").is_some()).unwrap();
    place.books.change(note, |document| drop(document.change(None, 0, |tx| tx.splice("body", 0, 0, "zero\n")).unwrap()));
    place.settle();
    assert_eq!(place.read("a.md"), "zero\none\ntwo\n");
    place.write("a.md", "zero\none\ntwo\nthree\n");
    place.settle();
    assert_eq!(place.read("a.md"), "zero\none\ntwo\nthree\n");
}

/// The process ends when it has moved a file and not remembered it, and something else is put where that was before the next begins.
#[test]
fn what_was_moved_and_not_remembered_is_not_mistaken_for_what_stands_in_its_old_place() {
    let mut is_cut = true;
    let (mut steps, mut replaced) = (0, 0);
    while is_cut {
        let mut places = [Place::new(1), Place::new(2)];
        places[0].write("here.md", "to be moved away\n");
        converge(&mut places);
        places[1].rename("here.md", "there.md");
        places[1].settle();
        places[0].meet(&places[1]);
        places[0].cut_after(steps);
        is_cut = places[0].try_pass().is_err();
        places[0].restart();
        if places[0].files().contains_key("there.md") {
            places[0].write("here.md", [0, 1, 2]);
            replaced += 1;
        }
        converge(&mut places);
        assert_eq!(places[0].read("there.md"), "to be moved away\n", "cut after {steps} steps: {:?}", places[0].names());
        assert_eq!(places[0].files(), places[1].files(), "cut after {steps} steps");
        steps += 1;
    }
    assert!(replaced > 1, "it was moved before the last step, too");
}
