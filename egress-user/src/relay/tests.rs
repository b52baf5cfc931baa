use std::io::ErrorKind;
use std::ops::ControlFlow;
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;
use tokio::task::JoinHandle;

use super::*;

fn pipes() -> Arc<Quota> {
    Quota::new(MAX_PIPES)
}

/// A client and a server with a relay between them.
struct World {
    client: TcpStream,
    server: TcpStream,
    traffic: Arc<Traffic>,
    relay: JoinHandle<Result<(), PumpError>>,
}

impl World {
    async fn new() -> Self {
        Self::sharing(&pipes()).await
    }

    async fn sharing(pipes: &Arc<Quota>) -> Self {
        let (client, inner_client) = pair().await;
        let (inner_server, server) = pair().await;
        let traffic = Arc::new(Traffic::default());
        let counted = Arc::clone(&traffic);
        let pipes = Arc::clone(pipes);
        let relay =
            tokio::spawn(async move { relay(inner_client, inner_server, &counted, &pipes).await });
        Self { client, server, traffic, relay }
    }

    async fn ended(self) -> (Result<(), PumpError>, u64, u64) {
        let ended = self.relay.await.unwrap();
        (ended, self.traffic.up_bytes.load(Relaxed), self.traffic.down_bytes.load(Relaxed))
    }
}

async fn pair() -> (TcpStream, TcpStream) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let connected = TcpStream::connect(listener.local_addr().unwrap()).await.unwrap();
    (connected, listener.accept().await.unwrap().0)
}

async fn assert_reset(stream: &mut TcpStream) {
    let mut rest = Vec::new();
    let error = stream.read_to_end(&mut rest).await.expect_err("end of stream instead of a reset");
    assert_eq!(error.kind(), ErrorKind::ConnectionReset);
}

fn drop_with_reset(stream: TcpStream) {
    stream.set_zero_linger().unwrap();
}

