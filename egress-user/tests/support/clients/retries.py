"""A TLS client by hand that answers a HelloRetryRequest with a second hello of its own choice.

`retries.py ADDRESS PORT FIRST SECOND HOW...`: for each HOW a connection whose first hello names FIRST, and the second SECOND.
Prints `HOW => WAY RESULT`: WAY as in `hellos.py`; RESULT is `served` (the server answered the second hello), `alert`
(it answered with an alert), `once` (it answered the first one, and asked for no other), or a word for how it ended.

HOW is the way of the second hello, parts joined by `+`: `whole`, `bytes`, `pieces` of 40 bytes, `records` of 60, `corked`;
before it `ccs` (a ChangeCipherSpec) or `late-ccs` (one in a segment of its own), `early` (early data that the first hello
offers), `stray` (the same, not offered), `warning` (an alert). Other ways: `pipelined` does not wait for the server, `same-segment`
sends both hellos at once, `third` sends the right one before, `shared` by MSG_ZEROCOPY, `urgent` with an urgent byte,
`sslv2` in the form of SSL 2, `fork` from another process, `text` no TLS, `nameless` without a name.
"""
import os
import socket
import struct
import sys
import time

import base
from base import new, word

DEADLINE = float(os.environ.get("PROBE_DEADLINE", "10")) * 1.5
RETRY = bytes.fromhex("cf21ad74e59a6111be1d8c021e65b891c2a211167abb8c5e079e09e2c8a8339c")
P384 = 24
X25519 = 29
# The generator: a public key of the private key 1.
P384_KEY = b"\x04" + bytes.fromhex(
    "aa87ca22be8b05378eb1c71ef320ad746e1d3b628ba79b9859f741e082542a385502f25dbf55296c3a545e3872760ab7"
    "3617de4a96262c6f5d9e98bf9292dc29f8f41dbd289a147ce9da3113b5f0b8c00a60b1ce1d7e819d7a431d7c90ea0e5f")
X25519_KEY = bytes([9]) + bytes(31)
SESSION = bytes(range(32))
RANDOM = bytes(range(100, 132))
CCS = b"\x14\x03\x03\x00\x01\x01"


def vector(payload, width):
    return len(payload).to_bytes(width, "big") + payload


def extension(kind, body):
    return struct.pack(">H", kind) + vector(body, 2)


def message(name, shares, cookie=None, early=False):
    """A ClientHello of TLS 1.3."""
    extensions = b""
    if name != "-":
        extensions += extension(0, vector(b"\0" + vector(name.encode(), 2), 2))
    extensions += extension(10, vector(struct.pack(">HH", X25519, P384), 2))
    extensions += extension(13, vector(bytes.fromhex("0403050306030804080508060401050106010807"), 2))
    extensions += extension(43, vector(b"\x03\x04\x03\x03", 1))
    entries = b"".join(struct.pack(">H", group) + vector(key, 2) for group, key in shares)
    extensions += extension(51, vector(entries, 2))
    extensions += extension(45, vector(b"\x01", 1))
    if cookie is not None:
        extensions += extension(44, cookie)
    if early:
        extensions += extension(42, b"")
        # Last: a ticket that the server has never given, which it ignores, and its binder.
        extensions += extension(41, vector(vector(bytes(32), 2) + bytes(4), 2) + vector(vector(bytes(32), 1), 2))
    body = b"\x03\x03" + RANDOM + vector(SESSION, 1)
    body += vector(b"\x13\x01\x13\x02\xc0\x2b\xc0\x2f", 2) + b"\x01\x00" + vector(extensions, 2)
    return b"\x01" + vector(body, 3)


def record(kind, body, version=b"\x03\x03"):
    return bytes([kind]) + version + vector(body, 2)


def hello(*arguments, **named):
    return record(22, message(*arguments, **named))


class Server:
    """Records that come from the server."""

    def __init__(self, sock):
        self.sock, self.held = sock, b""

    def take(self, length):
        while len(self.held) < length:
            data = self.sock.recv(65536)
            if not data:
                raise EOFError
            self.held += data
        taken, self.held = self.held[:length], self.held[length:]
        return taken

    def said(self):
        """`retry` with a cookie, `hello`, or `alert`; others do not matter."""
        while True:
            kind, _, length = struct.unpack(">BHH", self.take(5))
            body = self.take(length)
            if kind == 21 and body[0] == 2:
                return "alert", None
            if kind == 22 and body[0] == 2:
                return ("retry", cookie(body)) if body[6:38] == RETRY else ("hello", None)


