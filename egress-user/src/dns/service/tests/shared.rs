//! Who shares a lookup, and what of it: name servers on a real socket, which hold their answers back until a
//! test lets them go.

use std::{
    pin::Pin,
    sync::mpsc::{self, Sender},
    task::Poll,
};

use futures_util::{FutureExt as _, future::join_all};
use hickory_proto::rr::{
    self, RData, Record,
    rdata::{A, AAAA},
};

use super::*;
use crate::{
    config::{DnsServer, DnsSettings},
    dns::{
        NameServers,
        support::policy,
        upstream::tests::server::{NameServer, cname, is_a, reply},
    },
    host::Writer,
};

/// Name servers whose one server gives every name 9.9.9.9 and 2620:fe::fe, by way of an alias, once it was let
/// go; a TTL of 0, so that nothing but a lookup on its way is shared for long.
struct Held {
    server: NameServer,
    servers: Arc<NameServers>,
    go: Sender<()>,
}

impl Held {
    fn new() -> Self {
        let (go, wait) = mpsc::channel();
        let server = NameServer::new(move |query| {
            // For good once the sender is gone.
            let _ = wait.recv();
            let mut message = reply(query);
            let data = match is_a(query) {
                true => RData::A(A::new(9, 9, 9, 9)),
                false => RData::AAAA(AAAA::new(0x2620, 0xfe, 0, 0, 0, 0, 0, 0xfe)),
            };
            let owner = query.queries[0].name().to_lowercase().to_ascii();
            let alias = rr::Name::from_ascii("alias.test.").unwrap();
            message.add_answer(cname(&owner, "alias.test."));
            message.add_answer(Record::from_rdata(alias, 0, data));
            Some(message)
        });
        let settings = DnsSettings {
            servers: vec![DnsServer::Address(server.at)],
            timeout: Duration::from_secs(30),
            ..DnsSettings::default()
        };
        let servers = Arc::new(NameServers::new(&settings, Writer::Nobody).unwrap());
        Self { server, servers, go }
    }

    fn sandbox(&self, rules: &[&str]) -> World {
        World::asking(rules, self.servers.clone())
    }

    /// From here on it answers.
    fn let_go(self) -> NameServer {
        drop(self.go);
        self.server
    }
}

/// A question, polled until it waits for the name server.
fn waiting<'a>(
    world: &'a World,
    record_type: RecordType,
) -> Pin<Box<dyn Future<Output = Message> + 'a>> {
    let mut asked: Pin<Box<dyn Future<Output = Message>>> =
        Box::pin(world.ask("q.test.", record_type));
    assert!((&mut asked).now_or_never().is_none(), "nothing has answered");
    asked
}

/// Once more, as the name servers' sockets are polled by whoever asks.
async fn poll_once(asked: &mut Pin<Box<dyn Future<Output = Message> + '_>>) {
    std::future::poll_fn(|context| {
        assert!(asked.as_mut().poll(context).is_pending(), "nothing has answered");
        Poll::Ready(())
    })
    .await;
}

const ONCE: [&str; 2] = ["q.test. A", "q.test. AAAA"];

#[tokio::test]
async fn a_hundred_questions_are_one_of_each_family_at_the_name_server() {
    let held = Held::new();
    let world = held.sandbox(&["allow **.test"]);
    let types = (0..50).flat_map(|_| [RecordType::A, RecordType::AAAA]);
    let asked: Vec<_> = types.map(|record_type| waiting(&world, record_type)).collect();
    let server = held.let_go();
    for (number, response) in join_all(asked).await.iter().enumerate() {
        let expected = if number % 2 == 0 { HOME } else { HOME6 };
        assert_eq!(addresses(response), [address(expected)], "{number}");
    }
    assert_eq!(server.asked(), ONCE);
    // Behind the answer too, as stub resolvers do that ask for one family first.
    assert_eq!(addresses(&world.ask("q.test.", RecordType::AAAA).await), [address(HOME6)]);
    assert!(server.asked().is_empty());
    // Each address was written once, not once a question.
    assert_eq!(world.diary.entries().len(), 2, "{:?}", world.diary.entries());
}

#[tokio::test]
async fn who_leaves_ends_nobody_elses_lookup_be_it_the_first() {
    for leaver in 0..3 {
        let held = Held::new();
        let world = held.sandbox(&["allow **.test"]);
        let mut asked: Vec<_> = (0..3).map(|_| waiting(&world, RecordType::A)).collect();
        // The one that leaves is also the one that the sockets would wake.
        poll_once(&mut asked[leaver]).await;
        drop(asked.remove(leaver));
        let server = held.let_go();
        for response in join_all(asked).await {
            assert_eq!(addresses(&response), [address(HOME)], "{leaver}");
        }
        assert_eq!(server.asked(), ONCE, "{leaver}");
    }
}

#[tokio::test]
async fn a_lookup_that_all_have_left_ends() {
    let held = Held::new();
    let world = held.sandbox(&["allow **.test"]);
    drop(waiting(&world, RecordType::A));
    let next = waiting(&world, RecordType::A);
    let server = held.let_go();
    assert_eq!(addresses(&next.await), [address(HOME)]);
    assert!(world.sandbox.journal.is_empty());
    // The first one may not have come to the sending.
    let asked = server.asked();
    assert!(asked.len() == 2 || asked.len() == 4, "{asked:?}");
}

