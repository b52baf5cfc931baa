//! Lookups of `egress check`: given on the command line, or by the name servers of the policy.
use std::{collections::HashMap, net::IpAddr, sync::Arc};

use anyhow::{Context, anyhow};
use egress_user::{
    config::DnsSettings,
    dns::{HOSTS, HostsFile, NameServers, Upstream as _},
    host::Writer,
    policy::{Answer, Lookup, Name},
    target,
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

impl CheckLookup {
    /// What is worth knowing of where the answer came from.
    pub(in crate::cli) fn note(&self) -> Option<String> {
        let Self::Real(RealLookup { in_hosts, failure, .. }) = self else { return None };
        match (in_hosts, failure) {
            (Some(name), _) => Some(format!("{name} stands in {HOSTS}: no name server is asked")),
            (None, failure) => failure.as_ref().map(|failure| format!("the lookup: {failure}")),
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
            let wrong = || {
                format!(
                    "--resolve {flag:?}: write NAME=ADDR, NAME=ADDR,ADDR or NAME=ADDR,AAAA:SERVFAIL"
                )
            };
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
    Ok(target::Answers::of_words(text.split(','), Vec::new())?)
}

/// What `egress run` would look up, in its way: in the hosts file first, then by the name servers, without search
/// domains, and with the names of the chain.
pub(in crate::cli) struct RealLookup {
    settings: DnsSettings,
    hosts: HostsFile,
    seen: Vec<IpAddr>,
    /// The name, where the hosts file has it.
    in_hosts: Option<Name>,
    /// Which server did what in place of an answer.
    failure: Option<Arc<str>>,
}

impl RealLookup {
    pub(in crate::cli) fn new(settings: DnsSettings) -> Self {
        let hosts = HostsFile::read(HOSTS.as_ref()).unwrap_or_else(|error| {
            crate::cli::complain(&format!("read {HOSTS}: {error}"));
            HostsFile::default()
        });
        Self { settings, hosts, seen: Vec::new(), in_hosts: None, failure: None }
    }

    fn ask(&mut self, name: &Name) -> Answer {
        if let Some(answer) = self.hosts.answer(name) {
            self.in_hosts = Some(name.clone());
            return answer;
        }
        self.look_up(name).unwrap_or_else(|error| {
            crate::cli::complain(&format!("{error:#}"));
            Answer::ServFail
        })
    }

    fn look_up(&mut self, name: &Name) -> anyhow::Result<Answer> {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        runtime.block_on(async {
            let servers = NameServers::new(&self.settings, Writer::Nobody)?;
            let looked = servers.lookup(name).await;
            self.failure = looked.failure;
            Ok(looked.answer)
        })
    }
}
