use crate::{
    config::{Assembled, Flags, Loaded, assemble_below, assemble_layers, parse},
    policy::{Layer, Name},
};

fn name(text: &str) -> Name {
    Name::parse(text).unwrap()
}

/// Requirements, managed defaults and the user's file.
fn three(requirements: &str, managed: &str, user: &str) -> Result<Assembled, String> {
    let layers = [("r.toml", requirements), ("m.toml", managed), ("u.toml", user)];
    let layers = layers.map(|(file, text)| parse(text, file).unwrap());
    assemble_layers(layers.into(), &Flags::default()).map_err(|errors| errors.to_string())
}

#[test]
fn managed_values_are_defaults_and_requirements_are_bounds() {
    let both = three("", "[network]\nallow_local_binding = true\nmode = \"limited\"", "").unwrap();
    assert!(both.policy.settings().allow_local_binding);
    let user = "[network]\nallow_local_binding = false\nmode = \"full\"";
    let both =
        three("", "[network]\nallow_local_binding = true\nmode = \"limited\"", user).unwrap();
    assert!(!both.policy.settings().allow_local_binding);
    assert_eq!(both.policy.settings().mode, crate::policy::Mode::Full);
    // What nobody tries to open stays closed; what is closed further may be.
    let closed = three("[network]\nmode = \"limited\"\nech = \"allow\"", "", "").unwrap();
    assert_eq!(closed.policy.settings().mode, crate::policy::Mode::Limited);
    assert!(
        !three("[network]\nech = \"allow\"", "", "[network]\nech = \"refuse\"")
            .unwrap()
            .policy
            .settings()
            .allow_ech
    );
    for (requirements, user, expected) in [
        (
            "[network]\nmode = \"limited\"",
            "[network]\nmode = \"full\"",
            "u.toml:2:8: mode of the user's layer goes beyond the requirements (r.toml:2)",
        ),
        (
            "[network]\nallow_local_binding = false",
            "[network]\nallow_local_binding = true",
            "allow_local_binding of the user's layer goes beyond the requirements (r.toml:2)",
        ),
        ("[network]\nenabled = true", "[network]\nenabled = false", "enabled of the user's layer"),
        (
            "[network]\nunix_enforcement = \"required\"",
            "[network]\nunix_enforcement = \"off\"",
            "unix_enforcement of the user's layer",
        ),
        (
            "[network.dns]\nservers = [\"9.9.9.9\"]",
            "[network.dns]\nservers = [\"8.8.8.8\"]",
            "dns.servers of the user's layer",
        ),
        (
            "[network.unix_sockets]\n\"/a\" = \"allow\"",
            "[network.unix_sockets]\n\"/b\" = \"allow\"",
            "u.toml:2: \"/b\" of the user's layer goes beyond the sockets of the requirements (from r.toml:2 on)",
        ),
        ("", "[network]\nmanaged_allowed_domains_only = true", "bounds nobody"),
    ] {
        let error = three(requirements, "", user).unwrap_err();
        assert!(error.contains(expected), "{error}");
    }
    // Under no profile are the requirements left behind.
    let user = "[profiles.ci.network]\nmode = \"full\"";
    let layers = vec![
        parse("[network]\nmode = \"limited\"", "r.toml").unwrap(),
        Loaded::default(),
        parse(user, "u.toml").unwrap(),
    ];
    let flags = Flags { profile: Some("ci".into()), ..Flags::default() };
    assert!(
        assemble_layers(layers, &flags)
            .unwrap_err()
            .to_string()
            .contains("mode of the user's layer")
    );
}

#[test]
fn managed_domains_only_bounds_what_others_allow() {
    let bound = "[network]\nmanaged_allowed_domains_only = true\n[network.domains]\n\"**.ok.test\" = \"allow\"\n\"web.test\" = { action = \"allow\", ports = [443] }\n[network.addresses]\n\"10.0.0.0/8\" = \"allow\"\n";
    for (table, line, allowed) in [
        ("domains", "\"ok.test\" = \"allow\"", true),
        ("domains", "\"*.a.ok.test\" = \"allow\"", true),
        ("domains", "\"notok.test\" = \"allow\"", false),
        ("domains", "\"*\" = \"allow\"", false),
        ("domains", "\"web.test\" = \"allow\"", false),
        (
            "domains",
            "\"web.test\" = { action = \"allow\", ports = [443], methods = [\"GET\"] }",
            true,
        ),
        ("domains", "\"other.test\" = \"deny\"", true),
        ("addresses", "\"10.1.0.0/16\" = \"allow\"", true),
        ("addresses", "\"8.8.8.8\" = \"allow\"", false),
    ] {
        let user = format!("[network.{table}]\n{line}\n");
        let outcome = three(bound, "", &user);
        assert_eq!(outcome.is_ok(), allowed, "{line}");
        if let Err(error) = outcome {
            assert!(error.starts_with("u.toml:2: ") && error.contains("(r.toml:2)"), "{error}");
        }
    }
    assert!(
        three(bound, "", "[network]\npresets = [\"all\"]")
            .unwrap_err()
            .contains("of the preset \"all\"")
    );
    assert!(
        three(bound, "[network.domains]\n\"x.test\" = \"allow\"", "")
            .unwrap_err()
            .contains("managed defaults")
    );
}

