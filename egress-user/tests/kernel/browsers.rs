//! Headless browsers, as docs/browsers.md says: the page arrives, and nothing else is asked of anybody.
//!
//! Skipped where they are not installed: half a gigabyte is not fetched for every run of the tests. `cargo xtask real`
//! installs them, as does `apt-get install -y chromium firefox-esr`.
use std::{fs, os::unix::fs::chown, path::Path};

use nix::sys::signal::Signal;

use super::support::arrivals::{TCP, UDP};
use super::support::processes::eventually;
use super::support::{Client, Finished, World, skip};
use super::{OTHER, SITE, two_sites};

const DOCS: &str = include_str!("../../../docs/browsers.md");
const PAGE: &str = "https://allowed.test/page";
/// The same with a picture of another site's.
const MIXED: &str = "https://allowed.test/page/mixed";
const PICTURE: &str = "/picture";
/// Where the browsers read what an administrator wrote; both come with Debian's packages.
const CHROMIUM_FOLDER: &str = "/etc/chromium";
const FIREFOX_FOLDER: &str = "/usr/lib/firefox-esr/distribution";
const NOBODY: u32 = 65534;

/// What a browser is told.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Settings {
    Defaults,
    /// No ECH.
    Plain,
    /// All of the page's settings.
    Quiet,
}

/// The first block of docs/browsers.md in this language.
fn block(language: &str) -> &'static str {
    let (_, rest) = DOCS.split_once(&format!("```{language}\n")).expect("a block");
    rest.split_once("```").expect("its end").0
}

/// Says so where the program is not there.
fn is_installed(program: &str) -> bool {
    let there = Path::new("/usr/bin").join(program).exists();
    if !there {
        skip(&format!("{program} is not installed"));
    }
    there
}

/// A folder of nobody's in the world's own.
fn home(world: &World) -> String {
    let home = world.path("home");
    let _ = fs::remove_dir_all(&home);
    fs::create_dir_all(home.join("profile")).unwrap();
    for folder in [&home, &home.join("profile")] {
        chown(folder, Some(NOBODY), Some(NOBODY)).unwrap();
    }
    home.display().to_string()
}

/// `--user` gives a command that user's home folder, and nobody has none.
fn at_home(home: &str) -> Vec<String> {
    vec!["env".to_owned(), format!("HOME={home}")]
}

/// Chromium with these settings, trusting the world's authority, and the rest of its command line.
fn chromium<'w>(
    world: &'w World,
    client: Client<'w>,
    settings: Settings,
    page: &str,
) -> (Client<'w>, Vec<String>) {
    let home = home(world);
    let authority = fs::read_to_string(world.path("ca.pem")).unwrap();
    let base64: String = authority.lines().filter(|line| !line.starts_with('-')).collect();
    let trusts = format!("{{\"CACertificates\": [\"{base64}\"]}}");
    let policies = world.path("chromium").join("policies/managed");
    fs::create_dir_all(&policies).unwrap();
    let no_ech = "{\"EncryptedClientHelloEnabled\": false}";
    let own = match settings {
        Settings::Defaults => "{}",
        Settings::Plain => no_ech,
        Settings::Quiet => block("json"),
    };
    fs::write(policies.join("trust.json"), trusts).unwrap();
    fs::write(policies.join("egress.json"), own).unwrap();
    let client = client.mount(&world.path("chromium"), CHROMIUM_FOLDER);
    let profile = format!("--user-data-dir={home}/profile");
    let mut words = at_home(&home);
    words.extend(["chromium", "--headless", "--disable-gpu", "--dump-dom"].map(str::to_owned));
    words.push(profile);
    if settings == Settings::Quiet {
        words.push("--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE allowed.test".to_owned());
    }
    words.push(page.to_owned());
    (client, words)
}

/// The same of Firefox.
fn firefox<'w>(
    world: &'w World,
    client: Client<'w>,
    settings: Settings,
    page: &str,
) -> (Client<'w>, Vec<String>) {
    let home = home(world);
    let authority = world.path("ca.pem").display().to_string();
    let trusts =
        format!("{{\"policies\": {{\"Certificates\": {{\"Install\": [\"{authority}\"]}}}}}}");
    let policies = world.path("firefox");
    fs::create_dir_all(&policies).unwrap();
    fs::write(policies.join("policies.json"), trusts).unwrap();
    let preferences: String = match settings {
        Settings::Defaults => String::new(),
        Settings::Plain => block("js").lines().take(2).collect(),
        Settings::Quiet => block("js").to_owned(),
    };
    fs::write(world.path("home").join("profile/user.js"), preferences).unwrap();
    let mut client = client.mount(&policies, FIREFOX_FOLDER);
    if settings == Settings::Quiet {
        client = client.env("MOZ_REMOTE_SETTINGS_DEVTOOLS", "1");
    }
    let mut words = at_home(&home);
    words.extend(["firefox-esr", "--headless", "--profile"].map(str::to_owned));
    words.extend([format!("{home}/profile"), "--screenshot".into(), format!("{home}/page.png")]);
    words.push(page.to_owned());
    (client, words)
}

/// Claims that the page arrived, its script with it, and that nobody was asked for anything else.
#[track_caller]
fn arrived(world: &World, out: &Finished<'_>) {
    out.succeeded();
    let requests = world.requests();
    let of_site = |path: &str| {
        requests.iter().any(|r| r.path == path && r.sni.as_deref() == Some("allowed.test"))
    };
    assert!(of_site("/page") && of_site("/arrived/17"), "the page did not arrive\n{out}");
    assert!(world.queries().iter().all(|query| query.name == "allowed.test"), "{world}");
    // Apart from TCP and UDP there are the kernel's own packets.
    for protocol in [TCP, UDP] {
        let all = world.arrived().besides_lookups().of(protocol).count();
        assert_eq!(all, world.arrived_at(SITE).of(protocol).count(), "another address\n{world}");
    }
}

