"""Servers and clients on loopback. Each word of the command line is one story, its arguments behind commas; it prints
`STORY => RESULT`, and `ok` means that both ends got what they were to get.
"""
import concurrent.futures
import ctypes
import errno
import hashlib
import http.server
import os
import socket
import socketserver
import struct
import sys
import threading
import urllib.request

import rivals
from base import SECRET
from loopback_base import DEADLINE, EVERYWHERE, attempt, dual, echo, echoed, listening, new, serve


def web():
    """A web server, and clients by every spelling of loopback."""
    class Handler(http.server.SimpleHTTPRequestHandler):
        def log_message(self, *_):
            pass

    # Not http.server's own, which looks the machine's name up.
    server = socketserver.ThreadingTCPServer(("0.0.0.0", 0), Handler)
    server.daemon_threads = True
    threading.Thread(target=server.serve_forever, daemon=True).start()
    hosts = ["127.0.0.1", "127.0.0.2", "localhost", "0.0.0.0", "[::ffff:127.0.0.1]"]
    get = lambda host: urllib.request.urlopen(f"http://{host}:{server.server_address[1]}/base.py", timeout=DEADLINE)
    return all(get(host).read() == open("base.py", "rb").read() for host in hosts)


def spellings():
    listener = dual()
    listener.listen()
    port = listener.getsockname()[1]
    serve(listener, echo, len(EVERYWHERE))
    return all(echoed(address, port) for address in EVERYWHERE)


def names():
    """Each end knows the other by its real name."""
    listener, client = listening("127.0.0.3"), new("127.0.0.3")
    client.connect(listener.getsockname())
    peer, name = listener.accept()
    return (client.getpeername(), client.getsockname()) == (listener.getsockname(), name) == \
        (peer.getsockname(), peer.getpeername())


def unbound():
    """A listener that the kernel gives a port when it begins to listen."""
    listener = new("127.0.0.1")
    listener.listen()
    serve(listener, echo)
    return echoed("127.0.0.1", listener.getsockname()[1])


def reused():
    """A socket that was connected before it listened."""
    first, second = listening(), new("127.0.0.1")
    second.connect(first.getsockname())
    ctypes.CDLL(None).connect(second.fileno(), struct.pack("HHI8x", 0, 0, 0), 16)
    second.listen()
    serve(second, echo)
    return echoed("127.0.0.1", second.getsockname()[1])


def forked():
    """A server in another process, which the first one started."""
    listener = listening()
    if os.fork() == 0:
        echo(listener.accept()[0])
        os._exit(0)
    port = listener.getsockname()[1]
    listener.close()
    result = echoed("127.0.0.1", port)
    os.wait()
    return result


def speaks_first():
    listener = listening("::1")
    serve(listener, lambda peer: (peer.sendall(b"hello"), echo(peer)))
    sock = new("::1")
    sock.connect(listener.getsockname())
    return sock.recv(5) == b"hello"


def closes_first():
    """The server is gone before the client says a word."""
    listener = listening()
    serve(listener, lambda peer: None).join
    sock = new("127.0.0.1")
    sock.connect(listener.getsockname())
    return sock.recv(5) == b""


def fast_open():
    listener = listening()
    listener.setsockopt(socket.IPPROTO_TCP, socket.TCP_FASTOPEN, 5)
    serve(listener, echo)
    sock = new("127.0.0.1")
    sock.sendto(SECRET, socket.MSG_FASTOPEN, listener.getsockname())
    return sock.recv(100) == SECRET


def crowd():
    """Two hundred, fifty at once, and then again."""
    listener = listening()
    serve(listener, echo, 400)
    port = listener.getsockname()[1]
    for _ in range(2):
        with concurrent.futures.ThreadPoolExecutor(50) as pool:
            if not all(pool.map(lambda _: echoed("127.0.0.1", port), range(200))):
                return False
    return True


def large():
    """Five MiB there and back."""
    listener, data = listening(), os.urandom(5 << 20)
    serve(listener, echo)
    sock = new("127.0.0.1")
    sock.connect(listener.getsockname())
    def send():
        sock.sendall(data)
        sock.shutdown(socket.SHUT_WR)
    threading.Thread(target=send, daemon=True).start()
    got = hashlib.sha256()
    while part := sock.recv(1 << 20):
        got.update(part)
    return got.digest() == hashlib.sha256(data).digest()


def shared_port():
    """Two listeners of the same port, both of this sandbox."""
    reuse = [socket.SO_REUSEPORT]
    first = listening(options=reuse)
    second = listening(port=first.getsockname()[1], options=reuse)
    for listener in (first, second):
        serve(listener, echo, 100)
    return all(echoed("127.0.0.1", first.getsockname()[1]) for _ in range(40))


def datagrams():
    """An echo of its own, by connected sockets and others."""
    server = dual(socket.SOCK_DGRAM)
    server.settimeout(DEADLINE)
    port = server.getsockname()[1]
    def run():
        while True:
            data, peer = server.recvfrom(65536)
            server.sendto(data, peer)
    threading.Thread(target=run, daemon=True).start()
    payload = SECRET * 3000
    # An answer of the socket of every address comes from 127.0.0.1: who is connected to another hears nothing.
    for address in ["127.0.0.1", "0.0.0.0", "::1", "::", "::ffff:127.0.0.1"]:
        sock = new(address, socket.SOCK_DGRAM)
        sock.sendto(payload, (address, port))
        if sock.recv(65536) != payload:
            return address
        sock = new(address, socket.SOCK_DGRAM)
        sock.connect((address, port))
        sock.send(SECRET)
        sock.sendmsg([SECRET])
        if (sock.recv(100), sock.recv(100)) != (SECRET, SECRET):
            return address + " connected"
    return True


def associated():
    """A datagram by a connected socket alone."""
    server, sock = new("127.0.0.1", socket.SOCK_DGRAM), new("127.0.0.1", socket.SOCK_DGRAM)
    server.bind(("127.0.0.1", 0))
    sock.connect(server.getsockname())
    sock.send(SECRET)
    return server.recv(100) == SECRET


def nobody():
    """Where nobody listens, the network's own answer: a client may wait for a server that is not up yet."""
    listener = listening()
    port = listener.getsockname()[1]
    listener.close()
    answers = {attempt(lambda: echoed(address, port)) for address in EVERYWHERE}
    sock = new("127.0.0.1")
    sock.setblocking(False)
    # Without the filter it may be told a moment later.
    return answers == {"ECONNREFUSED"} and \
        sock.connect_ex(("127.0.0.1", port)) in (errno.ECONNREFUSED, errno.EINPROGRESS)


STORIES = {**vars(rivals), **globals()}

for word in sys.argv[1:]:
    name, *arguments = word.split(",")
    print(word, "=>", attempt(lambda: STORIES[name](*arguments)), flush=True)
