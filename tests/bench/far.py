"""A bare echo, UDP and TCP, IPv4 and IPv6, in a process of its own: `far.py HOST PORT...`."""

import selectors
import socket
import sys


def main(hosts: list[str], port: int) -> None:
    """Say "ready" and echo until killed."""
    watched = selectors.DefaultSelector()
    for host in hosts:
        family = socket.AF_INET6 if ":" in host else socket.AF_INET
        udp = socket.socket(family, socket.SOCK_DGRAM)
        udp.bind((host, port))
        tcp = socket.socket(family, socket.SOCK_STREAM)
        tcp.bind((host, port))
        tcp.listen()
        watched.register(udp, selectors.EVENT_READ, "udp")
        watched.register(tcp, selectors.EVENT_READ, "listen")
    print("ready", flush=True)
    while True:
        for key, _ in watched.select():
            sock = key.fileobj
            assert isinstance(sock, socket.socket)
            if key.data == "udp":
                data, source = sock.recvfrom(65536)
                sock.sendto(data, source)
            elif key.data == "listen":
                conn, _ = sock.accept()
                conn.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                watched.register(conn, selectors.EVENT_READ, "stream")
            elif data := sock.recv(65536):
                sock.sendall(data)
            else:
                watched.unregister(sock)
                sock.close()


if __name__ == "__main__":
    main(sys.argv[2:], int(sys.argv[1]))
