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
    """A whole hello, as OpenSSL makes it; `padding` octets of ALPN make it longer."""
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


def records(octets, sizes):
    """The same hello, cut into records."""
    message, cut = octets[5:], b""
    for size in [*sizes, len(message)]:
        piece, message = message[:size], message[size:]
        if piece:
            cut += octets[:3] + struct.pack(">H", len(piece)) + piece
    return cut


def greased(octets):
    """The same hello with an extension as browsers send it where they could hide a name."""
    # RFC 9849 section 5: outer, HKDF-SHA256 and AES-128-GCM, a config's number, a key, a payload.
    hidden = struct.pack(">BHHBH", 0, 1, 1, 7, 32) + os.urandom(32) + struct.pack(">H", 144) + os.urandom(144)
    extension = struct.pack(">HH", 0xfe0d, len(hidden)) + hidden
    at = 5 + 4 + 2 + 32
    at += 1 + octets[at]
    at += 2 + struct.unpack_from(">H", octets, at)[0]
    at += 1 + octets[at]
    length = struct.unpack_from(">H", octets, at)[0] + len(extension)
    body = octets[9:at] + struct.pack(">H", length) + octets[at + 2:] + extension
    message = octets[5:6] + len(body).to_bytes(3, "big") + body
    return octets[:3] + struct.pack(">H", len(message)) + message


def connected(address, port):
    sock = new(address, socket.SOCK_STREAM)
    sock.settimeout(DEADLINE)
    sock.connect((address, port))
    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    return sock


def pieces(sock, octets, size, pause=0.0):
    for at in range(0, len(octets), size):
        sock.sendall(octets[at:at + size])
        time.sleep(pause)


def a_file(octets):
    held = tempfile.TemporaryFile()
    held.write(octets)
    held.flush()
    return held


def by_pipe(sock, octets):
    reading, writing = os.pipe()
    os.write(writing, octets)
    os.splice(reading, sock.fileno(), len(octets))


def by_vmsplice(sock, octets):
    reading, writing = os.pipe()
    held = ctypes.create_string_buffer(octets, len(octets))
    vector = struct.pack("@PN", ctypes.addressof(held), len(octets))
    if libc.vmsplice(writing, vector, 1, 0) != len(octets):
        raise OSError(ctypes.get_errno(), "vmsplice")
    os.splice(reading, sock.fileno(), len(octets))
    return held


def by_zerocopy(sock, octets):
    sock.setsockopt(socket.SOL_SOCKET, SO_ZEROCOPY, 1)
    held = bytearray(octets)
    sock.send(held, MSG_ZEROCOPY)
    return held


def send(how, sock, octets):
    """Sends the hello; what it returns has to live on."""
    kind, _, number = how.partition("=")
    number = float(number or 0)
    match kind:
        case "whole" | "keep":
            sock.sendall(octets)
        case "grease":
            sock.sendall(greased(octets))
        case "bytes":
            pieces(sock, octets, 1)
        case "pieces":
            pieces(sock, octets, int(number))
        case "cut":
            sock.sendall(octets[:int(number)])
            time.sleep(0.005)
            sock.sendall(octets[int(number):])
        case "pause":
            sock.sendall(octets[:200])
            time.sleep(number)
            sock.sendall(octets[200:])
        case "half":
            sock.sendall(octets[:200])
        case "half-end":
            sock.sendall(octets[:200])
            os._exit(0)
        case "cork":
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_CORK, 1)
            pieces(sock, octets, 100)
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_CORK, 0)
        case "more":
            sock.sendall(octets + b"\x17\x03\x03\x00\x04data")
        case "records":
            sock.sendall(records(octets, [int(number)]))
        case "sendfile":
            held = a_file(octets)
            os.sendfile(sock.fileno(), held.fileno(), 0, len(octets))
            return held
        case "prefix-sendfile":
            held = a_file(octets[5:])
            sock.send(octets[:5], socket.MSG_MORE)
            os.sendfile(sock.fileno(), held.fileno(), 0, len(octets) - 5)
            return held
        case "splice":
            by_pipe(sock, octets)
        case "vmsplice":
            return by_vmsplice(sock, octets)
        case "zerocopy":
            return by_zerocopy(sock, octets)
        case "urgent":
            sock.send(octets[:1], socket.MSG_OOB)
            sock.sendall(octets[1:])
        case "urgent-end":
            sock.send(octets, socket.MSG_OOB)
        case "two-processes":
            if os.fork() == 0:
                sock.sendall(octets[:200])
                os._exit(0)
            os.wait()
            sock.sendall(octets[200:])
        case "text":
            sock.sendall(b"SSH-2.0-client\r\n")
        case "http":
            sock.sendall(b"GET / HTTP/1.1\r\nHost: allowed.test\r\nConnection: close\r\n\r\n")
        case "silent":
            pass
        case _:
            raise OSError(errno.EINVAL, how)


def fast_open(address, port, octets, how):
    sock = new(address, socket.SOCK_STREAM)
    sock.settimeout(DEADLINE)
    if how == "fast-open-connect":
        sock.setsockopt(socket.IPPROTO_TCP, TCP_FASTOPEN_CONNECT, 1)
        sock.connect((address, port))
        sock.sendall(octets)
    else:
        sock.setblocking(how != "fast-open-end")
        try:
            sock.sendto(octets, socket.MSG_FASTOPEN, (address, port))
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
    octets = hello(name, int(padding))
    try:
        if how.startswith("fast-open"):
            sock = fast_open(address, port, octets, how)
            held = None
        else:
            sock = connected(address, port)
        # Before it is ended, which takes its address.
        way = "proxy" if sock.getsockname()[0] in ("127.0.0.1", "::1", "::ffff:127.0.0.1") else "direct"
        if not how.startswith("fast-open"):
            held = send(how, sock, octets)
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
