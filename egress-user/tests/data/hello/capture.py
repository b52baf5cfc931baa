#!/usr/bin/env python3
"""Makes the .bin files beside it: what real clients send first to a loopback listener.

Needs curl, openssl, and node in PATH; a client that is missing keeps its old file. Certificates
are never needed: the listener hangs up behind the first flight.
"""
import pathlib
import random
import socket
import ssl
import struct
import subprocess
import threading

HERE = pathlib.Path(__file__).parent
NODE = "require('tls').connect({port:PORT,host:'127.0.0.1',servername:'node.test',ALPNProtocols:['h2','http/1.1']}).on('error',()=>{})"


def capture(name, client):
    listener = socket.create_server(("127.0.0.1", 0))
    listener.settimeout(10)
    port = listener.getsockname()[1]
    thread = threading.Thread(target=client, args=(port,))
    thread.start()
    connection, _ = listener.accept()
    connection.settimeout(10)
    got = b""
    while len(got) < 5 or len(got) < 5 + struct.unpack(">H", got[3:5])[0]:
        got += connection.recv(65536)
    connection.close()
    thread.join()
    write(name, got)
    return got


def write(name, data):
    (HERE / f"{name}.bin").write_bytes(data)
    print(f"{name}.bin: {len(data)} bytes")


def command(*words):
    def run(port):
        line = [word.replace("PORT", str(port)) for word in words]
        subprocess.run(line, stdin=subprocess.DEVNULL, capture_output=True, timeout=20)

    return run


def python_client(server_name):
    def run(port):
        context = ssl.create_default_context()
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
        try:
            raw = socket.create_connection(("127.0.0.1", port))
            context.wrap_socket(raw, server_hostname=server_name)
        except OSError:
            pass

    return run


def record(fragment):
    return b"\x16\x03\x01" + struct.pack(">H", len(fragment)) + fragment


def add_extension(hello, kind, body):
    """Appends one extension to a hello in one record. Its extensions stand last, so three lengths change."""
    message = bytearray(hello[5:])
    at = 4 + 2 + 32
    at += 1 + message[at]
    at += 2 + struct.unpack_from(">H", message, at)[0]
    at += 1 + message[at]
    message += struct.pack(">HH", kind, len(body)) + body
    struct.pack_into(">H", message, at, len(message) - at - 2)
    message[1:4] = struct.pack(">I", len(message) - 4)[1:]
    return record(bytes(message))


curl = capture("curl-openssl3", command("curl", "-sk", "--resolve", "curl.test:PORT:127.0.0.1", "https://curl.test:PORT/"))
capture("openssl-s-client", command("openssl", "s_client", "-connect", "127.0.0.1:PORT", "-servername", "OpenSSL.Test"))
capture("openssl-tls12-only", command("openssl", "s_client", "-tls1_2", "-connect", "127.0.0.1:PORT", "-servername", "old.test"))
capture("no-sni", command("openssl", "s_client", "-connect", "127.0.0.1:PORT", "-noservername"))
capture("ip-sni", command("openssl", "s_client", "-connect", "127.0.0.1:PORT", "-servername", "192.0.2.7"))
capture("trailing-dot", command("openssl", "s_client", "-connect", "127.0.0.1:PORT", "-servername", "dot.test."))
capture("python-ssl", python_client("python.test"))
capture("node20", command("node", "-e", NODE))

# Made from the curl capture.
write("two-records", record(curl[5:105]) + record(curl[105:]))
write("ech-grease", add_extension(curl, 0xFE0D, b"\x00\x00\x01\x00\x01\x2a\x00\x20" + bytes(range(32)) + b"\x00\x90" + bytes(144)))
random.seed(1)
share = b"\x11\xec\x04\xc0" + random.randbytes(1216)
write("post-quantum-large", add_extension(add_extension(curl, 0x4A4A, struct.pack(">H", len(share)) + share), 0x5A5A, bytes(300)))
