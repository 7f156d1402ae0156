//! A wire against a client of another make, over a real socket.

use super::outlet::{Outlet, Step};
use super::{HostStats, Wire};
use crate::transport::{Goodbye, GoodbyeCause, Incoming, TransportError};
use bytes::Bytes;
use futures_util::{SinkExt as _, StreamExt as _};
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;
use tokio::net::{TcpSocket, TcpStream};
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::tungstenite::protocol::Role;
use tokio_tungstenite::tungstenite::protocol::frame::coding::CloseCode;

/// The largest frame that the wire takes.
const FRAME_BYTES_MAX: usize = 1024 * 1024;
/// What a socket holds, about.
const SOCKET_BYTES: u32 = 64 * 1024;
/// How long anything here may take.
const PATIENCE: Duration = Duration::from_secs(60);

struct Pair {
    client: WebSocketStream<TcpStream>,
    incoming: Incoming,
    outlet: Arc<Outlet>,
    stats: Arc<HostStats>,
}

/// Both ends of a connection after its handshake, of which the wire's end has been read as far as `begun`.
async fn pair(begun: &[u8]) -> Pair {
    let (listening, dialling) = (TcpSocket::new_v4().unwrap(), TcpSocket::new_v4().unwrap());
    // Small enough to be full soon, on every system.
    listening.set_send_buffer_size(SOCKET_BYTES).unwrap();
    dialling.set_recv_buffer_size(SOCKET_BYTES).unwrap();
    listening.bind(SocketAddr::from(([127, 0, 0, 1], 0))).unwrap();
    let listener = listening.listen(1).unwrap();
    let address = listener.local_addr().unwrap();
    let (dialled, accepted) = tokio::join!(dialling.connect(address), listener.accept());
    let (dialled, (accepted, _)) = (dialled.unwrap(), accepted.unwrap());
    // Without this the socket is not known to take anything.
    accepted.writable().await.unwrap();
    let client = WebSocketStream::from_raw_socket(dialled, Role::Client, None).await;
    let stats = Arc::new(HostStats::default());
    let (incoming, outlet) = Wire::new(accepted, Bytes::copy_from_slice(begun), FRAME_BYTES_MAX, ()).split(&stats);
    Pair { client, incoming, outlet, stats }
}

/// A frame of this many bytes that can be told from others.
fn frame(number: usize, bytes: usize) -> Arc<[u8]> {
    (0..bytes).map(|at| (number * 31 + at) as u8).collect()
}

impl Pair {
    fn push(&self, frame: &Arc<[u8]>) {
        self.stats.outbound_bytes.fetch_add(frame.len() as u64, Ordering::Relaxed);
        assert!(self.outlet.push(Arc::clone(frame), None, None));
    }

    fn outbound(&self) -> u64 {
        self.stats.outbound_bytes.load(Ordering::Relaxed)
    }
}

/// Writes as a connection's task does, and answers how many bytes have left.
async fn write_all(outlet: &Outlet) -> usize {
    let mut written = 0;
    loop {
        let (bytes, step) = outlet.write_on();
        written += bytes;
        match step {
            Step::Blocked => outlet.ready().await,
            Step::Done => return written,
            step => panic!("{step:?}"),
        }
    }
}

#[tokio::test]
async fn frames_of_every_size_arrive_as_they_were_and_are_counted_when_they_have_left() {
    let mut pair = pair(&[]).await;
    let frames: Vec<_> =
        [0, 1, 125, 126, 127, 4_096, 65_535, 65_536, 300_000].into_iter().map(|bytes| frame(bytes, bytes)).collect();
    for frame in &frames {
        pair.push(frame);
    }
    let outlet = Arc::clone(&pair.outlet);
    let writing = tokio::spawn(async move { outlet.write_now() + write_all(&outlet).await });
    for frame in &frames {
        let arrived = tokio::time::timeout(PATIENCE, pair.client.next()).await.unwrap().unwrap().unwrap();
        assert!(arrived == Message::binary(frame.to_vec()), "of {} bytes", frame.len());
    }
    assert_eq!(writing.await.unwrap(), frames.iter().map(|frame| frame.len()).sum::<usize>());
    assert_eq!(pair.outbound(), 0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 3)]
async fn a_writing_that_is_given_up_again_and_again_beside_another_loses_nothing_and_doubles_nothing() {
    const FRAMES: usize = 4_000;
    let pair = pair(&[]).await;
    let Pair { mut client, outlet, .. } = pair;
    let (begin, begun) = tokio::sync::oneshot::channel();
    let reading = tokio::spawn(async move {
        begun.await.unwrap();
        for number in 0..FRAMES {
            let arrived = client.next().await.unwrap().unwrap();
            assert!(arrived == Message::binary(frame(number, number * 7 % 9_000).to_vec()), "frame {number}");
        }
    });
    // The engine's thread, which never waits, ...
    let engine = Arc::clone(&outlet);
    let pushing = tokio::task::spawn_blocking(move || {
        let mut begin = Some(begin);
        let mut written = 0;
        for number in 0..FRAMES {
            assert!(engine.push(frame(number, number * 7 % 9_000), None, None));
            written += engine.write_now();
            if number > FRAMES / 2
                && let Some(begin) = begin.take()
            {
                assert!(engine.waiting() > 0, "the system took a part and no more");
                begin.send(()).unwrap();
            }
        }
        written
    });
    // ... beside a task whose patience ends at any await.
    let all: usize = (0..FRAMES).map(|number| number * 7 % 9_000).sum();
    let mut written = 0;
    let mut rounds = 0u32;
    while !reading.is_finished() {
        rounds += 1;
        let writing = async {
            loop {
                let (bytes, step) = outlet.write_on();
                written += bytes;
                match step {
                    Step::Done => outlet.woken().await,
                    Step::Blocked => outlet.ready().await,
                    step => panic!("{step:?}"),
                }
            }
        };
        let _ = tokio::time::timeout(Duration::from_micros(u64::from(rounds % 7) * 50), writing).await;
        tokio::task::yield_now().await;
    }
    reading.await.unwrap();
    written += pushing.await.unwrap();
    assert_eq!(written + write_all(&outlet).await, all, "every byte is reported once");
}

