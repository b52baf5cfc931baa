use std::net::SocketAddr;

use super::*;
use crate::{
    dns::support::{Diary, address, name, policy},
    sandbox::{Live, PolicyWatch},
};

const AT: &str = "93.184.216.34";

/// A sandbox under these rules, with this name pinned at [`AT`].
fn sandbox(rules: &[&str], pinned: &str) -> Arc<SandboxState> {
    let watch = Arc::new(PolicyWatch::new(Arc::new(policy(rules))));
    let state = SandboxState::new(1, watch, Arc::new(Diary::default()));
    let grant = state.policy().name(&name(pinned)).unwrap();
    let wanted = [(address(AT), u64::MAX)];
    state.pins().pin(&name(pinned), &grant, &wanted, boottime_ns()).unwrap();
    state
}

fn connection(state: &SandboxState) -> Live<'_> {
    let version = state.policy.now();
    let to = SocketAddr::new(address(AT), 443);
    let evidence = Evidence::gather(&version.policy, state.pins(), to, boottime_ns()).unwrap();
    state.connections.add(Arc::new(evidence), version).unwrap()
}

fn is_ended(live: &Live<'_>) -> bool {
    let mut ended = std::pin::pin!(live.ended());
    let context = &mut std::task::Context::from_waker(std::task::Waker::noop());
    ended.as_mut().poll(context).is_ready()
}

#[test]
fn what_the_new_policy_refuses_ends_and_its_pin_with_it() {
    let state = sandbox(&["allow a.test"], "a.test");
    let tls = connection(&state);
    assert!(tls.judged(Judged::Whole(Some(name("a.test")))));
    assert_eq!(state.set_policy(policy(&["allow b.test"])).ended, 1);
    assert!(is_ended(&tls));
    assert!(!state.is_pinned(address(AT)));
    assert!(state.policy().name(&name("b.test")).is_ok());
}

#[test]
fn a_deny_ends_what_a_wider_rule_still_allows() {
    let state = sandbox(&["allow **.test"], "a.test");
    let tls = connection(&state);
    assert!(tls.judged(Judged::Whole(Some(name("a.test")))));
    assert_eq!(state.set_policy(policy(&["allow **.test", "deny a.test"])).ended, 1);
    assert!(is_ended(&tls));
}

#[test]
fn what_both_allow_is_not_touched() {
    let state = sandbox(&["allow a.test"], "a.test");
    let [silent, tls, requests] = [(); 3].map(|()| connection(&state));
    assert!(tls.judged(Judged::Whole(Some(name("a.test")))));
    assert!(requests.judged(Judged::Requests));
    // Another line, and one more.
    assert_eq!(state.set_policy(policy(&["allow b.test", "allow a.test"])).ended, 0);
    for live in [&silent, &tls, &requests] {
        assert!(!is_ended(live));
    }
    assert!(silent.judged(Judged::Whole(None)), "kept as it was, it may go on");
    assert!(state.is_pinned(address(AT)));
}

#[test]
fn where_the_right_is_another_one_only_what_is_encrypted_lives_on() {
    let state = sandbox(&["allow a.test"], "a.test");
    let [silent, tls, requests] = [(); 3].map(|()| connection(&state));
    assert!(tls.judged(Judged::Whole(Some(name("a.test")))));
    assert!(requests.judged(Judged::Requests));
    assert_eq!(state.set_policy(policy(&["allow **.test"])).ended, 2);
    assert!(!is_ended(&tls) && is_ended(&silent) && is_ended(&requests));
    assert!(!silent.judged(Judged::Whole(Some(name("a.test")))), "a verdict of before");
}

#[test]
fn what_was_vouched_for_before_a_revocation_is_judged_behind_it() {
    let state = sandbox(&["allow a.test"], "a.test");
    let entered = connection(&state);
    // Another one is on its way into the list.
    let version = state.policy.now();
    let to = SocketAddr::new(address(AT), 443);
    let gathered = Evidence::gather(&version.policy, state.pins(), to, boottime_ns()).unwrap();
    assert_eq!(state.revoke(|address| address != to.ip()), 0);
    assert!(!is_ended(&entered) && entered.judged(Judged::Requests), "of another address");
    assert_eq!(state.revoke(|address| address == to.ip()), 1);
    assert!(is_ended(&entered));
    assert!(state.connections.add(Arc::new(gathered), version).is_none());
    let now = state.policy.now();
    Evidence::gather(&now.policy, state.pins(), to, boottime_ns()).unwrap_err();
}

#[test]
fn a_third_policy_judges_what_the_second_kept() {
    let state = sandbox(&["allow a.test"], "a.test");
    let tls = connection(&state);
    assert!(tls.judged(Judged::Whole(Some(name("a.test")))));
    assert_eq!(state.set_policy(policy(&["allow **.test"])).ended, 0);
    assert_eq!(state.set_policy(policy(&["allow b.test"])).ended, 1);
    assert!(is_ended(&tls));
}

#[test]
fn a_verdict_of_an_older_policy_is_not_taken() {
    let state = sandbox(&["allow a.test"], "a.test");
    let version = state.policy.now();
    let to = SocketAddr::new(address(AT), 443);
    let evidence = Evidence::gather(&version.policy, state.pins(), to, boottime_ns()).unwrap();
    state.set_policy(policy(&["allow a.test"]));
    assert!(state.connections.add(Arc::new(evidence), version).is_none());
    assert_eq!(state.connections.count(), 0);
}
