"""Forged packets at a mirror: python forger.py HOST PORT RATE SECONDS, in the client's namespace.

Each comes from another address of 10.0.0.0/8 and is a first packet of some protocol, or noise of a
hello's size.  It says how many it sent, a second at a time, and in the end.
"""

import os
import random
import socket
import struct
import sys
import time

BATCH = 0.005


def openings() -> list[bytes]:
    """Payloads: STUN, TURN, a reflector's hello, RTP, TLS, and noise of a hello's sizes."""
    tid = os.urandom(12)
    return [
        b"\0\1\0\0\x21\x12\xa4\x42" + tid,
        b"\0\3\0\x08\x21\x12\xa4\x42" + tid + b"\0\x19\0\4\x11\0\0\0",
        os.urandom(16) + b"\xff" * 12 + b"\xfe\xff\xff\xff" + bytes(7) + b"{",
        b"\x80\x6f" + os.urandom(170),
        b"\x16\x03\x01\x02\0\1\0\1\xfc\x03\x03" + os.urandom(500),
        os.urandom(300),
        os.urandom(1100),
        os.urandom(74),
    ]


def packet(target: bytes, port: int, payload: bytes) -> bytes:
    """An IPv4 packet with a UDP datagram from anywhere; the kernel fills in the checksum."""
    source = b"\x0a" + random.randbytes(3)
    udp = struct.pack("!HHHH", random.randrange(1024, 65536), port, 8 + len(payload), 0)
    head = struct.pack("!BBHHHBBH", 0x45, 0, 28 + len(payload), 0, 0, 64, 17, 0)
    return head + source + target + udp + payload


def main(host: str, port: int, rate: int, seconds: float) -> None:
    """Send at that rate, however late a batch is."""
    target, kinds = socket.inet_aton(host), openings()
    with socket.socket(socket.AF_INET, socket.SOCK_RAW, socket.IPPROTO_RAW) as sock:
        sys.stdout.write("ready\n")
        sys.stdout.flush()
        began, sent = time.monotonic(), 0
        while (gone := time.monotonic() - began) < seconds:
            while sent < gone * rate:
                sock.sendto(packet(target, port, kinds[sent % len(kinds)]), (host, 0))
                sent += 1
            time.sleep(BATCH)
        sys.stdout.write(f"sent {sent} in {time.monotonic() - began:.1f} s\n")


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]), int(sys.argv[3]), float(sys.argv[4]))