fn pattern(len: usize, seed: usize) -> Vec<u8> {
    (0..len).map(|i| ((i * 31 + i / 251 + seed) & 0xff) as u8).collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn moves_megabytes_both_ways_at_once() {
    const LEN: usize = 5 * 1024 * 1024 + 17;
    let mut world = World::new().await;
    let exchange = async |stream: &mut TcpStream, seed: usize, expected_seed: usize| {
        let (mut read, mut write) = stream.split();
        let mut got = Vec::new();
        let send = async {
            write.write_all(&pattern(LEN, seed)).await.unwrap();
            write.shutdown().await.unwrap();
        };
        let (_, received) = tokio::join!(send, read.read_to_end(&mut got));
        received.unwrap();
        assert!(got == pattern(LEN, expected_seed), "bytes differ");
    };
    tokio::join!(exchange(&mut world.client, 1, 2), exchange(&mut world.server, 2, 1));
    let (ended, up, down) = world.ended().await;
    ended.unwrap();
    assert_eq!((up, down), (LEN as u64, LEN as u64));
}

#[tokio::test]
async fn many_connections_share_one_thread() {
    let worlds: Vec<_> = (0..50)
        .map(|seed| {
            tokio::spawn(async move {
                let mut world = World::new().await;
                for round in 0..20 {
                    let sent = pattern(1000 * round + 1, seed);
                    let mut got = vec![0; sent.len()];
                    world.client.write_all(&sent).await.unwrap();
                    world.server.read_exact(&mut got).await.unwrap();
                    assert_eq!(got, sent);
                }
            })
        })
        .collect();
    for world in worlds {
        world.await.unwrap();
    }
}

#[tokio::test]
async fn half_close_of_the_client_leaves_the_answer_open() {
    let mut world = World::new().await;
    world.client.write_all(b"question").await.unwrap();
    world.client.shutdown().await.unwrap();
    let mut question = String::new();
    world.server.read_to_string(&mut question).await.unwrap();
    assert_eq!(question, "question");
    world.server.write_all(b"answer").await.unwrap();
    world.server.shutdown().await.unwrap();
    let mut answer = String::new();
    world.client.read_to_string(&mut answer).await.unwrap();
    assert_eq!(answer, "answer");
    world.ended().await.0.unwrap();
}

#[tokio::test]
async fn half_close_of_the_server_leaves_the_request_open() {
    let mut world = World::new().await;
    world.server.write_all(b"hello").await.unwrap();
    world.server.shutdown().await.unwrap();
    let mut hello = String::new();
    world.client.read_to_string(&mut hello).await.unwrap();
    assert_eq!(hello, "hello");
    world.client.write_all(b"bye").await.unwrap();
    world.client.shutdown().await.unwrap();
    let mut bye = String::new();
    world.server.read_to_string(&mut bye).await.unwrap();
    assert_eq!(bye, "bye");
    world.ended().await.0.unwrap();
}

#[tokio::test]
async fn reset_of_either_side_is_a_reset_on_the_other() {
    let World { client, mut server, relay, .. } = World::new().await;
    drop_with_reset(client);
    assert_reset(&mut server).await;
    relay.await.unwrap().unwrap_err();

    let World { mut client, server, relay, .. } = World::new().await;
    drop_with_reset(server);
    assert_reset(&mut client).await;
    relay.await.unwrap().unwrap_err();
}

#[tokio::test]
async fn reset_behind_a_half_close_reaches_an_idle_client() {
    let World { mut client, mut server, relay, .. } = World::new().await;
    server.shutdown().await.unwrap();
    assert_eq!(client.read(&mut [0]).await.unwrap(), 0);
    drop_with_reset(server);
    // The client only waits; reading would give its end of stream again.
    client.ready(tokio::io::Interest::ERROR).await.unwrap();
    assert_eq!(client.take_error().unwrap().unwrap().kind(), ErrorKind::BrokenPipe);
    relay.await.unwrap().unwrap_err();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn reset_is_never_taken_for_an_end_of_stream() {
    for _ in 0..200 {
        let World { client, mut server, .. } = World::new().await;
        // While the client writes, a write may be what learns of the reset.
        let (mut read, mut write) = client.into_split();
        let writing = tokio::spawn(async move {
            loop {
                if let Err(error) = write.write_all(&[1; 1000]).await {
                    return error.kind();
                }
            }
        });
        server.read_exact(&mut [0; 1500]).await.unwrap();
        drop_with_reset(server);
        // The client's own write may have the reset, and its read then says end of stream. Had
        // the relay passed an end of stream on, neither would have it: a write gets EPIPE then.
        let seen_by_read = read.read(&mut [0]).await.map_err(|error| error.kind());
        let seen_by_write = writing.await.unwrap();
        assert!(
            seen_by_read == Err(ErrorKind::ConnectionReset)
                || seen_by_write == ErrorKind::ConnectionReset,
            "{seen_by_read:?}, {seen_by_write:?}"
        );
    }
}

#[tokio::test]
async fn answer_before_a_reset_arrives() {
    let World { mut client, mut server, relay, traffic } = World::new().await;
    client.write_all(b"an upload that nobody reads").await.unwrap();
    server.write_all(b"413").await.unwrap();
    // Closing with unread bytes resets, once they are there.
    assert!(server.peek(&mut [0]).await.unwrap() > 0);
    drop(server);
    let mut answer = [0; 3];
    client.read_exact(&mut answer).await.unwrap();
    assert_eq!(&answer, b"413");
    assert_reset(&mut client).await;
    relay.await.unwrap().unwrap_err();
    assert_eq!(traffic.down_bytes.load(Relaxed), 3);
}

#[tokio::test]
async fn server_that_never_reads_stops_the_client() {
    let World { client, mut server, relay, traffic } = World::new().await;
    let block = vec![7; 1 << 20];
    let mut taken = 0_u64;
    // Full is a state without an event: it holds when nothing more fits for a while.
    while tokio::time::timeout(Duration::from_millis(300), client.writable()).await.is_ok() {
        match client.try_write(&block) {
            Ok(len) => taken += len as u64,
            Err(error) => assert_eq!(error.kind(), ErrorKind::WouldBlock),
        }
        assert!(taken < 256 << 20, "the relay swallows everything");
    }
    let moved = traffic.up_bytes.load(Relaxed);
    assert!(moved < taken, "{moved} of {taken} bytes written");
    assert!(!relay.is_finished());

    // The pump waits for the server, but still sees that the client went away.
    drop_with_reset(client);
    relay.await.unwrap().unwrap_err();
    let mut rest = Vec::new();
    let error = server.read_to_end(&mut rest).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::ConnectionReset);
    assert!(rest.len() as u64 <= moved);
}

#[tokio::test]
async fn urgent_byte_is_not_lost() {
    use nix::sys::socket::{MsgFlags, send};
    use std::os::fd::AsRawFd;

    let World { mut client, mut server, relay, .. } = World::new().await;
    client.write_all(b"before").await.unwrap();
    assert_eq!(send(client.as_raw_fd(), b"!", MsgFlags::MSG_OOB).unwrap(), 1);
    client.write_all(b"after").await.unwrap();
    client.shutdown().await.unwrap();
    let mut got = String::new();
    server.read_to_string(&mut got).await.unwrap();
    assert_eq!(got, "before!after");
    drop(server);
    relay.await.unwrap().unwrap();
}

#[tokio::test]
async fn connection_at_rest_is_small() {
    let (client, server) = (pair().await, pair().await);
    let (traffic, pipes) = (Traffic::default(), pipes());
    let size = size_of_val(&relay(client.0, server.0, &traffic, &pipes));
    assert!(size <= 2048, "the state of a relay is {size} bytes");
}

#[tokio::test]
async fn slow_reader_gets_every_byte() {
    let mut world = World::new().await;
    let sent = pattern(3 << 20, 5);
    let expected = sent.clone();
    let mut server = world.server;
    let sending = tokio::spawn(async move {
        server.write_all(&sent).await.unwrap();
    });
    let mut got = Vec::new();
    let mut some = vec![0; 10_000];
    loop {
        match world.client.read(&mut some).await.unwrap() {
            0 => break,
            len => got.extend_from_slice(&some[..len]),
        }
        tokio::task::yield_now().await;
    }
    assert!(got == expected, "{} of {} bytes", got.len(), expected.len());
    sending.await.unwrap();
}

#[tokio::test]
async fn watched_pump_stops_behind_the_bytes_that_decide() {
    let (mut client, inner_client) = pair().await;
    let (inner_server, mut server) = pair().await;
    let moved = AtomicU64::new(0);
    let head = b"HTTP/1.1 101 Switching Protocols\r\n\r\n";
    server.write_all(head).await.unwrap();
    let mut seen = Vec::new();
    let pipes = pipes();
    let flow = pump_until(&inner_server, &inner_client, &moved, &pipes, |bytes: &[u8]| {
        seen.extend_from_slice(bytes);
        if seen.len() == head.len() { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
    });
    assert_eq!(flow.await.unwrap(), ControlFlow::Break(()));
    assert_eq!((seen.as_slice(), moved.load(Relaxed)), (&head[..], head.len() as u64));

    server.write_all(b"more").await.unwrap();
    server.shutdown().await.unwrap();
    pump(&inner_server, &inner_client, &moved, &pipes).await.unwrap();
    let mut got = Vec::new();
    client.read_to_end(&mut got).await.unwrap();
    assert_eq!(got, [&head[..], b"more"].concat());
}

/// Sends until the direction has been busy for long, so that it is spliced; gives what was sent.
async fn keep_busy(from: &mut TcpStream, to: &mut TcpStream) {
    const LEN: usize = 64 << 20;
    let block = pattern(1 << 20, 9);
    let send = async {
        for _ in 0..LEN / block.len() {
            from.write_all(&block).await.unwrap();
        }
    };
    let receive = async {
        let mut got = vec![0; block.len()];
        for _ in 0..LEN / block.len() {
            to.read_exact(&mut got).await.unwrap();
            assert!(got == block, "bytes differ");
        }
    };
    tokio::join!(send, receive);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn pipes_are_those_of_the_owner_and_without_one_bytes_are_copied() {
    let (one, other) = (Quota::new(1), Quota::new(1));
    let mut world = World::sharing(&one).await;
    keep_busy(&mut world.client, &mut world.server).await;
    assert!(one.take().is_none(), "the pipe is kept, and counts");
    let others = other.take().expect("nothing of another owner's is taken");
    let before = Quota::new(0);
    for none_left in [&other, &before] {
        let mut world = World::sharing(none_left).await;
        keep_busy(&mut world.client, &mut world.server).await;
    }
    drop(others);
    assert!(other.take().is_some());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn busy_direction_is_spliced_and_goes_on_as_before() {
    use nix::sys::socket::{MsgFlags, send};
    use std::os::fd::AsRawFd;

    let mut world = World::new().await;
    let before = pipe::filled();
    keep_busy(&mut world.client, &mut world.server).await;
    assert!(pipe::filled() > before, "nothing was spliced");
    // Splice stops in front of an urgent byte; the stream must not.
    assert_eq!(send(world.client.as_raw_fd(), b"!", MsgFlags::MSG_OOB).unwrap(), 1);
    world.client.write_all(b"after").await.unwrap();
    let mut got = [0; 6];
    world.server.read_exact(&mut got).await.unwrap();
    assert_eq!(&got, b"!after");
    // The other way, an answer, and both ends.
    world.server.write_all(b"answer").await.unwrap();
    let mut got = [0; 6];
    world.client.read_exact(&mut got).await.unwrap();
    assert_eq!(&got, b"answer");
    world.client.shutdown().await.unwrap();
    assert_eq!(world.server.read(&mut got).await.unwrap(), 0);
    world.server.shutdown().await.unwrap();
    assert_eq!(world.client.read(&mut got).await.unwrap(), 0);
    let (ended, up, down) = world.ended().await;
    ended.unwrap();
    assert_eq!((up, down), ((64 << 20) + 6, 6));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn busy_direction_is_reset_like_any() {
    let World { mut client, mut server, relay, .. } = World::new().await;
    keep_busy(&mut client, &mut server).await;
    drop_with_reset(client);
    assert_reset(&mut server).await;
    relay.await.unwrap().unwrap_err();
}