#[tokio::test]
async fn what_the_system_does_not_take_waits_and_is_let_go_of_in_the_end() {
    let pair = pair(&[]).await;
    let mut pushed = 0;
    let mut written = 0;
    // Nobody reads: sooner or later the system takes no more.
    while !matches!(pair.outlet.write_on(), (bytes, Step::Blocked) if { written += bytes; true }) {
        pair.push(&frame(0, 100_000));
        pushed += 100_000;
        written += pair.outlet.write_now();
    }
    let waiting = (pushed - written) as u64;
    assert!(waiting > 0);
    assert_eq!(pair.outbound(), waiting);
    pair.push(&frame(1, 10));
    assert_eq!(pair.outlet.write_now(), 0, "whoever does not wait does not write past what waits");
    assert_eq!(pair.outbound(), waiting + 10);
    pair.outlet.close();
    assert_eq!(pair.outbound(), 0);
    assert!(!pair.outlet.push(frame(2, 10), None, None), "a connection that is over takes nothing");
    assert!(matches!(pair.outlet.write_on(), (0, Step::Broke(_))));
}

#[tokio::test]
async fn a_goodbye_is_the_last_that_is_said() {
    let mut pair = pair(&[]).await;
    pair.push(&frame(3, 50));
    pair.outlet.push_goodbye(&Goodbye { cause: GoodbyeCause::GoingAway, reason: "so long".to_owned() });
    assert!(!pair.outlet.push(frame(4, 50), None, None));
    // The engine's thread may be the one that writes it: the task hears of it all the same.
    assert_eq!(pair.outlet.write_now(), 50);
    assert!(matches!(pair.outlet.write_on(), (0, Step::SaidGoodbye)));
    assert_eq!(pair.client.next().await.unwrap().unwrap(), Message::binary(frame(3, 50).to_vec()));
    let Some(Ok(Message::Close(Some(close)))) = pair.client.next().await else { panic!("no goodbye") };
    assert_eq!((close.code, close.reason.as_str()), (CloseCode::Away, "so long"));
    // The client answers the goodbye, and the wire does not answer that: it would be an error at the client.
    let Pair { mut client, mut incoming, outlet, .. } = pair;
    let hanging_up = async move {
        assert!(matches!(incoming.next().await, Some(Err(TransportError::Closed(_)))));
        drop((incoming, outlet));
    };
    let (last, ()) = tokio::join!(client.next(), hanging_up);
    assert!(last.is_none(), "{last:?}");
}

#[tokio::test]
async fn frames_are_read_also_those_that_came_right_behind_the_handshake() {
    // An empty binary frame, masked with zeros.
    let mut pair = pair(&[0x82, 0x80, 0, 0, 0, 0]).await;
    assert_eq!(pair.incoming.next().await.unwrap().unwrap(), Bytes::new());
    for bytes in [1, 4_095, 4_096, 100_000, FRAME_BYTES_MAX] {
        let (sent, arrived) = tokio::join!(pair.client.send(Message::binary(frame(bytes, bytes).to_vec())), pair.incoming.next());
        sent.unwrap();
        assert!(arrived.unwrap().unwrap() == frame(bytes, bytes)[..], "of {bytes} bytes");
    }
    let (_, arrived) = tokio::join!(pair.client.send(Message::binary(vec![0; FRAME_BYTES_MAX + 1])), pair.incoming.next());
    assert!(matches!(arrived, Some(Err(TransportError::TooLarge(_)))));
}

#[tokio::test]
async fn a_ping_is_answered_among_frames_and_a_close_before_the_end() {
    let mut pair = pair(&[]).await;
    pair.client.send(Message::Ping(Bytes::from_static(b"there?"))).await.unwrap();
    pair.client.send(Message::binary(vec![7])).await.unwrap();
    assert_eq!(pair.incoming.next().await.unwrap().unwrap(), [7][..]);
    assert_eq!(pair.client.next().await.unwrap().unwrap(), Message::Pong(Bytes::from_static(b"there?")));
    pair.client.close(None).await.unwrap();
    assert!(pair.incoming.next().await.is_none());
    assert!(matches!(pair.client.next().await, Some(Ok(Message::Close(None)))), "the answer has left");
}

#[tokio::test]
async fn a_peer_that_pings_and_does_not_listen_is_not_answered_without_end() {
    let mut pair = pair(&[]).await;
    while !matches!(pair.outlet.write_on(), (_, Step::Blocked)) {
        pair.push(&frame(0, 100_000));
    }
    let waiting = pair.outlet.waiting();
    for _ in 0..1_000 {
        pair.client.feed(Message::Ping(Bytes::from_static(&[0; 100]))).await.unwrap();
    }
    pair.client.feed(Message::binary(vec![1])).await.unwrap();
    let (flushed, arrived) = tokio::join!(pair.client.flush(), pair.incoming.next());
    flushed.unwrap();
    assert_eq!(arrived.unwrap().unwrap(), [1][..]);
    assert!(pair.outlet.waiting() <= waiting + 8, "{} beside {waiting}", pair.outlet.waiting());
}
