"""Attempts over TCP."""
import errno
import os
import socket
import ssl

from base import SECRET, answer, new, word

CA = os.path.join(os.path.dirname(os.path.abspath(__file__)), "ca.pem")


def tcp(address, port, **options):
    """A connected TCP socket; `address` may be a name."""
    if not address[-1:].isdigit() and ":" not in address:
        address = socket.getaddrinfo(address, port, socket.AF_INET, socket.SOCK_STREAM)[0][4][0]
    sock = new(address, socket.SOCK_STREAM, **options)
    sock.connect((address, int(port)))
    return sock


def read_to_end(sock):
    parts = []
    while part := sock.recv(65536):
        parts.append(part)
    return b"".join(parts)


def connect(address, port):
    tcp(address, port)
    return "ok"


def send(address, port):
    sock = tcp(address, port)
    sock.sendall(SECRET + b"\r\n\r\n")
    return answer(sock)


def nonblocking(address, port):
    sock = new(address, socket.SOCK_STREAM)
    sock.setblocking(False)
    code = sock.connect_ex((address, int(port)))
    return errno.errorcode.get(code, "ok")


def fastopen(address, port):
    sock = new(address, socket.SOCK_STREAM)
    sock.sendto(SECRET + b"\r\n\r\n", socket.MSG_FASTOPEN, (address, int(port)))
    return answer(sock)


def mptcp(address, port):
    sock = tcp(address, port, protocol=262)
    sock.sendall(SECRET + b"\r\n\r\n")
    return answer(sock)


def banner(host, port):
    """The server speaks first; then a line is echoed."""
    sock = tcp(host, port)
    first = sock.recv(4096)
    sock.sendall(b"hello\n")
    second = sock.recv(4096)
    return "ok " + (first + second).decode().replace("\r", "\\r").replace("\n", "\\n") if second else "closed"


def peername(host, port):
    return "ok %s %d" % tcp(host, port).getpeername()[:2]


def half_close(host, port, size):
    """Sends, closes its own half, and only then reads."""
    sock = tcp(host, port)
    sock.sendall(b"x" * int(size))
    sock.shutdown(socket.SHUT_WR)
    return "ok " + read_to_end(sock).decode().strip()


def farewell(host, port, size):
    """The server closes its half first; what is sent after that must still arrive."""
    sock = tcp(host, port)
    read_to_end(sock)
    sock.sendall(b"y" * int(size))
    sock.shutdown(socket.SHUT_WR)
    return "ok"


def tls(address, port, name):
    """HTTPS with a server name of its own choice, to an address of its own choice; `-` sends none."""
    context = ssl.create_default_context(cafile=CA)
    if name == "-":
        context.check_hostname = False
        name = None
    with context.wrap_socket(tcp(address, port), server_hostname=name) as sock:
        sock.sendall(f"GET /probe HTTP/1.1\r\nHost: {name}\r\nConnection: close\r\n\r\n".encode())
        body = read_to_end(sock).decode().partition("\r\n\r\n")[2]
        return "ok " + body.strip() if body else "closed"


def http(address, port, *hosts):
    """One request for each host on the same connection: the status of each."""
    return http_on(tcp(address, port), hosts)


def http_on(sock, hosts, prefix=""):
    stream, results = sock.makefile("rb"), []
    for host in hosts:
        try:
            sock.sendall(f"{prefix}GET /probe HTTP/1.1\r\nHost: {host}\r\n\r\n".encode())
            results.append(status(stream))
        except OSError as error:
            results.append(word(error))
            break
    return " ".join(results)


def status(stream):
    """The status of one response, read to the end of its body."""
    line, length = stream.readline(), 0
    while len(header := stream.readline().strip()) > 0:
        if header.lower().startswith(b"content-length:"):
            length = int(header.split(b":")[1])
    stream.read(length)
    return line.split(b" ")[1].decode() if line else "closed"


def crlf(address, port, host):
    """A request behind an empty line, so as not to look like HTTP at the first byte."""
    return http_on(tcp(address, port), [host], prefix="\r\n")


def pipelined(address, port, *hosts):
    """All requests in one segment: the statuses that come back."""
    sock = tcp(address, port)
    sock.sendall(b"".join(f"GET /probe HTTP/1.1\r\nHost: {host}\r\n\r\n".encode() for host in hosts))
    stream, statuses = sock.makefile("rb"), []
    for _ in hosts:
        try:
            statuses.append(status(stream))
        except OSError as error:
            statuses.append(word(error))
            break
    return " ".join(statuses)
