//! Names of files: what a document may claim, and what its file is called in every folder.
//!
//! A claim comes from anyone. It is made safe first, alike everywhere, and never fails: whatever it says, the file has a
//! name that every file system takes and that leads nowhere outside the folder. Then all claims together decide who is
//! called what, so that two folders with the same documents have the same names whatever came first.

use super::limits::{DEPTH_MAX, NAME_BYTES_MAX, PATH_BYTES_MAX};
use driftline_core::base::id::DocumentId;
use std::collections::{BTreeMap, BTreeSet};
use unicode_normalization::UnicodeNormalization as _;

/// What a document is called that names nothing.
const UNNAMED: &str = "unnamed";
/// How the names of files begin that are being written.
pub(crate) const TEMPORARY: &str = ".driftline-";
/// Names that are never a file's own, whatever follows a dot in them: devices of Windows.
const DEVICES: &[&str] = &["con", "prn", "aux", "nul", "conin$", "conout$"];

/// A path that every file system takes, with `/` between its names, made of whatever a document claims.
pub(crate) fn safe_path(claim: &str) -> String {
    let mut names: Vec<String> =
        claim.split(['/', '\\']).filter(|name| !name.is_empty() && *name != ".").map(safe_name).collect();
    if names.len() > DEPTH_MAX {
        names.drain(..names.len() - DEPTH_MAX);
    }
    while names.len() > 1 && names.iter().map(|name| name.len() + 1).sum::<usize>() > PATH_BYTES_MAX {
        names.remove(0);
    }
    if names.is_empty() { UNNAMED.to_owned() } else { names.join("/") }
}

/// A name that every file system takes, made of whatever stands in a claim.
fn safe_name(name: &str) -> String {
    let mut safe: String = name.nfc().map(|letter| if is_plain(letter) { letter } else { '_' }).collect();
    // Windows drops these at the end, and takes what is left for another name.
    if safe.ends_with(['.', ' ']) {
        safe.pop();
        safe.push('_');
    }
    if safe.starts_with(' ') {
        safe.replace_range(..1, "_");
    }
    if is_reserved(&safe) {
        safe.insert(0, '_');
    }
    if safe.len() > NAME_BYTES_MAX {
        let ending = ending_of(&safe).filter(|ending| ending.len() <= 16).unwrap_or_default().to_owned();
        let mut end = NAME_BYTES_MAX - ending.len();
        while !safe.is_char_boundary(end) {
            end -= 1;
        }
        safe.truncate(end);
        safe.push_str(&ending);
        // What was cut may have left the end of a sign that would join the letter before it.
        safe = safe.nfc().collect();
    }
    safe
}

/// Whether a letter can stand in a name everywhere, and is seen where it stands.
fn is_plain(letter: char) -> bool {
    let is_unseen = matches!(letter,
        '\u{ad}' | '\u{34f}' | '\u{61c}' | '\u{115f}' | '\u{1160}' | '\u{17b4}' | '\u{17b5}' | '\u{180b}'..='\u{180f}'
        | '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{206f}' | '\u{3164}' | '\u{feff}' | '\u{ffa0}'
        | '\u{fff0}'..='\u{fffd}' | '\u{e0000}'..='\u{e0fff}');
    !(letter.is_control() || is_unseen || matches!(letter, '<' | '>' | ':' | '"' | '|' | '?' | '*' | '/' | '\\'))
}

/// Whether a name means something of its own to a system or to this program.
fn is_reserved(name: &str) -> bool {
    let folded = fold(name);
    let stem = folded.split('.').next().unwrap_or_default().trim_end();
    let is_port = |word: &str| {
        let rest = stem.strip_prefix(word);
        rest.is_some_and(|rest| rest.chars().count() == 1 && rest.chars().all(|c| c.is_numeric() || "¹²³".contains(c)))
    };
    let is_git = folded == ".git" || folded.starts_with("git~") || folded.starts_with(".git~");
    DEVICES.contains(&stem)
        || is_port("com")
        || is_port("lpt")
        || is_git
        || folded.starts_with(".driftline") && folded != ".driftlineignore"
}

/// What two names have in common that some file system takes for one.
pub(crate) fn fold(name: &str) -> String {
    name.nfc().flat_map(char::to_lowercase).nfc().collect()
}

