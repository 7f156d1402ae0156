//! What stays at home: what `.gitignore` and `.driftlineignore` files name, as git reads them, and always `.git` and what
//! is this program's own.

use super::limits::PATTERNS_BYTES_MAX;
use super::names::fold;
use ignore::Match;
use ignore::gitignore::{Gitignore, GitignoreBuilder};
use std::cell::RefCell;
use std::collections::BTreeMap;
use std::io::Read as _;
use std::path::{Path, PathBuf};
use std::rc::Rc;

/// Files that name what stays at home, the stronger last.
const PATTERN_FILES: &[&str] = &[".gitignore", ".driftlineignore"];

/// What stays at home, as the folder's files of patterns say now. Made anew for each look at the folder.
pub(crate) struct Ignored {
    root: PathBuf,
    data: Option<String>,
    patterns: RefCell<BTreeMap<String, Rc<Vec<Gitignore>>>>,
}

impl Ignored {
    /// Of the folder at `root`, where the data directory is at `data` below it, if it is in it.
    pub(crate) fn new(root: &Path, data: Option<String>) -> Self {
        Self { root: root.to_owned(), data, patterns: RefCell::default() }
    }

    /// Whether a file or folder stays at home; what is above it is known not to.
    pub(crate) fn is_ignored(&self, path: &str, is_folder: bool) -> bool {
        let name = path.rsplit('/').next().unwrap_or(path);
        let folded = fold(name);
        if folded == ".git"
            || (folded.starts_with(".driftline") && folded != ".driftlineignore")
            || self.data.as_deref() == Some(path)
        {
            return true;
        }
        // The nearest file that says something has the last word.
        let mut folder = parent(path);
        while let Some(at) = folder {
            for patterns in self.patterns_of(at).iter().rev() {
                match patterns.matched(self.root.join(path), is_folder) {
                    Match::None => {}
                    Match::Ignore(_) => return true,
                    Match::Whitelist(_) => return false,
                }
            }
            folder = if at.is_empty() { None } else { parent(at) };
        }
        false
    }

    /// Whether a file stays at home, by its own name or by that of a folder above it.
    pub(crate) fn is_file_ignored(&self, path: &str) -> bool {
        path.match_indices('/').any(|(at, _)| self.is_ignored(&path[..at], true)) || self.is_ignored(path, false)
    }

    fn patterns_of(&self, folder: &str) -> Rc<Vec<Gitignore>> {
        if let Some(patterns) = self.patterns.borrow().get(folder) {
            return Rc::clone(patterns);
        }
        let at = self.root.join(folder);
        let patterns: Rc<Vec<Gitignore>> = Rc::new(PATTERN_FILES.iter().filter_map(|name| read_patterns(&at, name)).collect());
        self.patterns.borrow_mut().insert(folder.to_owned(), Rc::clone(&patterns));
        patterns
    }
}

/// The folder that a path is in; the empty path is the root.
pub(crate) fn parent(path: &str) -> Option<&str> {
    match path.rsplit_once('/') {
        Some((folder, _)) => Some(folder),
        None if path.is_empty() => None,
        None => Some(""),
    }
}

/// The patterns of one file, if it is one. A line that makes no sense is passed over.
fn read_patterns(folder: &Path, name: &str) -> Option<Gitignore> {
    let file = folder.join(name);
    if !std::fs::symlink_metadata(&file).ok()?.is_file() {
        return None;
    }
    let mut text = Vec::new();
    std::fs::File::open(&file).ok()?.take(PATTERNS_BYTES_MAX).read_to_end(&mut text).ok()?;
    let mut builder = GitignoreBuilder::new(folder);
    for line in String::from_utf8_lossy(&text).lines() {
        let _ = builder.add_line(None, line);
    }
    builder.build().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn patterns_are_read_as_git_reads_them() {
        let folder = tempfile::tempdir().unwrap();
        let root = folder.path();
        std::fs::create_dir_all(root.join("sub")).unwrap();
        std::fs::write(root.join(".gitignore"), "*.log\n/build/\n!keep.log\n").unwrap();
        std::fs::write(root.join(".driftlineignore"), "drafts/\nsecret.md\n").unwrap();
        std::fs::write(root.join("sub/.gitignore"), "!b.log\n").unwrap();
        let ignored = Ignored::new(root, Some("own".to_owned()));
        for (path, is) in [
            ("a.md", false),
            ("a.log", true),
            ("sub/a.log", true),
            ("sub/b.log", false),
            ("keep.log", false),
            ("build/x", true),
            ("sub/build/x", false),
            ("sub/drafts/x", true),
            ("drafts", false),
            ("secret.md", true),
            (".git/config", true),
            ("sub/.git/config", true),
            (".driftline/folder.sqlite", true),
            (".driftline-1~", true),
            (".driftlineignore", false),
            ("own/driftline.sqlite", true),
            ("sub/own/x", false),
        ] {
            assert_eq!(ignored.is_file_ignored(path), is, "{path}");
        }
    }
}
