use egress_common::{
    Address,
    event::{Event, HelloEvent},
};

use super::*;

fn hello(cookie: u64) -> Box<HelloEvent> {
    let event = Event {
        time_ns: 0,
        sandbox: 0,
        cookie,
        address: Address::LOOPBACK4,
        port: 443,
        hook: 0,
        reason: 0,
        protocol: 0,
        family: 0,
        socket_type: 0,
        tgid: 0,
        uid: 0,
        comm: [0; 16],
        minor: 0,
        reserved: 0,
    };
    Box::new(HelloEvent {
        event,
        finding: 1,
        hellos: 0,
        reserved: [0; 2],
        name_length: 0,
        name: [0; 32],
    })
}

#[tokio::test(start_paused = true)]
async fn each_has_its_whole_time() {
    let waiting = Waiting::default();
    let began = Instant::now();
    assert!(waiting.add(hello(1)).is_none());
    tokio::time::advance(WHOLE_WITHIN / 2).await;
    assert!(waiting.add(hello(2)).is_none());
    assert_eq!(waiting.late().await.event.cookie, 1);
    assert!(began.elapsed() >= WHOLE_WITHIN);
    assert_eq!(waiting.late().await.event.cookie, 2);
    assert!(began.elapsed() >= WHOLE_WITHIN * 3 / 2);
}

#[tokio::test(start_paused = true)]
async fn one_that_comes_later_is_waited_for() {
    let waiting = Waiting::default();
    let late = async { waiting.late().await.event.cookie };
    let add = async {
        tokio::task::yield_now().await;
        assert!(waiting.add(hello(7)).is_none());
    };
    assert_eq!(tokio::join!(late, add).0, 7);
}

#[tokio::test(start_paused = true)]
async fn a_flood_ends_the_oldest_early_and_takes_no_more_room() {
    let waiting = Waiting::default();
    for cookie in 0..MAX_WAITING as u64 {
        assert!(waiting.add(hello(cookie)).is_none());
    }
    for cookie in 0..10 {
        let oldest = waiting.add(hello(u64::MAX - cookie)).map(|hello| hello.event.cookie);
        assert_eq!(oldest, Some(cookie));
    }
    assert_eq!(waiting.queue().len(), MAX_WAITING);
}
