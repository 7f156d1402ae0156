//! Files that documents come from and go to.
//!
//! | format | extensions | what becomes of it |
//! |---|---|---|
//! | automerge | `.automerge` | the document with its whole history, as other Automerge programs read and write it |
//! | json | `.json` | its value; text is collaborative text, `{"$counter": 1}` and its kin are what JSON has no word for |
//! | text | `.md`, `.markdown`, `.txt` | a note: `body` is the file letter by letter, `title` its first heading or its name |

use clap::ValueEnum;
use driftline_core::doc::value::Value;
use std::collections::BTreeMap;
use std::io::Write as _;
use std::path::Path;

/// Largest file that is imported, in bytes.
pub(crate) const IMPORT_BYTES_MAX: u64 = 256 * 1024 * 1024;

/// Longest title taken from a file's first heading, in code points.
const TITLE_LENGTH_MAX: usize = 120;

/// What a file is read as or written as.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Format {
    /// Automerge's own: the value and all its history.
    Automerge,
    /// The value, as JSON.
    Json,
    /// One text of the document: `body`, or what --path names.
    Text,
}

impl Format {
    /// The format that a file's extension stands for.
    pub fn of(path: &Path) -> Option<Self> {
        match path.extension()?.to_str()?.to_ascii_lowercase().as_str() {
            "automerge" => Some(Self::Automerge),
            "json" => Some(Self::Json),
            "md" | "markdown" | "txt" => Some(Self::Text),
            _ => None,
        }
    }
}

/// The note that a text file becomes: `title` and `body`.
pub(crate) fn note(path: &Path, body: &str) -> Value {
    let heading = body.lines().find_map(|line| line.strip_prefix("# ")).map(|line| line.trim_end_matches('#').trim());
    let name = path.file_stem().map(|name| name.to_string_lossy().into_owned());
    let title = match heading {
        Some(heading) if !heading.is_empty() => heading.chars().take(TITLE_LENGTH_MAX).collect(),
        _ => name.unwrap_or_else(|| "Untitled".to_owned()),
    };
    Value::Map(BTreeMap::from([("title".to_owned(), Value::Text(title)), ("body".to_owned(), Value::Text(body.to_owned()))]))
}

/// The note that someone begins with.
pub(crate) fn untitled() -> Value {
    note(Path::new("Untitled"), "")
}

/// The keys and values of a document that reads like `json`, or a sentence saying why there is none.
pub(crate) fn root_of(json: &str) -> Result<BTreeMap<String, Value>, String> {
    match serde_json::from_str::<Value>(json) {
        Ok(Value::Map(map)) => Ok(map),
        Ok(_) => Err("a document is a JSON object at its root, as in {\"title\": \"Tides\"}".to_owned()),
        Err(error) => Err(format!("this is not JSON that a document can hold: {error}")),
    }
}

/// Puts `bytes` at `path` so that whoever looks there sees the old file or the new one, never half of one, also after a crash.
pub(crate) fn write_file(path: &Path, bytes: &[u8]) -> std::io::Result<()> {
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let mut file = tempfile::Builder::new().prefix(".driftline-").tempfile_in(folder)?;
    file.write_all(bytes)?;
    // A temporary file is for its owner alone; an export is an ordinary file, or keeps the rights of the one it replaces.
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt as _;
        let rights = std::fs::metadata(path).map_or(0o644, |metadata| metadata.permissions().mode());
        file.as_file().set_permissions(std::fs::Permissions::from_mode(rights))?;
    }
    file.as_file().sync_all()?;
    file.persist(path).map_err(|error| error.error)?;
    // The name is durable once the folder is; not every system can sync one.
    if let Ok(folder) = std::fs::File::open(folder) {
        let _ = folder.sync_all();
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(value: &Value, key: &str) -> String {
        let Value::Map(map) = value else { panic!("a note is a map") };
        let Value::Text(text) = &map[key] else { panic!("{key} is text") };
        text.clone()
    }

    #[test]
    fn a_markdown_file_is_titled_by_its_first_heading_and_kept_to_the_letter() {
        let body = "---\n\n# Tides #\r\n\nHigh at six.\n";
        let value = note(Path::new("notes/harbour.md"), body);
        assert_eq!(text(&value, "title"), "Tides");
        assert_eq!(text(&value, "body"), body);
    }

    #[test]
    fn a_file_without_a_heading_is_titled_by_its_name() {
        assert_eq!(text(&note(Path::new("to do.txt"), "buy rope"), "title"), "to do");
        assert_eq!(text(&note(Path::new("empty.md"), "# \n"), "title"), "empty");
    }

    #[test]
    fn extensions_name_formats_in_any_case() {
        assert_eq!(Format::of(Path::new("a.JSON")), Some(Format::Json));
        assert_eq!(Format::of(Path::new("a.md")), Some(Format::Text));
        assert_eq!(Format::of(Path::new("a.automerge")), Some(Format::Automerge));
        assert_eq!(Format::of(Path::new("a.docx")), None);
        assert_eq!(Format::of(Path::new("a")), None);
    }

    #[test]
    fn a_document_is_an_object_at_its_root() {
        assert!(root_of("[1]").unwrap_err().contains("object"));
        assert!(root_of("{").unwrap_err().contains("not JSON"));
        assert_eq!(root_of(r#"{"a":1}"#).unwrap()["a"], Value::Int(1));
    }

    #[test]
    fn a_file_is_replaced_as_a_whole_and_nothing_else_is_left() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("out.json");
        write_file(&path, b"one").unwrap();
        write_file(&path, b"two").unwrap();
        assert_eq!(std::fs::read(&path).unwrap(), b"two");
        assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 1);
        assert!(write_file(&folder.path().join("no/such/out"), b"x").is_err());
    }
}
