//! The dashboard and the alert rules that come with a relay, held against what a relay really says.

use crate::metrics::{Scrape, meeting};
use crate::replica::relay;
use serde_json::Value as Json;
use std::collections::BTreeSet;
use tempfile::TempDir;

const DASHBOARD: &str = include_str!("../../observability/dashboard.json");
const ALERTS: &str = include_str!("../../observability/alerts.yaml");
/// What stands in expressions and is neither a metric nor called like a function.
const WORDS: [&str; 4] = ["and", "or", "unless", "bool"];
/// What takes a list of labels.
const WITH_LABELS: [&str; 6] = ["by", "without", "on", "ignoring", "group_left", "group_right"];
/// What Prometheus adds itself.
const OF_PROMETHEUS: &str = "up";

/// The names of metrics in a PromQL expression: every name that is not called, does not name a label, and does not stand in a
/// selector, a duration or a text.
fn metrics_in(expression: &str) -> BTreeSet<String> {
    let mut found = BTreeSet::new();
    let mut rest = expression;
    while let Some(first) = rest.chars().next() {
        let skip_past = |end: char| rest[1..].find(end).map_or(rest.len(), |at| at + 2);
        match first {
            '{' => rest = &rest[skip_past('}')..],
            '[' => rest = &rest[skip_past(']')..],
            '"' => rest = &rest[skip_past('"')..],
            _ if first.is_ascii_alphabetic() || first == '_' => {
                let end = rest.find(|c: char| !c.is_ascii_alphanumeric() && c != '_').unwrap_or(rest.len());
                let (name, after) = rest.split_at(end);
                rest = after.trim_start();
                if WITH_LABELS.contains(&name) {
                    rest = &rest[rest.find(')').map_or(rest.len(), |at| at + 1)..];
                } else if !rest.starts_with('(') && !WORDS.contains(&name) && !begins_with_labels(rest) {
                    found.insert(name.to_owned());
                }
            }
            // A number, with its letters: 1e3.
            _ if first.is_ascii_digit() => {
                rest = rest.trim_start_matches(|c: char| c.is_ascii_alphanumeric() || c == '.');
            }
            _ => rest = &rest[first.len_utf8()..],
        }
    }
    found
}

/// Whether what comes after a name makes it an aggregation, as in `sum by (le)`.
fn begins_with_labels(rest: &str) -> bool {
    let word = rest.split(|c: char| !c.is_ascii_alphanumeric() && c != '_').next().unwrap_or_default();
    ["by", "without"].contains(&word)
}

#[test]
fn metrics_are_found_in_expressions_and_nothing_else() {
    for (expression, names) in [
        ("histogram_quantile(0.99, sum by (le) (rate(a_bucket{job=~\"$job\"}[5m])))", vec!["a_bucket"]),
        ("sum(b{reason=\"c\"}) / d > 1e3 and e == 0", vec!["b", "d", "e"]),
        ("rate(f_sum[$__rate_interval])", vec!["f_sum"]),
    ] {
        assert_eq!(metrics_in(expression).iter().map(String::as_str).collect::<Vec<_>>(), names, "{expression}");
    }
}

/// Every expression of the dashboard, with the title of its panel.
fn dashboard_expressions(dashboard: &Json) -> Vec<(String, String)> {
    let panels = dashboard["panels"].as_array().expect("a dashboard has panels").iter();
    panels
        .filter(|panel| panel["type"] != "row")
        .flat_map(|panel| {
            let title = panel["title"].as_str().unwrap_or_default().to_owned();
            let targets = panel["targets"].as_array().expect("a panel shows something");
            targets.iter().map(move |target| (title.clone(), target["expr"].as_str().expect("an expression").to_owned()))
        })
        .collect()
}

/// Every alert rule.
fn alert_rules(alerts: &Json) -> Vec<Json> {
    let groups = alerts["groups"].as_array().expect("rules are in groups").iter();
    groups.flat_map(|group| group["rules"].as_array().expect("a group has rules").clone()).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn every_metric_that_is_shown_or_watched_is_one_that_a_relay_tells() {
    let data = TempDir::new().unwrap();
    let relay = relay(data.path()).await;
    let _both = meeting(&relay).await;
    let scrape = Scrape::of(&relay).await;
    let mut told: BTreeSet<&str> = scrape.names().collect();
    told.insert(OF_PROMETHEUS);

    let dashboard: Json = serde_json::from_str(DASHBOARD).unwrap();
    let alerts: Json = serde_norway::from_str(ALERTS).unwrap();
    let mut expressions = dashboard_expressions(&dashboard);
    expressions
        .extend(alert_rules(&alerts).iter().map(|rule| (rule["alert"].to_string(), rule["expr"].as_str().unwrap().to_owned())));
    assert!(expressions.len() > 30, "{} expressions", expressions.len());
    let mut used = BTreeSet::new();
    for (title, expression) in &expressions {
        let names = metrics_in(expression);
        assert!(!names.is_empty(), "{title} shows no metric: {expression}");
        for name in names {
            assert!(told.contains(name.as_str()), "{title} shows {name}, which no relay tells: {expression}");
            used.insert(name);
        }
        let opened = expression.matches(['(', '{', '[']).count();
        assert_eq!(opened, expression.matches([')', '}', ']']).count(), "{title}: {expression}");
    }
    for name in ["anti_entropy_sync_duration_seconds_bucket", "driftline_delivery_seconds_bucket", "driftline_store_errors_total"]
    {
        assert!(used.contains(name), "{name} is worth a look, and nobody looks");
    }
    relay.shutdown().await;
}

#[test]
fn each_panel_says_what_it_shows_and_in_what_unit() {
    let dashboard: Json = serde_json::from_str(DASHBOARD).unwrap();
    let (mut ids, mut titles) = (BTreeSet::new(), BTreeSet::new());
    for panel in dashboard["panels"].as_array().unwrap() {
        let title = panel["title"].as_str().unwrap_or_default();
        assert!(!title.is_empty() && titles.insert(title), "a title of its own: {panel}");
        assert!(ids.insert(panel["id"].as_u64().expect("a number")), "{title} has another's number");
        let place = &panel["gridPos"];
        assert!(place["x"].as_u64().unwrap() + place["w"].as_u64().unwrap() <= 24, "{title} is too wide");
        if panel["type"] != "row" {
            assert!(
                panel["fieldConfig"]["defaults"]["unit"].as_str().is_some_and(|unit| !unit.is_empty()),
                "{title} has no unit"
            );
            assert!(panel["description"].as_str().is_some_and(|text| text.ends_with('.')), "{title} does not say what it is");
            assert_eq!(panel["datasource"]["uid"], "${datasource}", "{title} belongs to no one's Prometheus");
        }
    }
}

#[test]
fn each_alert_says_how_urgent_it_is_and_what_to_do() {
    let alerts: Json = serde_norway::from_str(ALERTS).unwrap();
    let mut names = BTreeSet::new();
    for rule in alert_rules(&alerts) {
        let name = rule["alert"].as_str().unwrap_or_default();
        assert!(name.starts_with("Driftline") && names.insert(name.to_owned()), "a name of its own: {rule}");
        let severity = rule["labels"]["severity"].as_str().unwrap_or_default();
        assert!(["page", "ticket"].contains(&severity), "{name} is \"{severity}\"");
        let summary = rule["annotations"]["summary"].as_str().unwrap_or_default();
        let advice = summary.split_once(": ").map_or("", |(_, advice)| advice);
        assert!(summary.contains("{{ $labels.instance }}") && advice.len() > 20, "{name} says nothing to do: {summary}");
    }
    assert!(names.len() >= 10);
}
