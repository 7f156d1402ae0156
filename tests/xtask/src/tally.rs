//! Reading the closing lines of test runners, so that a run of several can end with one sum.

/// How a line begins that says what could not be tested here: it is repeated at the end, lest green mean more than it does.
const LEFT_OUT: &str = "LEFT OUT: ";

/// How many tests passed and failed, and the lines that said so.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Tally {
    /// Tests that passed.
    pub(crate) passed: u64,
    /// Tests that failed.
    pub(crate) failed: u64,
    /// What the runners said, word for word.
    pub(crate) lines: Vec<String>,
}

impl Tally {
    /// Reads what the runners of a step printed.
    ///
    /// Known are cargo test (`test result: ok. 3 passed; 0 failed; …`), node's runner (`# pass 3` or `ℹ pass 3`), vitest
    /// (`Tests  1 failed | 3 passed (4)`) and lines that consist of such counts alone (`3 passed, 0 failed`, `3 passed (1.2s)`).
    pub(crate) fn of(lines: &[String]) -> Self {
        let mut tally = Self::default();
        for line in lines {
            let text = line.trim();
            if text.starts_with(LEFT_OUT) {
                tally.lines.push(text.to_owned());
            }
            if let Some((passed, failed)) = counts(text) {
                tally.passed += passed;
                tally.failed += failed;
                if passed + failed > 0 {
                    tally.lines.push(text.to_owned());
                }
            }
        }
        tally
    }

    /// Adds another step's.
    pub(crate) fn add(&mut self, other: Self) {
        self.passed += other.passed;
        self.failed += other.failed;
        self.lines.extend(other.lines);
    }
}

/// The tests passed and failed that a line tells of, if it is a runner's closing line.
fn counts(line: &str) -> Option<(u64, u64)> {
    if let Some(rest) = line.strip_prefix("test result: ") {
        let rest = rest.split_once(". ")?.1;
        return Some((before_word(rest, "passed")?, before_word(rest, "failed")?));
    }
    if let Some(rest) = line.strip_prefix("# ").or_else(|| line.strip_prefix("ℹ ")) {
        let (word, number) = rest.split_once(' ')?;
        let number = number.trim().parse().ok()?;
        return match word {
            "pass" => Some((number, 0)),
            "fail" => Some((0, number)),
            _ => None,
        };
    }
    if let Some(rest) = line.strip_prefix("Tests ") {
        let (passed, failed) = (before_word(rest, "passed"), before_word(rest, "failed"));
        return (passed.is_some() || failed.is_some()).then(|| (passed.unwrap_or(0), failed.unwrap_or(0)));
    }
    // Counts alone: every word is a number, a verdict, or a time in brackets.
    let words: Vec<&str> = line.split([' ', ',', ';']).filter(|word| !word.is_empty()).collect();
    let plain = words.iter().all(|word| {
        word.parse::<u64>().is_ok()
            || matches!(*word, "passed" | "failed" | "skipped")
            || word.starts_with('(')
            || word.ends_with(')')
    });
    let verdict = |word| words.iter().position(|known| *known == word).and_then(|at| words[..at].last()?.parse::<u64>().ok());
    let (passed, failed) = (verdict("passed"), verdict("failed"));
    (plain && (passed.is_some() || failed.is_some())).then(|| (passed.unwrap_or(0), failed.unwrap_or(0)))
}

/// The number before `word`.
fn before_word(text: &str, word: &str) -> Option<u64> {
    let words: Vec<&str> = text.split([' ', ';', '|']).filter(|word| !word.is_empty()).collect();
    let at = words.iter().position(|known| *known == word)?;
    words.get(at.checked_sub(1)?)?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(text: &str) -> (u64, u64) {
        let lines: Vec<String> = text.lines().map(str::to_owned).collect();
        let tally = Tally::of(&lines);
        (tally.passed, tally.failed)
    }

    #[test]
    fn every_runner_in_use_is_understood() {
        assert_eq!(of("test result: ok. 12 passed; 0 failed; 1 ignored; 0 measured; 0 filtered out; finished in 0.02s"), (12, 0));
        assert_eq!(
            of("test result: FAILED. 11 passed; 2 failed; 0 ignored; 0 measured; 0 filtered out; finished in 0.02s"),
            (11, 2)
        );
        assert_eq!(of("# tests 5\n# pass 4\n# fail 1\n# cancelled 0"), (4, 1));
        assert_eq!(of("ℹ tests 5\nℹ pass 5\nℹ fail 0"), (5, 0));
        assert_eq!(of(" Test Files  1 passed (1)\n      Tests  1 failed | 4 passed (5)"), (4, 1));
        assert_eq!(of("  7 passed (3.2s)"), (7, 0));
        assert_eq!(of("7 passed, 1 failed"), (7, 1));
    }

    #[test]
    fn prose_about_tests_is_not_counted() {
        assert_eq!(of("the 3 passed changes are applied\nrunning 12 tests\ntest pass 5 ... ok"), (0, 0));
    }

    #[test]
    fn what_could_not_be_tested_here_is_said_again_at_the_end_and_counts_as_nothing() {
        let line = "LEFT OUT: peers in network namespaces, because only Linux has them".to_owned();
        let tally = Tally::of(&[line.clone(), "0 passed, 0 failed".to_owned()]);
        assert_eq!((tally.passed, tally.failed, tally.lines), (0, 0, vec![line]));
    }

    #[test]
    fn several_runners_add_up() {
        assert_eq!(of("test result: ok. 2 passed; 0 failed; 0 ignored\ntest result: ok. 3 passed; 0 failed; 0 ignored"), (5, 0));
    }
}
