"""Connections from one port of the program's own: `ports.py HOW FAMILY TARGET...`, each target ADDRESS/PORT.

Each connection says which it is, and reads the server's answer, when all are made. HOW: `reuseaddr`, `reuseport`;
`address` binds the address as well; `threads` connects at the same time; `same` expects the last target, which is the
first one again, to be refused; `again` closes the first and connects it anew to the last target.
"""
import errno
import socket
import sys
import threading

how, family, targets = sys.argv[1], sys.argv[2], [target.split("/") for target in sys.argv[3:]]
family = socket.AF_INET6 if family == "6" else socket.AF_INET
own = {"4": "0.0.0.0", "6": "::"}[sys.argv[2]]
if how == "address":
    # The machine's own, as the route to the target has it.
    with socket.socket(family, socket.SOCK_DGRAM) as route:
        own = "2606:2800:220:1::2" if family == socket.AF_INET6 else "93.184.216.2"
option = socket.SO_REUSEPORT if how == "reuseport" else socket.SO_REUSEADDR
probe = socket.socket(family, socket.SOCK_STREAM)
probe.setsockopt(socket.SOL_SOCKET, option, 1)
probe.bind((own, 0))
port = probe.getsockname()[1]


def made():
    sock = socket.socket(family, socket.SOCK_STREAM)
    sock.settimeout(20)
    sock.setsockopt(socket.SOL_SOCKET, option, 1)
    if how == "only":
        sock.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
    sock.bind((own, port))
    return sock


results = [None] * len(targets)
socks = [made() for _ in targets]


def connect(number):
    try:
        socks[number].connect((targets[number][0], int(targets[number][1])))
        results[number] = "connected"
    except OSError as error:
        results[number] = errno.errorcode.get(error.errno, str(error))


if how == "threads":
    threads = [threading.Thread(target=connect, args=(number,)) for number in range(len(targets))]
    [thread.start() for thread in threads]
    [thread.join() for thread in threads]
else:
    for number in range(len(targets)):
        connect(number)
for number, sock in enumerate(socks):
    if results[number] != "connected":
        continue
    # The host says where it was meant to go: a server at another address would show it.
    host = targets[number][0]
    host = f"[{host}]" if ":" in host else host
    sock.sendall(f"GET /{host} HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n".encode())
for number, sock in enumerate(socks):
    if results[number] != "connected":
        continue
    answer = b""
    try:
        while part := sock.recv(65536):
            answer += part
        results[number] = "answered" if answer.startswith(b"HTTP/1.1 200") else repr(answer[:60])
    except OSError as error:
        results[number] = errno.errorcode.get(error.errno, str(error))
good = results.count("answered")
print(f"{good} of {len(targets)} answered", sorted(set(results) - {"answered"}))
