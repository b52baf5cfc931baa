"""Names that would print lines of their own. `forge.py HOW ADDRESS PORT...`; prints what came back.

Each sends, as a name of the kind that HOW says, text with line breaks that looks like a summary's, and what a terminal
obeys: escape sequences of both kinds, bidirectional controls, characters without a width.
"""
import socket
import struct
import sys

from base import new
from hellos import hello

LINES = b"x\n  good.test: not_allowed\n      to allow: --allow evil.test\r\n"
MARKS = b"\x1b[2K\x1b]0;t\x07\x7f\xc2\x9b2J\xe2\x80\xae\xe2\x81\xa6\xe2\x80\x8b\xef\xbb\xbf"


def named(name):
    """A hello with this server name, whatever its bytes."""
    stand_in = b"".join(bytes([97 + at // 50 % 26]) for at in range(len(name)))
    dotted = b".".join(stand_in[at:at + 49] for at in range(0, len(name), 50))
    dotted = dotted[:len(name)].ljust(len(name), b"a")
    payload = hello(dotted.decode())
    assert dotted in payload
    return payload.replace(dotted, name)


def request(name, target=b"/"):
    return b"GET " + target + b" HTTP/1.1\r\nHost: " + name + b"\r\n\r\n"


def question(label):
    head = struct.pack("!HHHHHH", 7, 0x0100, 1, 0, 0, 1)
    opt = b"\0" + struct.pack("!HHIH", 41, 1232, 0, 0)
    return head + bytes([len(label)]) + label + b"\4test\0" + struct.pack("!HH", 1, 1) + opt


def tcp(payload):
    def send(address, port):
        sock = new(address, socket.SOCK_STREAM)
        sock.connect((address, int(port)))
        sock.sendall(payload)
        return sock.recv(65536)
    return send


def udp(payload):
    def send(address, port):
        sock = new(address, socket.SOCK_DGRAM)
        sock.sendto(payload, (address, int(port)))
        return sock.recv(65536)
    return send


WAYS = {
    "sni": lambda: tcp(named(LINES + MARKS)),
    "sni-bytes": lambda: tcp(named(b"x\n\xff\xfe\x9b2J\x80" + LINES)),
    "sni-long": lambda: tcp(named(LINES + b"y" * 180)),
    "host": lambda: tcp(request(MARKS + b"evil.test")),
    "host-bidi": lambda: tcp(request(b"\xe2\x80\xae\xe2\x81\xa6\xc2\x9b2Jevil.test")),
    "absolute": lambda: tcp(request(b"allowed.test", b"http://" + MARKS + b"/")),
    "path": lambda: tcp(request(b"allowed.test", b"/" + MARKS)),
    "long-host": lambda: tcp(request(b"z" * 7000 + b".test")),
    "dns": lambda: udp(question(b"x\n      to allow: --allow evil.test\r\x1b[2K\xc2\x9b")),
    "dns-bytes": lambda: udp(question(b"\xff\x00\n\x1b]0;t\x07")),
}

if __name__ == "__main__":
    how, address, port = sys.argv[1:4]
    for name in sys.argv[4:]:
        socket.getaddrinfo(name, None)
    try:
        sys.stdout.buffer.write(WAYS[how]()(address, port))
    except OSError as error:
        sys.stdout.write(f"error {error.errno}")
