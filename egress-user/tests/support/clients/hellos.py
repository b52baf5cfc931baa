"""TLS hellos sent in every way that a program has, on connections that may go straight out.

`keep` leaves its connection open until the end; `wait=N` is N seconds without one, `lookup=NAME` a lookup, `go`
a wait for a line of input. `hellos.py ADDRESS PORT NAME HOW...`: for each HOW a connection; prints `HOW => WAY RESULT`, where WAY is `direct` or
`proxy` by the address that the socket has, and RESULT `answer` (the server's handshake came), `ok` (what came was no
handshake), `aborted` (ECONNABORTED), `reset`, `closed`, `timeout`, or an errno.
"""
import ctypes
import errno
import os
import socket
import ssl
import struct
import sys
import tempfile
import time

import base
from base import new, word

MSG_ZEROCOPY = 0x4000000
SO_ZEROCOPY = 60
TCP_FASTOPEN_CONNECT = 30
# Longer than a hello in pieces is waited for.
DEADLINE = 1.5 * base.DEADLINE
KEPT = []
libc = ctypes.CDLL(None, use_errno=True)


def hello(name, padding=0):
    """A whole hello, as OpenSSL makes it; `padding` bytes of ALPN make it longer."""
    context = ssl.create_default_context()
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    protocols = ["http/1.1"]
    while padding > 0:
        protocols.append("x" * min(padding, 255))
        padding -= 256
    context.set_alpn_protocols(protocols)
    outgoing = ssl.MemoryBIO()
    talk = context.wrap_bio(ssl.MemoryBIO(), outgoing, server_hostname=None if name == "-" else name)
    try:
        talk.do_handshake()
    except ssl.SSLWantReadError:
        pass
    return outgoing.read()


def records(payload, sizes):
    """The same hello, cut into records."""
    message, cut = payload[5:], b""
    for size in [*sizes, len(message)]:
        piece, message = message[:size], message[size:]
        if piece:
            cut += payload[:3] + struct.pack(">H", len(piece)) + piece
    return cut


def greased(payload):
    """The same hello with an extension as browsers send it where they could hide a name."""
    # RFC 9849 section 5: outer, HKDF-SHA256 and AES-128-GCM, a config's number, a key, a payload.
    hidden = struct.pack(">BHHBH", 0, 1, 1, 7, 32) + os.urandom(32) + struct.pack(">H", 144) + os.urandom(144)
    extension = struct.pack(">HH", 0xfe0d, len(hidden)) + hidden
    at = 5 + 4 + 2 + 32
    at += 1 + payload[at]
    at += 2 + struct.unpack_from(">H", payload, at)[0]
    at += 1 + payload[at]
    length = struct.unpack_from(">H", payload, at)[0] + len(extension)
    body = payload[9:at] + struct.pack(">H", length) + payload[at + 2:] + extension
    message = payload[5:6] + len(body).to_bytes(3, "big") + body
    return payload[:3] + struct.pack(">H", len(message)) + message


def connected(address, port):
    sock = new(address, socket.SOCK_STREAM)
    sock.settimeout(DEADLINE)
    sock.connect((address, port))
    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    return sock


def pieces(sock, payload, size, pause=0.0):
    for at in range(0, len(payload), size):
        sock.sendall(payload[at:at + size])
        time.sleep(pause)


def a_file(payload):
    held = tempfile.TemporaryFile()
    held.write(payload)
    held.flush()
    return held


def by_pipe(sock, payload):
    reading, writing = os.pipe()
    os.write(writing, payload)
    os.splice(reading, sock.fileno(), len(payload))


def by_vmsplice(sock, payload):
    reading, writing = os.pipe()
    held = ctypes.create_string_buffer(payload, len(payload))
    vector = struct.pack("@PN", ctypes.addressof(held), len(payload))
    if libc.vmsplice(writing, vector, 1, 0) != len(payload):
        raise OSError(ctypes.get_errno(), "vmsplice")
    os.splice(reading, sock.fileno(), len(payload))
    return held


def by_zerocopy(sock, payload):
    sock.setsockopt(socket.SOL_SOCKET, SO_ZEROCOPY, 1)
    held = bytearray(payload)
    sock.send(held, MSG_ZEROCOPY)
    return held


