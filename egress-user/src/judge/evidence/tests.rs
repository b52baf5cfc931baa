use super::*;
use crate::{
    config::{Flags, assemble},
    pins::{NEVER_NS, Opening, PinStore},
    policy::Settings,
};

struct Anywhere;

impl PinStore for Anywhere {
    fn pin(&self, _: IpAddr, _: &Opening) -> std::io::Result<()> {
        Ok(())
    }
    fn unpin(&self, _: IpAddr) {}
}

const FIRST: &str = "93.184.216.34";
const SECOND: &str = "93.184.216.35";

/// Evidence at two addresses, port 443; `free.test` is on the first, `bound.test` on both.
fn at_both(text: &str) -> [Evidence; 2] {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("p.toml");
    std::fs::write(&path, text).unwrap();
    let policy = assemble(&[path], &Flags::default()).unwrap().policy;
    let pins = Pins::new(Arc::new(Anywhere));
    for (name, addresses) in [("free.test", &[FIRST][..]), ("bound.test", &[FIRST, SECOND])] {
        let name = Name::parse(name).unwrap();
        let wanted: Vec<_> = addresses.iter().map(|a| (a.parse().unwrap(), NEVER_NS)).collect();
        let Ok(grant) = policy.name(&name) else { continue };
        pins.pin(&name, &grant, &wanted, 0).unwrap();
    }
    [FIRST, SECOND].map(|address| {
        let to = SocketAddr::new(address.parse().unwrap(), 443);
        Evidence::gather(&policy, &pins, to, 0).unwrap()
    })
}

#[test]
fn what_names_nobody_goes_only_where_as_much_is_open() {
    for (text, same) in [
        ("[network.domains]\n\"bound.test\" = \"allow\"\n", true),
        // Opaque payloads for the one name are none for the other.
        (
            "[network.domains]\n\"bound.test\" = \"allow\"\n\"free.test\" = { action = \"allow\", protocol = \"any\" }\n",
            false,
        ),
        // Any host at the first address, which a rule opens, but not at the second.
        (
            "[network.domains]\n\"bound.test\" = \"allow\"\n[network.addresses]\n\"93.184.216.34\" = \"allow\"\n",
            false,
        ),
        ("[network.domains]\n\"*\" = \"allow\"\n", true),
    ] {
        let [first, second] = at_both(text);
        assert_eq!(second.opens_as(&first), same, "{text}");
        assert!(first.opens_as(&second), "{text}");
    }
}

#[test]
fn a_second_rule_is_not_advised_where_it_would_not_help() {
    let [first, _] = at_both("[network.domains]\n\"bound.test\" = \"allow\"\n");
    let refused = first.judge_opaque(&Policy::new(Settings::default(), Vec::new())).unwrap_err();
    let advice = refused.advice().unwrap();
    assert!(advice.starts_with("add protocol = \"any\" to bound.test ("), "{advice}");
}
