"""What the stories of loopback.py share."""
import errno
import os
import socket
import threading

from base import SECRET

DEADLINE = float(os.environ.get("PROBE_DEADLINE", "10"))
EVERYWHERE = ["127.0.0.1", "127.0.0.2", "0.0.0.0", "::1", "::", "::ffff:127.0.0.1", "::ffff:0.0.0.0"]


def family(address):
    return socket.AF_INET6 if ":" in address else socket.AF_INET


def new(address, kind=socket.SOCK_STREAM):
    sock = socket.socket(family(address), kind)
    sock.settimeout(DEADLINE)
    return sock


def dual(kind=socket.SOCK_STREAM):
    """Bound to every address of both families."""
    sock = socket.socket(socket.AF_INET6, kind)
    sock.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 0)
    sock.bind(("::", 0))
    return sock


def listening(address="127.0.0.1", port=0, backlog=128, options=()):
    sock = new(address)
    for option in options:
        sock.setsockopt(socket.SOL_SOCKET, option, 1)
    sock.bind((address, port))
    sock.listen(backlog)
    return sock


def serve(listener, answer, connections=1):
    """In a thread."""
    def run():
        for _ in range(connections):
            peer = listener.accept()[0]
            with peer:
                answer(peer)
    thread = threading.Thread(target=run, daemon=True)
    thread.start()
    return thread


def echo(peer):
    while data := peer.recv(65536):
        peer.sendall(data)


def echoed(address, port, sock=None):
    sock = sock or new(address)
    sock.connect((address, port))
    sock.sendall(SECRET)
    sock.shutdown(socket.SHUT_WR)
    got = b""
    while data := sock.recv(65536):
        got += data
    return got == SECRET


def words(result):
    return "ok" if result is True else str(result)


def attempt(story):
    try:
        return words(story())
    except OSError as error:
        return errno.errorcode.get(error.errno, type(error).__name__)
