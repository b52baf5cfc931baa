"""What all attempts share: sockets with a deadline, and words for what goes wrong."""
import errno
import os
import socket
import ssl

DEADLINE = float(os.environ.get("PROBE_DEADLINE", "10"))
SECRET = b"secret from inside"


def family(address):
    return socket.AF_INET6 if ":" in address else socket.AF_INET


def new(address, kind, protocol=0):
    sock = socket.socket(family(address), kind, protocol)
    sock.settimeout(DEADLINE)
    return sock


def answer(sock, size=65536):
    data = sock.recv(size)
    return "ok " + repr(data.decode("latin1")) if data else "closed"


def way(sock):
    """By which way a socket is connected: what stays on loopback, as to the proxy, goes in larger segments."""
    return "proxy" if sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_MAXSEG) > 16_000 else "direct"


def word(error):
    if isinstance(error, ConnectionAbortedError):
        return "aborted"
    if isinstance(error, (ConnectionResetError, BrokenPipeError)):
        return "reset"
    if isinstance(error, ssl.SSLEOFError):
        return "closed"
    if isinstance(error, TimeoutError):
        return "timeout" if error.errno is None else errno.errorcode[error.errno]
    if isinstance(error, socket.gaierror):
        return {socket.EAI_NONAME: "EAI_NONAME", socket.EAI_AGAIN: "EAI_AGAIN"}.get(error.errno, "no-address")
    if isinstance(error, ssl.SSLError):
        return f"tls {error.reason}"
    return errno.errorcode.get(error.errno, str(error))
