"""Attempts by datagram sockets that are connected first. Connecting sends nothing, and the address of the socket's own
end is what many programs connect one for.
"""
import ctypes
import os
import socket
import struct
import time

from base import DEADLINE, SECRET, answer, new

libc = ctypes.CDLL(None, use_errno=True)


def associated(address, port):
    sock = new(address, socket.SOCK_DGRAM)
    sock.connect((address, int(port)))
    return sock


def udp_source(address, port):
    """The own address that leads to another, as it is asked for everywhere."""
    return "ok " + associated(address, port).getsockname()[0]


def udp_peer(address, port):
    return "ok %s %d" % associated(address, port).getpeername()[:2]


def udp_nonblocking(address, port):
    sock = associated(address, port)
    sock.setblocking(False)
    sock.send(SECRET)
    return "ok"


def udp_named(address, port):
    """Names the peer once more."""
    sock = associated(address, port)
    sock.sendto(SECRET, (address, int(port)))
    return answer(sock)


def udp_control(address, port):
    """With a control message, by which the kernel takes the socket for an unconnected one."""
    sock = associated(address, port)
    level, kind = (41, 67) if sock.family == socket.AF_INET6 else (0, 1)
    sock.sendmsg([SECRET], [(level, kind, struct.pack("i", 0))])
    return answer(sock)


def udp_write(address, port):
    sock = associated(address, port)
    os.write(sock.fileno(), SECRET)
    return "ok"


def udp_sendmmsg(address, port):
    """Two datagrams in one call, without an address."""
    sock = associated(address, port)
    body = ctypes.create_string_buffer(SECRET)
    vector = ctypes.create_string_buffer(struct.pack("QQ", ctypes.addressof(body), len(SECRET)), 16)
    message = struct.pack("QI4xQQQQi4xI4x", 0, 0, ctypes.addressof(vector), 1, 0, 0, 0, 0)
    messages = ctypes.create_string_buffer(message * 2, 128)
    if libc.sendmmsg(sock.fileno(), messages, 2, 0) < 0:
        raise OSError(ctypes.get_errno(), "sendmmsg")
    return "ok"


def udp_corked(address, port):
    """In two parts, of which the first is kept until the second comes."""
    sock = associated(address, port)
    sock.send(SECRET, socket.MSG_MORE)
    sock.send(SECRET)
    return answer(sock)


def udp_uncorked(address, port):
    """Pushed by taking the cork away."""
    sock = associated(address, port)
    udp_cork = 1
    sock.setsockopt(socket.IPPROTO_UDP, udp_cork, 1)
    sock.send(SECRET)
    sock.setsockopt(socket.IPPROTO_UDP, udp_cork, 0)
    # The option tells no error: what is asked for behind it does.
    sock.send(SECRET)
    return answer(sock)


def udp_segments(address, port):
    """Many datagrams in one, which the device cuts."""
    sock = associated(address, port)
    udp_segment = 103
    sock.setsockopt(socket.IPPROTO_UDP, udp_segment, 100)
    sock.send(SECRET * 20)
    return answer(sock)


def udp_splice(address, port):
    sock = associated(address, port)
    read, write = os.pipe()
    os.write(write, SECRET)
    os.splice(read, sock.fileno(), len(SECRET))
    return "ok"


def udp_sendfile(address, port):
    sock = associated(address, port)
    with open(__file__, "rb") as file:
        os.sendfile(sock.fileno(), file.fileno(), 0, 100)
    return "ok"


def udp_zerocopy(address, port):
    sock = associated(address, port)
    so_zerocopy, msg_zerocopy = 60, 0x4000000
    sock.setsockopt(socket.SOL_SOCKET, so_zerocopy, 1)
    sock.send(SECRET, msg_zerocopy)
    return "ok"


def udp_moved(first, first_port, second, second_port):
    """Connected to one place, then to another."""
    sock = associated(first, first_port)
    sock.connect((second, int(second_port)))
    sock.send(SECRET)
    return answer(sock)


def udp_dissolved(address, port):
    """Connected, dissolved, and then sent to the same place by name."""
    sock = associated(address, port)
    unspecified = struct.pack("HHI8x", socket.AF_UNSPEC, 0, 0)
    libc.connect(sock.fileno(), unspecified, len(unspecified))
    sock.sendto(SECRET, (address, int(port)))
    return answer(sock)


def question(name):
    labels = b"".join(bytes([len(label)]) + label.encode() for label in name.split("."))
    return b"\x12\x34\x01\0\0\x01\0\0\0\0\0\0" + labels + b"\0\0\x01\0\x01"


def address_in(reply):
    return "ok " + socket.inet_ntoa(reply[-4:]) if reply[3] & 15 == 0 and reply[7] else f"rcode {reply[3] & 15}"


def asked(name, address, *before):
    """Asks a server by a connected socket, which was connected elsewhere before, if that is given."""
    sock = new(address, socket.SOCK_DGRAM)
    if before:
        sock.connect((before[0], int(before[1])))
    sock.connect((address, 53))
    sock.send(question(name))
    return address_in(sock.recv(512)) + " from %s %d" % sock.getpeername()[:2]


def asked_with_control(name, address):
    sock = new(address, socket.SOCK_DGRAM)
    sock.connect((address, 53))
    level, kind = (41, 67) if sock.family == socket.AF_INET6 else (0, 1)
    sock.sendmsg([question(name)], [(level, kind, struct.pack("i", 0))])
    return address_in(sock.recv(512))


def sorted_addresses(name, port):
    """In the order in which the C library's resolver wants them tried (RFC 6724)."""
    found = socket.getaddrinfo(name, port, 0, socket.SOCK_STREAM)
    return "ok " + " ".join(entry[4][0] for entry in found)


def ranked(name, port):
    """In the order of Go's resolver: a datagram socket is connected to each, to port 9, and those that cannot be
    reached come last."""
    def reachable(address):
        try:
            associated(address, port)
        except OSError:
            return False
        return True
    found = sorted({entry[4][0] for entry in socket.getaddrinfo(name, 443, 0, socket.SOCK_STREAM)})
    return "ok " + " ".join(sorted(found, key=lambda address: not reachable(address)))


def at_once(address, port):
    """A hundred refused sends, and how long all of them took at most."""
    sock, began = associated(address, port), time.monotonic()
    for _ in range(100):
        try:
            sock.send(SECRET)
            return "ok"
        except PermissionError:
            pass
    return "refused" if time.monotonic() - began < DEADLINE / 10 else "late"
