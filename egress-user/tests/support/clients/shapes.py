"""First bytes of connections, in every shape that clients and those who test a filter give them.

`shapes.py ADDRESS PORT NAME DATA SHAPE...`: for each SHAPE a connection; prints `SHAPE => WAY RESULT`, where RESULT is
`passed` (the server has answered its first bytes, and ended behind the last), `refused` (aborted or reset), `waits` (nothing
within PROBE_DEADLINE), or an errno. DATA is a directory of captured hellos. A shape is `WHAT[/HOW]...`:

WHAT `NAME.bin` is a captured hello, `hello+N` one of N octets whose name stands last, `first+N` with the name first,
`none+N` without a name; `text=TEXT` what stands there, `x*N` so many letters.
HOW `records=N` cuts a hello into records of N octets, `write=N` writes N octets at a time, `cut=N` two pieces, `pause=S`
waits so long between writes, `mss=N` makes segments so small, `early` adds a change of cipher spec and early data,
`half` sends the first half alone, `end` ends the stream behind it, `corked` all under TCP_CORK, `twice` the bytes twice,
`threads` reads in another thread meanwhile, `grow` has a second process write the second half.
"""
import os
import socket
import struct
import sys
import threading
import time

import base
from base import new, word

TCP_MAXSEG = 2


def extension(kind, data):
    return struct.pack(">HH", kind, len(data)) + data


def listed(data, width=2):
    return len(data).to_bytes(width, "big") + data


def hello(name, size, place):
    """A hello of so many octets, its record's header counted; `place` is where the name stands."""
    names = extension(0, listed(b"\0" + listed(name.encode()))) if place else b""
    needed = extension(13, listed(b"\x04\x03\x08\x04")) + extension(10, listed(b"\0\x1d\0\x17"))
    needed += extension(43, listed(b"\x03\x04", 1)) + extension(51, listed(b"\0\x1d" + listed(bytes(32))))
    start = b"\x03\x03" + bytes(range(32)) + listed(bytes(32), 1) + listed(b"\x13\x01\x13\x02") + b"\x01\0"
    used = 5 + 4 + len(start) + 2 + len(needed) + len(names) + 4
    # Padding (RFC 7685) takes what is left.
    padding = extension(21, bytes(max(0, size - used)))
    extensions = names + needed + padding if place == "first" else needed + padding + names
    message = start + listed(extensions)
    message = b"\x01" + len(message).to_bytes(3, "big") + message
    return b"".join(b"\x16\x03\x01" + listed(message[at:at + 16384]) for at in range(0, len(message), 16384))


def recut(payload, size):
    """The same message in records of `size` octets."""
    message, at = b"", 0
    while at < len(payload):
        length = struct.unpack_from(">H", payload, at + 3)[0]
        message += payload[at + 5:at + 5 + length]
        at += 5 + length
    return b"".join(b"\x16\x03\x01" + listed(message[at:at + size]) for at in range(0, len(message), size))


def content(what, name, directory):
    if what.endswith(".bin"):
        with open(os.path.join(directory, what), "rb") as file:
            return file.read()
    if what.startswith("text="):
        return what[5:].encode().decode("unicode_escape").encode("latin1")
    kind, _, size = what.partition("+")
    if kind in ("hello", "first", "none"):
        return hello(name, int(size), {"hello": "last", "first": "first", "none": ""}[kind])
    letter, _, count = what.partition("*")
    return letter.encode() * int(count)


def write(sock, payload, hows):
    size, pause = len(payload), 0.0
    for how in hows:
        kind, _, number = how.partition("=")
        match kind:
            case "write":
                size = int(number)
            case "cut":
                sock.sendall(payload[:int(number)])
                time.sleep(0.003)
                payload, size = payload[int(number):], len(payload)
            case "pause":
                pause = float(number)
            case "half":
                payload = payload[:len(payload) // 2]
            case "corked":
                sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_CORK, 1)
            case "grow":
                if os.fork() == 0:
                    sock.sendall(payload[:len(payload) // 2])
                    os._exit(0)
                os.wait()
                payload = payload[len(payload) // 2:]
    for at in range(0, len(payload), size):
        sock.sendall(payload[at:at + size])
        time.sleep(pause)
    if "corked" in hows:
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_CORK, 0)
    if "end" in hows:
        sock.shutdown(socket.SHUT_WR)


def ended(sock, hows):
    got = sock.recv(1)
    if got != b"!":
        # An HTTP client is told of a refusal.
        return "refused" if got else "closed"
    if "end" not in hows:
        sock.shutdown(socket.SHUT_WR)
    while sock.recv(65536):
        pass
    return "passed"


def attempt(address, port, name, directory, shape):
    what, *hows = shape.split("/")
    payload = content(what, name, directory)
    sock = new(address, socket.SOCK_STREAM)
    way = "none"
    for how in hows:
        kind, _, number = how.partition("=")
        if kind == "records":
            payload = recut(payload, int(number))
        if kind == "mss":
            sock.setsockopt(socket.IPPROTO_TCP, TCP_MAXSEG, int(number))
    if "early" in hows:
        payload += b"\x14\x03\x03\0\x01\x01" + b"\x17\x03\x03" + listed(bytes(300))
    if "twice" in hows:
        payload *= 2
    try:
        sock.connect((address, port))
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        way = base.way(sock)
        if "threads" in hows:
            got = []
            reader = threading.Thread(target=lambda: got.append(outcome(lambda: ended(sock, hows))))
            reader.start()
            write(sock, payload, hows)
            reader.join()
            return f"{way} {got[0]}"
        write(sock, payload, hows)
        return f"{way} {ended(sock, hows)}"
    except OSError as error:
        return f"{way} {told(error)}"


def outcome(work):
    try:
        return work()
    except OSError as error:
        return told(error)


def told(error):
    said = word(error)
    # Ended before the program had ended its stream itself: the last.
    refused = ("aborted", "reset", "ENOTCONN")
    return "refused" if said in refused else "waits" if said == "timeout" else said


def main():
    address, port, name, directory, *shapes = sys.argv[1:]
    if shapes and shapes[0] == "at-once":
        said = {}
        threads = []
        for shape in shapes[1:]:
            work = lambda shape=shape: said.update({shape: attempt(address, int(port), name, directory, shape)})
            threads.append(threading.Thread(target=work))
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        for shape in shapes[1:]:
            print(f"{shape} => {said[shape]}", flush=True)
        return
    for shape in shapes:
        print(f"{shape} => {attempt(address, int(port), name, directory, shape)}", flush=True)


if __name__ == "__main__":
    main()
