//! What a folder holds: one look at all of it.
//!
//! Symbolic links are not followed, neither to files nor to folders, and what is neither file nor folder is passed over.
//! A file whose size and time of change are as they were is not read again.

use super::error::FolderError;
use super::ignored::Ignored;
use super::limits::{DEPTH_MAX, FILE_BYTES_MAX, FILES_MAX, PATH_BYTES_MAX};
use super::state::InStep;
use driftline_core::base::id::to_hex;
use sha2::{Digest as _, Sha256};
use std::collections::BTreeMap;
use std::fs::{File, Metadata};
use std::io::{self, Read as _};
use std::path::Path;
use std::time::{Duration, SystemTime};

/// A file that was changed so short ago may be changed again without its time telling.
const TIME_GRAIN: Duration = Duration::from_secs(2);

/// A file, as it was when it was looked at.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Found {
    /// Where it is, below the folder, with `/` between names.
    pub path: String,
    /// What it holds.
    pub fingerprint: String,
    /// How large it is.
    pub size: u64,
    /// When it was changed, in nanoseconds, if that will tell a later change.
    pub changed_ns: Option<u64>,
}

/// What a folder holds.
#[derive(Debug, Default)]
pub(crate) struct Scan {
    /// Its files, by their paths.
    pub files: BTreeMap<String, Found>,
    /// What stays at home though no pattern says so, and why.
    pub refused: Vec<(String, String)>,
    /// Folders and files that could not be read this time: nothing is known of what is in them.
    pub unread: Vec<String>,
    /// Files that a write of this program's has left behind.
    pub left_behind: Vec<String>,
}

impl Scan {
    /// Looks at all of the folder at `root`. `known` are the files that were in step, by their paths.
    pub(crate) fn of(root: &Path, ignored: &Ignored, known: &BTreeMap<&str, &InStep>) -> Result<Self, FolderError> {
        let mut scan = Self::default();
        // The folder itself must be there: one that is away is not one that is empty.
        std::fs::read_dir(root).map_err(FolderError::disk(root))?;
        scan.look_into(root, "", 1, ignored, known);
        Ok(scan)
    }

    /// Whether nothing is known of a path, because it or a folder above it could not be read.
    pub(crate) fn is_unread(&self, path: &str) -> bool {
        let is_in = |unread: &String| {
            unread.is_empty() || path == unread || path.strip_prefix(unread.as_str()).is_some_and(|rest| rest.starts_with('/'))
        };
        self.unread.iter().any(is_in)
    }

    fn look_into(&mut self, root: &Path, folder: &str, depth: usize, ignored: &Ignored, known: &BTreeMap<&str, &InStep>) {
        let listed = std::fs::read_dir(root.join(folder)).and_then(Iterator::collect::<io::Result<Vec<_>>>);
        let Ok(mut listed) = listed else { return self.unread.push(folder.to_owned()) };
        listed.sort_by_key(std::fs::DirEntry::file_name);
        for entry in listed {
            let join = |name: &str| if folder.is_empty() { name.to_owned() } else { format!("{folder}/{name}") };
            let Some(name) = entry.file_name().to_str().map(str::to_owned) else {
                self.refuse(join(&entry.file_name().to_string_lossy()), "its name is not text");
                continue;
            };
            let path = join(&name);
            if name.starts_with(super::names::TEMPORARY) {
                self.left_behind.push(path);
                continue;
            }
            let Ok(about) = std::fs::symlink_metadata(root.join(&path)) else {
                // Gone since it was listed, or not to be looked at: the next look tells which.
                self.unread.push(path);
                continue;
            };
            if ignored.is_ignored(&path, about.is_dir()) {
                continue;
            }
            if path.len() > PATH_BYTES_MAX || depth > DEPTH_MAX {
                self.refuse(path, "its path is too long");
            } else if about.is_symlink() {
                self.refuse(path, "it is a symbolic link, and these are not followed");
            } else if about.is_dir() {
                self.look_into(root, &path, depth + 1, ignored, known);
            } else if !about.is_file() {
                self.refuse(path, "it is neither a file nor a folder");
            } else if about.len() > FILE_BYTES_MAX {
                self.refuse(path, &format!("it is larger than {} MiB", FILE_BYTES_MAX / 1024 / 1024));
                // It is there, whatever it was before.
            } else if self.files.len() >= FILES_MAX {
                self.refuse(path, &format!("the folder holds more than {FILES_MAX} files"));
            } else {
                self.look_at(root, path, &about, known);
            }
        }
    }

