//! How files are written: whole or not at all, never over what somebody wrote meanwhile, and never through a link.
//!
//! New text stands in a file of its own beside its place, made durable there, and then the two change places in one step.
//! What stood there before is looked at afterwards: if it is not what was expected, someone wrote it in that moment, and
//! it is handed back instead of being thrown away.

use super::names::TEMPORARY;
use super::record::fingerprint;
use super::scan;
use std::fs::{File, OpenOptions};
use std::io::{self, ErrorKind, Read as _, Write as _};
use std::path::{Path, PathBuf};

/// A folder that files are written into.
pub(crate) struct Root {
    path: PathBuf,
}

/// What came of writing or removing a file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Written {
    /// It is done.
    Done,
    /// Something else stands there: nothing was done.
    Occupied,
    /// It is done, and this was written there meanwhile.
    Instead(Vec<u8>),
}

impl Root {
    pub(crate) fn new(path: &Path) -> Self {
        Self { path: path.to_owned() }
    }

    /// The folder.
    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    /// Where a path below the folder is on this machine.
    pub(crate) fn at(&self, path: &str) -> PathBuf {
        self.path.join(path)
    }

    /// Reads a file that no folder above it leads elsewhere; nothing when there is none, or more than `bytes_max`.
    pub(crate) fn read(&self, path: &str, bytes_max: u64) -> io::Result<Option<Vec<u8>>> {
        if !self.is_inside(path)? {
            return Ok(None);
        }
        let file = match scan::open(&self.at(path)) {
            Ok(file) => file,
            Err(error) if error.kind() == ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(error),
        };
        let mut bytes = Vec::new();
        file.take(bytes_max + 1).read_to_end(&mut bytes)?;
        Ok((bytes.len() as u64 <= bytes_max).then_some(bytes))
    }

    /// Whether anything has this name, a link that leads nowhere too.
    pub(crate) fn is_there(&self, path: &str) -> bool {
        std::fs::symlink_metadata(self.at(path)).is_ok()
    }

    /// Writes a file to where there is none.
    pub(crate) fn write_new(&self, path: &str, bytes: &[u8], mark: &str) -> io::Result<Written> {
        if !self.make_room(path)? {
            return Ok(Written::Occupied);
        }
        let beside = self.write_beside(path, bytes, mark)?;
        let placed = rename_unless_there(&beside, &self.at(path));
        if !matches!(placed, Ok(true)) {
            std::fs::remove_file(&beside)?;
        }
        Ok(if placed? { Written::Done } else { Written::Occupied })
    }

    /// Writes a file over one that holds `expected`; what holds anything else is left or handed back.
    pub(crate) fn write_over(&self, path: &str, bytes: &[u8], expected: &str, mark: &str) -> io::Result<Written> {
        if !self.is_inside(path)? {
            return Ok(Written::Occupied);
        }
        let place = self.at(path);
        let Ok(before) = scan::open(&place) else { return Ok(Written::Occupied) };
        let permissions = before.metadata()?.permissions();
        if fingerprint(&all_of(before)?) != expected {
            return Ok(Written::Occupied);
        }
        let beside = self.write_beside(path, bytes, mark)?;
        std::fs::set_permissions(&beside, permissions)?;
        match change_places(&beside, &place) {
            Ok(()) => {}
            Err(error) => {
                std::fs::remove_file(&beside)?;
                return if error.kind() == ErrorKind::NotFound { Ok(Written::Occupied) } else { Err(error) };
            }
        }
        self.throw_away(&beside, expected)
    }

    /// Removes a file that holds `expected`.
    pub(crate) fn remove(&self, path: &str, expected: &str, mark: &str) -> io::Result<Written> {
        if !self.is_inside(path)? {
            return Ok(Written::Occupied);
        }
        let place = self.at(path);
        match scan::open(&place).and_then(all_of) {
            Ok(bytes) if fingerprint(&bytes) == expected => {}
            Ok(_) => return Ok(Written::Occupied),
            Err(error) if error.kind() == ErrorKind::NotFound => return Ok(Written::Done),
            Err(_) => return Ok(Written::Occupied),
        }
        let beside = self.beside(path, mark);
        if !rename_unless_there(&place, &beside)? {
            return Ok(Written::Occupied);
        }
        let thrown = self.throw_away(&beside, expected)?;
        if thrown == Written::Done {
            self.prune(path);
        }
        Ok(thrown)
    }

