//! Unix sockets of other tools.
use super::page::{Page, quoted};
use crate::policy::{Action, UnixAddress};

/// Carries a unix socket over.
///
/// # Errors
/// A deny that cannot be read.
pub(super) fn socket(
    page: &mut Page<'_>,
    profile: &str,
    text: &str,
    action: Action,
    place: &str,
) -> Result<(), String> {
    let expanded = match (text.strip_prefix("~/"), page.home) {
        (Some(rest), Some(home)) => {
            let path = home.join(rest).display().to_string();
            page.change(
                place,
                format!("the unix socket {text:?} is that of who imports: {path:?}"),
            );
            path
        }
        _ => text.to_owned(),
    };
    let address = match expanded.contains(['*', '?']) {
        true => Err("a rule names one socket, without wildcards".to_owned()),
        false => UnixAddress::parse(&expanded).map_err(|error| error.message),
    };
    match (address, action) {
        (Ok(address), _) => {
            let value = quoted(action.as_str());
            page.set(profile, "unix_sockets", &address.to_string(), value, place);
        }
        (Err(why), Action::Allow) => {
            page.leave_out(place, format!("the unix socket {text:?}: {why}"));
        }
        (Err(why), Action::Deny) => return Err(format!("the unix socket {text:?}: {why}")),
    }
    Ok(())
}
