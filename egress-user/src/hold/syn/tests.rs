use super::*;

/// A SYN from port 40000 to 8000, with the option of a maximum segment size; its checksum is not there yet.
fn tcp() -> Vec<u8> {
    let mut tcp = vec![0x9c, 0x40, 0x1f, 0x40, 0xff, 0xff, 0xff, 0xff, 0, 0, 0, 0];
    tcp.extend([6 << 4, SYN, 0xff, 0xff, 0xaa, 0xaa, 0, 0, 2, 4, 0xff, 0xd7]);
    tcp
}

fn over_v4() -> Vec<u8> {
    let mut packet = vec![0x45, 0, 0, 44, 0x12, 0x34, 0x40, 0, 64, TCP, 0, 0];
    packet.extend([127, 0, 0, 1, 127, 0, 0, 9]);
    packet.extend(tcp());
    packet
}

fn over_v6() -> Vec<u8> {
    let mut packet = vec![0x60, 1, 2, 3, 0, 24, TCP, 64];
    packet.extend(Ipv6Addr::LOCALHOST.octets());
    packet.extend(Ipv6Addr::LOCALHOST.octets());
    packet.extend(tcp());
    packet
}

/// Whether a receiver finds the transport's checksum right: the sum over everything is zero then.
fn is_sound(packet: &[u8], protocol: u8) -> bool {
    let (header, from, to) = if packet[0] >> 4 == 4 {
        (V4_HEADER, v4(&packet[12..]).unwrap(), v4(&packet[16..]).unwrap())
    } else {
        (V6_HEADER, v6(&packet[8..]).unwrap(), v6(&packet[24..]).unwrap())
    };
    let payload = &packet[header..];
    let pseudo = pseudo(from, to, protocol, payload.len());
    if protocol == ICMP {
        checksum(&[payload]) == [0, 0]
    } else {
        checksum(&[&pseudo, payload]) == [0, 0]
    }
}

#[test]
fn it_goes_again_as_it_was_but_for_the_checksum() {
    for packet in [over_v4(), over_v6()] {
        let again = Syn::parse(&packet).unwrap().again();
        assert!(is_sound(&again, TCP));
        let checksum = again.len() - 24 + 16;
        for (at, (before, after)) in packet.iter().zip(&again).enumerate() {
            assert!(before == after || (checksum..checksum + 2).contains(&at), "byte {at}");
        }
    }
}

#[test]
fn a_reset_acknowledges_it() {
    for packet in [over_v4(), over_v6()] {
        let syn = Syn::parse(&packet).unwrap();
        let reset = syn.reset();
        assert!(is_sound(&reset, TCP));
        let tcp = &reset[reset.len() - TCP_HEADER..];
        // From 8000 to 40000; the sequence number was the last one there is.
        assert_eq!(tcp[..12], [0x1f, 0x40, 0x9c, 0x40, 0, 0, 0, 0, 0, 0, 0, 0]);
        assert_eq!(tcp[13], RST_ACK);
    }
    let v4 = Syn::parse(&over_v4()).unwrap();
    assert_eq!(v4.reset()[12..20], [127, 0, 0, 9, 127, 0, 0, 1]);
    assert_eq!(v4.reset()[2..4], [0, 40]);
}

#[test]
fn icmp_quotes_it() {
    let v4 = over_v4();
    let message = Syn::parse(&v4).unwrap().unreachable(1);
    assert!(is_sound(&message, ICMP));
    assert_eq!(message[9], ICMP);
    assert_eq!(message[20..22], [3, 1]);
    assert_eq!(message[28..], v4[..28]);
    let v6 = over_v6();
    let message = Syn::parse(&v6).unwrap().unreachable(3);
    assert!(is_sound(&message, ICMPV6));
    assert_eq!(message[40..42], [1, 3]);
    assert_eq!(message[48..], v6[..]);
}

#[test]
fn nothing_else_is_one() {
    for packet in [over_v4(), over_v6()] {
        for length in 0..packet.len() {
            assert_eq!(Syn::parse(&packet[..length]), None, "{length} bytes");
        }
        let with_data = [&packet[..], b"x"].concat();
        assert_eq!(Syn::parse(&with_data), None);
        let transport = packet.len() - 24;
        // An acknowledgement, and no flag at all.
        for flags in [SYN | ACK, ACK, 0] {
            let mut other = packet.clone();
            other[transport + 13] = flags;
            assert_eq!(Syn::parse(&other), None);
        }
    }
    let mut with_options = over_v4();
    with_options[0] = 0x46;
    assert_eq!(Syn::parse(&with_options), None);
    let mut datagram = over_v4();
    datagram[9] = 17;
    assert_eq!(Syn::parse(&datagram), None);
}
