//! What a pass has done, and how the folder stands after it.

use std::fmt;

/// What was done, or would be.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Deed {
    /// A new file was taken from the folder.
    Added,
    /// An edit was taken from the folder.
    Edited,
    /// A file that was renamed here was renamed for all.
    Renamed,
    /// A file that was deleted here was deleted for all.
    Deleted,
    /// A file was written here that was not here before.
    Written,
    /// What others did was written into a file here.
    Merged,
    /// A file was moved here because others did.
    Moved,
    /// A file was removed here because others did.
    Removed,
    /// A file was let go of here because a pattern says that it stays at home.
    LetGo,
}

impl Deed {
    /// One word for scripts.
    pub fn word(self) -> &'static str {
        match self {
            Self::Added => "added",
            Self::Edited => "edited",
            Self::Renamed => "renamed",
            Self::Deleted => "deleted",
            Self::Written => "written",
            Self::Merged => "merged",
            Self::Moved => "moved",
            Self::Removed => "removed",
            Self::LetGo => "letGo",
        }
    }
}

/// Something that was done to one file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Act {
    /// What.
    pub deed: Deed,
    /// Where the file is now, or was.
    pub path: String,
    /// Where it was before it was renamed or moved.
    pub from: Option<String>,
}

impl fmt::Display for Act {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { deed, path, from } = self;
        let from = from.as_deref().unwrap_or_default();
        match deed {
            Deed::Added => write!(f, "folder -> space  {path} (new)"),
            Deed::Edited => write!(f, "folder -> space  {path}"),
            Deed::Renamed => write!(f, "folder -> space  {from} is now {path}"),
            Deed::Deleted => write!(f, "folder -> space  {path} (deleted)"),
            Deed::Written => write!(f, "space -> folder  {path} (new)"),
            Deed::Merged => write!(f, "space -> folder  {path}"),
            Deed::Moved => write!(f, "space -> folder  {from} is now {path}"),
            Deed::Removed => write!(f, "space -> folder  {path} (deleted)"),
            Deed::LetGo => write!(f, "stays at home    {path} (a pattern says so; it is not deleted for others)"),
        }
    }
}

/// What a pass has done, and how the folder stands after it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Report {
    /// What was done, in order.
    pub acts: Vec<Act>,
    /// Files that are in step.
    pub in_step: usize,
    /// Files that there are to be.
    pub files: usize,
    /// Files whose editor may not be done yet: look again soon.
    pub unsettled: usize,
    /// Files of bytes of which pieces are still to come.
    pub incomplete: usize,
    /// Files of bytes that are not what they are said to be: they are not written.
    pub forged: usize,
    /// Paths that are not kept in step, and why.
    pub refused: Vec<(String, String)>,
}

impl Report {
    /// Whether there is nothing left to do until something changes.
    pub fn is_in_step(&self) -> bool {
        self.acts.is_empty() && self.in_step == self.files && self.unsettled == 0
    }

    pub(crate) fn did(&mut self, deed: Deed, path: &str, from: Option<&str>) {
        self.acts.push(Act { deed, path: path.to_owned(), from: from.map(str::to_owned) });
    }

    pub(crate) fn refuse(&mut self, path: &str, why: impl Into<String>) {
        self.refused.push((path.to_owned(), why.into()));
    }
}
