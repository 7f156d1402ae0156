//! Giving room back: pages that were let go of leave the file, and the log beside it is emptied, while nobody waits.
//!
//! It is done in steps between batches. A step moves a bounded number of pages in a transaction of its own, so that a task that
//! comes meanwhile waits for no more than that. Stores that were made before there was this keep their pages, because only a
//! `VACUUM` can change that: docs/operations.md says how.

use super::failure::Outcome;
use rusqlite::Connection;
use std::time::Duration;

/// Pages moved in one step.
const STEP_PAGES: i64 = 256;
/// As a part of all pages, those that may be free: what is written next finds room, and no step is taken for a few.
const FREE_DIVISOR: i64 = 64;
/// How long nothing must have been asked of the store before a step.
const STEP_QUIET: Duration = Duration::from_millis(50);
/// How long before the log is emptied: then it is not written to from its beginning each time that someone pauses.
const LOG_QUIET: Duration = Duration::from_secs(3);

/// What there is to give back.
#[derive(Debug, Default)]
pub(super) struct Room {
    /// Whether the database can give pages back.
    can_shrink: bool,
    next: Next,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Next {
    /// Nothing was written since it was last looked.
    #[default]
    Nothing,
    /// Pages may be free.
    Pages,
    /// The log may hold something.
    Log,
}

impl Room {
    /// What a database can give back that was just opened: there may be something from before.
    pub(super) fn of(connection: &Connection) -> Outcome<Self> {
        let mode: i64 = connection.pragma_query_value(None, "auto_vacuum", |row| row.get(0))?;
        Ok(Self { can_shrink: mode == INCREMENTAL, next: Next::Pages })
    }

    /// Notes that something was written. What only adds to the store lets go of no page: then there is the log to empty, and a step
    /// is not taken each time that someone who types pauses between two keys.
    pub(super) fn on_written(&mut self, lets_go: bool) {
        if lets_go {
            self.next = Next::Pages;
        } else if self.next == Next::Nothing {
            self.next = Next::Log;
        }
    }

    /// How long to wait for a task before the next step; nothing when there is none to take.
    pub(super) fn wait(&self) -> Option<Duration> {
        match self.next {
            Next::Nothing => None,
            Next::Pages => Some(STEP_QUIET),
            Next::Log => Some(LOG_QUIET),
        }
    }

    /// Takes one step. One that fails is not taken again before something is written.
    pub(super) fn step(&mut self, connection: &Connection) -> Outcome<()> {
        match std::mem::take(&mut self.next) {
            Next::Nothing => {}
            Next::Pages => {
                let moved = self.can_shrink && shrink(connection)?;
                self.next = if moved { Next::Pages } else { Next::Log };
            }
            Next::Log => {
                // Whoever reads an older state at the moment keeps it: then it is left as it is.
                connection.query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |_| Ok(()))?;
            }
        }
        Ok(())
    }
}

/// SQLite's number for a database that gives pages back when it is told.
const INCREMENTAL: i64 = 2;

/// Makes a database one that gives pages back; only before it has tables.
pub(super) fn prepare(connection: &Connection) -> Outcome<()> {
    Ok(connection.pragma_update(None, "auto_vacuum", "INCREMENTAL")?)
}

/// Gives back some pages, where more are free than may be; answers whether it did.
fn shrink(connection: &Connection) -> Outcome<bool> {
    let count = |name| connection.pragma_query_value(None, name, |row| row.get::<_, i64>(0));
    let (pages, free) = (count("page_count")?, count("freelist_count")?);
    let spare = free - pages / FREE_DIVISOR;
    if spare <= 0 {
        return Ok(false);
    }
    let mut statement = connection.prepare(&format!("PRAGMA incremental_vacuum({})", spare.min(STEP_PAGES)))?;
    let mut rows = statement.query([])?;
    // A page is given back with each row.
    while rows.next()?.is_some() {}
    Ok(true)
}