/// The ending of a name with its dot, where there is one.
fn ending_of(name: &str) -> Option<&str> {
    name.rfind('.').filter(|at| *at > 0).map(|at| &name[at..])
}

/// The path with the document's own mark before the ending of its last name.
pub(crate) fn marked(path: &str, document: DocumentId, letters: usize) -> String {
    let (folder, name) = path.rsplit_once('/').map_or(("", path), |(folder, name)| (folder, name));
    let ending = ending_of(name).unwrap_or_default();
    let id = document.to_string();
    let mark = &id[..letters.min(id.len())];
    let name = format!("{} ({mark}){ending}", &name[..name.len() - ending.len()]);
    if folder.is_empty() { name } else { format!("{folder}/{name}") }
}

/// What a document claims.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Claim {
    /// Which.
    pub document: DocumentId,
    /// The path, already safe.
    pub path: String,
    /// When it was made: of two that claim one name, the older has it.
    pub created: i64,
}

/// What each document's file is called: the same for the same claims, in whatever order they came.
pub(crate) fn settle(mut claims: Vec<Claim>) -> BTreeMap<DocumentId, String> {
    /// Letters of its id that tell a document from others of the same name.
    const MARK_LETTERS: usize = 6;
    claims.sort_by_key(|claim| (claim.created, claim.document));
    let mut files = BTreeSet::new();
    let mut folders = BTreeSet::new();
    let mut settled = BTreeMap::new();
    for Claim { document, path, .. } in claims {
        let path = clear_of_files(&path, &files, document);
        let is_free = |path: &str| {
            let folded = fold(path);
            !files.contains(&folded) && !folders.contains(&folded)
        };
        let own = [MARK_LETTERS, usize::MAX].into_iter().map(|letters| marked(&path, document, letters));
        let taken = std::iter::once(path.clone()).chain(own).find(|path| is_free(path));
        // Whoever claims even a name with another's whole id gets one more mark than there are claims.
        let taken = taken.unwrap_or_else(|| {
            let mut path = marked(&path, document, usize::MAX);
            while !is_free(&path) {
                path = marked(&path, document, usize::MAX);
            }
            path
        });
        let folded = fold(&taken);
        folders.extend(folded.match_indices('/').map(|(at, _)| folded[..at].to_owned()));
        files.insert(folded);
        settled.insert(document, taken);
    }
    settled
}

/// The path, with a mark at each name of a folder that is a file's already.
fn clear_of_files(path: &str, files: &BTreeSet<String>, document: DocumentId) -> String {
    let mut names: Vec<String> = path.split('/').map(str::to_owned).collect();
    for at in 0..names.len().saturating_sub(1) {
        while files.contains(&fold(&names[..=at].join("/"))) {
            names[at] = marked(&names[at], document, usize::MAX);
        }
    }
    names.join("/")
}

/// The path that a note without one gets, from its title.
pub(crate) fn path_of_title(title: &str) -> String {
    let words = title.split_whitespace().collect::<Vec<_>>().join(" ").replace(['/', '\\'], "-");
    let mut end = words.len().min(80);
    while !words.is_char_boundary(end) {
        end -= 1;
    }
    let words = words[..end].trim_end_matches(['.', ' ']);
    safe_path(&format!("{}.md", if words.is_empty() { "Untitled" } else { words }))
}