def cookie(body):
    at = 38
    at += 1 + body[at] + 3
    end = at + 2 + struct.unpack_from(">H", body, at)[0]
    at += 2
    while at < end:
        kind, length = struct.unpack_from(">HH", body, at)
        if kind == 44:
            return body[at + 4:at + 4 + length]
        at += 4 + length
    return None


def connected(address, port):
    sock = new(address, socket.SOCK_STREAM)
    sock.settimeout(DEADLINE)
    sock.connect((address, port))
    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    return sock


def slowly(sock, payload, size):
    for at in range(0, len(payload), size):
        sock.sendall(payload[at:at + size])
        # Segments of their own.
        time.sleep(0.002)


def send_second(sock, parts, second):
    """Sends what stands before the second hello, and the hello itself."""
    payload = b""
    for part in parts:
        match part:
            case "ccs":
                payload += CCS
            case "late-ccs":
                sock.sendall(CCS)
                time.sleep(0.05)
            case "warning":
                payload += record(21, b"\x01\x5a")
            case "after-early":
                payload += record(23, bytes(64))
    if "sslv2" in parts:
        # RFC 5246 appendix E.2.
        body = b"\x01\x03\x03" + struct.pack(">HHH", 3, 0, 32) + b"\0\0\x2f" + RANDOM + second[-60:]
        second = struct.pack(">H", 0x8000 | len(body)) + body
    if "records" in parts:
        body, second = second[5:], b""
        for at in range(0, len(body), 60):
            second += record(22, body[at:at + 60])
    if "text" in parts:
        second = b"GET / HTTP/1.1\r\n\r\n"
    payload += second
    if "bytes" in parts:
        slowly(sock, payload, 1)
    elif "pieces" in parts:
        slowly(sock, payload, 40)
    elif "corked" in parts:
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_CORK, 1)
        slowly(sock, payload, 100)
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_CORK, 0)
    elif "shared" in parts:
        sock.setsockopt(socket.SOL_SOCKET, 60, 1)
        held = bytearray(payload)
        sock.send(held, 0x4000000)
        return held
    elif "urgent" in parts:
        sock.send(b"\x17", socket.MSG_OOB)
        sock.sendall(payload)
    elif "fork" in parts:
        if os.fork() == 0:
            sock.sendall(payload)
            os._exit(0)
        os.wait()
    elif "half-close" in parts:
        sock.sendall(payload)
        sock.shutdown(socket.SHUT_WR)
    else:
        sock.sendall(payload)
    return None


def attempt(address, port, first, second, how):
    parts = how.split("+")
    way = "none"
    try:
        sock = connected(address, port)
        way = base.way(sock)
        server = Server(sock)
        early = "early" in parts
        opening = hello(first, [], early=early)
        full = [(P384, P384_KEY), (X25519, X25519_KEY)]
        name = "-" if "nameless" in parts else second
        if "same-segment" in parts:
            sock.sendall(opening + hello(name, full))
        else:
            sock.sendall(opening)
            if early or "stray" in parts:
                sock.sendall(record(23, bytes(64)))
            if "pipelined" in parts:
                sock.sendall(hello(name, full))
        said, sweet = server.said()
        if said != "retry":
            return f"{way} " + {"hello": "once"}.get(said, said)
        if "pipelined" not in parts and "same-segment" not in parts:
            right = hello(first, full[:1], cookie=sweet)
            if "third" in parts:
                # A server that has had its second hello reads no third one.
                sock.sendall(right)
            held = send_second(sock, parts, hello(name, full[:1], cookie=sweet))
            if "again" in parts:
                sock.sendall(right)
            del held
        said, _ = server.said()
        return f"{way} " + {"hello": "served"}.get(said, said)
    except EOFError:
        return f"{way} closed"
    except OSError as error:
        return f"{way} {word(error)}"


def main():
    address, port, first, second, *hows = sys.argv[1:]
    for how in hows:
        if how == "go":
            print("ready", flush=True)
            sys.stdin.readline()
        else:
            print(f"{how} => {attempt(address, int(port), first, second, how)}", flush=True)


if __name__ == "__main__":
    main()
