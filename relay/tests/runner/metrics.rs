//! What Prometheus is told of a relay that does something.

use crate::replica::{PATIENCE, Replica, endpoint, get, relay};
use driftline_core::base::id::DocumentId;
use driftline_core::doc::value::Value;
use driftline_core::engine::input::Command;
use driftline_relay::server::Relay;
use futures_util::{SinkExt as _, StreamExt as _};
use std::collections::BTreeMap;
use std::time::Duration;
use tempfile::TempDir;
use tokio_tungstenite::connect_async;
use tokio_tungstenite::tungstenite::Message;

const NOTE: DocumentId = DocumentId([9; 16]);

/// One reading of `/metrics`.
pub(crate) struct Scrape {
    /// Each sample by its name and labels, as they are written.
    samples: BTreeMap<String, f64>,
}

impl Scrape {
    pub(crate) async fn of(relay: &Relay) -> Self {
        let (head, text) = get(relay, "/metrics").await;
        assert!(head.starts_with("HTTP/1.1 200") && text.ends_with("# EOF\n"), "{head}\n{text}");
        let samples = text.lines().filter(|line| !line.starts_with('#'));
        let sample = |line: &str| {
            let (name, value) = line.rsplit_once(' ').unwrap();
            (name.to_owned(), value.parse().unwrap_or_else(|_| panic!("{line}")))
        };
        Self { samples: samples.map(sample).collect() }
    }

    /// The value of a sample, with its labels if it has some.
    pub(crate) fn value(&self, name: &str) -> f64 {
        *self.samples.get(name).unwrap_or_else(|| panic!("{name} is not among {:#?}", self.samples.keys()))
    }

    /// The names of all samples, without labels.
    pub(crate) fn names(&self) -> impl Iterator<Item = &str> {
        self.samples.keys().map(|name| name.split('{').next().unwrap())
    }

    /// Reads again and again until `wanted` is so.
    pub(crate) async fn until(relay: &Relay, what: &str, wanted: impl Fn(&Self) -> bool) -> Self {
        let waiting = async {
            loop {
                let scrape = Self::of(relay).await;
                if wanted(&scrape) {
                    return scrape;
                }
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
        };
        tokio::time::timeout(PATIENCE, waiting).await.unwrap_or_else(|_| panic!("{what} takes too long"))
    }
}

/// Two have written the same note with no network, and meet on the relay; then one writes and the other reads.
pub(crate) async fn meeting(relay: &Relay) -> [Replica; 2] {
    let mut both = [Replica::new(1).await, Replica::new(2).await];
    for (number, replica) in (0..).zip(&mut both) {
        replica.open(NOTE).await;
        replica.put(NOTE, &format!("offline {number}"), Value::Int(1));
        replica.saved(NOTE, |saved| saved.device).await;
        replica.host.command(Command::AddEndpoint { endpoint: endpoint(relay) });
        replica.saved(NOTE, |saved| saved.relays == 1).await;
    }
    let [ann, bob] = &mut both;
    ann.sees(NOTE, "offline 1", &Value::Int(1)).await;
    for number in 1..=3 {
        ann.put(NOTE, "n", Value::Int(number));
        bob.sees(NOTE, "n", &Value::Int(number)).await;
    }
    ann.saved(NOTE, |saved| saved.relays == 1).await;
    both
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_relay_does_is_counted_under_the_names_that_others_use() {
    let data = TempDir::new().unwrap();
    let relay = relay(data.path()).await;
    let idle = Scrape::of(&relay).await;
    assert_eq!(idle.value("anti_entropy_sync_duration_seconds_count"), 0.0);
    let _both = meeting(&relay).await;
    let is_quiet = |scrape: &Scrape| {
        let unsettled = ["driftline_unacknowledged_changes", "anti_entropy_syncing"];
        unsettled.iter().all(|name| scrape.value(name) == 0.0)
    };
    let busy = Scrape::until(&relay, "quiet", is_quiet).await;
    assert_eq!(busy.value("anti_entropy_sync_duration_seconds_count"), 2.0, "each came to be in sync once");
    assert_eq!(busy.value("anti_entropy_syncing"), 0.0);
    assert_eq!(busy.value("anti_entropy_conflicts_resolved_total"), 1.0, "bob did not know what ann had written");
    for direction in ["in", "out"] {
        let bytes = busy.value(&format!("anti_entropy_bytes_transferred_total{{direction=\"{direction}\"}}"));
        let all = busy.value(&format!("driftline_bytes_{direction}_total"));
        assert!(bytes > 100.0 && bytes < all, "{bytes} of {all} bytes {direction}");
    }
    let deliveries = busy.value("driftline_delivery_seconds_count");
    assert!(deliveries >= 4.0, "bob's change to ann and three to bob: {deliveries}");
    let longest = PATIENCE.as_secs_f64() * deliveries;
    assert!((0.000_001..longest).contains(&busy.value("driftline_delivery_seconds_sum")));
    assert_eq!(busy.value("driftline_commit_changes_sum"), 5.0);
    assert_eq!(busy.value("driftline_entries_appended_total"), 5.0);
    assert!(busy.value("driftline_commit_seconds_count") >= busy.value("driftline_commit_changes_count"));
    assert_eq!((busy.value("driftline_spaces"), busy.value("driftline_documents")), (1.0, 1.0));
    assert_eq!(busy.value("driftline_connections"), 2.0);
    assert!(busy.value("driftline_outbound_bytes_max") > busy.value("driftline_outbound_bytes_largest"));
    assert!(busy.value("driftline_engine_wait_seconds") > 0.0);
    assert_eq!(busy.value("driftline_documents_quarantined_total"), 0.0);

    let described = include_str!("../../../docs/operations.md");
    for name in busy.names() {
        let name = ["_bucket", "_sum", "_count"].iter().find_map(|end| name.strip_suffix(end)).unwrap_or(name);
        assert!(described.contains(&format!("`{name}`")), "docs/operations.md does not say what {name} is");
    }

    let (mut socket, _) = connect_async(endpoint(&relay)).await.unwrap();
    socket.send(Message::Binary(vec![0xff; 100].into())).await.unwrap();
    while let Some(Ok(_)) = socket.next().await {}
    assert_eq!(Scrape::of(&relay).await.value("driftline_refused_frames_total{reason=\"malformed\"}"), 1.0);
    relay.shutdown().await;
}
