//! What kind of world it is.

use serde::Serialize;

/// One world and what happens in it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Scenario {
    /// How many peers there are.
    pub peers: usize,
    /// To how many neighbours a peer pushes something new in a round.
    pub fanout: usize,
    /// How long a message takes at least and at most, in milliseconds.
    pub latency_ms: (u64, u64),
    /// Of a hundred messages, so many are lost.
    pub loss_percent: u64,
    /// Of a hundred peers, so many fall silent while the rumour spreads, and come back.
    pub churn_percent: u64,
    /// For how long the world is in two halves when the rumour starts, in milliseconds.
    pub partition_ms: u64,
    /// In how many data centres the peers are.
    pub centres: usize,
    /// How long a message takes from one to another, in milliseconds, beside its latency.
    pub centre_ms: u64,
    /// Whether all peers push at the same moments, as theory has it, and not as soon as they have something.
    pub lockstep: bool,
    /// Milliseconds from one round to the next.
    pub round_ms: u64,
    /// What decides everything.
    pub seed: u64,
}

impl Scenario {
    /// A quiet world of so many peers.
    pub fn of(peers: usize, fanout: usize, seed: u64) -> Self {
        Self {
            peers,
            fanout,
            latency_ms: (5, 50),
            loss_percent: 0,
            churn_percent: 0,
            partition_ms: 0,
            centres: 1,
            centre_ms: 0,
            lockstep: false,
            round_ms: 100,
            seed,
        }
    }

    /// The same with all pushing in step. What is pushed in one round has arrived, and is answered, before the next.
    pub fn in_step(mut self) -> Self {
        self.lockstep = true;
        self.latency_ms = (1, self.round_ms / 2 - 1);
        self
    }

    /// Rounds in which a push a round to a peer chosen among all reaches everyone, about: `log2 N + ln N`.
    ///
    /// Source: B. Pittel, On spreading a rumor, SIAM J. Appl. Math. 47, 1987.
    pub fn rounds_in_theory(&self) -> f64 {
        let peers = self.peers.max(1) as f64;
        peers.log2() + peers.ln()
    }

    /// What is special about it, in words.
    pub fn describe(&self) -> String {
        let mut words = vec![format!("{}..{} ms", self.latency_ms.0, self.latency_ms.1)];
        if self.lockstep {
            words = vec!["in step".to_owned()];
        }
        let mut add = |is_so: bool, text: String| {
            if is_so {
                words.push(text);
            }
        };
        add(self.loss_percent > 0, format!("{} % loss", self.loss_percent));
        add(self.churn_percent > 0, format!("{} % churn", self.churn_percent));
        add(self.partition_ms > 0, format!("{} s in two halves", self.partition_ms as f64 / 1_000.0));
        add(self.centres > 1, format!("{} centres {} ms apart", self.centres, self.centre_ms));
        words.join(", ")
    }
}
