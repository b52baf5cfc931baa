//! `default_profile`.
use crate::{
    config::{Flags, Loaded, assemble_layers, parse},
    policy::{Layer, Name},
};

fn file(layer: Layer, name: &str, text: &str) -> Loaded {
    Loaded { layer, ..parse(text, name).unwrap() }
}

#[test]
fn the_default_profile_is_taken_where_none_is_named() {
    let text = "default_profile = \"ci\"\n\
        [network.domains]\n\"base.test\" = \"allow\"\n\
        [profiles.ci.network.domains]\n\"ci.test\" = \"allow\"\n\
        [profiles.other.network.domains]\n\"other.test\" = \"allow\"\n";
    let user = || file(Layer::User, "u.toml", text);
    let managed = |default: &str| {
        let text = format!("default_profile = {default:?}\n[profiles.other]\n");
        file(Layer::Managed, "m.toml", &text)
    };
    let plain = || file(Layer::User, "p.toml", "[network.domains]\n\"base.test\" = \"allow\"");
    for (layers, profile, allowed) in [
        (vec![user()], None, "ci.test"),
        (vec![user()], Some("default"), "base.test"),
        (vec![user()], Some("other"), "other.test"),
        // The user's word goes before the managed default, which stands where there is none.
        (vec![managed("other"), user()], None, "ci.test"),
        (vec![managed("default"), plain()], None, "base.test"),
        (vec![managed("other"), plain()], None, ""),
    ] {
        let flags = Flags { profile: profile.map(str::to_owned), ..Flags::default() };
        let policy = assemble_layers(layers, &flags).unwrap().policy;
        for host in ["ci.test", "base.test", "other.test"] {
            let is_open = policy.name(&Name::parse(host).unwrap()).is_ok();
            assert_eq!(is_open, host == allowed, "{profile:?} {host} {allowed}");
        }
    }
    for text in ["default_profile = \"cj\"\n[profiles.ci]", "default_profile = \"\""] {
        let error = parse(text, "p.toml")
            .and_then(|layer| assemble_layers(vec![layer], &Flags::default()))
            .unwrap_err()
            .to_string();
        assert!(error.starts_with("p.toml:1:19: "), "{error}");
        assert_eq!(error.matches("p.toml").count(), 1, "{error}");
    }
    // A key of [network] would do nothing under it.
    let flags = Flags { set: vec!["network.mode=limited".into()], ..Flags::default() };
    let error = assemble_layers(vec![user()], &flags).unwrap_err().to_string();
    assert!(error.contains("the profile ci is in force"), "{error}");
}
