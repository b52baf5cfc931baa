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
    let expected: [IpAddr; 2] = ["192.0.2.2".parse().unwrap(), "2001:db8::1".parse().unwrap()];
    assert_eq!(servers_of(text), expected);
    // A line that libc would not understand takes the others not along.
    let odd = b"what is this\nnameserver nowhere\nnameserver 192.0.2.2\n\xff\n";
    assert_eq!(servers_of(odd), expected[..1]);
}

#[test]
fn where_none_is_named_the_machines_own_server_is_asked() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("resolv.conf");
    let own: [IpAddr; 1] = [Ipv4Addr::LOCALHOST.into()];
    assert_eq!(read(&path).unwrap(), own);
    for text in ["", "search corp.test\n", "nameserver nowhere\n"] {
        fs::write(&path, text).unwrap();
        assert_eq!(read(&path).unwrap(), own, "{text}");
        // Later it may be half written.
        assert!(read_open(&mut File::open(&path).unwrap()).is_err(), "{text}");
    }
    // It is there, and nobody can say what is in it.
    assert!(read(folder.path()).is_err());
}

#[test]
fn search_domains_are_the_last_that_are_written() {
    let forms = |text: &str, name: &str| {
        let forms = search_of(text.as_bytes()).short_forms(&Name::parse(name).unwrap());
        forms.iter().map(ToString::to_string).collect::<Vec<_>>()
    };
    let text = "domain old.test\nsearch web.test. other.test\noptions ndots:2\n";
    assert_eq!(forms(text, "a.b.web.test"), ["a.b"]);
    assert_eq!(forms(text, "a.other.test"), ["a"]);
    assert_eq!(forms(text, "a.old.test"), [""; 0]);
    assert_eq!(forms("domain old.test", "a.old.test"), ["a"]);
    assert_eq!(forms("nameserver 192.0.2.1", "a.test"), [""; 0]);
}