/// The title of the note at a path: its name without the ending.
pub(crate) fn title_of_path(path: &str) -> String {
    let name = path.rsplit('/').next().unwrap_or(path);
    let ending =
        ending_of(name).filter(|ending| [".md", ".txt", ".markdown"].contains(&fold(ending).as_str())).unwrap_or_default();
    name[..name.len() - ending.len()].to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_leads_out_of_the_folder_leads_into_it() {
        for (claim, path) in [
            ("notes/a.md", "notes/a.md"),
            ("../../etc/passwd", "._/._/etc/passwd"),
            ("/etc/passwd", "etc/passwd"),
            ("..", "._"),
            ("", "unnamed"),
            ("./././", "unnamed"),
            ("C:\\Windows\\a.txt", "C_/Windows/a.txt"),
            ("\\\\server\\share", "server/share"),
            ("a\0b", "a_b"),
            ("a\nb\u{202e}c", "a_b_c"),
        ] {
            assert_eq!(safe_path(claim), path, "{claim:?}");
        }
    }

    #[test]
    fn what_a_system_reserves_is_nobodys() {
        for (claim, path) in [
            ("CON", "_CON"),
            ("con.txt", "_con.txt"),
            ("x/Nul.tar.gz", "x/_Nul.tar.gz"),
            ("COM1", "_COM1"),
            ("lpt³.md", "_lpt³.md"),
            ("comrade.md", "comrade.md"),
            ("name.", "name_"),
            ("name ", "name_"),
            (".git/hooks/post-commit", "_.git/hooks/post-commit"),
            (".GIT/config", "_.GIT/config"),
            (".git./config", ".git_/config"),
            ("GIT~1/config", "_GIT~1/config"),
            (".g\u{200c}it/config", ".g_it/config"),
            (".driftline/folder.sqlite", "_.driftline/folder.sqlite"),
            (".Driftline-1~", "_.Driftline-1~"),
            (".gitignore", ".gitignore"),
            (".driftlineignore", ".driftlineignore"),
            ("a:b?.md", "a_b_.md"),
        ] {
            assert_eq!(safe_path(claim), path, "{claim:?}");
        }
    }

    #[test]
    fn a_safe_path_is_its_own_safe_path() {
        let long = format!("{}/{}.md", "d/".repeat(200), "é".repeat(300));
        let cut = format!("{}\u{301}x.md", "e".repeat(NAME_BYTES_MAX - 4));
        for claim in ["../x", "con", "a:b", " a ", ".", "...", "e\u{301}", "\u{1100}\u{1161}", &long, &cut, "a/./b//c", ". . ."] {
            let safe = safe_path(claim);
            assert_eq!(safe_path(&safe), safe, "{claim:?}");
            assert!(safe.len() <= PATH_BYTES_MAX && !safe.is_empty());
            assert!(safe.split('/').all(|name| name.len() <= NAME_BYTES_MAX && name != ".." && name != "." && !name.is_empty()));
        }
    }

    fn claim(number: u8, path: &str, created: i64) -> Claim {
        Claim { document: DocumentId([number; 16]), path: path.to_owned(), created }
    }

    #[test]
    fn of_two_that_claim_one_name_both_are_kept_and_the_order_does_not_matter() {
        let claims = [claim(1, "a.md", 20), claim(2, "a.md", 10), claim(3, "A.md", 30), claim(4, "b.md", 5)];
        let settled = settle(claims.to_vec());
        assert_eq!(settled[&DocumentId([2; 16])], "a.md", "the older has it");
        assert_eq!(settled[&DocumentId([1; 16])], marked("a.md", DocumentId([1; 16]), 6));
        assert_eq!(settled[&DocumentId([3; 16])], marked("A.md", DocumentId([3; 16]), 6));
        assert_eq!(settle(claims.iter().rev().cloned().collect()), settled);
        assert!(settled.values().all(|path| safe_path(path) == *path));
    }

    #[test]
    fn a_file_and_a_folder_of_one_name_are_two() {
        let settled = settle(vec![claim(1, "a", 1), claim(2, "a/b", 2), claim(3, "c/d", 3), claim(4, "C", 4)]);
        assert_eq!(settled[&DocumentId([1; 16])], "a");
        assert!(settled[&DocumentId([2; 16])].ends_with("/b") && !settled[&DocumentId([2; 16])].starts_with("a/"));
        assert_eq!(settled[&DocumentId([3; 16])], "c/d");
        assert_ne!(settled[&DocumentId([4; 16])], "C");
    }

    #[test]
    fn whoever_claims_the_name_that_another_would_fall_back_to_takes_nothing_from_anyone() {
        let own = marked("a", DocumentId([2; 16]), 6);
        let whole = marked("a", DocumentId([2; 16]), usize::MAX);
        let settled = settle(vec![claim(1, "a", 1), claim(3, &own, 1), claim(4, &whole, 1), claim(2, "a", 2)]);
        assert_eq!(settled.values().collect::<BTreeSet<_>>().len(), 4);
    }

    #[test]
    fn a_note_is_named_by_its_title_and_titled_by_its_name() {
        assert_eq!(path_of_title("Tides / harbour"), "Tides - harbour.md");
        assert_eq!(path_of_title("  "), "Untitled.md");
        assert_eq!(path_of_title("con"), "_con.md");
        assert_eq!(title_of_path("x/Tides.md"), "Tides");
        assert_eq!(title_of_path("x/main.rs"), "main.rs");
    }
}
