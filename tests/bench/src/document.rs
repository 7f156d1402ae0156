//! Figures into the document that people read: what stands there between marks is made from the last results.
//!
//! The words around them are written by hand. A mark is a comment that browsers do not show: `<!-- figures: fanout -->` and
//! `<!-- end -->`.

use crate::report::Report;
use anyhow::{Context as _, Result, bail};
use std::fmt::Write as _;
use std::path::Path;

const BEGIN: &str = "<!-- figures: ";
const BEGIN_END: &str = " -->\n";
const END: &str = "<!-- end -->";
/// Where plots go, seen from the document.
const PLOTS: &str = "images/benchmarks";

/// Puts the results in `results` into `document`, and the plots beside it. A benchmark that was not run keeps its figures.
pub(crate) fn write(results: &Path, document: &Path) -> Result<()> {
    let text = std::fs::read_to_string(document).with_context(|| format!("{} cannot be read", document.display()))?;
    let plots = document.parent().unwrap_or(Path::new("")).join(PLOTS);
    std::fs::create_dir_all(&plots)?;
    let mut written = Vec::new();
    let text = filled(&text, |name| {
        let file = results.join(format!("{name}.json"));
        if !file.exists() {
            return Ok(None);
        }
        let report: Report = serde_json::from_str(&std::fs::read_to_string(&file)?)
            .with_context(|| format!("{} is not a benchmark's result", file.display()))?;
        for plot in &report.plots {
            std::fs::write(plots.join(format!("{}.svg", plot.name)), plot.to_svg())?;
        }
        written.push(name.to_owned());
        Ok(Some(section(&report)))
    })?;
    std::fs::write(document, text)?;
    println!("{} has new figures of: {}", document.display(), written.join(", "));
    Ok(())
}

/// A report in Markdown.
fn section(report: &Report) -> String {
    let mut text = String::new();
    for table in &report.tables {
        let _ = writeln!(text, "{}", table.to_markdown());
    }
    for plot in &report.plots {
        let _ = writeln!(text, "![{}]({PLOTS}/{}.svg)\n", plot.title, plot.name);
    }
    text + &format!("*{}.*\n", report.circumstances())
}

/// The text with everything between its marks replaced by what `figures` says, where it says something.
fn filled(text: &str, mut figures: impl FnMut(&str) -> Result<Option<String>>) -> Result<String> {
    let mut filled = String::new();
    let mut rest = text;
    while let Some((before, after)) = rest.split_once(BEGIN) {
        let Some((name, after)) = after.split_once(BEGIN_END) else { bail!("a mark is not closed: {BEGIN}") };
        let Some((old, after)) = after.split_once(END) else { bail!("the figures of {name} have no {END}") };
        let new = figures(name)?.map(|figures| format!("\n{figures}\n"));
        filled.extend([before, BEGIN, name, BEGIN_END, new.as_deref().unwrap_or(old), END]);
        rest = after;
    }
    filled.push_str(rest);
    Ok(filled)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Two benchmarks have a place, one was run: its place has the new figures, all else is as it was; and so the second time.
    #[test]
    fn only_what_was_measured_is_replaced() {
        let text = "# Figures\n<!-- figures: a -->\nold\n<!-- end -->\nwords\n<!-- figures: b -->\nkept\n<!-- end -->\nmore\n";
        let figures = |name: &str| Ok((name == "a").then(|| "new".to_owned()));
        let once = filled(text, figures).unwrap();
        assert_eq!(once, text.replace("\nold\n", "\n\nnew\n"));
        assert_eq!(filled(&once, figures).unwrap(), once);
    }

    #[test]
    fn a_place_without_an_end_is_an_error_and_not_the_rest_of_the_document() {
        assert!(filled("<!-- figures: a -->\nwords", |_| Ok(None)).is_err());
    }
}