def send(how, sock, payload):
    """Sends the hello; what it returns has to live on."""
    kind, _, number = how.partition("=")
    number = float(number or 0)
    match kind:
        case "whole" | "keep":
            sock.sendall(payload)
        case "grease":
            sock.sendall(greased(payload))
        case "bytes":
            pieces(sock, payload, 1)
        case "pieces":
            pieces(sock, payload, int(number))
        case "cut":
            sock.sendall(payload[:int(number)])
            time.sleep(0.005)
            sock.sendall(payload[int(number):])
        case "pause":
            sock.sendall(payload[:200])
            time.sleep(number)
            sock.sendall(payload[200:])
        case "half":
            sock.sendall(payload[:200])
        case "half-end":
            sock.sendall(payload[:200])
            os._exit(0)
        case "cork":
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_CORK, 1)
            pieces(sock, payload, 100)
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_CORK, 0)
        case "more":
            sock.sendall(payload + b"\x17\x03\x03\x00\x04data")
        case "records":
            sock.sendall(records(payload, [int(number)]))
        case "sendfile":
            held = a_file(payload)
            os.sendfile(sock.fileno(), held.fileno(), 0, len(payload))
            return held
        case "prefix-sendfile":
            held = a_file(payload[5:])
            sock.send(payload[:5], socket.MSG_MORE)
            os.sendfile(sock.fileno(), held.fileno(), 0, len(payload) - 5)
            return held
        case "splice":
            by_pipe(sock, payload)
        case "vmsplice":
            return by_vmsplice(sock, payload)
        case "zerocopy":
            return by_zerocopy(sock, payload)
        case "urgent":
            sock.send(payload[:1], socket.MSG_OOB)
            sock.sendall(payload[1:])
        case "urgent-end":
            sock.send(payload, socket.MSG_OOB)
        case "two-processes":
            if os.fork() == 0:
                sock.sendall(payload[:200])
                os._exit(0)
            os.wait()
            sock.sendall(payload[200:])
        case "text":
            sock.sendall(b"SSH-2.0-client\r\n")
        case "http":
            sock.sendall(b"GET / HTTP/1.1\r\nHost: allowed.test\r\nConnection: close\r\n\r\n")
        case "silent":
            pass
        case _:
            raise OSError(errno.EINVAL, how)


def fast_open(address, port, payload, how):
    sock = new(address, socket.SOCK_STREAM)
    sock.settimeout(DEADLINE)
    if how == "fast-open-connect":
        sock.setsockopt(socket.IPPROTO_TCP, TCP_FASTOPEN_CONNECT, 1)
        sock.connect((address, port))
        sock.sendall(payload)
    else:
        sock.setblocking(how != "fast-open-end")
        try:
            sock.sendto(payload, socket.MSG_FASTOPEN, (address, port))
        except BlockingIOError:
            pass
        if how == "fast-open-end":
            os._exit(0)
    return sock


def result(sock):
    data = sock.recv(65536)
    if not data:
        return "closed"
    return "answer" if data[:2] == b"\x16\x03" else "ok"


def attempt(address, port, name, how):
    way = "none"
    padding = 0
    if "+" in how:
        how, _, padding = how.partition("+")
    payload = hello(name, int(padding))
    try:
        if how.startswith("fast-open"):
            sock = fast_open(address, port, payload, how)
            held = None
        else:
            sock = connected(address, port)
        # Before it is ended, which takes its address.
        way = base.way(sock)
        if not how.startswith("fast-open"):
            held = send(how, sock, payload)
        got = result(sock)
        del held
        if how == "keep":
            KEPT.append(sock)
        return f"{way} {got}"
    except ConnectionAbortedError:
        return f"{way} aborted"
    except OSError as error:
        return f"{way} {word(error)}"


def main():
    address, port, name, *hows = sys.argv[1:]
    for how in hows:
        if how == "go":
            print("ready", flush=True)
            sys.stdin.readline()
        elif how.startswith("lookup="):
            socket.getaddrinfo(how[7:], None)
        elif how.startswith("wait="):
            time.sleep(float(how[5:]))
        elif how == "every-cut":
            got = {}
            for at in range(1, len(hello(name))):
                got.setdefault(attempt(address, int(port), name, f"cut={at}"), []).append(at)
            said = "; ".join(f"{result} at {len(cuts)}" for result, cuts in sorted(got.items()))
            print(f"every-cut => {said}", flush=True)
        else:
            print(f"{how} => {attempt(address, int(port), name, how)}", flush=True)


if __name__ == "__main__":
    main()
