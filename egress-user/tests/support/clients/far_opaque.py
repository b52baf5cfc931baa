"""The far side of straight.rs: servers of protocols that are not HTTP, on each address that is given. Says `ready`.

Each answers whatever comes by one line: address and port of the client as the server has them, and how many bytes have
come so far. Some speak first.
"""
import socket
import sys
import threading

GREETINGS = {
    21: b"220 ready\r\n",
    22: b"SSH-2.0-far\r\n",
    25: b"220 far.test ESMTP\r\n",
    110: b"+OK\r\n",
    143: b"* OK IMAP4rev1\r\n",
    587: b"220 far.test ESMTP\r\n",
    873: b"@RSYNCD: 31.0\n",
    3306: b"\x4a\0\0\0\x0a8.0.36\0\x0a\0\0\0",
}
SILENT = [389, 993, 1883, 5432, 5672, 6379, 7000, 9042, 9092, 9418, 11211, 27017]


def listen(address, port):
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    server = socket.socket(family, socket.SOCK_STREAM)
    server.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    if family == socket.AF_INET6:
        server.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
    server.bind((address, port))
    server.listen(64)
    return server


def serve(client, peer, greeting):
    try:
        client.sendall(greeting)
        total = 0
        while data := client.recv(1 << 16):
            total += len(data)
            client.sendall(f"{peer[0]} {peer[1]} {total}\n".encode())
    except OSError:
        pass
    client.close()


def accept(server, greeting):
    while True:
        client, peer = server.accept()
        threading.Thread(target=serve, args=(client, peer, greeting), daemon=True).start()


for address in sys.argv[1:]:
    for port in [*GREETINGS, *SILENT]:
        arguments = (listen(address, port), GREETINGS.get(port, b""))
        threading.Thread(target=accept, args=arguments, daemon=True).start()
print("ready", flush=True)
threading.Event().wait()
