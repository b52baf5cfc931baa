"""What connect(2) gives: each argument is `NAME KIND MODE ADDRESS PORT`, and each prints a line

    NAME => RESULT SECONDS NAMES

RESULT is `ok` or the name of an errno (`EAGAIN` for a time-out of the program's own). NAMES is `same` where the server,
which says who has come, sees what getsockname() tells, and getpeername() what was asked for.
KIND: `4`, `6`, or `mapped` for an IPv4 address by an IPv6 socket. MODE: `blocking`; `poll`, without blocking; `patient`,
with a time-out of its own; `brief`, which sends one SYN again and no more; `fastopen`.
The names before `--` are looked up first. All are tried at once.
"""
import errno
import os
import select
import socket
import sys
import threading
import time

PATIENCE = 1.5
TCP_SYNCNT = 7


def tried(kind, mode, address, port):
    family = socket.AF_INET if kind == "4" else socket.AF_INET6
    at = (("::ffff:" if kind == "mapped" else "") + address, int(port))
    sock = socket.socket(family, socket.SOCK_STREAM)
    if mode == "brief":
        sock.setsockopt(socket.IPPROTO_TCP, TCP_SYNCNT, 1)
    began = time.monotonic()
    code = 0
    try:
        if mode == "poll":
            sock.setblocking(False)
            code = sock.connect_ex(at)
            if code == errno.EINPROGRESS:
                poll = select.poll()
                poll.register(sock, select.POLLOUT)
                poll.poll(60_000)
                code = sock.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)
            sock.setblocking(True)
        elif mode == "patient":
            seconds = int(PATIENCE)
            timeout = seconds.to_bytes(8, "little") + int((PATIENCE - seconds) * 1e6).to_bytes(8, "little")
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_SNDTIMEO, timeout)
            sock.connect(at)
        elif mode == "fastopen":
            sock.sendto(b"first words\n", socket.MSG_FASTOPEN, at)
            # It does not wait for the connection.
            sock.recv(1, socket.MSG_PEEK)
        else:
            sock.connect(at)
    except OSError as error:
        code = error.errno
    took = time.monotonic() - began
    return errno.errorcode.get(code, "ok"), took, "-" if code else names(sock, at)


def names(sock, at):
    if at[1] == RESET:
        return "-"
    own, peer = sock.getsockname()[:2], sock.getpeername()[:2]
    told = sock.makefile("r").readline().split()
    is_same = [own[0].removeprefix("::ffff:"), str(own[1])] == told and peer == at
    return "same" if is_same else f"{own}/{peer}/{told}"


RESET = 7101


def attempt(words):
    name, *rest = words.split()
    code, took, are = tried(*rest)
    with LOCK:
        print(f"{name} => {code} {took:.3f} {are}", flush=True)


LOCK = threading.Lock()
looked_up = sys.argv.index("--")
for host in sys.argv[1:looked_up]:
    socket.getaddrinfo(host, 80, type=socket.SOCK_STREAM)
threads = [threading.Thread(target=attempt, args=(words,)) for words in sys.argv[looked_up + 1 :]]
for thread in threads:
    thread.start()
for thread in threads:
    thread.join()
