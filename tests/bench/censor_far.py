"""A bare sink and echo in a process of its own: `censor_far.py HOST PORT`.

TCP: what comes is counted and thrown away; the count is the answer to the end of the stream.  UDP:
datagrams of ECHOED bytes go back, others go nowhere.
"""

import socket
import sys
import threading

ECHOED = 172
"""Bytes of a packet of speech, 20 ms of G.711 with RTP's header."""


def main(host: str, port: int) -> None:
    """Say "ready" and serve until killed."""
    udp = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    udp.bind((host, port))
    tcp = socket.create_server((host, port))
    threading.Thread(target=_datagrams, args=(udp,), daemon=True).start()
    print("ready", flush=True)
    room = bytearray(1 << 20)
    while True:
        conn, _ = tcp.accept()
        total = 0
        while got := conn.recv_into(room):
            total += got
        conn.sendall(total.to_bytes(8, "big"))
        conn.close()


def _datagrams(udp: socket.socket) -> None:
    room = bytearray(2048)
    while True:
        size, source = udp.recvfrom_into(room)
        if size == ECHOED:
            udp.sendto(room[:size], source)


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]))