    /// Moves a file to where there is none.
    pub(crate) fn rename(&self, from: &str, to: &str) -> io::Result<Written> {
        if !self.is_inside(from)? || !self.make_room(to)? {
            return Ok(Written::Occupied);
        }
        if !rename_unless_there(&self.at(from), &self.at(to))? {
            return Ok(Written::Occupied);
        }
        self.prune(from);
        Ok(Written::Done)
    }

    /// Makes the names in the folder of a path durable.
    pub(crate) fn sync_folder_of(&self, path: &str) -> io::Result<()> {
        let place = self.at(path);
        match place.parent().map(File::open) {
            #[cfg(unix)]
            Some(Ok(folder)) => folder.sync_all(),
            // A folder that is gone has no names; elsewhere than on Unix the system does this by itself.
            _ => Ok(()),
        }
    }

    /// Removes the folders above a path that hold nothing any more.
    fn prune(&self, path: &str) {
        for (at, _) in path.rmatch_indices('/') {
            if std::fs::remove_dir(self.at(&path[..at])).is_err() {
                return;
            }
        }
    }

    /// Whether all folders above a path are folders, and no links.
    fn is_inside(&self, path: &str) -> io::Result<bool> {
        for (at, _) in path.match_indices('/') {
            match std::fs::symlink_metadata(self.at(&path[..at])) {
                Ok(about) if about.is_dir() => {}
                Ok(_) => return Ok(false),
                Err(error) if error.kind() == ErrorKind::NotFound => return Ok(true),
                Err(error) => return Err(error),
            }
        }
        Ok(true)
    }

    /// Makes the folders above a path; answers whether the path is free.
    fn make_room(&self, path: &str) -> io::Result<bool> {
        for (at, _) in path.match_indices('/') {
            let folder = self.at(&path[..at]);
            match std::fs::create_dir(&folder) {
                Ok(()) => {}
                Err(error) if error.kind() == ErrorKind::AlreadyExists => {
                    if !std::fs::symlink_metadata(&folder)?.is_dir() {
                        return Ok(false);
                    }
                }
                Err(error) => return Err(error),
            }
        }
        // Folders that hold nothing but such folders are nobody's.
        remove_empty(&self.at(path));
        Ok(!self.is_there(path))
    }

    /// Where what is not yet, or no longer, a file stands: in the same folder, so that it is on the same disk.
    fn beside(&self, path: &str, mark: &str) -> PathBuf {
        let folder = super::ignored::parent(path).unwrap_or_default();
        self.at(folder).join(format!("{TEMPORARY}{mark}~"))
    }

    fn write_beside(&self, path: &str, bytes: &[u8], mark: &str) -> io::Result<PathBuf> {
        let beside = self.beside(path, mark);
        let written = OpenOptions::new().write(true).create_new(true).open(&beside).and_then(|mut file| {
            file.write_all(bytes)?;
            file.sync_all()
        });
        match written {
            Ok(()) => Ok(beside),
            // What stands there already is not this one's to remove.
            Err(error) if error.kind() == ErrorKind::AlreadyExists => Err(error),
            Err(error) => {
                let _ = std::fs::remove_file(&beside);
                Err(error)
            }
        }
    }

    /// Removes what was taken out of a place, unless it is not what was expected there.
    fn throw_away(&self, beside: &Path, expected: &str) -> io::Result<Written> {
        let is_file = std::fs::symlink_metadata(beside)?.is_file();
        let bytes = if is_file { all_of(scan::open(beside)?)? } else { Vec::new() };
        if is_file && fingerprint(&bytes) != expected {
            return Ok(Written::Instead(bytes));
        }
        std::fs::remove_file(beside)?;
        Ok(Written::Done)
    }

