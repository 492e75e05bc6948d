"""The text protocol by which wireguard-go is configured and asked (wireguard.com/xplatform).

Keys travel in hexadecimal over the daemon's own socket, never on a command line.  Pure text: it
refuses to open the socket.
"""

from collections.abc import Iterable
from dataclasses import dataclass

from circumtest.wireguard.quick import Peer

ASK = b"get=1\n\n"


@dataclass(frozen=True)
class Counters:
    """What a device tells of itself: the latest handshake (Unix seconds, 0 for never) and bytes."""

    handshake: float = 0.0
    received: int = 0
    sent: int = 0


def configure(
    private_key: bytes, listen_port: int, peers: tuple[Peer, ...], more: Iterable[str] = ()
) -> bytes:
    """The request that makes a device have this key, this port (0 for any) and only these peers.

    Endpoints must be IP addresses.  `more` are lines about the device that only some daemons know.
    """
    lines = ["set=1", f"private_key={private_key.hex()}", f"listen_port={listen_port}", *more]
    lines.append("replace_peers=true")
    for peer in peers:
        lines.append(f"public_key={peer.public_key.hex()}")
        if peer.preshared_key:
            lines.append(f"preshared_key={peer.preshared_key.hex()}")
        if peer.endpoint:
            host, port = peer.endpoint
            lines.append(f"endpoint=[{host}]:{port}" if ":" in host else f"endpoint={host}:{port}")
        lines.append(f"persistent_keepalive_interval={peer.keepalive}")
        lines.extend(f"allowed_ip={network}" for network in peer.allowed_ips)
    return ("\n".join(lines) + "\n\n").encode()


def refused(answer: bytes) -> int:
    """The errno in an answer, 0 for none.  Raises ValueError for what is no answer."""
    return int(_pairs(answer)[-1][1])


def counters(answer: bytes) -> Counters:
    """All peers summed up, the latest handshake among them.  Raises ValueError for no answer."""
    handshake, received, sent = 0.0, 0, 0
    seconds = 0
    for key, value in _pairs(answer):
        match key:
            case "last_handshake_time_sec":
                seconds = int(value)
            case "last_handshake_time_nsec":
                handshake = max(handshake, seconds + int(value) / 1e9)
            case "rx_bytes":
                received += int(value)
            case "tx_bytes":
                sent += int(value)
    return Counters(handshake, received, sent)


def _pairs(answer: bytes) -> list[tuple[str, str]]:
    lines = [line.partition("=") for line in answer.decode("ascii").splitlines() if line]
    if not lines or lines[-1][0] != "errno":
        raise ValueError("not an answer of a WireGuard daemon")
    return [(key, value) for key, _, value in lines]
