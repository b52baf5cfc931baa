use crate::{
    config::{Assembled, Flags, KEYS, Loaded, assemble_below, assemble_layers, keys::Table, parse},
    policy::{Layer, Name},
};

mod ech;
mod warnings;

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
            "u.toml:2:1: \"/b\" of the user's layer goes beyond the sockets of the requirements (from r.toml:2 on)",
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
            assert!(error.starts_with("u.toml:2:1: ") && error.contains("(r.toml:2)"), "{error}");
        }
    }
    assert!(
        three(bound, "", "[network]\npresets = [\"all\"]")
            .unwrap_err()
            .contains("the preset \"all\" of the user's layer")
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

fn file(layer: Layer, name: &str, text: &str) -> Loaded {
    Loaded { layer, ..parse(text, name).unwrap() }
}

/// The machine's requirements, and a file that the command line makes a requirement as well.
fn two_requirements(first: &str, second: &str) -> Result<Assembled, String> {
    let layers = vec![
        file(Layer::Requirements, "r.toml", first),
        file(Layer::Requirements, "s.toml", second),
        file(Layer::User, "u.toml", ""),
    ];
    super::assemble(KEYS, layers, &Flags::default()).map_err(|errors| errors.to_string())
}

#[test]
fn requirements_bound_the_requirements_below_them() {
    let only =
        "[network]\nmanaged_allowed_domains_only = true\n[network.domains]\n\"a.test\" = \"allow\"";
    for (first, second, expected) in [
        (
            only,
            "[network.domains]\n\"b.test\" = \"allow\"",
            "s.toml:2:1: \"b.test\" of the requirements goes beyond the requirements",
        ),
        (only, "[network]\nmanaged_allowed_domains_only = false", "s.toml:2:32: managed_allowed"),
        (
            "[network]\nmode = \"limited\"",
            "[network]\nmode = \"full\"",
            "s.toml:2:8: mode of the requirements goes beyond the requirements (r.toml:2)",
        ),
        (
            "[network.unix_sockets]\n\"/a\" = \"allow\"",
            "[network.unix_sockets]\n\"/b\" = \"allow\"",
            "s.toml:2:1: \"/b\" of the requirements goes beyond",
        ),
    ] {
        let error = two_requirements(first, second).unwrap_err();
        assert!(error.contains(expected), "{error}");
        // The other way round nothing is tried: the narrower file stands below.
        let other_way = two_requirements(second, first);
        assert!(other_way.is_ok() || first.contains("unix"), "{other_way:?}");
    }
}

#[test]
fn an_allow_is_held_to_the_most_specific_requirement() {
    let bound = "[network]\nmanaged_allowed_domains_only = true\n[network.domains]\n\
        \"**.x.test\" = \"allow\"\n\"a.x.test\" = { action = \"allow\", ports = [80] }\n\
        \"*.x.test\" = { action = \"allow\", ports = [80, 443] }\n\"**.localhost\" = \"allow\"\n";
    for (line, allowed) in [
        ("\"a.x.test\" = { action = \"allow\", ports = [80] }", true),
        // `*.x.test` opens 443, but not of this name.
        ("\"a.x.test\" = { action = \"allow\", ports = [443] }", false),
        ("\"b.x.test\" = { action = \"allow\", ports = [443] }", true),
        // `**.x.test` opens every port, but `*.x.test` supplies the options below x.test.
        ("\"b.x.test\" = \"allow\"", false),
        ("\"*.c.x.test\" = { action = \"allow\", ports = [22] }", false),
        ("\"x.test\" = \"allow\"", true),
        // Wildcards never open it.
        ("\"localhost\" = \"allow\"", false),
    ] {
        let outcome = three(bound, "", &format!("[network.domains]\n{line}\n"));
        assert_eq!(outcome.is_ok(), allowed, "{line} {outcome:?}");
    }
}

#[test]
fn sockets_of_requirements_are_all_there_are() {
    let bound = "[network.unix_sockets]\n\"/a\" = \"allow\"";
    let all = "[network]\ndangerously_allow_all_unix_sockets = true";
    let error = three(bound, "", all).unwrap_err();
    assert!(error.contains("u.toml:2:38: dangerously_allow_all_unix_sockets of the user's layer"));
    assert!(error.contains("(from r.toml:2 on)"), "{error}");
    assert!(three(&format!("{all}\n{bound}"), "", all).is_ok());
    // A list of denies bounds no allow.
    assert!(three("[network.unix_sockets]\n\"/a\" = \"deny\"", "", all).is_ok());
}

#[test]
fn every_error_shows_the_line_and_a_preset_is_one_error() {
    let bound = "[network]\nmanaged_allowed_domains_only = true";
    let user = "[network]\npresets = [\"common-dependencies\"]\n[network.domains]\n  \"a.test\" = \"allow\"";
    let error = three(bound, "", user).unwrap_err();
    assert!(error.contains(" 4 |   \"a.test\" = \"allow\"\n   |   ^^^^^^^^"), "{error}");
    assert_eq!(error.matches("u.toml:").count(), 2, "{error}");
    let hosts = presets_entries("common-dependencies");
    assert!(
        error.contains("the preset \"common-dependencies\" of the user's layer")
            && error.contains(&format!("no line of theirs allows {hosts} of its hosts")),
        "{error}"
    );
}

fn presets_entries(name: &str) -> usize {
    crate::config::presets::find(name).unwrap().entries.len()
}

#[test]
fn a_profile_of_requirements_stays_within_them() {
    let requirements = "[network]\nmode = \"limited\"\nmanaged_allowed_domains_only = true\n\
        [network.domains]\n\"a.test\" = \"allow\"\n\
        [profiles.ci.network.domains]\n\"b.test\" = \"allow\"\n\
        [profiles.wide.network]\nmode = \"full\"\n\
        [profiles.free.network]\nmanaged_allowed_domains_only = false\n";
    let under = |profile: &str| {
        let layers = vec![
            file(Layer::Requirements, "r.toml", requirements),
            file(Layer::User, "u.toml", "[profiles.ci.network.domains]\n\"b.test\" = \"allow\""),
        ];
        let flags = Flags { profile: Some(profile.into()), ..Flags::default() };
        super::assemble(KEYS, layers, &flags).map_err(|errors| errors.to_string())
    };
    // What they add themselves bounds others too.
    let ci = under("ci").unwrap();
    assert!(ci.policy.name(&name("b.test")).is_ok());
    assert_eq!(ci.policy.settings().mode, crate::policy::Mode::Limited);
    for profile in ["wide", "free"] {
        let error = under(profile).unwrap_err();
        assert!(
            error.contains("of the requirements goes beyond the requirements (r.toml:"),
            "{error}"
        );
    }
}

#[test]
fn a_profile_that_nobody_asks_for_is_understood_all_the_same() {
    for (text, expected) in [
        (
            "[profiles.a]\nextends = \"bb\"\n[profiles.b]",
            "p.toml:2:11: there is no profile \"bb\"; write \"b\"",
        ),
        ("[profiles.a]\nextends = \"a\"", "in a circle: a -> a"),
        (
            "[profiles.x]\nextends = \"a\"\n[profiles.a]\nextends = \"b\"\n[profiles.b]\nextends = \"a\"",
            "p.toml:6:11: profiles extend each other in a circle: a -> b -> a",
        ),
    ] {
        let layers = vec![parse(text, "p.toml").unwrap()];
        let error = assemble_layers(layers, &Flags::default()).unwrap_err();
        assert!(error.to_string().contains(expected), "{error}");
        assert_eq!(error.iter().count(), 1, "{error}");
    }
}

#[test]
fn the_user_says_what_a_managed_profile_extends_and_requirements_fix_it() {
    let layer = |layer, file_name: &str, parent: &str| {
        let text = format!(
            "[network.domains]\n\"base.test\" = \"allow\"\n[profiles.a]\n[profiles.ci]\nextends = {parent:?}"
        );
        file(layer, file_name, &text)
    };
    let flags = Flags { profile: Some("ci".into()), ..Flags::default() };
    let under = |high: Layer| {
        let layers = vec![layer(high, "h.toml", "a"), layer(Layer::User, "u.toml", "default")];
        super::assemble(KEYS, layers, &flags)
    };
    assert!(under(Layer::Managed).unwrap().policy.name(&name("base.test")).is_ok());
    let error = under(Layer::Requirements).unwrap_err().to_string();
    assert!(error.starts_with("u.toml:5:11: the profile \"ci\" of the user's layer"), "{error}");
    assert!(error.contains("(h.toml:5)"), "{error}");
}

#[test]
fn each_line_of_a_profile_says_whose_it_is() {
    let text = "[network]\npresets = [\"all\"]\n[profiles.ci]\nextends = \"default\"\n\
        [profiles.ci.network]\nech = \"allow\"\npresets = [\"common-dependencies\"]\n";
    let flags = Flags { profile: Some("ci".into()), ..Flags::default() };
    let assembled = assemble_layers(vec![parse(text, "p.toml").unwrap()], &flags).unwrap();
    let ech = assembled.values.find(Table::Network, "ech").and_then(|ech| ech.origin.as_ref());
    let ech = ech.unwrap();
    assert_eq!((ech.line, ech.profile.as_deref()), (Some(6), Some("ci")));
    let of = |preset: &str| {
        let found =
            assembled.policy.rules().find(|rule| rule.origin.preset.as_deref() == Some(preset));
        let origin = &found.unwrap().origin;
        (origin.line, origin.profile.as_deref().map(str::to_owned))
    };
    assert_eq!(of("all"), (Some(2), None));
    assert_eq!(of("common-dependencies"), (Some(7), Some("ci".to_owned())));
}

#[test]
fn a_link_that_leads_nowhere_is_not_an_absent_file() {
    let system = tempfile::tempdir().unwrap();
    let folder = system.path().join("egress");
    let read = || assemble_below(&folder, &[], &Flags::default()).map_err(|e| e.to_string());
    assert!(read().is_ok());
    std::os::unix::fs::symlink("nowhere", &folder).unwrap();
    assert!(read().unwrap_err().contains("requirements.toml: cannot be read"));
    std::fs::remove_file(&folder).unwrap();
    std::fs::create_dir(&folder).unwrap();
    assert!(read().is_ok());
    std::os::unix::fs::symlink("nowhere", folder.join("requirements.toml")).unwrap();
    assert!(read().unwrap_err().contains("requirements.toml: cannot be read"));
}
