//! What root does in CI: packages installed from a repository, as on a machine without the filter.
use std::os::unix::fs::{MetadataExt, chown};
use std::path::Path;
use std::process::Command;

use super::SITE;
use super::capabilities::CONTAINER;
use super::support::{Client, Finished, PYTHON, World, skip};

/// Whether the machine has these; where it has not, the test is skipped: they are no small installs.
fn has(programs: &[&str]) -> bool {
    let path = std::env::var("PATH").unwrap_or_default();
    let is_there =
        |program: &&&str| !path.split(':').any(|folder| Path::new(folder).join(program).exists());
    let missing = programs.iter().find(is_there);
    if let Some(program) = missing {
        skip(&format!("this machine has no {program}"));
    }
    missing.is_none()
}

/// A web server of the far side's own port, by Python: what it serves is the folder that it stands in.
const PORT: u16 = 8123;

/// Whose files the package has.
const OWNER: u32 = 65_534;

struct Served(std::process::Child);

impl Drop for Served {
    fn drop(&mut self) {
        // It may have ended by itself.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// Serves a folder at the site, until dropped.
fn serve(world: &World, folder: &Path) -> Served {
    let port = PORT.to_string();
    let words =
        ["-m", "http.server", "--bind", SITE, "--directory", folder.to_str().unwrap(), &port];
    let child = world.far_netns().enter(|| {
        let mut command = Command::new(PYTHON);
        command.args(words).stdout(std::process::Stdio::null()).stderr(std::process::Stdio::null());
        command.spawn().expect("start a web server")
    });
    let served = Served(child);
    super::support::processes::eventually("the repository is served", || {
        world.far_netns().enter(|| std::net::TcpStream::connect((SITE, PORT)).is_ok())
    });
    served
}

/// A repository with one package: a file of another user's, and a script that runs behind it.
fn repository(world: &World) -> std::path::PathBuf {
    let (package, repository) = (world.path("package"), world.path("repository"));
    std::fs::create_dir_all(package.join("DEBIAN")).unwrap();
    std::fs::create_dir_all(package.join("usr/share/sample")).unwrap();
    std::fs::create_dir(&repository).unwrap();
    let control = "Package: sample\nVersion: 1.0\nArchitecture: all\nMaintainer: nobody <nobody@repo.test>\n\
                   Description: a sample\n";
    std::fs::write(package.join("DEBIAN/control"), control).unwrap();
    let script = package.join("DEBIAN/postinst");
    let text = "#!/bin/sh\nset -e\ntouch \"$DPKG_ROOT/usr/share/sample/made\"\n\
                chown 4242:4243 \"$DPKG_ROOT/usr/share/sample/made\"\n";
    std::fs::write(&script, text).unwrap();
    let runs = <std::fs::Permissions as std::os::unix::fs::PermissionsExt>::from_mode(0o755);
    std::fs::set_permissions(&script, runs).unwrap();
    let file = package.join("usr/share/sample/file");
    std::fs::write(&file, "text").unwrap();
    chown(&file, Some(OWNER), Some(OWNER)).unwrap();
    let archive = repository.join("sample.deb");
    let built =
        Command::new("dpkg-deb").arg("--build").arg(&package).arg(&archive).output().unwrap();
    assert!(built.status.success(), "{built:?}");
    let bytes = std::fs::read(&archive).unwrap();
    let hash = super::support::http::sha256(&bytes);
    let listed =
        format!("{control}Filename: ./sample.deb\nSize: {}\nSHA256: {hash}\n", bytes.len());
    std::fs::write(repository.join("Packages"), listed).unwrap();
    repository
}

/// A root directory of its own for apt and dpkg, so that the machine's packages are not touched.
fn prepare(world: &World, name: &str) -> String {
    let root = world.path(name);
    for folder in [
        "etc/apt/preferences.d",
        "etc/apt/apt.conf.d",
        "etc/apt/trusted.gpg.d",
        "var/lib/apt/lists/partial",
        "var/cache/apt/archives/partial",
        "var/lib/dpkg/updates",
        "var/lib/dpkg/info",
        "var/log/apt",
    ] {
        std::fs::create_dir_all(root.join(folder)).unwrap();
    }
    std::fs::write(root.join("var/lib/dpkg/status"), "").unwrap();
    let source = format!("deb [trusted=yes allow-insecure=yes] http://allowed.test:{PORT}/ ./\n");
    std::fs::write(root.join("etc/apt/sources.list"), source).unwrap();
    let conf = format!(
        "Dir \"{root}\";\nDir::State::status \"{root}/var/lib/dpkg/status\";\nDir::Bin::methods \"/usr/lib/apt/methods\";\n\
         Dir::Etc::trusted \"/dev/null\";\nDPkg::Options {{ \"--root={root}\"; \"--force-script-chrootless\"; \
         \"--log={root}/var/log/dpkg.log\"; }};\nDPkg::Path \"/usr/sbin:/usr/bin:/sbin:/bin\";\n\
         Acquire::Languages \"none\";\nDPkg::Run-Directory \"/\";\n",
        root = root.display()
    );
    let path = root.join("apt.conf");
    std::fs::write(&path, conf).unwrap();
    path.display().to_string()
}

#[track_caller]
fn install(client: Client<'_>, conf: &str, works: bool) {
    let line = "apt-get update -q && apt-get install -q -y --no-install-recommends sample";
    let out = client.env("APT_CONFIG", conf).shell(line);
    assert_eq!(out.status.success(), works, "{out}");
}

#[test]
#[ignore = "kernel: needs root"]
fn apt_updates_and_installs() {
    if !has(&["apt-get", "dpkg-deb"]) {
        return;
    }
    let world = World::new().site("allowed.test", SITE).build();
    let _served = serve(&world, &repository(&world));
    let direct = prepare(&world, "direct");
    install(world.direct(), &direct, true);
    let without = prepare(&world, "without");
    install(world.egress(&["--allow", "allowed.test"]), &without, false);
    let with = prepare(&world, "with");
    install(world.egress(CONTAINER), &with, true);
    for root in ["direct", "with"] {
        let of = |file: &str| {
            std::fs::metadata(world.path(root).join("usr/share/sample").join(file)).unwrap()
        };
        assert_eq!(of("file").uid(), OWNER, "{root}");
        assert_eq!((of("made").uid(), of("made").gid()), (4242, 4243), "{root}");
    }
}

/// The options of this kind that the messages of a run name.
fn named(out: &Finished<'_>, option: &str) -> Vec<[String; 2]> {
    let said = out.complaints();
    let start = format!("{option} ");
    let values = said.split(&start).skip(1);
    let values = values.filter_map(|rest| rest.split([' ', '`', '\n', ',', ';', '"']).next());
    values.map(|value| [option.to_owned(), value.to_owned()]).collect()
}

#[test]
#[ignore = "kernel: needs root"]
fn the_messages_alone_lead_to_an_install() {
    if !has(&["apt-get", "dpkg-deb"]) {
        return;
    }
    let world = World::new().site("allowed.test", SITE).build();
    let _served = serve(&world, &repository(&world));
    let mut options: Vec<[String; 2]> = Vec::new();
    for attempt in 0..3 {
        let conf = prepare(&world, &format!("attempt{attempt}"));
        let given: Vec<&str> = options.iter().flatten().map(String::as_str).collect();
        let line = "apt-get update -q && apt-get install -q -y sample";
        let out = world.egress(&given).env("APT_CONFIG", &conf).shell(line);
        // apt asks for the mirror's service first, and a line about that would help nobody.
        assert!(!out.complaints().contains("_http._tcp"), "{out}");
        if out.status.success() {
            let gave = |option: &str, value: &str| {
                options.iter().any(|[key, given]| key == option && given.starts_with(value))
            };
            assert!(gave("--capabilities", "container"), "{options:?} was enough\n{out}");
            assert!(gave("--allow", "allowed.test"), "{options:?} was enough\n{out}");
            return;
        }
        for pair in named(&out, "--capabilities").into_iter().chain(named(&out, "--allow")) {
            if !options.contains(&pair) {
                options.push(pair);
            }
        }
    }
    panic!("{options:?} did not lead there");
}

#[test]
#[ignore = "kernel: needs root"]
fn npm_installs_into_another_users_directory() {
    if !has(&["npm"]) {
        return;
    }
    let world = World::new().site("allowed.test", SITE).build();
    let registry = world.path("registry");
    std::fs::create_dir(&registry).unwrap();
    let package = world.path("package");
    std::fs::create_dir(&package).unwrap();
    std::fs::write(package.join("package.json"), r#"{"name":"sample","version":"1.0.0"}"#).unwrap();
    let pack = Command::new("tar")
        .args(["-czf"])
        .arg(registry.join("sample.tgz"))
        .arg("-C")
        .arg(world.path("."))
        .arg("package")
        .status()
        .unwrap();
    assert!(pack.success());
    let url = format!("http://allowed.test:{PORT}");
    let about = format!(
        r#"{{"name":"sample","dist-tags":{{"latest":"1.0.0"}},"versions":{{"1.0.0":{{"name":"sample","version":"1.0.0","dist":{{"tarball":"{url}/sample.tgz"}}}}}}}}"#
    );
    std::fs::write(registry.join("sample"), about).unwrap();
    let _served = serve(&world, &registry);
    let install = |client: Client<'_>, name: &str, works: bool| {
        let project = world.path(name);
        std::fs::create_dir(&project).unwrap();
        std::fs::write(project.join("package.json"), r#"{"name":"project","version":"1.0.0"}"#)
            .unwrap();
        for path in [&project, &project.join("package.json")] {
            chown(path, Some(4242), Some(4242)).unwrap();
        }
        let line = format!(
            "cd {} && npm install --registry {url} --cache {}-cache --no-audit --no-fund --no-update-notifier sample",
            project.display(),
            project.display()
        );
        let out = client.shell(&line);
        assert_eq!(out.status.success(), works, "{out}");
        let installed = project.join("node_modules/sample/package.json");
        assert_eq!(installed.exists(), works, "{out}");
    };
    install(world.direct(), "direct", true);
    install(world.egress(&["--allow", "allowed.test"]), "without", false);
    install(world.egress(CONTAINER), "with", true);
}
