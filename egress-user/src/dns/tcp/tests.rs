use hickory_proto::{
    op::{Message, ResponseCode},
    rr::RecordType,
};

use super::*;
use crate::dns::{
    Settings,
    support::{World, address, addresses, ask, code},
};

/// A served listener and its address.
fn serve(world: &World) -> (SocketAddr, JoinSet<()>) {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    listener.set_nonblocking(true).unwrap();
    let at = listener.local_addr().unwrap();
    let mut served = JoinSet::new();
    let service = world.service.clone();
    served.spawn(async move { service.serve_tcp(listener).await.unwrap() });
    (at, served)
}

async fn receive(client: &mut TcpStream) -> Message {
    let length = client.read_u16().await.unwrap();
    let mut message = vec![0; length.into()];
    client.read_exact(&mut message).await.unwrap();
    Message::from_vec(&message).unwrap()
}

fn world() -> World {
    World::new(&["allow example.org"]).knows("example.org", &["9.9.9.9"])
}

fn question(name: &str) -> Vec<u8> {
    framed(&ask(name, RecordType::A))
}

#[tokio::test]
async fn answers_a_query_in_one_byte_writes() {
    let world = world();
    let (at, _served) = serve(&world);
    let mut client = TcpStream::connect(at).await.unwrap();
    client.set_nodelay(true).unwrap();
    for byte in question("example.org.") {
        client.write_all(&[byte]).await.unwrap();
        client.flush().await.unwrap();
    }
    assert_eq!(addresses(&receive(&mut client).await), [address("9.9.9.9")]);
}

#[tokio::test]
async fn judges_each_of_two_queries_in_one_segment() {
    let world = world();
    let (at, _served) = serve(&world);
    let mut client = TcpStream::connect(at).await.unwrap();
    let two = [question("example.org."), question("secret.evil.test.")].concat();
    client.write_all(&two).await.unwrap();
    let mut codes = [code(&receive(&mut client).await), code(&receive(&mut client).await)];
    codes.sort_by_key(|&code| u16::from(code));
    assert_eq!(codes, [ResponseCode::NoError, ResponseCode::NXDomain]);
    assert_eq!(world.diary.lookups(), 1);
}

#[tokio::test]
async fn answers_many_pipelined_queries_and_those_before_a_half_close() {
    let world = world();
    let (at, _served) = serve(&world);
    let mut client = TcpStream::connect(at).await.unwrap();
    let many = question("example.org.").repeat(200);
    let (mut reader, mut writer) = client.split();
    let write = async {
        writer.write_all(&many).await.unwrap();
        writer.shutdown().await.unwrap();
    };
    let read = async {
        let mut all = Vec::new();
        reader.read_to_end(&mut all).await.unwrap();
        all
    };
    let ((), bytes) = tokio::join!(write, read);
    let mut all = Arrived { bytes, taken: 0 };
    let mut answers = 0;
    while let Some(message) = all.take_message() {
        assert_eq!(addresses(&Message::from_vec(&message).unwrap()).len(), 1);
        answers += 1;
    }
    assert_eq!((answers, all.bytes.len()), (200, all.taken));
}

#[tokio::test]
async fn bad_messages_do_not_end_the_conversation() {
    let world = world();
    let (at, _served) = serve(&world);
    let mut client = TcpStream::connect(at).await.unwrap();
    let mut response = ask("example.org.", RecordType::A);
    response[2] |= 0x80;
    let messages = [
        framed(&[]),
        framed(&[7; 11]),
        framed(&response),
        framed(&[0; 65_535]),
        question("example.org."),
    ];
    client.write_all(&messages.concat()).await.unwrap();
    let mut codes = [code(&receive(&mut client).await), code(&receive(&mut client).await)];
    codes.sort_by_key(|&code| u16::from(code));
    assert_eq!(codes, [ResponseCode::NoError, ResponseCode::FormErr]);
}

#[tokio::test]
async fn nobodys_connections_are_closed() {
    let world = World::with(&["allow *"], Settings::default(), false);
    let (at, _served) = serve(&world);
    let mut client = TcpStream::connect(at).await.unwrap();
    assert_eq!(client.read(&mut [0]).await.unwrap(), 0);
}

#[tokio::test]
async fn connections_beyond_the_limit_are_closed_and_noted() {
    let world = world();
    let (at, _served) = serve(&world);
    let mut first = Vec::new();
    for _ in 0..MAX_DNS_CONNECTIONS {
        let mut client = TcpStream::connect(at).await.unwrap();
        client.write_all(&question("example.org.")).await.unwrap();
        receive(&mut client).await;
        first.push(client);
    }
    let mut one_more = TcpStream::connect(at).await.unwrap();
    assert_eq!(one_more.read(&mut [0]).await.unwrap(), 0);
    assert_eq!(world.noted(), ["DNS connections at once rate_limited"]);
    // A place that is given up can be taken.
    drop(first.pop());
    while world.service.connections.available_permits() == 0 {
        tokio::task::yield_now().await;
    }
    let mut next = TcpStream::connect(at).await.unwrap();
    next.write_all(&question("example.org.")).await.unwrap();
    assert_eq!(code(&receive(&mut next).await), ResponseCode::NoError);
}

#[tokio::test]
async fn queries_beyond_the_limit_fail_at_once() {
    let world = world();
    let _all = world.service.queries.clone().try_acquire_many_owned(512).unwrap();
    let (at, _served) = serve(&world);
    let mut client = TcpStream::connect(at).await.unwrap();
    client.write_all(&question("example.org.")).await.unwrap();
    assert_eq!(code(&receive(&mut client).await), ResponseCode::ServFail);
    assert_eq!(world.diary.lookups(), 0);
}

/// Time is tokio's: it jumps to the deadline when nothing else can happen.
#[tokio::test(start_paused = true)]
async fn a_trickle_does_not_keep_a_connection() {
    let world = world();
    let (at, _served) = serve(&world);
    let mut client = TcpStream::connect(at).await.unwrap();
    let started = Instant::now();
    client.write_all(&[0]).await.unwrap();
    assert_eq!(client.read(&mut [0]).await.unwrap_or(0), 0);
    assert!(started.elapsed() >= IDLE && started.elapsed() < 2 * IDLE);
}
