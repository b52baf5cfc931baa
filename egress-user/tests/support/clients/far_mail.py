"""Servers of straight_clients.rs: as much of SMTP (587) and PostgreSQL (5432) as one client wants, on an address that is
given. Says `ready`."""
import socket
import struct
import sys
import threading


def smtp(client):
    lines = client.makefile("rb")
    client.sendall(b"220 far.test ESMTP\r\n")
    in_data = False
    for line in lines:
        word = line.strip().upper()
        if in_data:
            in_data = word != b"."
            answer = b"" if in_data else b"250 queued\r\n"
        elif word == b"DATA":
            in_data, answer = True, b"354 go on\r\n"
        else:
            answer = b"221 bye\r\n" if word == b"QUIT" else b"250 far.test\r\n"
        client.sendall(answer)


def message(kind, body):
    return kind + struct.pack(">I", 4 + len(body)) + body


def postgres(client):
    read = client.makefile("rb").read
    while True:
        length, code = struct.unpack(">II", read(8))
        read(length - 8)
        if code >> 16 == 3:
            break
        # Neither TLS nor GSSAPI.
        client.sendall(b"N")
    version = message(b"S", b"server_version\x0015.0\0") + message(b"S", b"client_encoding\0UTF8\0")
    ready = message(b"Z", b"I")
    client.sendall(message(b"R", bytes(4)) + version + ready)
    while kind := read(1):
        (length,) = struct.unpack(">I", read(4))
        read(length - 4)
        if kind == b"Q":
            column = struct.pack(">H", 1) + b"answer\0" + struct.pack(">IHIHIH", 0, 0, 25, 0xFFFF, 0xFFFFFFFF, 0)
            row = struct.pack(">HI", 1, 5) + b"whole"
            client.sendall(message(b"T", column) + message(b"D", row) + message(b"C", b"SELECT 1\0") + ready)


def serve(server, talk):
    while True:
        client, _ = server.accept()
        threading.Thread(target=quietly, args=(talk, client), daemon=True).start()


def quietly(talk, client):
    try:
        talk(client)
    except (OSError, struct.error):
        pass
    client.close()


for port, talk in [(587, smtp), (5432, postgres)]:
    server = socket.create_server((sys.argv[1], port))
    threading.Thread(target=serve, args=(server, talk), daemon=True).start()
print("ready", flush=True)
threading.Event().wait()
