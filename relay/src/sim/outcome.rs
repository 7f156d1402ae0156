//! What came of a scenario.

use super::scenario::Scenario;
use serde::Serialize;

/// How a rumour spread. Times are of the made-up clock.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Outcome {
    /// In what world.
    pub scenario: Scenario,
    /// Whether all who were there held it in the end.
    pub converged: bool,
    /// How many did not.
    pub lacking: usize,
    /// From the start of the rumour until all held it, in milliseconds.
    pub time_ms: u64,
    /// From when the last fault had ended until then, in milliseconds.
    pub after_faults_ms: u64,
    /// How long peers were without it from when they could have had it, in milliseconds: half of them, 99 of 100, the slowest.
    pub wait_ms: [u64; 3],
    /// When each twentieth of those who came to hold it did, from the start of the rumour, in milliseconds.
    pub spread_ms: Vec<u64>,
    /// Rounds until all held it, where all push in step.
    pub rounds: Option<u64>,
    /// What theory says for a fan-out of one, nothing lost, and everyone known to everyone.
    pub rounds_in_theory: f64,
    /// Peers through which it came to the one to which it came through most.
    pub hops: u32,
    /// What was sent.
    pub sent: Sent,
    /// The overlay when the rumour started.
    pub overlay: Overlay,
}

/// What was sent from the start of the rumour until all held it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Sent {
    /// The rumour itself.
    pub pushes: u64,
    /// ... to a peer that held it.
    pub duplicates: u64,
    /// ... and lost on the way, or sent to nobody.
    pub pushes_lost: u64,
    /// That it is held: acknowledgements, and what spares a push.
    pub tells: u64,
    /// Comparisons of all that is held.
    pub compares: u64,
    /// Of neighbours and peers: greetings, heartbeats, whom one knows.
    pub membership: u64,
    /// Dials.
    pub dials: u64,
    /// Peers that came to hold it.
    pub deliveries: u64,
}

impl Sent {
    /// Copies of the rumour that were sent for each peer that came to hold it; 1 were perfect.
    pub fn copies(&self) -> f64 {
        self.pushes as f64 / self.deliveries.max(1) as f64
    }
}

/// Who is whose neighbour.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Overlay {
    /// Parts between which there is no way: 1 is whole.
    pub components: usize,
    /// Fewest neighbours of one peer.
    pub degree_min: usize,
    /// Neighbours of a peer in the mean.
    pub degree_mean: f64,
    /// Most neighbours of one peer.
    pub degree_max: usize,
    /// Peers known to a peer in the mean.
    pub known_mean: f64,
}
