"""Small attempts at the network. Each argument is one attempt; each prints `ATTEMPT => RESULT` on a line.

Results: `ok` with what came back, the name of an errno (EPERM, ...), `reset` (ECONNRESET or EPIPE after the connect),
`closed` (an end of file where an answer was due), `timeout` (2 s of silence), or a resolver's error. A result that
took more than half of that time says so, since a refusal has to come at once. PROBE_DEADLINE gives other seconds.
"""
import ctypes
import errno
import os
import socket
import ssl
import struct
import sys
import time

DEADLINE = float(os.environ.get("PROBE_DEADLINE", "2"))
SECRET = b"secret from inside"
CA = os.path.join(os.path.dirname(os.path.abspath(__file__)), "ca.pem")
libc = ctypes.CDLL(None, use_errno=True)


def family(address):
    return socket.AF_INET6 if ":" in address else socket.AF_INET


def new(address, kind, protocol=0):
    sock = socket.socket(family(address), kind, protocol)
    sock.settimeout(DEADLINE)
    return sock


def tcp(address, port, **options):
    """A connected TCP socket; `address` may be a name."""
    if not address[-1:].isdigit() and ":" not in address:
        address = socket.getaddrinfo(address, port, socket.AF_INET, socket.SOCK_STREAM)[0][4][0]
    sock = new(address, socket.SOCK_STREAM, **options)
    sock.connect((address, int(port)))
    return sock


def answer(sock, size=65536):
    data = sock.recv(size)
    return "ok " + repr(data.decode("latin1")) if data else "closed"


def read_to_end(sock):
    parts = []
    while part := sock.recv(65536):
        parts.append(part)
    return b"".join(parts)


# -- TCP

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
        return "ok " + read_to_end(sock).decode().split("\r\n\r\n")[1].strip()


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


# -- UDP

def udp(address, port):
    sock = new(address, socket.SOCK_DGRAM)
    sock.sendto(SECRET, (address, int(port)))
    return answer(sock)


def udp_connect(address, port):
    sock = new(address, socket.SOCK_DGRAM)
    sock.connect((address, int(port)))
    sock.send(SECRET)
    return answer(sock)


def udp_reconnect(first, first_port, second, second_port):
    """Connects where it may, dissolves the association, then sends where it may not."""
    sock = new(first, socket.SOCK_DGRAM)
    sock.connect((first, int(first_port)))
    unspecified = struct.pack("HHI8x", socket.AF_UNSPEC, 0, 0)
    libc.connect(sock.fileno(), unspecified, len(unspecified))
    sock.sendto(SECRET, (second, int(second_port)))
    return answer(sock)


def udplite(address, port):
    sock = new(address, socket.SOCK_DGRAM, 136)
    sock.connect((address, int(port)))
    sock.send(SECRET)
    return "ok"


def bound_device(device, address, port):
    sock = new(address, socket.SOCK_DGRAM)
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_BINDTODEVICE, device.encode())
    sock.sendto(SECRET, (address, int(port)))
    return answer(sock)


def bound_device_tcp(device, address, port):
    sock = new(address, socket.SOCK_STREAM)
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_BINDTODEVICE, device.encode())
    sock.connect((address, int(port)))
    sock.sendall(SECRET + b"\r\n\r\n")
    return answer(sock)


def unicast_if(device, address, port):
    sock = new(address, socket.SOCK_DGRAM)
    ip_unicast_if = 50
    sock.setsockopt(socket.IPPROTO_IP, ip_unicast_if, struct.pack("!I", socket.if_nametoindex(device)))
    sock.sendto(SECRET, (address, int(port)))
    return answer(sock)


def pktinfo(device, address, port):
    """Names the device in a control message of the one datagram."""
    sock = new(address, socket.SOCK_DGRAM)
    ip_pktinfo = 8
    info = struct.pack("I4s4s", socket.if_nametoindex(device), b"\0" * 4, b"\0" * 4)
    sock.sendmsg([SECRET], [(socket.IPPROTO_IP, ip_pktinfo, info)], 0, (address, int(port)))
    return answer(sock)


# -- source routing: the address that a hook sees is not the one that the packet goes to

def loose_route(hop, address):
    """The option for a loose source route over one hop to `address`."""
    return struct.pack("BBB4s", 131, 7, 4, socket.inet_aton(hop)) + b"\0"


def source_route_udp(hop, address, port):
    sock = new(address, socket.SOCK_DGRAM)
    sock.setsockopt(socket.IPPROTO_IP, socket.IP_OPTIONS, loose_route(hop, address))
    sock.sendto(SECRET, (address, int(port)))
    return answer(sock)


