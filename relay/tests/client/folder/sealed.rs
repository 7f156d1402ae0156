//! Folders in owned and sealed spaces through a real relay: the library's own shelf, and the command as people run it.

use super::desk::{Desk, Peer, files, run};
use crate::place::{Harbour, soon};
use driftline_core::doc::value::Value;
use driftline_core::engine::Engine;
use driftline_relay::folder::Terms;
use driftline_relay::repo::{Level, Member, Offer, OfferLevel, Repo, RepoOptions, Space};
use std::path::Path;

fn bytes(length: u32) -> Vec<u8> {
    (0..length).map(|at| (at * 7 % 251) as u8).collect()
}

fn offer(level: OfferLevel, harbour: &Harbour) -> Offer {
    Offer { level, expires: 0, note: String::new(), relays: vec![harbour.url()] }
}

/// Everything of a folder, written at once.
fn fill(folder: &Path) {
    std::fs::create_dir_all(folder.join("chapters")).unwrap();
    for number in 0..10 {
        std::fs::write(folder.join(format!("chapters/{number}.md")), format!("# {number}\n\nSome words.\n")).unwrap();
    }
    std::fs::write(folder.join("empty"), "").unwrap();
    std::fs::write(folder.join("photo.bin"), bytes(700_000)).unwrap();
}

/// An owner with a folder, in a space of this kind.
async fn owner(harbour: &Harbour, is_sealed: bool) -> (Desk, Space) {
    let desk = Desk::bare(harbour).await;
    let space = if is_sealed { desk.repo.found_sealed_space().await } else { desk.repo.found_space().await }.unwrap();
    (desk.keeping(&space), space)
}

async fn member(harbour: &Harbour, space: &Space, level: OfferLevel) -> Desk {
    let link = space.invite(offer(level, harbour)).await.unwrap();
    let desk = Desk::bare(harbour).await;
    let same = desk.repo.join(&link, "").await.unwrap();
    desk.keeping(&same)
}

/// All settle until all folders are the same.
async fn equal(desks: &mut [&mut Desk]) {
    soon(async {
        loop {
            for desk in desks.iter_mut() {
                desk.settle().await;
            }
            if desks.windows(2).all(|two| two[0].files() == two[1].files()) {
                return;
            }
        }
    })
    .await;
}

