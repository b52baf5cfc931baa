//! The demo's account, as a person reads it. Nothing in it differs from run to run.

use std::fmt::Write as _;

use egress_common::Reason;

use super::attempts::{Attempt, Outcome, POLICY, TRIPWIRES, Totals};

/// Widths of the columns but the last, which ends the line.
const TRIED: usize = 41;
const HAPPENED: usize = 18;
const WHY: usize = 22;

/// What comes before the first row.
pub(crate) fn head() -> String {
    let mut text = format!(
        "Each program below runs under `egress run --policy {POLICY}`. Its internet is made of network\n\
         namespaces: name servers, web, git and SSH servers, a private address, a cloud's metadata service.\n"
    );
    text.push_str(&line("tried", "what happened", "why", "what arrived there"));
    text
}

/// The heading before the row of `attempt`, where it is the first of its kind after `previous`.
pub(crate) fn heading(previous: Option<&Attempt>, attempt: &Attempt) -> &'static str {
    let kind = |attempt: &Attempt| attempt.target.is_some();
    match (previous.map(kind), kind(attempt)) {
        (None | Some(false), true) => "\nallowed, and works\n",
        (None | Some(true), false) => "\nnot allowed, and stopped\n",
        _ => "",
    }
}

/// One row, with what came of the attempt.
pub(crate) fn row(attempt: &Attempt, outcome: &Outcome) -> String {
    let Outcome { happened, why, arrived } = outcome;
    line(&format!("  {}", attempt.tried), happened, why, arrived)
}

/// What comes after the last row.
pub(crate) fn foot(attempts: &[Attempt], totals: &Totals) -> String {
    let mut text = String::from("\nwhy\n");
    for reason in reasons(attempts) {
        // Writing to a String does not fail.
        let _ = writeln!(text, "  {:<21} {}", reason.name(), reason.text());
    }
    let _ = writeln!(
        text,
        "  {:<21} The kernel gives raw sockets to those who have the right; nobody in a sandbox has it.",
        NO_CAPABILITY
    );
    let Totals { tripped, names, unheld } = totals;
    let _ = write!(
        text,
        "\nin all\n  packets at {}: {tripped}\n  names that any name server was asked for: {}\n  \
         the same programs without egress: {unheld} of {} get through\n",
        TRIPWIRES.join(", "),
        names.join(", "),
        attempts.len(),
    );
    text
}

/// Stands for the kernel's own refusal, which egress has no part in but to have taken the right.
pub(crate) const NO_CAPABILITY: &str = "no capability";

/// The whole account, where everything comes out as intended.
pub(crate) fn intended(attempts: &[Attempt], totals: &Totals) -> String {
    let mut text = head();
    let mut previous = None;
    for attempt in attempts {
        text.push_str(heading(previous, attempt));
        text.push_str(&row(attempt, &attempt.intended));
        previous = Some(attempt);
    }
    text.push_str(&foot(attempts, totals));
    text
}

/// The reasons in the table, each once, in the order of their numbers.
fn reasons(attempts: &[Attempt]) -> impl Iterator<Item = Reason> {
    let named = |reason: &Reason| attempts.iter().any(|a| a.intended.why == reason.name());
    Reason::ALL.iter().copied().filter(named)
}

fn line(tried: &str, happened: &str, why: &str, arrived: &str) -> String {
    let text = format!("{tried:<TRIED$}{happened:<HAPPENED$}{why:<WHY$}{arrived}");
    format!("{}\n", text.trim_end())
}
