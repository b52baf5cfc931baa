use std::io;

use super::*;

fn sent(message: &impl Wire) -> Vec<u8> {
    let mut bytes = Vec::new();
    send(&mut bytes, message).unwrap();
    bytes
}

fn refused<M: Wire + std::fmt::Debug>(bytes: &[u8]) -> io::ErrorKind {
    receive::<M>(&mut &bytes[..]).unwrap_err().kind()
}

#[test]
fn every_byte_of_a_command_arrives() {
    let all: Vec<u8> = (1..=255).collect();
    let user = User {
        uid: Uid::from_raw(7),
        gid: Gid::from_raw(8),
        groups: vec![Gid::from_raw(8), Gid::from_raw(u32::MAX - 1)],
        name: CString::new(all.clone()).unwrap(),
        home: OsString::from_vec(all.clone()).into(),
    };
    let command = Command {
        program: OsString::from_vec(all.clone()),
        arguments: vec![OsString::new(), OsString::from_vec(all.clone()), "\n".into()],
        user: Some(user),
        capabilities: Capabilities::Container,
    };
    let inherited = Inherited::of_numbers([u64::MAX, 1, 0, 1024, 4096]);
    let spec = Spec { cgroup: OsString::from_vec(all), command, inherited };
    let arrived: Spec = receive(&mut &sent(&spec)[..]).unwrap();
    assert_eq!(arrived, spec);
}

#[test]
fn notes_arrive_as_they_are() {
    let names = vec![Printable::from("A"), Printable::from("B\n")];
    let report = Report::Probed(vec![
        Note::File { number: 3, why: NotData::FileSystem(u64::MAX) },
        Note::File { number: -1, why: NotData::SharedMemory },
        Note::Variables(names.clone()),
        Note::Hidden(names),
    ]);
    assert_eq!(receive::<Report>(&mut &sent(&report)[..]).unwrap(), report);
}

#[test]
fn messages_stand_one_behind_the_other() {
    let bytes = [sent(&Order::Probe), sent(&Order::Start)].concat();
    let mut rest = &bytes[..];
    assert_eq!(receive::<Order>(&mut rest).unwrap(), Order::Probe);
    assert_eq!(receive::<Order>(&mut rest).unwrap(), Order::Start);
    assert_eq!(refused::<Order>(rest), io::ErrorKind::UnexpectedEof);
}

#[test]
fn what_is_cut_short_or_no_message_is_refused() {
    let whole = sent(&Report::Failed { code: 125, text: "no\nway".to_owned() });
    for length in 0..whole.len() {
        assert_eq!(refused::<Report>(&whole[..length]), io::ErrorKind::UnexpectedEof);
    }
    assert_eq!(refused::<Order>(&whole), io::ErrorKind::InvalidData);
    assert_eq!(refused::<Order>(&[1, 0, 0, 0, 9]), io::ErrorKind::InvalidData);
    // With something behind it, inside of its length.
    assert_eq!(refused::<Order>(&[2, 0, 0, 0, 1, 1]), io::ErrorKind::InvalidData);
    // A count of more than there is.
    assert_eq!(refused::<Report>(&[5, 0, 0, 0, 1, 255, 255, 255, 255]), io::ErrorKind::InvalidData);
}

#[test]
fn a_length_beyond_the_bound_is_not_waited_for() {
    assert_eq!(refused::<Order>(&[0xff; 8]), io::ErrorKind::InvalidData);
    let error = send(&mut Vec::new(), &vec![b'x'; 16 << 20]).unwrap_err();
    assert_eq!(error.raw_os_error(), Some(libc::E2BIG));
}
