//! Cases that a person writes beside a policy: targets, and what the policy is to say of each.
//!
//! A file of cases is read like a policy file: whole or not at all, with every error at its line.
//! Nothing here looks a name up; the caller brings the real lookups that a case may ask for.
mod read;

use egress_common::Reason;

use crate::{
    config::ConfigErrors,
    policy::{Action, Lookup, Name, OwnAddresses, Pattern, Policy, UnixAddress},
    target::{Answers, Line, Target, Verdict, judge},
};

/// One file of cases.
#[derive(Clone, Debug)]
pub struct Suite {
    /// `policy`, as written: files relative to this one, the highest layer first. Empty where the
    /// file has none.
    pub policy: Vec<String>,
    /// In the order of the file; never empty.
    pub cases: Vec<Case>,
}

/// `[[case]]`.
#[derive(Clone, Debug)]
pub struct Case {
    /// 1-based, of its target.
    pub line: usize,
    /// `name`.
    pub name: Option<String>,
    /// `target`, as written.
    pub text: String,
    /// `target`.
    pub target: Target,
    /// What must come out.
    pub expected: Expected,
    /// Who answers lookups.
    pub resolver: Resolver,
    /// `own_addresses`: what the machine is to hold; the machine itself is not asked.
    pub own: OwnAddresses,
}

/// `expect`, `reason` and `rule`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Expected {
    /// `expect`.
    pub action: Action,
    /// `reason`; none accepts any.
    pub reason: Option<Reason>,
    /// `rule`, the pattern of the rule that must decide; none accepts any, and no rule at all.
    pub rule: Option<String>,
}

/// `resolver`.
#[derive(Clone, Debug)]
pub enum Resolver {
    /// These answers and no others.
    Given(Answers),
    /// `"system"`: those that the policy names, really asked.
    System,
}

/// What came of a case.
#[derive(Clone, Debug)]
pub struct Outcome {
    /// What the policy says.
    pub verdict: Verdict,
    /// A name that was looked up though no resolver has it: the case fails.
    pub missed: Option<Name>,
    /// Whether it is what the case expects.
    pub passed: bool,
}

/// Reads a file of cases; the name is for messages.
pub fn read(text: &str, file_name: &str) -> Result<Suite, ConfigErrors> {
    read::read(text, file_name)
}

impl Case {
    /// Judges the target. `system` is asked only where the case says so. The policy keeps the machine's own
    /// addresses of this case.
    pub fn run(&self, policy: &Policy, system: &mut dyn Lookup) -> Outcome {
        policy.set_own_addresses(self.own.clone());
        let (verdict, missed) = match &self.resolver {
            Resolver::System => (judge(policy, &self.target, system), None),
            Resolver::Given(answers) => {
                let mut answers = answers.clone();
                let verdict = judge(policy, &self.target, &mut answers);
                (verdict, answers.missed().cloned())
            }
        };
        let passed = missed.is_none() && self.expected.accepts(&verdict);
        Outcome { verdict, missed, passed }
    }
}

impl Expected {
    fn accepts(&self, verdict: &Verdict) -> bool {
        let by_rule = match (&self.rule, &verdict.line) {
            (None, _) => true,
            (Some(wanted), Some(line)) => is_written(line, wanted),
            (Some(_), None) => false,
        };
        verdict.is_allow() == (self.action == Action::Allow)
            && by_rule
            && (self.reason.is_none() || verdict.reason == self.reason)
    }
}

/// Whether the line has this pattern, in this spelling or in another one.
fn is_written(line: &Line, pattern: &str) -> bool {
    line.text() == pattern
        || match line {
            Line::Unix(rule) => UnixAddress::parse(pattern).is_ok_and(|read| read == rule.address),
            Line::Rule(rule) => {
                Pattern::parse_domain(pattern, rule.action).is_ok_and(|read| read == rule.pattern)
                    || Pattern::parse_address(pattern).is_ok_and(|read| read == rule.pattern)
            }
        }
}

#[cfg(test)]
mod tests;