/// Whether anything was refused.
fn wanted_more(out: &Finished<'_>) -> bool {
    out.complaints().contains("egress: refused:")
}

const ALLOWED: [&str; 4] = ["--user", "nobody", "--allow", "allowed.test"];
const WITH_ECH: [&str; 4] = [
    "--user",
    "nobody",
    "--set",
    "network.domains.\"allowed.test\"={ action = \"allow\", ech = \"allow\" }",
];

#[test]
#[ignore = "kernel: needs root"]
fn chromium_opens_one_site_and_nothing_else() {
    if !is_installed("chromium") {
        return;
    }
    for (options, settings) in
        [(&ALLOWED, Settings::Plain), (&ALLOWED, Settings::Quiet), (&WITH_ECH, Settings::Defaults)]
    {
        let world = two_sites();
        let (client, words) = chromium(&world, world.egress(options), settings, PAGE);
        let out = client.run(words);
        arrived(&world, &out);
        out.said("The page arrived.");
        assert_eq!(wanted_more(&out), settings != Settings::Quiet, "{out}");
    }
}

#[test]
#[ignore = "kernel: needs root"]
fn firefox_opens_one_site_and_nothing_else() {
    if !is_installed("firefox-esr") {
        return;
    }
    for (options, settings) in
        [(&ALLOWED, Settings::Plain), (&ALLOWED, Settings::Quiet), (&WITH_ECH, Settings::Defaults)]
    {
        let world = two_sites();
        let (client, words) = firefox(&world, world.egress(options), settings, PAGE);
        let out = client.run(words);
        arrived(&world, &out);
        assert_eq!(wanted_more(&out), settings != Settings::Quiet, "{out}");
        assert!(fs::metadata(world.path("home").join("page.png")).unwrap().len() > 1000, "{out}");
    }
}

/// Claims that nothing but lookups left, and that the refusal says what helps.
#[track_caller]
fn refused(world: &World, out: &Finished<'_>) {
    out.complained("ech_refused")
        .complained(
            "in [network.domains]: \"allowed.test\" = { action = \"allow\", ech = \"allow\" }",
        )
        .complained("Browsers send ECH with every hello")
        .complained("EncryptedClientHelloEnabled = false")
        .complained("security.tls.ech.grease_probability = 0");
    world.arrived_at(SITE).no_payload();
    assert!(world.requests().is_empty(), "{world}");
}

#[test]
#[ignore = "kernel: needs root"]
fn chromiums_defaults_are_refused_and_the_refusal_says_what_helps() {
    if is_installed("chromium") {
        let world = two_sites();
        let (client, words) = chromium(&world, world.egress(&ALLOWED), Settings::Defaults, PAGE);
        refused(&world, &client.run(words));
    }
}

#[test]
#[ignore = "kernel: needs root"]
fn firefoxs_defaults_are_refused_and_the_refusal_says_what_helps() {
    if is_installed("firefox-esr") {
        let world = two_sites();
        let (client, words) = firefox(&world, world.egress(&ALLOWED), Settings::Defaults, PAGE);
        let running = client.start(words);
        // It tries again and again.
        let tries = || world.contacts().iter().filter(|contact| contact.at.port() == 443).count();
        eventually("Firefox to try again", || tries() > 3);
        running.signal(Signal::SIGTERM);
        refused(&world, &running.finish());
    }
}

/// Without the filter, as the same user.
fn plain(world: &World) -> Client<'_> {
    world.under(["setpriv", "--reuid=65534", "--regid=65534", "--clear-groups", "--"])
}

/// Claims that the page arrived, and its picture from the other site only where nothing filters.
#[track_caller]
fn the_picture_stayed_away(world: &World, out: &Finished<'_>) {
    out.complained("  refused.test: not_allowed").complained("--allow refused.test");
    assert!(world.requests().iter().any(|request| request.path == "/arrived/17"), "{world}");
    world.never_asked_for("refused.test");
    for protocol in [TCP, UDP] {
        world.arrived_at(OTHER).of(protocol).none();
    }
}

#[track_caller]
fn the_picture_came(world: &World, out: &Finished<'_>) {
    out.succeeded();
    let requests = world.requests();
    assert!(requests.iter().any(|r| r.path == PICTURE && r.host == "refused.test"), "{out}");
}

#[test]
#[ignore = "kernel: needs root"]
fn chromium_fetches_nothing_from_another_site() {
    if is_installed("chromium") {
        let world = two_sites();
        let (client, words) = chromium(&world, world.egress(&ALLOWED), Settings::Plain, MIXED);
        let out = client.run(words);
        the_picture_stayed_away(&world, out.succeeded());
        let (client, words) = chromium(&world, plain(&world), Settings::Plain, MIXED);
        the_picture_came(&world, &client.run(words));
    }
}

#[test]
#[ignore = "kernel: needs root"]
fn firefox_fetches_nothing_from_another_site() {
    if is_installed("firefox-esr") {
        let world = two_sites();
        let (client, words) = firefox(&world, world.egress(&ALLOWED), Settings::Plain, MIXED);
        let out = client.run(words);
        the_picture_stayed_away(&world, out.succeeded());
        let (client, words) = firefox(&world, plain(&world), Settings::Plain, MIXED);
        the_picture_came(&world, &client.run(words));
    }
}
