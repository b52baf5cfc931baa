//! Lookups of `egress check`: given on the command line, or by the name servers of the policy.
use std::{collections::HashMap, net::IpAddr};

use anyhow::{Context, anyhow};
use egress_user::{
    config::DnsSettings,
    dns::{NameServers, Upstream as _},
    host::Writer,
    policy::{Answer, Lookup, Name},
};

/// One of the two, with what it answered.
pub(in crate::cli) enum CheckLookup {
    Given(Answers),
    Real(RealLookup),
}

impl CheckLookup {
    /// The addresses that were answered.
    pub(in crate::cli) fn seen(&self) -> &[IpAddr] {
        match self {
            CheckLookup::Given(answers) => &answers.seen,
            CheckLookup::Real(real) => &real.seen,
        }
    }
}

impl Lookup for CheckLookup {
    fn lookup(&mut self, name: &Name) -> Answer {
        let (answer, seen) = match self {
            CheckLookup::Given(answers) => (answers.answer(name), &mut answers.seen),
            CheckLookup::Real(real) => (real.ask(name), &mut real.seen),
        };
        if let Answer::Found { addresses, .. } = &answer {
            seen.clone_from(addresses);
        }
        answer
    }
}

/// Answers of `--resolve`.
pub(in crate::cli) struct Answers {
    by_name: HashMap<Name, Answer>,
    /// Of `*`; without it a name that is not listed fails, and nothing is really asked.
    others: Answer,
    seen: Vec<IpAddr>,
}

impl Answers {
    pub(in crate::cli) fn parse(flags: &[String]) -> anyhow::Result<Self> {
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

/// The name servers that `egress run` would ask, in its way: without hosts file and search domains,
/// and with the names of the chain.
pub(in crate::cli) struct RealLookup {
    settings: DnsSettings,
    seen: Vec<IpAddr>,
}

impl RealLookup {
    pub(in crate::cli) fn new(settings: DnsSettings) -> Self {
        Self { settings, seen: Vec::new() }
    }

    fn ask(&self, name: &Name) -> Answer {
        self.look_up(name).unwrap_or_else(|error| {
            crate::cli::complain(&format!("{error:#}"));
            Answer::ServFail
        })
    }

    fn look_up(&self, name: &Name) -> anyhow::Result<Answer> {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        runtime.block_on(async {
            let servers = NameServers::new(&self.settings, Writer::Nobody)?;
            Ok(servers.lookup(name).await.answer)
        })
    }
}
