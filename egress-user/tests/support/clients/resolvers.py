"""Resolvers that do not come from glibc. `resolvers.py HOW NAME [SERVER]` prints `ok ADDRESS...`, an rcode or `timeout`.

- `musl`: one unconnected UDP socket, A and AAAA at once, replies taken only from the address that was asked.
- `go`: A and AAAA in parallel, each on its own connected UDP socket, and over TCP where the reply is cut short.
- `tcp`: two queries in one TCP stream, written byte by byte.
"""
import concurrent.futures
import socket
import struct
import sys

from base import DEADLINE

A, AAAA = 1, 28
RCODES = {0: "NOERROR", 1: "FORMERR", 2: "SERVFAIL", 3: "NXDOMAIN", 5: "REFUSED"}


def query(number, name, kind):
    labels = b"".join(bytes([len(label)]) + label for label in name.encode().rstrip(b".").split(b"."))
    return struct.pack("!HHHHHH", number, 0x0100, 1, 0, 0, 0) + labels + b"\0" + struct.pack("!HH", kind, 1)


def skip_name(message, at):
    while message[at]:
        if message[at] >= 0xC0:
            return at + 2
        at += 1 + message[at]
    return at + 1


def read(message):
    """Id, truncation, rcode and addresses of a response."""
    number, flags, questions, answers = struct.unpack("!HHHH", message[:8])
    at, addresses = 12, []
    for _ in range(questions):
        at = skip_name(message, at) + 4
    for _ in range(answers):
        at = skip_name(message, at)
        kind, _, _, length = struct.unpack("!HHIH", message[at:at + 10])
        data, at = message[at + 10:at + 10 + length], at + 10 + length
        if kind in (A, AAAA):
            addresses.append(socket.inet_ntop(socket.AF_INET if kind == A else socket.AF_INET6, data))
    return number, bool(flags & 0x0200), flags & 15, addresses


def musl(name, server):
    sock = socket.socket(socket.AF_INET6 if ":" in server else socket.AF_INET, socket.SOCK_DGRAM)
    sock.bind(("", 0))
    sock.settimeout(DEADLINE)
    for number, kind in ((1, A), (2, AAAA)):
        sock.sendto(query(number, name, kind), (server, 53))
    replies = {}
    while len(replies) < 2:
        message, sender = sock.recvfrom(4096)
        if sender[:2] != (server, 53):
            print(f"ignored a reply from {sender}", file=sys.stderr)
            continue
        number, _, rcode, addresses = read(message)
        replies[number] = (rcode, addresses)
    return list(replies.values())


def go(name, server):
    def one(kind):
        with socket.socket(socket.AF_INET6 if ":" in server else socket.AF_INET, socket.SOCK_DGRAM) as sock:
            sock.settimeout(DEADLINE)
            sock.connect((server, 53))
            sock.send(query(kind, name, kind))
            _, truncated, rcode, addresses = read(sock.recv(1232))
        return over_tcp(name, server, kind) if truncated else (rcode, addresses)

    with concurrent.futures.ThreadPoolExecutor() as pool:
        return list(pool.map(one, (A, AAAA)))


def over_tcp(name, server, kind):
    with socket.create_connection((server, 53), DEADLINE) as sock:
        message = query(kind, name, kind)
        sock.sendall(struct.pack("!H", len(message)) + message)
        return read_framed(sock.makefile("rb"))


def tcp(name, server):
    with socket.create_connection((server, 53), DEADLINE) as sock:
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        for kind in (A, AAAA):
            message = query(kind, name, kind)
            for byte in struct.pack("!H", len(message)) + message:
                sock.sendall(bytes([byte]))
        stream = sock.makefile("rb")
        return [read_framed(stream) for _ in (A, AAAA)]


def read_framed(stream):
    (length,) = struct.unpack("!H", stream.read(2))
    return read(stream.read(length))[2:]


how, name, server = (sys.argv[1:] + ["93.184.216.53"])[:3]
try:
    results = globals()[how](name, server)
    addresses = sorted({address for _, found in results for address in found})
    worst = max(rcode for rcode, _ in results)
    print("ok " + " ".join(addresses) if addresses else RCODES.get(worst, str(worst)))
except TimeoutError:
    print("timeout")
except OSError as error:
    print(error.strerror)
