//! What the documents quote is what the files say.
//!
//! A fenced block that follows `<!-- from PATH -->` is that file, word for word.

use std::path::{Path, PathBuf};

/// A block that claims to be a file.
#[derive(Debug, PartialEq, Eq)]
struct Quotation<'a> {
    path: &'a str,
    text: String,
}

fn quotations(document: &str) -> Vec<Quotation<'_>> {
    let mut found = Vec::new();
    let mut lines = document.lines();
    while let Some(line) = lines.next() {
        let Some(path) = line.strip_prefix("<!-- from ").and_then(|rest| rest.strip_suffix(" -->")) else { continue };
        let mut text = String::new();
        if lines.next().is_some_and(|fence| fence.starts_with("```")) {
            for line in lines.by_ref().take_while(|line| !line.starts_with("```")) {
                text.push_str(line);
                text.push('\n');
            }
        }
        found.push(Quotation { path, text });
    }
    found
}

fn documents(root: &Path) -> Vec<PathBuf> {
    let mut documents = vec![root.join("README.md"), root.join("wasm/README.md")];
    for folder in ["docs"] {
        if let Ok(entries) = std::fs::read_dir(root.join(folder)) {
            documents.extend(
                entries.flatten().map(|entry| entry.path()).filter(|path| path.extension().is_some_and(|ext| ext == "md")),
            );
        }
    }
    documents.retain(|path| path.exists());
    documents
}

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..")
}

#[test]
fn every_example_in_a_document_is_an_example_that_is_tested() {
    for document in documents(&root()) {
        let text = std::fs::read_to_string(&document).expect("the document can be read");
        for quotation in quotations(&text) {
            let file = std::fs::read_to_string(root().join(quotation.path))
                .unwrap_or_else(|error| panic!("{} quotes {}: {error}", document.display(), quotation.path));
            assert_eq!(quotation.text, file, "{} quotes {} as it no longer is", document.display(), quotation.path);
        }
    }
}

#[test]
fn every_file_that_a_document_points_to_is_there() {
    for document in documents(&root()) {
        let text = std::fs::read_to_string(&document).expect("the document can be read");
        let folder = document.parent().expect("a document lies in a folder");
        for link in text.split("](").skip(1).filter_map(|rest| rest.split(')').next()) {
            let path = link.split('#').next().unwrap_or_default();
            if !path.is_empty() && !path.contains("://") && !path.starts_with("mailto:") {
                assert!(folder.join(path).exists(), "{} points to {path}, which is not there", document.display());
            }
        }
    }
}

#[test]
fn a_quotation_is_the_block_after_its_mark() {
    let document = "# Title\n\n<!-- from a/b.rs -->\n```rust\nfn main() {}\n```\n\n```sh\nnot this\n```\n";
    assert_eq!(quotations(document), [Quotation { path: "a/b.rs", text: "fn main() {}\n".to_owned() }]);
}
