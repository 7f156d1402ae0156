//! Pairings in memory, one side of which may be anybody.

use super::*;
use tokio::io::DuplexStream;
use tokio_util::compat::{Compat, TokioAsyncReadCompatExt as _};

const LOW: PeerId = PeerId([1; 32]);
const HIGH: PeerId = PeerId([2; 32]);

fn pipes() -> (Compat<DuplexStream>, Compat<DuplexStream>) {
    let (left, right) = tokio::io::duplex(4_096);
    (left.compat(), right.compat())
}

fn offer(settled: bool, byte: u8) -> Offer {
    Offer { settled, space: SpaceId([byte; 16]) }
}

type Outcome = Result<Paired, PairingError>;

/// Pairs the lower peer, which opens, with the higher; answers what each came to and whether it put the other on its list.
async fn meet(codes: [&PairingCode; 2], offers: [Offer; 2]) -> [(Outcome, bool); 2] {
    let (left, right) = pipes();
    let (mut left_listed, mut right_listed) = (false, false);
    let low = pair(left, Role::Opener, LOW, HIGH, codes[0], (offers[0], "low"), async |_: &Paired| {
        left_listed = true;
        Ok(())
    });
    let high = pair(right, Role::Answerer, HIGH, LOW, codes[1], (offers[1], "high"), async |_: &Paired| {
        right_listed = true;
        Ok(())
    });
    let (low, high) = tokio::join!(low, high);
    [(low, left_listed), (high, right_listed)]
}

#[tokio::test]
async fn whoever_has_the_same_code_pairs_and_agrees_on_a_space() {
    let code = PairingCode::fresh();
    for (offers, agreed) in [
        ([offer(false, 7), offer(false, 8)], 7),
        ([offer(true, 7), offer(false, 8)], 7),
        ([offer(false, 7), offer(true, 8)], 8),
        ([offer(true, 7), offer(true, 7)], 7),
    ] {
        let [low, high] = meet([&code, &code], offers).await;
        assert!(low.1 && high.1);
        let (low, high) = (low.0.expect("paired"), high.0.expect("paired"));
        assert_eq!((low.space, high.space), (SpaceId([agreed; 16]), SpaceId([agreed; 16])));
        assert_eq!((low.name.as_str(), high.name.as_str()), ("high", "low"));
    }
}

#[tokio::test]
async fn two_that_have_different_spaces_do_not_pair_and_are_told() {
    let code = PairingCode::fresh();
    for (outcome, listed) in meet([&code, &code], [offer(true, 7), offer(true, 8)]).await {
        assert!(matches!(outcome, Err(PairingError::OtherSpace)) && !listed, "{outcome:?}");
    }
}

#[tokio::test]
async fn a_wrong_code_puts_nobody_on_a_list() {
    let [low, high] = meet([&PairingCode::fresh(), &PairingCode::fresh()], [offer(false, 7), offer(true, 8)]).await;
    assert!(matches!(low.0, Err(PairingError::WrongCode)) && !low.1, "{low:?}");
    assert!(matches!(high.0, Err(PairingError::WrongCode)) && !high.1, "{high:?}");
}

#[tokio::test]
async fn a_caller_who_does_not_know_the_code_learns_a_nonce_and_nothing_else() {
    let (mut stranger, stream) = pipes();
    let answering = tokio::spawn(async move {
        let code = PairingCode::fresh();
        pair(stream, Role::Answerer, HIGH, LOW, &code, (offer(true, 8), "high"), async |_: &Paired| Ok(())).await
    });
    stranger.write_all(&[VERSION; 33 + 32]).await.expect("it is taken");
    let mut said = Vec::new();
    stranger.read_to_end(&mut said).await.expect("it is closed");
    assert_eq!(said.len(), 33, "a version and a nonce");
    assert!(matches!(answering.await.expect("it runs"), Err(PairingError::WrongCode)));
}

#[tokio::test]
async fn a_proof_is_good_for_neither_another_pair_nor_the_other_role_nor_another_time() {
    let code = PairingCode::fresh();
    let proofs = |opener, answerer, nonce| Proofs { code: &code, opener, answerer, nonces: [[nonce; 32], [9; 32]] };
    let proof = proofs(LOW, HIGH, 1).of(Role::Opener);
    assert!(proofs(LOW, HIGH, 1).check(Role::Opener, &proof).is_ok());
    assert!(proofs(LOW, HIGH, 1).check(Role::Answerer, &proof).is_err(), "it cannot be sent back");
    assert!(proofs(LOW, HIGH, 2).check(Role::Opener, &proof).is_err(), "it cannot be sent again");
    assert!(proofs(LOW, PeerId([3; 32]), 1).check(Role::Opener, &proof).is_err(), "it cannot be passed on");
    assert!(proofs(PeerId([3; 32]), HIGH, 1).check(Role::Opener, &proof).is_err(), "it cannot be passed on");
}

#[tokio::test(start_paused = true)]
async fn one_who_says_nothing_is_not_waited_for() {
    let (stranger, stream) = pipes();
    let code = PairingCode::fresh();
    let waiting = pair(stream, Role::Answerer, HIGH, LOW, &code, (offer(true, 8), "high"), async |_: &Paired| Ok(()));
    let outcome = waiting.await;
    assert!(matches!(&outcome, Err(PairingError::Broken(error)) if error.kind() == io::ErrorKind::TimedOut), "{outcome:?}");
    drop(stranger);
}

#[tokio::test]
async fn any_bytes_are_answered_by_an_end() {
    let code = PairingCode::fresh();
    for length in [0, 1, 32, 33, 64, 65, 300] {
        for role in [Role::Opener, Role::Answerer] {
            let (mut stranger, stream) = pipes();
            let pairing = pair(stream, role, HIGH, LOW, &code, (offer(true, 8), "high"), async |_: &Paired| Ok(()));
            let speaking = async move {
                drop(stranger.write_all(&vec![0xa5; length]).await);
                drop(stranger.close().await);
                let mut said = Vec::new();
                drop(stranger.read_to_end(&mut said).await);
            };
            let (outcome, ()) = tokio::join!(pairing, speaking);
            assert!(outcome.is_err(), "{length} bytes");
        }
    }
}
