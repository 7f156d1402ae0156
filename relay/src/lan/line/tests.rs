//! Lines on pipes in memory, with a clock that jumps.

use super::*;
use crate::transport::{Goodbye, GoodbyeCause};
use futures_util::{SinkExt as _, StreamExt as _};
use tokio::io::DuplexStream;
use tokio_util::compat::{Compat, TokioAsyncReadCompatExt as _};

const FRAME_BYTES_MAX: usize = 1024 * 1024;

fn pipes(bytes: usize) -> (Compat<DuplexStream>, Compat<DuplexStream>) {
    let (left, right) = tokio::io::duplex(bytes);
    (left.compat(), right.compat())
}

fn frame(byte: u8, length: usize) -> Outbound {
    Outbound::Frame(Bytes::from(vec![byte; length]))
}

#[tokio::test]
async fn frames_arrive_whole_and_in_order_also_where_they_do_not_fit_the_pipe() {
    let (left, right) = pipes(1_000);
    let (mut left, _, _) = open(left, FRAME_BYTES_MAX);
    let (mut right, _, _) = open(right, FRAME_BYTES_MAX);
    let sizes = [1, 70_000, 3, FRAME_BYTES_MAX, 17];
    let writing = async {
        for (number, size) in sizes.into_iter().enumerate() {
            left.outgoing.send(frame(number as u8, size)).await.expect("it is taken");
        }
        left.outgoing.send(Outbound::Goodbye(Goodbye { cause: GoodbyeCause::Ended, reason: String::new() })).await
    };
    let reading = async {
        for (number, size) in sizes.into_iter().enumerate() {
            let frame = right.incoming.next().await.expect("there is more").expect("it is whole");
            assert!(frame.len() == size && frame.iter().all(|byte| *byte == number as u8), "frame {number}");
        }
        assert!(right.incoming.next().await.is_none(), "the end is told");
    };
    let (written, ()) = tokio::join!(writing, reading);
    written.expect("the end is said");
}

#[tokio::test(start_paused = true)]
async fn a_quiet_line_stays_and_a_dead_one_is_given_up_in_time() {
    let (left, right) = pipes(1_000);
    let (mut left, _, _) = open(left, FRAME_BYTES_MAX);
    let (mut right, _, _right_end) = open(right, FRAME_BYTES_MAX);
    // A minute of silence, with both sides waiting for frames: beats keep it alive, and are no frames.
    let minute = tokio::time::sleep(std::time::Duration::from_secs(60));
    tokio::select! {
        frame = left.incoming.next() => panic!("{frame:?}"),
        frame = right.incoming.next() => panic!("{frame:?}"),
        () = minute => {}
    }
    left.outgoing.send(frame(1, 1)).await.expect("it is taken");
    assert!(right.incoming.next().await.expect("there is one").is_ok());

    // The other side takes bytes and says nothing, as a network does that is cut.
    let (silent, dead) = pipes(1_000_000);
    let (mut line, _, ended) = open(silent, FRAME_BYTES_MAX);
    let began = tokio::time::Instant::now();
    let error = line.incoming.next().await.expect("it is told").expect_err("it ended");
    assert!(error.to_string().contains("nothing was heard"), "{error}");
    assert!(began.elapsed() <= BEAT * (SILENT_BEATS_MAX + 2), "{:?}", began.elapsed());
    assert_eq!(ended.await, Ok(LineEnd::Silent));
    drop(dead);
}

#[tokio::test(start_paused = true)]
async fn a_reader_that_is_not_asked_does_not_take_the_other_side_for_dead() {
    let (left, right) = pipes(1_000);
    let (mut left, _, mut ended) = open(left, FRAME_BYTES_MAX);
    let (_right, _, _) = open(right, FRAME_BYTES_MAX);
    left.outgoing.send(frame(1, 1)).await.expect("it is taken");
    tokio::time::sleep(BEAT * 30).await;
    assert!(ended.try_recv().is_err(), "it is open still");
}

#[tokio::test]
async fn a_frame_over_the_limit_is_refused_by_its_length_alone() {
    use futures_util::io::AsyncWriteExt as _;
    let (line, mut peer) = pipes(1_000);
    let (mut line, _, _) = open(line, FRAME_BYTES_MAX);
    peer.write_all(&(FRAME_BYTES_MAX as u32 + 1).to_be_bytes()).await.expect("it is sent");
    let refused = line.incoming.next().await.expect("it is told");
    assert!(matches!(refused, Err(TransportError::TooLarge(_))), "{refused:?}");
}

#[tokio::test]
async fn a_line_that_is_cut_ends_on_both_sides() {
    let (left, right) = pipes(1_000);
    let (mut left, cutter, ended) = open(left, FRAME_BYTES_MAX);
    let (mut right, _, _) = open(right, FRAME_BYTES_MAX);
    let reading = tokio::spawn(async move { left.incoming.next().await });
    tokio::task::yield_now().await;
    cutter.cut("another has come");
    assert!(reading.await.expect("it runs").expect("it is told").is_err());
    assert_eq!(ended.await, Ok(LineEnd::Closed));
    assert!(matches!(right.incoming.next().await, None | Some(Err(_))));
}
