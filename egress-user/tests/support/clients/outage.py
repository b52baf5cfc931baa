"""A TLS client whose network goes away.

`outage.py ADDRESS PORT NAME STAGE`: connects; with STAGE `connected` it says `ready` before its hello, with `spoken` after the
handshake, and waits for a line; with `half` it says so in the middle of a request. Then it goes on, and prints
`STAGE => WAY RESULT`, RESULT being `page` or what went wrong.
"""
import socket
import ssl
import sys

import base
from base import new, word


def wait():
    print("ready", flush=True)
    sys.stdin.readline()
    # It has what it waited for before it sends: the test goes on at once.
    print("goes on", flush=True)


def talk(sock, name, stage):
    context = ssl.create_default_context()
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    if stage == "connected":
        wait()
    stream = context.wrap_socket(sock, server_hostname=name)
    request = f"GET / HTTP/1.1\r\nHost: {name}\r\nConnection: close\r\n\r\n".encode()
    if stage == "half":
        stream.sendall(request[:20])
        request = request[20:]
    if stage != "connected":
        wait()
    stream.sendall(request)
    return "page" if stream.recv(4096).startswith(b"HTTP/1.1 200") else "other"


def main():
    address, port, name, stage = sys.argv[1:]
    sock = new(address, socket.SOCK_STREAM)
    sock.settimeout(60)
    sock.connect((address, int(port)))
    way = base.way(sock)
    try:
        result = talk(sock, name, stage)
    except OSError as error:
        result = word(error)
    print(f"{stage} => {way} {result}", flush=True)


main()
