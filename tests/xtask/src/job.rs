//! Running other programs: what they print is shown as it comes, and kept where someone will want to read it again.

use crate::repository::Repository;
use anyhow::{Context as _, Result, bail};
use std::io::{BufRead as _, BufReader, IsTerminal as _, Read, Write};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

/// Where the output of what is run goes.
pub(crate) enum Output {
    /// Straight to the terminal.
    Terminal,
    /// To the terminal, and line by line into memory, without colours.
    Kept(Mutex<Vec<String>>),
}

impl Output {
    /// Output that is shown and kept.
    pub(crate) fn kept() -> Self {
        Self::Kept(Mutex::new(Vec::new()))
    }

    /// Keeps a line, if lines are kept.
    pub(crate) fn keep(&self, line: &str) {
        if let Self::Kept(lines) = self {
            lines.lock().unwrap_or_else(PoisonError::into_inner).push(without_colours(line));
        }
    }

    /// Takes the lines kept since the last time.
    pub(crate) fn take(&self) -> Vec<String> {
        match self {
            Self::Terminal => Vec::new(),
            Self::Kept(lines) => std::mem::take(&mut *lines.lock().unwrap_or_else(PoisonError::into_inner)),
        }
    }
}

/// A program about to be run in a checkout.
pub(crate) struct Job<'a> {
    repository: &'a Repository,
    command: Command,
    shown: String,
}

impl<'a> Job<'a> {
    /// `program` with `arguments` in the root of the checkout; `name` is what it is called in messages.
    pub(crate) fn new(repository: &'a Repository, program: &str, name: &str, arguments: &[&str]) -> Self {
        let mut command = Command::new(program);
        command.args(arguments).current_dir(&repository.root).stdin(Stdio::null());
        Self { repository, command, shown: format!("{name} {}", arguments.join(" ")) }
    }

    /// Runs in this folder of the checkout.
    pub(crate) fn in_folder(mut self, folder: &str) -> Self {
        self.command.current_dir(self.repository.path(folder));
        self.shown = format!("{} (in {folder})", self.shown);
        self
    }

    /// Sets an environment variable.
    pub(crate) fn env(mut self, name: &str, value: impl AsRef<std::ffi::OsStr>) -> Self {
        self.command.env(name, value);
        self
    }

    /// Runs to the end, and fails if the program does.
    pub(crate) fn run(mut self) -> Result<()> {
        let missing = format!("{} could not be started: is it installed and on the PATH?", self.shown);
        let status = match &self.repository.output {
            Output::Terminal => self.command.status().context(missing)?,
            output @ Output::Kept(_) => {
                if std::io::stdout().is_terminal() {
                    self.command.env("CARGO_TERM_COLOR", "always").env("FORCE_COLOR", "1");
                }
                let mut child = self.command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().context(missing)?;
                let (stdout, stderr) = (child.stdout.take(), child.stderr.take());
                std::thread::scope(|scope| {
                    scope.spawn(|| copy_lines(stdout, &mut std::io::stdout(), output));
                    scope.spawn(|| copy_lines(stderr, &mut std::io::stderr(), output));
                });
                child.wait()?
            }
        };
        if status.success() {
            return Ok(());
        }
        match status.code() {
            Some(code) => bail!("`{}` ended with exit code {code}", self.shown),
            None => bail!("`{}` was ended by a signal ({status})", self.shown),
        }
    }

    /// Runs to the end without showing anything, and answers what it printed.
    pub(crate) fn read(mut self) -> Result<String> {
        let answer = self.command.output().with_context(|| format!("{} could not be started", self.shown))?;
        if !answer.status.success() {
            bail!("`{}` failed: {}", self.shown, String::from_utf8_lossy(&answer.stderr).trim());
        }
        Ok(String::from_utf8_lossy(&answer.stdout).into_owned())
    }

    /// Starts and goes on.
    pub(crate) fn start(mut self) -> Result<Running> {
        let child = self.command.spawn().with_context(|| format!("`{}` could not be started", self.shown))?;
        Ok(Running { child })
    }
}

/// A program that runs beside this one, and ends with it at the latest.
pub(crate) struct Running {
    child: Child,
}

impl Running {
    /// Whether it has ended, and how.
    pub(crate) fn ended(&mut self) -> Result<Option<std::process::ExitStatus>> {
        Ok(self.child.try_wait()?)
    }

    /// Asks it to end, and waits for it; one that has not ended in this time is killed.
    pub(crate) fn stop(mut self, time_max: Duration) -> Result<()> {
        if cfg!(unix) {
            // The standard library has no word for a polite request.
            let _ = Command::new("kill").args(["-TERM", &self.child.id().to_string()]).status();
            let began = Instant::now();
            while began.elapsed() < time_max {
                match self.child.try_wait()? {
                    Some(status) if status.success() => return Ok(()),
                    Some(status) => bail!("the program did not end well when it was asked to: {status}"),
                    None => std::thread::sleep(Duration::from_millis(20)),
                }
            }
            bail!("the program was asked to end, and {} s later it had not", time_max.as_secs());
        }
        Ok(())
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        // Killing is right here: a relay's store survives it, and whoever wants a graceful end has waited for it before.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn copy_lines(from: Option<impl Read>, to: &mut impl Write, output: &Output) {
    let Some(from) = from else { return };
    let mut from = BufReader::new(from);
    let mut line = Vec::new();
    while from.read_until(b'\n', &mut line).is_ok_and(|read| read > 0) {
        // A closed terminal must not end the tests.
        let _ = to.write_all(&line).and_then(|()| to.flush());
        output.keep(String::from_utf8_lossy(&line).trim_end());
        line.clear();
    }
}

/// The line without the escape sequences that terminals understand.
pub(crate) fn without_colours(line: &str) -> String {
    let mut plain = String::with_capacity(line.len());
    let mut rest = line.chars();
    while let Some(char) = rest.next() {
        if char == '\u{1b}' {
            // ESC [ parameters letter
            if rest.next() == Some('[') {
                for char in rest.by_ref() {
                    if char.is_ascii_alphabetic() {
                        break;
                    }
                }
            }
        } else {
            plain.push(char);
        }
    }
    plain
}

/// Whether a program of this name is on the PATH.
pub(crate) fn on_path(program: &str) -> bool {
    let path = std::env::var_os("PATH").unwrap_or_default();
    std::env::split_paths(&path).any(|folder| is_program(&folder.join(program)))
}

fn is_program(path: &Path) -> bool {
    path.is_file() || path.with_extension("exe").is_file()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn colours_are_taken_out_of_what_is_kept() {
        assert_eq!(without_colours("\u{1b}[32m  5 passed\u{1b}[0m (1.2s)"), "  5 passed (1.2s)");
    }
}