    fn look_at(&mut self, root: &Path, path: String, about: &Metadata, known: &BTreeMap<&str, &InStep>) {
        let (size, changed_ns) = (about.len(), changed_ns(about));
        let was = known.get(path.as_str()).filter(|was| was.size == size && changed_ns.is_some() && was.changed_ns == changed_ns);
        let fingerprint = match was {
            Some(was) => Ok(was.fingerprint.clone()),
            None => fingerprint_of(&root.join(&path)),
        };
        match fingerprint {
            Ok(fingerprint) => {
                self.files.insert(path.clone(), Found { path, fingerprint, size, changed_ns });
            }
            Err(_) => self.unread.push(path),
        }
    }

    /// What stays at home is there all the same: it is not taken for deleted.
    fn refuse(&mut self, path: String, why: &str) {
        self.unread.push(path.clone());
        self.refused.push((path, why.to_owned()));
    }
}

/// When a file was changed, in nanoseconds since the Unix epoch, if a change after now will show in it.
pub(crate) fn changed_ns(about: &Metadata) -> Option<u64> {
    let changed = about.modified().ok()?;
    let age = SystemTime::now().duration_since(changed).ok()?;
    let since = changed.duration_since(SystemTime::UNIX_EPOCH).ok()?;
    if age < TIME_GRAIN { None } else { u64::try_from(since.as_nanos()).ok() }
}

fn fingerprint_of(file: &Path) -> io::Result<String> {
    let mut file = open(file)?;
    let mut digest = Sha256::new();
    let mut buffer = vec![0; 64 * 1024];
    loop {
        match file.read(&mut buffer)? {
            0 => return Ok(to_hex(&digest.finalize())),
            count => digest.update(&buffer[..count]),
        }
    }
}

/// Opens a file to read it, and nothing that has become a link.
pub(crate) fn open(file: &Path) -> io::Result<File> {
    let mut options = std::fs::OpenOptions::new();
    options.read(true);
    #[cfg(unix)]
    {
        use rustix::fs::OFlags;
        use std::os::unix::fs::OpenOptionsExt as _;
        // A pipe that has taken its place must not keep anyone waiting.
        let flags = OFlags::NOFOLLOW | OFlags::NONBLOCK;
        options.custom_flags(flags.bits().cast_signed());
    }
    let file = options.open(file)?;
    if file.metadata()?.is_file() { Ok(file) } else { Err(io::Error::other("it is not a file")) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_look_finds_files_and_says_what_stays_at_home() {
        let folder = tempfile::tempdir().unwrap();
        let (root, elsewhere) = (folder.path(), tempfile::tempdir().unwrap());
        std::fs::create_dir_all(root.join("sub/.git")).unwrap();
        std::fs::write(root.join("sub/a.md"), "a").unwrap();
        std::fs::write(root.join("sub/.git/config"), "c").unwrap();
        std::fs::write(root.join(".driftline-1~"), "x").unwrap();
        std::fs::write(elsewhere.path().join("secret"), "s").unwrap();
        #[cfg(unix)]
        {
            std::os::unix::fs::symlink(elsewhere.path(), root.join("way")).unwrap();
            std::os::unix::fs::symlink(elsewhere.path().join("secret"), root.join("link")).unwrap();
        }
        let scan = Scan::of(root, &Ignored::new(root, None), &BTreeMap::new()).unwrap();
        assert_eq!(scan.files.keys().collect::<Vec<_>>(), ["sub/a.md"]);
        assert_eq!(scan.files["sub/a.md"].fingerprint, super::super::record::fingerprint(b"a"));
        assert_eq!(scan.left_behind, [".driftline-1~"]);
        #[cfg(unix)]
        {
            assert_eq!(scan.refused.iter().map(|(path, _)| path.as_str()).collect::<Vec<_>>(), ["link", "way"]);
            assert!(scan.is_unread("way/x") && !scan.is_unread("ways"));
            assert!(open(&root.join("link")).is_err());
        }
        assert!(Scan::of(&root.join("none"), &Ignored::new(root, None), &BTreeMap::new()).is_err());
    }
}
