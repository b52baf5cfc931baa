//! The pure parts, and the survey of whatever machine the tests run on.
use super::*;
use crate::host::mounts::parse;

fn table(text: &str) -> Vec<Mount> {
    parse(text.as_bytes()).collect()
}

#[test]
fn an_old_kernel_is_missing_and_the_needed_one_is_named() {
    assert_eq!(version("6.1.0-18-amd64").status, Status::Ok);
    let old = version("5.10.0-28-amd64");
    assert_eq!(old.status, Status::Missing);
    assert!(old.found.contains("5.10.0-28-amd64") && old.found.contains("5.15"), "{old:?}");
    assert_eq!(version("").status, Status::Unknown);
}

#[test]
fn no_cgroup2_says_how_to_mount_one() {
    let cgroup1 = "30 25 0:26 / /sys/fs/cgroup ro - cgroup cgroup rw\n";
    let finding = cgroup2(&table(cgroup1), true);
    assert_eq!(finding.status, Status::Missing);
    assert!(finding.advice.unwrap().contains("mount -t cgroup2"));
    // A table that names a mount which something else lies over now.
    let covered = "31 30 0:27 / /dev rw - cgroup2 cgroup2 rw\n";
    assert_eq!(cgroup2(&table(covered), true).status, Status::Missing);
}

#[test]
fn a_plain_chroot_is_told_apart() {
    let plain = "22 1 254:0 / / rw - ext4 /dev/vda rw\n23 22 0:5 / /proc rw - proc proc rw\n";
    assert_eq!(root_mount(&table(plain)).status, Status::Ok);
    let finding = root_mount(&table("23 22 0:5 / /proc rw - proc proc rw\n"));
    assert_eq!(finding.status, Status::Missing);
    assert!(finding.advice.unwrap().contains("mount --bind"));
}

#[test]
fn file_systems_are_known_with_and_without_a_device() {
    let table = "nodev\tsysfs\nnodev\tbpf\n\text4\n";
    assert!(knows(table, "bpf") && knows(table, "ext4") && knows(table, "sysfs"));
    assert!(!knows(table, "nodev") && !knows(table, "bp"));
}

#[test]
fn the_text_has_a_line_each_and_names_what_is_missing() {
    let findings = vec![
        Finding::ok("kernel", "Linux 6.1"),
        Finding::missing("root", "no").loses("everything").advise("sudo egress doctor"),
    ];
    let survey = Survey { findings };
    assert!(!survey.is_able());
    assert_eq!(
        survey.to_string(),
        "ok       kernel           Linux 6.1\n\
         missing  root             no\n                          without it: everything\n                          \
         to do: sudo egress doctor\n\nnot able; missing: root\n"
    );
    let able = Survey { findings: vec![Finding::warning("Landlock", "ABI 4")] };
    assert!(able.is_able() && able.to_string().contains("\nable: "));
}

#[test]
fn everything_missing_here_comes_with_advice() {
    for finding in Survey::take().findings {
        let needs_advice = finding.status == Status::Missing;
        assert!(!needs_advice || finding.advice.is_some(), "{finding:?}");
    }
}

#[test]
fn a_missing_broker_bars_a_start_and_is_named_with_its_place() {
    let place = PathBuf::from("/opt/egress-broker");
    assert_eq!(broker(Ok(place.clone())).status, Status::Ok);
    let finding = broker(Err(DivideError::Missing { path: place }));
    assert_eq!(finding.status, Status::Missing);
    assert!(
        finding.found.contains("/opt/egress-broker") && finding.advice.is_some(),
        "{finding:?}"
    );
}
