//! Headless browsers, as docs/browsers.md says: the page arrives, and nothing else is asked of anybody.
//!
//! Skipped where they are not installed: `apt-get install -y chromium firefox-esr`.
use std::{fs, os::unix::fs::chown, path::Path};

use nix::sys::signal::Signal;

use super::support::arrivals::{TCP, UDP};
use super::support::processes::eventually;
use super::support::{Client, Finished, World, skip};
use super::{SITE, two_sites};

const DOCS: &str = include_str!("../../../docs/browsers.md");
const PAGE: &str = "https://allowed.test/page";
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

/// Chromium with these settings, trusting the world's authority, and the rest of its command line.
fn chromium<'w>(
    world: &'w World,
    client: Client<'w>,
    settings: Settings,
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
    let client = client.mount(&world.path("chromium"), CHROMIUM_FOLDER).env("HOME", &home);
    let mut words: Vec<String> = ["chromium", "--headless", "--disable-gpu", "--dump-dom"]
        .map(str::to_owned)
        .into_iter()
        .chain([format!("--user-data-dir={home}/profile")])
        .collect();
    if settings == Settings::Quiet {
        words.push("--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE allowed.test".to_owned());
    }
    words.push(PAGE.to_owned());
    (client, words)
}

/// The same of Firefox.
fn firefox<'w>(
    world: &'w World,
    client: Client<'w>,
    settings: Settings,
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
    let mut client = client.mount(&policies, FIREFOX_FOLDER).env("HOME", &home);
    if settings == Settings::Quiet {
        client = client.env("MOZ_REMOTE_SETTINGS_DEVTOOLS", "1");
    }
    let words = ["firefox-esr", "--headless", "--profile"].map(str::to_owned).into_iter();
    let rest =
        [format!("{home}/profile"), "--screenshot".into(), format!("{home}/page.png"), PAGE.into()];
    (client, words.chain(rest).collect())
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
        let (client, words) = chromium(&world, world.egress(options), settings);
        let out = client.run(words);
        arrived(&world, &out);
        out.said("The page arrived.");
        let is_quiet =
            !out.complaints().contains("not_allowed (") && !out.complaints().contains("--allow");
        assert_eq!(is_quiet, settings == Settings::Quiet, "{out}");
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
        let (client, words) = firefox(&world, world.egress(options), settings);
        let out = client.run(words);
        arrived(&world, &out);
        let is_quiet = !out.complaints().contains("egress: refused");
        assert_eq!(is_quiet, settings == Settings::Quiet, "{out}");
        assert!(fs::metadata(world.path("home").join("page.png")).unwrap().len() > 1000, "{out}");
    }
}

#[test]
#[ignore = "kernel: needs root"]
fn with_their_defaults_the_refusal_says_what_helps() {
    let told = |out: &Finished<'_>, world: &World| {
        out.complained("ech_refused")
            .complained("instead of allowed.test (--allow), in [network.domains]: \"allowed.test\" = { action = \"allow\", ech = \"allow\" }")
            .complained("Browsers send ECH with every hello")
            .complained("EncryptedClientHelloEnabled = false")
            .complained("security.tls.ech.grease_probability = 0");
        world.arrived_at(SITE).no_payload();
    };
    if is_installed("chromium") {
        let world = two_sites();
        let (client, words) = chromium(&world, world.egress(&ALLOWED), Settings::Defaults);
        told(&client.run(words), &world);
    }
    if is_installed("firefox-esr") {
        let world = two_sites();
        let (client, words) = firefox(&world, world.egress(&ALLOWED), Settings::Defaults);
        let running = client.start(words);
        // It tries again and again.
        let tries = || world.contacts().iter().filter(|contact| contact.at.port() == 443).count();
        eventually("Firefox to try again", || tries() > 3);
        running.signal(Signal::SIGTERM);
        told(&running.finish(), &world);
    }
}