async fn lives_in_a_space(is_sealed: bool) {
    let harbour = Harbour::open().await;
    let (mut anna, space) = owner(&harbour, is_sealed).await;
    fill(anna.folder.path());
    assert_eq!(anna.settle().await.files, 12);
    // Ben begins with a copy of the folder, of which he has not heard; Cat with nothing.
    let mut ben = member(&harbour, &space, OfferLevel::Write).await;
    fill(ben.folder.path());
    let mut cat = member(&harbour, &space, OfferLevel::Write).await;
    equal(&mut [&mut anna, &mut ben, &mut cat]).await;
    assert_eq!(cat.files().len(), 12, "{:?}", cat.files().keys());

    // All write, in texts and in bytes, and rename.
    std::fs::write(ben.folder.path().join("chapters/0.md"), "# 0 by Ben\n\nSome words.\n").unwrap();
    std::fs::write(cat.folder.path().join("chapters/0.md"), "# 0\n\nSome words, and Cat's.\n").unwrap();
    std::fs::rename(anna.folder.path().join("chapters/1.md"), anna.folder.path().join("one.md")).unwrap();
    let mut photo = bytes(700_000);
    photo[300_000] = 0;
    std::fs::write(cat.folder.path().join("photo.bin"), &photo).unwrap();
    std::fs::remove_file(ben.folder.path().join("empty")).unwrap();
    equal(&mut [&mut anna, &mut ben, &mut cat]).await;
    let files = anna.files();
    assert_eq!(files["chapters/0.md"], b"# 0 by Ben\n\nSome words, and Cat's.\n");
    assert!(files["photo.bin"] == photo && files["one.md"].starts_with(b"# 1") && files.len() == 11, "{:?}", files.keys());
    let held = space.documents().await.unwrap().len();
    assert!(held < 60, "{held} documents");

    // Shut out, Cat gets nothing later, and what she does stays with her.
    space.revoke(cat.repo.peer_id()).await.unwrap();
    assert!(space.members_shared(std::time::Duration::from_secs(20)).await.unwrap());
    soon(async {
        while !matches!(cat.terms().await, Terms::Closed(_)) {
            cat.pass().await;
        }
    })
    .await;
    std::fs::write(anna.folder.path().join("later.md"), "later\n").unwrap();
    std::fs::write(anna.folder.path().join("later.bin"), bytes(300_000).split_off(1)).unwrap();
    std::fs::write(cat.folder.path().join("one.md"), "Cat's own\n").unwrap();
    equal(&mut [&mut anna, &mut ben]).await;
    let mut dan = member(&harbour, &space, OfferLevel::Read).await;
    equal(&mut [&mut anna, &mut ben, &mut dan]).await;
    let report = cat.pass().await;
    assert!(report.refused.iter().any(|(path, why)| path == "one.md" && why.contains("shut out")), "{report:?}");
    assert_eq!(cat.files()["one.md"], b"Cat's own\n");
    assert!(!cat.files().contains_key("later.md") && !cat.files().contains_key("later.bin"));
    assert!(dan.files()["one.md"].starts_with(b"# 1") && dan.files()["later.bin"].len() == 299_999);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_folder_lives_in_a_sealed_space() {
    lives_in_a_space(true).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_folder_lives_in_an_owned_space_that_is_not_sealed() {
    lives_in_a_space(false).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_same_file_is_kept_in_spaces_of_all_kinds_beside_each_other() {
    let harbour = Harbour::open().await;
    let mut open = Desk::open(&harbour).await;
    let (mut owned, _) = owner(&harbour, false).await;
    let (mut sealed, _) = owner(&harbour, true).await;
    for desk in [&mut open, &mut owned, &mut sealed] {
        fill(desk.folder.path());
        desk.settle().await;
        assert!(desk.repo.troubles().is_empty(), "{:?}", desk.repo.troubles());
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_command_joins_by_a_link_and_keeps_two_folders_in_step_in_a_sealed_space() {
    let harbour = Harbour::open().await;
    let owner = tempfile::tempdir().unwrap();
    let repo = Repo::open(RepoOptions::folder(owner.path()).relay(harbour.url())).await.unwrap();
    let space = repo.found_sealed_space().await.unwrap();
    let to_write = space.invite(offer(OfferLevel::Write, &harbour)).await.unwrap();
    let to_read = space.invite(offer(OfferLevel::Read, &harbour)).await.unwrap();
    assert!(space.members_shared(std::time::Duration::from_secs(20)).await.unwrap());

    let (one, two) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    std::fs::write(one.path().join("a.md"), "one\n").unwrap();
    std::fs::write(one.path().join("b.bin"), bytes(300_000)).unwrap();
    let folder = |folder: &tempfile::TempDir| folder.path().to_str().unwrap().to_owned();

    // Who is no member is told what to do, and nothing is touched.
    let (code, _, said) = run(&["--folder", &folder(&one), "--space", &space.id().to_string(), "--relay", &harbour.url()]).await;
    assert!(code == 5 && said.contains("--join"), "{code}: {said}");

    let mut anna = Peer::start(&["--folder", &folder(&one), "--join", &to_write, "--note", "Anna"]);
    let joined = anna.says("joined", None).await;
    anna.says("added", Some("b.bin")).await;
    let mut ben = Peer::start(&["--folder", &folder(&two), "--join", &to_read]);
    ben.says("joined", None).await;
    ben.says("follows", None).await;
    ben.says("written", Some("b.bin")).await;
    anna.says("inStep", None).await;
    ben.says("inStep", None).await;
    assert_eq!(files(one.path()), files(two.path()));
    std::fs::write(two.path().join("a.md"), "Ben's\n").unwrap();
    ben.says("refused", Some("a.md")).await;
    assert!(space.members().await.unwrap().iter().any(|member| member.note == "Anna"));
    assert_eq!(std::fs::read_to_string(two.path().join("a.md")).unwrap(), "Ben's\n");
    anna.stop().await;
    ben.stop().await;

    // The folder knows its space and the relay that the link named. Ben's link is taken back, and with it whom it let in.
    let is_bens = |member: &&Member| member.is_link && member.level == OfferLevel::Read;
    space.revoke(space.members().await.unwrap().iter().find(is_bens).unwrap().key).await.unwrap();
    let held = space.documents().await.unwrap().len();
    let mut anna = Peer::start(&["--folder", &folder(&one)]);
    anna.says("inStep", None).await;
    std::fs::write(one.path().join("c.md"), "three\n").unwrap();
    anna.says("added", Some("c.md")).await;
    let mut events = space.subscribe();
    soon(async {
        while space.documents().await.unwrap().len() == held {
            events.next().await;
        }
    })
    .await;
    anna.stop().await;
    // With a place on the local network, too, it is the member that it was, in the same space.
    let mut anna = Peer::start(&["--folder", &folder(&one), "--relay", &harbour.url(), "--pair", "--no-mdns"]);
    anna.says("inStep", None).await;
    let (code, status, said) = run(&["status", "--folder", &folder(&one), "--json"]).await;
    let status: serde_json::Value = serde_json::from_str(&status).unwrap_or_else(|error| panic!("{error}: {code} {said}"));
    assert_eq!((&status["peer"], &status["space"]), (&joined["key"], &joined["space"]), "{status}");
    anna.stop().await;
    repo.close().await;
    let other = tempfile::tempdir().unwrap();
    let (code, _, said) = run(&["--folder", &folder(&other), "--join", &to_write, "--space", "harbour"]).await;
    assert!(code == 2 && said.contains("--space"), "{code}: {said}");
    let (code, _, said) = run(&["--folder", &folder(&other), "--join", &to_write[..to_write.len() - 8]]).await;
    assert!(code == 2 && said.contains("invitation"), "{code}: {said}");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_relay_has_compacted_of_a_sealed_folder_comes_to_a_newcomer_by_snapshot_and_tail() {
    let harbour = Harbour::open().await;
    let (mut anna, space) = owner(&harbour, true).await;
    fill(anna.folder.path());
    anna.settle().await;
    // A note with a long history: someone keeps more than its text in it.
    let long = anna.folder.path().join("empty");
    std::fs::write(&long, "not any more\n").unwrap();
    anna.settle().await;
    let mut note = None;
    for document in space.documents().await.unwrap() {
        let handle = space.find(document).await.unwrap();
        if handle.text("title").await.unwrap().as_deref() == Some("empty") {
            note = Some(handle);
        }
    }
    let note = note.unwrap();
    for number in 0..12_u8 {
        note.change(move |tx| tx.put("sketch", Value::Bytes(vec![number; 400_000]))).await.unwrap();
    }
    soon(note.when_saved(Level::Relay)).await.unwrap();
    let id = space.id();
    let snapshots = move |engine: &mut Engine| {
        let documents = engine.documents(&id).into_iter();
        documents.filter(|document| engine.log(document).is_some_and(|log| log.snapshot().is_some())).count()
    };
    soon(async {
        while harbour.ask(snapshots).await == 0 {
            tokio::time::sleep(std::time::Duration::from_millis(20)).await;
        }
    })
    .await;
    std::fs::write(&long, "not any more, and less\n").unwrap();
    std::fs::write(anna.folder.path().join("new.bin"), [0, 1, 2]).unwrap();
    anna.settle().await;
    assert_eq!(harbour.ask(snapshots).await, 1, "a piece is one entry, which nothing makes shorter");
    let link = space.invite(offer(OfferLevel::Read, &harbour)).await.unwrap();
    assert!(space.members_shared(std::time::Duration::from_secs(20)).await.unwrap());
    // With everyone else gone.
    anna.repo.close().await;
    let ben = Desk::bare(&harbour).await;
    let same = ben.repo.join(&link, "").await.unwrap();
    let mut ben = ben.keeping(&same);
    let wanted = anna.files();
    soon(async {
        // What is at rest may only be so because nothing has come yet.
        while ben.files().len() < wanted.len() {
            ben.settle().await;
        }
    })
    .await;
    assert_eq!(ben.files().keys().collect::<Vec<_>>(), wanted.keys().collect::<Vec<_>>());
    for (name, bytes) in wanted {
        assert!(ben.files()[&name] == bytes, "{name}");
    }
}
