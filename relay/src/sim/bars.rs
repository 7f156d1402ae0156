//! What gossip must hold, for a few hundred peers; `driftline sim --table` holds it for a hundred thousand ([`docs/scale.md`]).
//!
//! [`docs/scale.md`]: https://github.com/driftline/driftline/blob/main/docs/scale.md

use super::outcome::Outcome;
use super::scenario::Scenario;
use super::world::World;
use driftline_core::gossip::rumour::RumourConfig;

/// What all do who do not say otherwise.
fn usual() -> usize {
    RumourConfig::default().fanout
}

fn live(scenario: Scenario) -> Outcome {
    World::new(scenario).run(&mut |_| {})
}

fn median(mut of: Vec<u64>) -> u64 {
    of.sort_unstable();
    of[of.len() / 2]
}

/// One push a round, nothing lost: no slower than theory, by more than three rounds. The usual fan-out takes at most half as many.
#[test]
fn rounds_are_as_few_as_theory_says_and_half_with_the_usual_fan_out() {
    for peers in [10, 30, 100, 300] {
        let rounds = |fanout: usize| {
            let lives = (1..=5).map(|seed| live(Scenario::of(peers, fanout, seed).in_step()));
            median(lives.map(|outcome| outcome.rounds.filter(|_| outcome.converged).expect("all hold it")).collect())
        };
        let theory = Scenario::of(peers, 1, 1).rounds_in_theory();
        let (one, usual) = (rounds(1), rounds(usual()));
        assert!(one as f64 <= theory + 3.0, "{peers} peers, fan-out 1: {one} rounds, {theory:.1} in theory");
        assert!(usual as f64 <= theory / 2.0, "{peers} peers: {usual} rounds, {theory:.1} in theory for a fan-out of 1");
        assert!(usual * 2 <= one + 1, "{peers} peers: {usual} rounds with the usual fan-out, {one} with 1");
    }
}

/// A fifth of all messages is lost, and a tenth of the peers falls silent and comes back. Everyone holds it, at less than ten copies each.
#[test]
fn all_hold_it_though_much_is_lost_and_many_come_and_go() {
    for seed in 1..=3 {
        let outcome = live(Scenario { loss_percent: 20, churn_percent: 10, ..Scenario::of(300, usual(), seed) });
        assert!(outcome.converged, "{outcome:?}");
        assert!(outcome.sent.pushes_lost > 0 && outcome.sent.dials > 0, "something went wrong: {outcome:?}");
        assert!(outcome.sent.copies() < 10.0, "{:.1} copies: {outcome:?}", outcome.sent.copies());
    }
}

/// Half of the world cannot reach the other for half a minute. When it can, all hold it within another.
#[test]
fn halves_that_meet_again_hold_the_same_soon() {
    let outcome = live(Scenario { partition_ms: 30_000, ..Scenario::of(200, usual(), 1) });
    assert!(outcome.converged && outcome.time_ms >= 30_000, "{outcome:?}");
    assert!(outcome.after_faults_ms <= 30_000, "{outcome:?}");
}

#[test]
fn five_centres_that_are_200_ms_apart_hold_the_same_within_1200_ms() {
    for seed in 1..=3 {
        let scenario = Scenario { centres: 5, centre_ms: 200, latency_ms: (1, 5), ..Scenario::of(200, usual(), seed) };
        let outcome = live(scenario);
        assert!(outcome.converged && outcome.time_ms < 1_200, "{outcome:?}");
    }
}

/// Peers that know three others at the beginning have as many neighbours as they want when the rumour starts, and nobody has too many.
#[test]
fn the_overlay_is_whole_when_the_rumour_starts() {
    let outcome = live(Scenario::of(300, usual(), 1));
    let overlay = outcome.overlay;
    assert_eq!((overlay.components, overlay.degree_min >= 7, overlay.degree_max <= 128), (1, true, true), "{overlay:?}");
}
