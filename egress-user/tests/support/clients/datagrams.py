"""Attempts over UDP, and options that send a packet elsewhere than to its destination."""
import ctypes
import socket
import struct

from base import SECRET, answer, new

libc = ctypes.CDLL(None, use_errno=True)


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