    /// Removes what a write has handed back, once it is kept.
    pub(crate) fn forget_beside(&self, path: &str, mark: &str) -> io::Result<()> {
        match std::fs::remove_file(self.beside(path, mark)) {
            Err(error) if error.kind() != ErrorKind::NotFound => Err(error),
            _ => Ok(()),
        }
    }
}

/// Removes a folder that holds nothing but folders that hold nothing; leaves everything else.
fn remove_empty(folder: &Path) {
    let is_folder = |path: &Path| std::fs::symlink_metadata(path).is_ok_and(|about| about.is_dir());
    if !is_folder(folder) {
        return;
    }
    for entry in std::fs::read_dir(folder).into_iter().flatten().flatten() {
        if !is_folder(&entry.path()) {
            return;
        }
        remove_empty(&entry.path());
    }
    let _ = std::fs::remove_dir(folder);
}

fn all_of(mut file: File) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    file.read_to_end(&mut bytes)?;
    Ok(bytes)
}

/// Two files change places, in one step where the system can.
fn change_places(new: &Path, old: &Path) -> io::Result<()> {
    #[cfg(any(target_os = "linux", target_vendor = "apple"))]
    {
        use rustix::fs::{CWD, RenameFlags, renameat_with};
        use rustix::io::Errno;
        match renameat_with(CWD, new, CWD, old, RenameFlags::EXCHANGE) {
            // This file system, or this kernel, cannot.
            Err(Errno::INVAL | Errno::NOSYS | Errno::NOTSUP) => {}
            done => return done.map_err(io::Error::from),
        }
    }
    // The old one gets a second name first, so that what stood there can be looked at afterwards.
    let aside = new.with_extension("old~");
    std::fs::hard_link(old, &aside)?;
    std::fs::rename(new, old)?;
    std::fs::rename(&aside, new)
}

