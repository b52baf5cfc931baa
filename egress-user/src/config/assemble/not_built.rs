//! Lines that mean something in the language, and that `egress run` of this version cannot hold.
use crate::{
    config::{
        Warning,
        effective::{Effective, EffectiveValues},
        keys::Built,
        values::Value,
    },
    policy::UnixRule,
};

const NO_LISTENERS: &str =
    "explicit listeners are not built yet, and programs need no proxy setting";

/// Keys with another value than their default, each with what to do.
pub(super) fn keys(values: &EffectiveValues) -> Vec<Warning> {
    let written = values.iter().filter(|setting| !is_default(setting));
    let warning = |setting: &Effective| {
        let path = setting.key.path();
        let message = match setting.key.built {
            Built::Yes => return None,
            Built::No => not_built(&path),
            Built::Listener => format!("{path}: {NO_LISTENERS}; remove it"),
        };
        Some(Warning { message, origin: setting.origin.clone()? })
    };
    written.filter_map(warning).collect()
}

/// Keys with their default, which ask for nothing that others do not get: a warning will do.
pub(super) fn defaults(values: &EffectiveValues) -> impl Iterator<Item = Warning> + '_ {
    let listeners = values.iter().filter(|setting| setting.key.built == Built::Listener);
    listeners.filter(|setting| is_default(setting)).filter_map(|setting| {
        let message = format!("{} has no effect: {NO_LISTENERS}", setting.key.path());
        Some(Warning { message, origin: setting.origin.clone()? })
    })
}

fn is_default(setting: &Effective) -> bool {
    match (&setting.value, setting.key.default_value()) {
        // Another spelling is not another place.
        (Some(Value::Listen(written)), Some(Value::Listen(default))) => {
            written.address == default.address
        }
        (written, default) => *written == default,
    }
}

/// Rules of such kinds.
pub(super) fn rules(unix_rules: &[UnixRule]) -> impl Iterator<Item = Warning> + '_ {
    // Denies too: whoever writes one counts on it.
    unix_rules.iter().map(|rule| Warning {
        message: format!(
            "\"{}\": rules for unix sockets are not enforced yet; remove it",
            rule.text
        ),
        origin: rule.origin.clone(),
    })
}

fn not_built(key: &str) -> String {
    format!("{key} is not built yet; remove it")
}
