//! Lookups of `egress check`: given on the command line, or by the system's resolver.
use std::{
    collections::HashMap,
    net::{IpAddr, ToSocketAddrs},
    sync::mpsc::{self, RecvTimeoutError},
    thread,
    time::Duration,
};

use anyhow::{Context, anyhow};
use egress_user::policy::{Answer, Lookup, Name};

/// One of the two, with what it answered.
pub(super) enum CheckLookup {
    Given(Answers),
    System(SystemLookup),
}

impl CheckLookup {
    /// The addresses that were answered.
    pub(super) fn seen(&self) -> &[IpAddr] {
        match self {
            CheckLookup::Given(answers) => &answers.seen,
            CheckLookup::System(system) => &system.seen,
        }
    }
}

impl Lookup for CheckLookup {
    fn lookup(&mut self, name: &Name) -> Answer {
        let (answer, seen) = match self {
            CheckLookup::Given(answers) => (answers.answer(name), &mut answers.seen),
            CheckLookup::System(system) => (system.ask(name), &mut system.seen),
        };
        if let Answer::Found { addresses, .. } = &answer {
            seen.clone_from(addresses);
        }
        answer
    }
}

/// Answers of `--resolve`.
pub(super) struct Answers {
    by_name: HashMap<Name, Answer>,
    /// Of `*`; without it a name that is not listed fails, and nothing is really asked.
    others: Answer,
    seen: Vec<IpAddr>,
}

impl Answers {
    pub(super) fn parse(flags: &[String]) -> anyhow::Result<Self> {
        let mut answers =
            Self { by_name: HashMap::new(), others: Answer::ServFail, seen: Vec::new() };
        for flag in flags {
            let wrong = || format!("--resolve {flag:?}: write NAME=ADDR or NAME=ADDR,ADDR");
            let (name, answer) = flag.split_once('=').ok_or_else(|| anyhow!(wrong()))?;
            let answer = parse_answer(answer).with_context(wrong)?;
            if name == "*" {
                answers.others = answer;
            } else {
                answers.by_name.insert(Name::parse(name).with_context(wrong)?, answer);
            }
        }
        Ok(answers)
    }

    fn answer(&self, name: &Name) -> Answer {
        self.by_name.get(name).unwrap_or(&self.others).clone()
    }
}

fn parse_answer(text: &str) -> anyhow::Result<Answer> {
    let addresses = match text {
        "SERVFAIL" => return Ok(Answer::ServFail),
        "NXDOMAIN" => return Ok(Answer::NxDomain),
        "TIMEOUT" => return Ok(Answer::Timeout),
        "EMPTY" => Vec::new(),
        list => list.split(',').map(|text| text.trim().parse()).collect::<Result<_, _>>()?,
    };
    Ok(Answer::Found { chain: Vec::new(), addresses })
}

/// The host's own resolver, as far as std gives it: addresses without the names of the chain.
pub(super) struct SystemLookup {
    timeout: Duration,
    seen: Vec<IpAddr>,
}

impl SystemLookup {
    pub(super) fn new(timeout: Duration) -> Self {
        Self { timeout, seen: Vec::new() }
    }

    fn ask(&self, name: &Name) -> Answer {
        let (sender, receiver) = mpsc::channel();
        let host = name.to_string();
        // getaddrinfo takes as long as it likes; at the timeout its thread is left behind, and ends
        // with the process.
        thread::spawn(move || {
            let found = (host.as_str(), 0).to_socket_addrs();
            // Nobody waits any more after the timeout.
            let _ = sender.send(found.map(|list| list.map(|address| address.ip()).collect()));
        });
        match receiver.recv_timeout(self.timeout) {
            Ok(Ok(addresses)) => {
                Answer::Found { chain: Vec::new(), addresses: once_each(addresses) }
            }
            Ok(Err(_)) | Err(RecvTimeoutError::Disconnected) => Answer::ServFail,
            Err(RecvTimeoutError::Timeout) => Answer::Timeout,
        }
    }
}

fn once_each(addresses: Vec<IpAddr>) -> Vec<IpAddr> {
    let mut unique = Vec::new();
    for address in addresses {
        if !unique.contains(&address) {
            unique.push(address);
        }
    }
    unique
}
