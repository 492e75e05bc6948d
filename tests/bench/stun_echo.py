"""The smallest STUN server: tells those who ask where they come from.  Arguments: host, port."""

import socket
import struct
import sys

COOKIE = 0x2112A442


def serve(host: str, port: int) -> None:
    """Answer binding requests until killed."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        sock.bind((host, port))
        print("ready", flush=True)
        while True:
            request, (asker, asker_port) = sock.recvfrom(2048)
            mapped = int.from_bytes(socket.inet_aton(asker), "big") ^ COOKIE
            attribute = struct.pack("!HHBBHI", 0x0020, 8, 0, 1, asker_port ^ COOKIE >> 16, mapped)
            header = struct.pack("!HH", 0x0101, len(attribute)) + request[4:20]
            sock.sendto(header + attribute, (asker, asker_port))


if __name__ == "__main__":
    serve(sys.argv[1], int(sys.argv[2]))
