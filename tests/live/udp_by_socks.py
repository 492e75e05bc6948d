"""UDP ASSOCIATE by hand: PROXY PORT PASSWORD: asks 192.0.2.21 by STUN, prints what came back.

A client of a few lines, because none of the usual ones speaks UDP through SOCKS; it refuses to
share a line with what is tested.
"""

import socket
import sys

proxy, port, password = sys.argv[1], int(sys.argv[2]), sys.argv[3].encode()
control = socket.create_connection((proxy, port), 5)
control.sendall(b"\x05\x01\x02")
assert control.recv(2) == b"\x05\x02"
control.sendall(b"\x01\x06caller" + bytes([len(password)]) + password)
assert control.recv(2) == b"\x01\x00"
wanted = 4 if control.family == socket.AF_INET6 else 1
control.sendall(bytes([5, 3, 0, wanted]) + bytes(18 if wanted == 4 else 6))
reply = control.recv(64)
if reply[1]:
    sys.exit(f"refused with code {reply[1]}")
family, size = (socket.AF_INET6, 16) if reply[3] == 4 else (socket.AF_INET, 4)
relay = socket.inet_ntop(family, reply[4 : 4 + size]), int.from_bytes(reply[4 + size : 6 + size])
udp = socket.socket(family, socket.SOCK_DGRAM)
udp.settimeout(3)
binding = bytes.fromhex("000100002112a442") + b"by a program"
target = socket.inet_aton("192.0.2.21") + (3478).to_bytes(2)
udp.sendto(b"\0\0\0\1" + target + binding, relay)
data, source = udp.recvfrom(2048)
print("from the relay" if source[:2] == relay else f"from elsewhere: {source[0]}")
print("answered" if data[10:12] == b"\x01\x01" else f"not STUN: {data[10:].hex()}")