#[tokio::test]
async fn sandboxes_share_what_the_name_servers_say_and_no_verdict() {
    let allows = ["allow q.test"];
    let denies_alias = ["allow q.test", "deny alias.test"];
    let denies_address = ["allow q.test", "deny 9.9.9.9"];
    let knows_nothing = ["allow other.test"];
    // Whoever leads: that its policy refuses is its own affair.
    for first in [&allows[..], &denies_alias, &denies_address] {
        let held = Held::new();
        let leader = held.sandbox(first);
        let (allowed, alias, none) =
            (held.sandbox(&allows), held.sandbox(&denies_alias), held.sandbox(&knows_nothing));
        let led = waiting(&leader, RecordType::A);
        let (one, other) = (waiting(&allowed, RecordType::A), waiting(&alias, RecordType::A));
        // Refused before anybody is asked, whatever others have on the way.
        let refused = none.ask("q.test.", RecordType::A).await;
        assert_eq!(code(&refused), ResponseCode::NXDomain);
        let server = held.let_go();
        let (led, one, other) = tokio::join!(led, one, other);
        assert_eq!(server.asked(), ONCE);
        assert_eq!(addresses(&one), [address(HOME)]);
        assert_eq!(allowed.diary.open().len(), 2);
        assert!(allowed.sandbox.journal.is_empty(), "{:?}", allowed.noted());
        assert_eq!(code(&other), ResponseCode::NXDomain);
        assert_eq!(alias.noted(), ["q.test denied"]);
        assert!(alias.diary.open().is_empty());
        assert_eq!(none.noted(), ["q.test not_allowed"]);
        let passes = first == allows;
        assert_eq!(addresses(&led).len(), usize::from(passes));
        assert_eq!(leader.diary.open().is_empty(), !passes);
        assert_eq!(leader.noted().is_empty(), passes);
    }
}

#[tokio::test]
async fn a_sandbox_that_goes_ends_no_lookup_of_another() {
    let held = Held::new();
    let (goes, stays) = (held.sandbox(&["allow q.test"]), held.sandbox(&["allow q.test"]));
    let mut led = waiting(&goes, RecordType::A);
    let follows = waiting(&stays, RecordType::AAAA);
    poll_once(&mut led).await;
    drop(led);
    drop(goes);
    let server = held.let_go();
    assert_eq!(addresses(&follows.await), [address(HOME6)]);
    assert_eq!(server.asked(), ONCE);
}

#[tokio::test]
async fn a_pin_that_was_taken_back_is_made_anew_though_nobody_is_asked() {
    let held = Held::new();
    let world = held.sandbox(&["allow q.test"]);
    let asked = waiting(&world, RecordType::A);
    let server = held.let_go();
    asked.await;
    world.sandbox.pins().end(|_| true, boottime_ns());
    assert!(world.diary.open().is_empty());
    assert_eq!(addresses(&world.ask("q.test.", RecordType::A).await), [address(HOME)]);
    assert_eq!(world.diary.open().len(), 2);
    assert_eq!(server.asked(), ONCE);
}

#[tokio::test]
async fn a_policy_that_changes_while_a_lookup_is_on_its_way_judges_it_for_its_own_sandbox() {
    let held = Held::new();
    let (changes, stays) = (held.sandbox(&["allow q.test"]), held.sandbox(&["allow q.test"]));
    let (one, other) = (waiting(&changes, RecordType::A), waiting(&stays, RecordType::A));
    let changed = changes.sandbox.set_policy(policy(&["allow q.test", "deny alias.test"]));
    assert_eq!(changed.ended, 0);
    let server = held.let_go();
    let (one, other) = tokio::join!(one, other);
    assert_eq!(code(&one), ResponseCode::NXDomain);
    assert!(changes.diary.open().is_empty());
    assert_eq!(addresses(&other), [address(HOME)]);
    assert_eq!(server.asked(), ONCE);
}

#[tokio::test]
async fn a_policy_that_changes_while_a_pin_is_written_leaves_nothing_open() {
    let world = World::new(&["allow q.test"]).knows("q.test", &[HOME, HOME6]);
    let (sandbox, changer) = (world.sandbox.clone(), std::sync::Mutex::new(None));
    let changed = Arc::new(changer);
    let started = changed.clone();
    world.diary.before_pin(move || {
        started.lock().unwrap().get_or_insert_with(|| {
            let sandbox = sandbox.clone();
            let generation = sandbox.policy.generation();
            let changing = sandbox.clone();
            let thread = std::thread::spawn(move || {
                changing.set_policy(policy(&["allow other.test"])).lost.len()
            });
            // It holds from here on; its turn at the pins comes behind this write.
            while sandbox.policy.generation() == generation {
                std::thread::yield_now();
            }
            thread
        });
    });
    world.ask("q.test.", RecordType::A).await;
    let thread = changed.lock().unwrap().take().unwrap();
    assert_eq!(thread.join().unwrap(), 2, "both addresses lose what was just written");
    assert!(world.diary.open().is_empty(), "{:?}", world.diary.open());
    assert!(world.pins().list(boottime_ns()).is_empty());
    assert_eq!(code(&world.ask("q.test.", RecordType::A).await), ResponseCode::NXDomain);
}
