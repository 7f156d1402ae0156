//! How far a catch-up has come, for whoever waits for it at a terminal.

use super::output::Output;
use crate::repo::Space;
use driftline_core::engine::effect::CatchUp;
use std::time::Duration;

/// What is over sooner needs no words.
const QUIET_FOR: Duration = Duration::from_millis(500);
/// How often the line is drawn again.
const DRAWN_EVERY: Duration = Duration::from_millis(200);

/// Does `work`, and shows on a line of the terminal how much of what is missing in the space has come. Where nobody looks at a
/// terminal, and with `--json`, nothing is shown.
pub(super) async fn while_shown<R>(output: &Output, space: &Space, work: impl Future<Output = R>) -> R {
    if !output.draws() {
        return work.await;
    }
    let mut ticks = tokio::time::interval_at(tokio::time::Instant::now() + QUIET_FOR, DRAWN_EVERY);
    tokio::pin!(work);
    let mut drawn = false;
    loop {
        tokio::select! {
            biased;
            result = &mut work => {
                if drawn {
                    output.end_progress();
                }
                return result;
            }
            _ = ticks.tick() => {
                if let Some(catch_up) = space.status().await.ok().and_then(|status| status.catch_up) {
                    output.progress(&in_words(&catch_up));
                    drawn = true;
                }
            }
        }
    }
}

/// What has come, for people: what is not known is not guessed.
fn in_words(catch_up: &CatchUp) -> String {
    let CatchUp { documents, bytes } = catch_up;
    let size = match bytes.total {
        Some(total) => format!("{} of {}", in_kilobytes(bytes.done), in_kilobytes(total)),
        None => format!("{} so far", in_kilobytes(bytes.done)),
    };
    match documents.total {
        Some(1) => format!("catching up: {size}"),
        Some(total) => format!("catching up: {} of {total} documents, {size}", documents.done),
        None => format!("catching up: {} documents, {size}; still finding out how much there is", documents.done),
    }
}

fn in_kilobytes(bytes: u64) -> String {
    if bytes < 1_000_000 { format!("{} kB", bytes.div_ceil(1_000)) } else { format!("{:.1} MB", bytes as f64 / 1e6) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use driftline_core::engine::effect::Amount;

    #[test]
    fn what_is_known_is_said_and_nothing_else() {
        let words = |documents: (u64, Option<u64>), bytes: (u64, Option<u64>)| {
            let amount = |(done, total)| Amount { done, total };
            in_words(&CatchUp { documents: amount(documents), bytes: amount(bytes) })
        };
        assert_eq!(words((12, Some(340)), (1_200_000, None)), "catching up: 12 of 340 documents, 1.2 MB so far");
        assert_eq!(words((0, Some(1)), (65_000, Some(129_312))), "catching up: 65 kB of 130 kB");
        assert_eq!(words((3, None), (400, None)), "catching up: 3 documents, 1 kB so far; still finding out how much there is");
    }
}
