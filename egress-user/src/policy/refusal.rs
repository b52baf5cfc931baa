//! A refusal, with all that is known of it.

use std::sync::Arc;

use egress_common::Reason;

use super::{MatchedRules, Mode, Payload, Remedy, Rule, path};

/// A refusal, with all that a person needs to understand it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refusal {
    /// Why.
    pub reason: Reason,
    /// The rule that decided, where one did.
    pub rule: Option<Arc<Rule>>,
    /// What would change it, where something would.
    pub remedy: Option<Remedy>,
}

impl Refusal {
    /// By no rule, and with no remedy.
    pub fn new(reason: Reason) -> Self {
        Self { reason, rule: None, remedy: None }
    }

    pub(super) fn by(reason: Reason, rule: &Arc<Rule>) -> Self {
        Self { rule: Some(rule.clone()), ..Self::new(reason) }
    }

    pub(super) fn denied(denies: &MatchedRules) -> Self {
        let rule = denies.rule();
        Self::by(Reason::Denied, rule).with_remedy(Remedy::RemoveDeny(rule.clone()))
    }

    /// By what the rule asks of a payload.
    pub(super) fn of_payload(
        reason: Reason,
        rule: &Arc<Rule>,
        mode: Mode,
        payload: &Payload,
    ) -> Self {
        Self { remedy: payload_remedy(reason, rule, mode, payload), ..Self::by(reason, rule) }
    }

    pub(super) fn with_remedy(self, remedy: Remedy) -> Self {
        Self { remedy: Some(remedy), ..self }
    }
}

/// What would let the payload pass; none where only another program would do.
fn payload_remedy(
    reason: Reason,
    rule: &Arc<Rule>,
    mode: Mode,
    payload: &Payload,
) -> Option<Remedy> {
    let is_limited = mode == Mode::Limited;
    match (reason, payload) {
        (Reason::MethodNotAllowed, Payload::Http(request)) => {
            let method = &request.method;
            let permitted = rule.options.methods.as_ref().is_none_or(|list| list.contains(method));
            Some(if is_limited && permitted {
                Remedy::FullMode { unread: false }
            } else {
                Remedy::AddMethod { method: method.clone(), rule: rule.clone() }
            })
        }
        (Reason::EchRefused, _) => Some(Remedy::AllowEch(rule.clone())),
        (Reason::PathNotAllowed, Payload::Http(request)) if path::is_ambiguous(&request.path) => {
            Some(Remedy::PlainPath)
        }
        (Reason::PathNotAllowed, Payload::Http(request)) => {
            let path = path::without_query(&request.path).into();
            Some(Remedy::AddPath { path, rule: rule.clone() })
        }
        (Reason::InspectionRequired | Reason::ProtocolNotAllowed, _) => Some(match is_limited {
            true => Remedy::FullMode { unread: true },
            false => Remedy::ReadNoRequests(rule.clone()),
        }),
        _ => None,
    }
}
