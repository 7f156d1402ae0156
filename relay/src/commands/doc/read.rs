//! Commands that read: list, show, get, history.

use super::client::{Client, saved_json, saved_words};
use super::failure::{Failure, FailureKind};
use super::options::{Get, History, Show};
use driftline_core::doc::value::Value;
use serde_json::{Value as Json, json};
use std::fmt::Write as _;

/// Longest title shown in a list, in code points.
const TITLE_LENGTH_MAX: usize = 48;

pub(super) async fn list(client: &Client<'_>) -> Result<(), Failure> {
    client.catch_up().await?;
    let mut rows = Vec::new();
    for id in client.space.documents().await? {
        let handle = client.space.find(id).await?;
        let title = title_of(&handle.get("title").await?);
        let changes = handle.read(|document| document.history_length()).await?;
        rows.push((id, title, changes, handle.saved().await?));
    }
    let json: Vec<Json> = rows
        .iter()
        .map(|(id, title, changes, saved)| json!({ "document": id, "title": title, "changes": changes, "saved": saved_json(saved) }))
        .collect();
    let mut human = String::new();
    if rows.is_empty() {
        let _ = writeln!(
            human,
            "The space `{}` holds no documents yet. Make one: driftline doc create --value '{{\"title\": \"Tides\"}}'",
            client.options.space()
        );
    } else {
        let _ = writeln!(human, "{:<28}  {:<TITLE_LENGTH_MAX$}  {:>8}  SAVED", "DOCUMENT", "TITLE", "CHANGES");
    }
    for (id, title, changes, saved) in &rows {
        let title: String = title
            .as_deref()
            .unwrap_or("")
            .chars()
            .map(|letter| if letter.is_control() { ' ' } else { letter })
            .take(TITLE_LENGTH_MAX)
            .collect();
        let _ = writeln!(human, "{:<28}  {title:<TITLE_LENGTH_MAX$}  {changes:>8}  {}", id.to_string(), saved_words(saved));
    }
    client.output.result(&human, &Json::Array(json));
    Ok(())
}

fn title_of(value: &Option<Value>) -> Option<String> {
    match value {
        Some(Value::Text(title) | Value::String(title)) => Some(title.clone()),
        _ => None,
    }
}

pub(super) async fn show(client: &Client<'_>, show: &Show) -> Result<(), Failure> {
    let value = client.find(show.id).await?.value().await?.to_json();
    client.output.result(&pretty(&value), &value);
    Ok(())
}

pub(super) async fn get(client: &Client<'_>, get: &Get) -> Result<(), Failure> {
    let value = client.find(get.id).await?.value().await?;
    let Some(found) = get.path.find(&value) else {
        return Err(Failure::new(FailureKind::NotFound, format!("there is nothing at {} in {}", get.path, get.id)));
    };
    let human = match found {
        Value::Text(text) | Value::String(text) => text.clone(),
        other => pretty(&other.to_json()),
    };
    client.output.result(&human, &found.to_json());
    Ok(())
}

pub(super) async fn history(client: &Client<'_>, history: &History) -> Result<(), Failure> {
    let entries = client.find(history.id).await?.history(history.limit.unwrap_or(usize::MAX)).await?;
    let mut human = String::new();
    for entry in &entries {
        let (hash, actor) = (entry.hash.to_string(), entry.actor.to_string());
        let message = entry.message.as_deref().unwrap_or("");
        let _ = writeln!(
            human,
            "{}  {}  {:>8}@{}  {:>5} ops  {message}",
            &hash[..12],
            time(entry.time_ms),
            entry.seq,
            &actor[..actor.len().min(8)],
            entry.ops
        );
    }
    let json = serde_json::to_value(&entries).map_err(|error| Failure::new(FailureKind::Failed, error.to_string()))?;
    client.output.result(&human, &json);
    Ok(())
}

/// A moment as people write it, in UTC.
fn time(unix_ms: i64) -> String {
    let seconds = unix_ms.div_euclid(1000);
    let (days, second) = (seconds.div_euclid(86_400), seconds.rem_euclid(86_400));
    // Howard Hinnant's days to civil date, in eras of 400 years that begin in March.
    let shifted = days + 719_468;
    let (era, day_of_era) = (shifted.div_euclid(146_097), shifted.rem_euclid(146_097));
    let year_of_era = (day_of_era - day_of_era / 1_460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let month_from_march = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * month_from_march + 2) / 5 + 1;
    let month = if month_from_march < 10 { month_from_march + 3 } else { month_from_march - 9 };
    let year = year_of_era + era * 400 + i64::from(month <= 2);
    format!("{year:04}-{month:02}-{day:02} {:02}:{:02}:{:02}", second / 3_600, second / 60 % 60, second % 60)
}

/// JSON over several lines.
pub(super) fn pretty(json: &Json) -> String {
    serde_json::to_string_pretty(json).unwrap_or_else(|_| json.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn moments_read_as_dates() {
        assert_eq!(time(0), "1970-01-01 00:00:00");
        assert_eq!(time(951_782_400_000), "2000-02-29 00:00:00");
        assert_eq!(time(1_795_192_200_999), "2026-11-20 16:30:00");
        assert_eq!(time(-1), "1969-12-31 23:59:59");
    }
}