/// Renames a file to a name that nothing has; answers whether it did.
fn rename_unless_there(from: &Path, to: &Path) -> io::Result<bool> {
    #[cfg(any(target_os = "linux", target_vendor = "apple"))]
    {
        use rustix::fs::{CWD, RenameFlags, renameat_with};
        use rustix::io::Errno;
        match renameat_with(CWD, from, CWD, to, RenameFlags::NOREPLACE) {
            Err(Errno::EXIST) => return Ok(false),
            Err(Errno::INVAL | Errno::NOSYS | Errno::NOTSUP) => {}
            done => return done.map(|()| true).map_err(io::Error::from),
        }
    }
    // Without a step of the system's own: a moment lies between looking and renaming.
    if std::fs::symlink_metadata(to).is_ok() {
        return Ok(false);
    }
    std::fs::rename(from, to).map(|()| true)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn root() -> (tempfile::TempDir, Root) {
        let folder = tempfile::tempdir().unwrap();
        let root = Root::new(folder.path());
        (folder, root)
    }

    fn names(folder: &Path) -> Vec<String> {
        let mut names: Vec<String> =
            std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
        names.sort();
        names
    }

    #[test]
    fn a_file_is_written_where_nothing_is_and_over_what_is_expected_and_nowhere_else() {
        let (folder, root) = root();
        assert_eq!(root.write_new("a/b/c.md", b"one", "1").unwrap(), Written::Done);
        assert_eq!(root.write_new("a/b/c.md", b"two", "1").unwrap(), Written::Occupied);
        assert_eq!(root.write_over("a/b/c.md", b"two", &fingerprint(b"one"), "1").unwrap(), Written::Done);
        assert_eq!(root.write_over("a/b/c.md", b"three", &fingerprint(b"one"), "1").unwrap(), Written::Occupied);
        assert_eq!(root.read("a/b/c.md", 9).unwrap().unwrap(), b"two");
        assert_eq!(names(&folder.path().join("a/b")), ["c.md"]);
        assert_eq!(root.write_over("none", b"", "", "1").unwrap(), Written::Occupied);
        assert_eq!(root.read("a/b/c.md", 2).unwrap(), None, "more than was asked for");
    }

    #[test]
    fn what_is_removed_leaves_no_empty_folders_and_what_was_edited_stays() {
        let (folder, root) = root();
        root.write_new("a/b/c.md", b"one", "1").unwrap();
        assert_eq!(root.remove("a/b/c.md", &fingerprint(b"else"), "1").unwrap(), Written::Occupied);
        assert_eq!(root.remove("a/b/c.md", &fingerprint(b"one"), "1").unwrap(), Written::Done);
        assert_eq!(root.remove("a/b/c.md", &fingerprint(b"one"), "1").unwrap(), Written::Done);
        assert!(names(folder.path()).is_empty());
    }

    #[test]
    fn a_file_is_moved_to_where_nothing_is() {
        let (folder, root) = root();
        root.write_new("a/b.md", b"one", "1").unwrap();
        root.write_new("c.md", b"two", "1").unwrap();
        assert_eq!(root.rename("a/b.md", "c.md").unwrap(), Written::Occupied);
        assert_eq!(root.rename("a/b.md", "d/e.md").unwrap(), Written::Done);
        assert_eq!(names(folder.path()), ["c.md", "d"]);
        std::fs::create_dir_all(root.at("e/f")).unwrap();
        assert_eq!(root.rename("c.md", "e").unwrap(), Written::Done, "folders that hold nothing are nobody's");
        assert_eq!(root.rename("e", "d").unwrap(), Written::Occupied);
    }

    #[cfg(unix)]
    #[test]
    fn nothing_is_read_or_written_through_a_link() {
        let (folder, root) = root();
        let elsewhere = tempfile::tempdir().unwrap();
        std::fs::write(elsewhere.path().join("x"), "theirs").unwrap();
        std::os::unix::fs::symlink(elsewhere.path(), folder.path().join("way")).unwrap();
        std::os::unix::fs::symlink(elsewhere.path().join("x"), folder.path().join("link")).unwrap();
        let theirs = fingerprint(b"theirs");
        assert_eq!(root.write_new("way/y", b"ours", "1").unwrap(), Written::Occupied);
        assert_eq!(root.write_over("way/x", b"ours", &theirs, "1").unwrap(), Written::Occupied);
        assert_eq!(root.write_over("link", b"ours", &theirs, "1").unwrap(), Written::Occupied);
        assert_eq!(root.write_new("link", b"ours", "1").unwrap(), Written::Occupied);
        assert_eq!(root.remove("way/x", &theirs, "1").unwrap(), Written::Occupied);
        assert_eq!(root.remove("link", &theirs, "1").unwrap(), Written::Occupied);
        assert_eq!(root.rename("way/x", "z").unwrap(), Written::Occupied);
        assert_eq!(root.read("way/x", 9).unwrap(), None);
        assert!(root.read("link", 9).is_err());
        assert_eq!(std::fs::read(elsewhere.path().join("x")).unwrap(), b"theirs");
        assert_eq!(names(elsewhere.path()), ["x"]);
    }

    #[cfg(unix)]
    #[test]
    fn permissions_stay() {
        use std::os::unix::fs::PermissionsExt as _;
        let (_folder, root) = root();
        root.write_new("run.sh", b"one", "1").unwrap();
        std::fs::set_permissions(root.at("run.sh"), std::fs::Permissions::from_mode(0o750)).unwrap();
        root.write_over("run.sh", b"two", &fingerprint(b"one"), "1").unwrap();
        assert_eq!(std::fs::metadata(root.at("run.sh")).unwrap().permissions().mode() & 0o777, 0o750);
    }

    #[test]
    fn what_was_written_in_the_last_moment_is_handed_back() {
        let (folder, root) = root();
        root.write_new("a", b"one", "1").unwrap();
        // As if the editor had written after the look and before the change of places.
        let beside = root.write_beside("a", b"two", "1").unwrap();
        std::fs::write(root.at("a"), "edited").unwrap();
        change_places(&beside, &root.at("a")).unwrap();
        assert_eq!(root.throw_away(&beside, &fingerprint(b"one")).unwrap(), Written::Instead(b"edited".to_vec()));
        assert_eq!(names(folder.path()), [".driftline-1~", "a"], "it stands there until it is kept");
        root.forget_beside("a", "1").unwrap();
        assert_eq!(names(folder.path()), ["a"]);
    }
}