#[test]
fn profiles_inherit_what_they_extend_and_every_deny() {
    let text = "[network]\nmode = \"limited\"\n[network.domains]\n\"base.test\" = \"allow\"\n\"bad.test\" = \"deny\"\n\
        [profiles.ci]\nextends = \"default\"\n[profiles.ci.network]\nmode = \"full\"\n[profiles.ci.network.domains]\n\"ci.test\" = \"allow\"\n\"bad.test\" = \"allow\"\n\
        [profiles.more]\nextends = \"ci\"\n[profiles.more.network.domains]\n\"more.test\" = \"allow\"\n\
        [profiles.alone.network.domains]\n\"alone.test\" = \"allow\"\n\"bad.test\" = \"allow\"\n";
    let under = |profile: &str| {
        let flags = Flags { profile: Some(profile.into()), ..Flags::default() };
        assemble_layers(vec![parse(text, "p.toml").unwrap()], &flags)
    };
    for (profile, mode, allowed) in [
        ("default", "limited", &["base.test"][..]),
        ("ci", "full", &["base.test", "ci.test"]),
        ("more", "full", &["base.test", "ci.test", "more.test"]),
        ("alone", "full", &["alone.test"]),
    ] {
        let policy = under(profile).unwrap().policy;
        assert_eq!(policy.settings().mode.as_str(), mode, "{profile}");
        for host in ["base.test", "ci.test", "more.test", "alone.test"] {
            assert_eq!(
                policy.name(&name(host)).is_ok(),
                allowed.contains(&host),
                "{profile} {host}"
            );
        }
        let refusal = policy.name(&name("bad.test")).unwrap_err();
        assert_eq!(refusal.reason.name(), "denied", "{profile}");
    }
    let origin = under("ci").unwrap().policy.name(&name("ci.test")).unwrap().rule().origin.clone();
    assert_eq!(origin.profile.as_deref(), Some("ci"));
    assert!(under("cl").unwrap_err().to_string().contains("write \"ci\""));
    for (text, expected) in [
        ("[profiles.a]\nextends = \"b\"\n[profiles.b]\nextends = \"a\"", "in a circle"),
        ("[profiles.a]\nextends = \"c\"\n[profiles.b]\n", "there is no profile \"c\""),
    ] {
        let flags = Flags { profile: Some("a".into()), ..Flags::default() };
        let error = assemble_layers(vec![parse(text, "p.toml").unwrap()], &flags).unwrap_err();
        assert!(error.to_string().contains(expected), "{error}");
    }
    let attach = "[profiles.ci]\n[[attach]]\ncgroup = \"/a\"\nprofile = \"cx\"";
    let error =
        assemble_layers(vec![parse(attach, "p.toml").unwrap()], &Flags::default()).unwrap_err();
    assert!(
        error.to_string().contains("p.toml:4:11: there is no profile \"cx\"; write \"ci\""),
        "{error}"
    );
}

#[test]
fn files_of_the_machine_stand_above() {
    let system = tempfile::tempdir().unwrap();
    let user = system.path().join("u.toml");
    std::fs::write(&user, "[network.domains]\n\"a.test\" = \"allow\"\n\"b.test\" = \"allow\"")
        .unwrap();
    let read = || assemble_below(system.path(), std::slice::from_ref(&user), &Flags::default());
    assert!(read().unwrap().policy.name(&name("a.test")).is_ok());
    std::fs::write(system.path().join("egress.toml"), "[network.domains]\n\"a.test\" = \"deny\"")
        .unwrap();
    let refusal = read().unwrap().policy.name(&name("a.test")).unwrap_err();
    assert_eq!(refusal.rule.unwrap().origin.layer, Layer::Managed);
    let requirements = system.path().join("requirements.toml");
    std::fs::write(
        &requirements,
        "[network]\nmanaged_allowed_domains_only = true\n[network.domains]\n\"b.test\" = \"allow\"",
    )
    .unwrap();
    assert!(
        read()
            .unwrap_err()
            .to_string()
            .contains("\"a.test\" of the user's layer goes beyond the requirements")
    );
    // What cannot be read is not taken for absent.
    std::fs::remove_file(&requirements).unwrap();
    std::fs::create_dir(&requirements).unwrap();
    assert!(read().unwrap_err().to_string().contains("cannot be read"));
}
