//! What is allowed of a machine's tables, and what is not.
use super::*;

const DEVICES: &str = "Character devices:\n  1 mem\n  4 /dev/vc/0\n  4 tty\n 10 misc\n 13 input\n\
    108 ppp\n136 pts\n180 usb\n231 infiniband_mad\n231 infiniband_verbs\n236 vfio\n246 macvtap\n247 mei\n\
    248 ipvtap\n249 hidraw\n\nBlock devices:\n  7 loop\n 43 nbd\n259 blkext\n";
const MISC_TABLE: &str = "200 tun\n238 vhost-net\n241 vhost-vsock\n122 nvme-fabrics\n123 rdma_cm\n\
    223 uinput\n229 fuse\n237 loop-control\n";

fn character(major: u32, minor: u32) -> DeviceKey {
    DeviceKey { kind: kind::CHARACTER, major, minor }
}

fn block(major: u32, minor: u32) -> DeviceKey {
    DeviceKey { kind: kind::BLOCK, major, minor }
}

#[test]
fn networks_are_refused_and_the_rest_is_not() {
    let devices = Devices::parse(DEVICES, MISC_TABLE);
    for open in [
        character(1, 3),
        character(4, 64),
        character(10, 229),
        character(10, 232),
        character(10, 237),
        character(136, 5),
        character(143, 5),
        character(195, 255),
        character(226, 128),
        character(249, 0),
        block(7, 0),
        block(259, 3),
    ] {
        assert!(devices.allows(open, access::ALL), "{open:?}");
    }
    for closed in [
        character(10, 200),
        character(10, 238),
        character(10, 241),
        character(10, 122),
        character(10, 123),
        character(10, 223),
        character(108, 0),
        character(180, 176),
        character(231, 0),
        character(236, 1),
        character(246, 1),
        character(247, 0),
        character(248, 7),
        block(43, 0),
    ] {
        for what in [access::READ, access::WRITE, access::MKNOD] {
            assert!(!devices.allows(closed, what), "{closed:?} {what}");
        }
    }
    assert_eq!(devices.refused.len(), 15);
    assert!(devices.refused.contains(&"macvtap".to_owned()));
}

#[test]
fn what_is_not_known_is_refused() {
    let devices = Devices::parse(DEVICES, MISC_TABLE);
    for unknown in
        [character(251, 0), character(10, 99), character(0, 0), block(8, 0), block(10, 229)]
    {
        assert!(!devices.allows(unknown, access::READ), "{unknown:?}");
    }
    // A kind that is neither.
    assert!(!devices.allows(DeviceKey { kind: 3, major: 1, minor: 3 }, access::READ));
    // Without tables there are still terminals and the null device.
    let none = Devices::parse("", "");
    assert!(none.allows(character(1, 3), access::READ | access::WRITE));
    assert!(
        !none.allows(character(10, 200), access::READ) && !none.allows(block(7, 0), access::READ)
    );
}

#[test]
fn a_network_closes_the_major_that_it_shares_and_input_is_read_only() {
    let shared = "Character devices:\n226 drm\n226 macvtap\n 4 ttyS\n";
    let devices = Devices::parse(shared, "");
    assert!(!devices.allows(character(226, 0), access::READ));
    assert!(devices.allows(character(4, 64), access::READ | access::WRITE));
    let devices = Devices::parse(DEVICES, MISC_TABLE);
    assert!(devices.allows(character(13, 64), access::READ));
    assert!(!devices.allows(character(13, 64), access::READ | access::WRITE));
}

#[test]
fn foreign_lines_are_passed_over() {
    let odd =
        "Character devices:\n\u{fffd}\nx y\n99999999999 big\n12\n  9 st\nBlock devices:\n 8 sd\n";
    let devices = Devices::parse(odd, "200\ntun 200\n");
    assert!(
        devices.allows(character(9, 0), access::READ) && devices.allows(block(8, 0), access::READ)
    );
    assert!(!devices.allows(character(8, 0), access::READ));
}

#[test]
fn this_machine_is_read() {
    let devices = Devices::known(Path::new("/proc")).unwrap();
    assert!(devices.allows(character(1, 3), access::READ | access::WRITE));
    assert!(!devices.allows(character(10, 200), access::READ));
    assert!(Devices::known(Path::new("/no/such/proc")).is_err());
}

#[test]
fn the_documentation_names_every_refused_driver() {
    let page = include_str!("../../../../docs/devices.md");
    for name in REFUSED {
        assert!(page.contains(&format!("`{name}`")), "docs/devices.md does not name `{name}`");
    }
}

#[test]
fn a_serial_line_over_bluetooth_is_refused_beside_others() {
    let known = Devices::parse("Character devices:\n188 ttyUSB\n216 rfcomm\n", "");
    assert_eq!(known.refused, ["rfcomm"]);
    let may = |major| {
        let device = DeviceKey { kind: kind::CHARACTER, major, minor: 0 };
        known.allows(device, access::READ | access::WRITE)
    };
    assert!(may(188) && !may(216));
}
