use super::*;

const SECOND: u64 = LOOK_EVERY_NS;

#[test]
fn a_change_is_noticed_once_and_looked_for_once_a_second() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("resolv.conf");
    let write = |text: &str| {
        let new = folder.path().join("new");
        fs::write(&new, text).unwrap();
        fs::rename(&new, &path).unwrap();
    };
    write("nameserver 192.0.2.1");
    let watch = Watch::new(&path, 0);
    assert!(!watch.has_changed(SECOND));
    write("nameserver 192.0.2.2");
    assert!(!watch.has_changed(2 * SECOND - 1), "not looked at yet");
    assert!(watch.has_changed(2 * SECOND));
    assert!(!watch.has_changed(3 * SECOND), "told once");
    // Written in place: the size tells, when the clock of the file system is too coarse to.
    fs::write(&path, "nameserver 192.0.2.33").unwrap();
    assert!(watch.has_changed(4 * SECOND));
    fs::remove_file(&path).unwrap();
    assert!(watch.has_changed(5 * SECOND));
    assert!(!watch.has_changed(6 * SECOND));
    write("nameserver 192.0.2.33");
    assert!(watch.has_changed(7 * SECOND));
}

#[test]
fn servers_come_from_resolv_conf_in_its_order() {
    let text = b"search corp.test\nnameserver 192.0.2.2\nnameserver 2001:db8::1\noptions ndots:5";
    let servers = servers_of(text).unwrap();
    let expected: [IpAddr; 2] = ["192.0.2.2".parse().unwrap(), "2001:db8::1".parse().unwrap()];
    assert_eq!(servers, expected);
    assert!(servers_of(b"search corp.test").is_err());
    assert!(servers_of(b"").is_err());
}