def source_route_tcp(hop, address, port):
    sock = new(address, socket.SOCK_STREAM)
    sock.setsockopt(socket.IPPROTO_IP, socket.IP_OPTIONS, loose_route(hop, address))
    sock.connect((address, int(port)))
    sock.sendall(SECRET + b"\r\n\r\n")
    return answer(sock)


def routing_header(hop, address, port):
    """An IPv6 routing header of type 2, or of type 4 where the kernel has no type 2."""
    sock = new(address, socket.SOCK_DGRAM)
    ipv6_rthdr = 57
    mobile = struct.pack("BBBBI16s", 0, 2, 2, 1, 0, socket.inet_pton(socket.AF_INET6, hop))
    segments = struct.pack("BBBBBBH16s16s", 0, 4, 4, 1, 1, 0, 0, b"\0" * 16,
                           socket.inet_pton(socket.AF_INET6, hop))
    try:
        sock.setsockopt(socket.IPPROTO_IPV6, ipv6_rthdr, mobile)
    except OSError:
        sock.setsockopt(socket.IPPROTO_IPV6, ipv6_rthdr, segments)
    sock.sendto(SECRET, (address, int(port)))
    return answer(sock)


# -- other sockets

def ping(address):
    is_v6 = ":" in address
    sock = new(address, socket.SOCK_DGRAM, 58 if is_v6 else 1)
    sock.sendto(struct.pack("!BBHHH", 128 if is_v6 else 8, 0, 0, 1, 1) + SECRET, (address, 0))
    return "ok" if sock.recv(4096) else "closed"


def raw(address):
    sock = new(address, socket.SOCK_RAW, 1)
    body = struct.pack("!BBHHH", 8, 0, 0, 7, 1) + b"\0" * 8
    total = sum(struct.unpack(f"!{len(body) // 2}H", body))
    total = ~((total & 0xFFFF) + (total >> 16)) & 0xFFFF
    sock.sendto(body[:2] + struct.pack("!H", total) + body[4:], (address, 0))
    return "ok"


def raw_ip(address):
    """A whole IP header of its own making, with UDP inside."""
    sock = new(address, socket.SOCK_RAW, socket.IPPROTO_RAW)
    datagram = struct.pack("!HHHH", 4000, 9999, 8 + len(SECRET), 0) + SECRET
    header = struct.pack("!BBHHHBBH4s4s", 0x45, 0, 20 + len(datagram), 0, 0, 64, 17, 0, b"\0" * 4,
                         socket.inet_aton(address))
    sock.sendto(header + datagram, (address, 0))
    return "ok"


def packet(device, address):
    """A frame straight to the device: no socket hook ever sees it."""
    sock = socket.socket(socket.AF_PACKET, socket.SOCK_DGRAM, socket.htons(0x0800))
    datagram = struct.pack("!HHHH", 4000, 9999, 8 + len(SECRET), 0) + SECRET
    header = struct.pack("!BBHHHBBH4s4s", 0x45, 0, 20 + len(datagram), 0, 0, 64, 17, 0,
                         socket.inet_aton("93.184.216.2"), socket.inet_aton(address))
    sock.sendto(header + datagram, (device, 0x0800, 0, 0, b"\xff" * 6))
    return "ok"


def make(domain, kind, protocol):
    """Only makes a socket, by numbers."""
    descriptor = libc.socket(int(domain), int(kind), int(protocol))
    if descriptor < 0:
        raise OSError(ctypes.get_errno(), "socket")
    os.close(descriptor)
    return "ok"


def io_uring():
    io_uring_setup = 425
    descriptor = libc.syscall(io_uring_setup, 4, ctypes.create_string_buffer(120))
    if descriptor < 0:
        raise OSError(ctypes.get_errno(), "io_uring_setup")
    return "ok"


def unix(path):
    sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    sock.settimeout(DEADLINE)
    sock.connect("\0" + path[1:] if path.startswith("@") else path)
    return "ok"


def descriptor(number):
    """What an inherited descriptor is, if it is open."""
    return "ok " + os.readlink(f"/proc/self/fd/{number}").split(":")[0]


def write(number):
    """Writes to an inherited descriptor."""
    os.write(int(number), SECRET)
    return "ok"


def resolve(name):
    found = {entry[4][0] for entry in socket.getaddrinfo(name, 443, 0, socket.SOCK_STREAM)}
    return "ok " + " ".join(sorted(found))


# -- running them

def word(error):
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


for attempt in sys.argv[1:]:
    name, *arguments = attempt.split()
    began = time.monotonic()
    try:
        result = globals()[name.replace("-", "_")](*arguments)
    except (OSError, IndexError) as error:
        result = word(error) if isinstance(error, OSError) else "closed"
    took = time.monotonic() - began
    late = f" after {took:.1f} s" if took > DEADLINE / 2 and result != "timeout" else ""
    print(f"{attempt} => {result}{late}", flush=True)
