//! Variables that lead programs to a proxy, which would make their connections for them.
use egress_user::text::Printable;

/// What programs read, in either case.
const VARIABLES: [&str; 3] = ["HTTPS_PROXY", "HTTP_PROXY", "ALL_PROXY"];

/// What to say at the start, where a variable is set: to which proxy, and what to do.
pub(super) fn warning(variable: impl Fn(&str) -> Option<String>) -> Option<String> {
    let names = VARIABLES.iter().flat_map(|name| [(*name).to_owned(), name.to_lowercase()]);
    let set: Vec<_> = names
        .filter_map(|name| {
            let value = variable(&name)?;
            (!value.is_empty()).then_some((name, value))
        })
        .collect();
    let (first, value) = set.first()?;
    let unset: Vec<_> = set.iter().map(|(name, _)| format!("-u {name}")).collect();
    Some(format!(
        "warning: {first} leads programs to the proxy {}, through which the filter sees no names: requests \
         to it are refused. Programs need no proxy here: `env {} egress run ...`",
        Printable::from(host(value)),
        unset.join(" ")
    ))
}

/// The host and port of a proxy, without what is secret in it.
fn host(value: &str) -> &str {
    let rest = value.split_once("://").map_or(value, |(_, rest)| rest);
    let authority = rest.split(['/', '?', '#']).next().unwrap_or_default();
    authority.rsplit_once('@').map_or(authority, |(_, host)| host)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_proxy_is_told_with_what_to_do_and_without_its_password() {
        let set = |name: &str| match name {
            "HTTPS_PROXY" | "https_proxy" => Some("http://user:secret@proxy.test:3128/".to_owned()),
            "ALL_PROXY" => Some(String::new()),
            _ => None,
        };
        let warning = warning(set).unwrap();
        assert!(
            warning.contains("HTTPS_PROXY leads programs to the proxy proxy.test:3128"),
            "{warning}"
        );
        assert!(
            warning.contains("`env -u HTTPS_PROXY -u https_proxy egress run ...`"),
            "{warning}"
        );
        assert!(!warning.contains("secret"), "{warning}");
        assert_eq!(super::warning(|_| None), None);
    }
}
