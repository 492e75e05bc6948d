"""What an observer at the censor sees of every tunnel, on its real server.

Expected are the labels that nDPI gives the same programs' packets elsewhere, and what follows from
a protocol's bytes: random ones are fully encrypted, TLS has a name.  Of the others nothing is known
beforehand: the table, printed when more than one was looked at, says what was measured.
"""

import asyncio
from dataclasses import dataclass
from random import Random
from typing import Any

import msgspec
import pytest

from circumtest.appearance import Appearance
from circumtest.detect.look import look
from circumtest.handshakes.echo import Echo
from circumtest.lab.observer import observing
from circumtest.lab.topology import Lab
from circumtest.model import Address, Success, Transport
from circumtest.play import play
from circumtest.proof import prove
from circumtest.script import Script
from tests.lab.specimens import Specimen, every
from tests.lab.town import town

BOUND = 90.0
UDP, TCP = Transport.UDP, Transport.TCP
SPECIMENS = {one.name: one for one in every()}


@dataclass(frozen=True)
class Row:
    """A tunnel with something in it.

    `label` is nDPI's, "" for none, None where any may be; `packet` is the last one after which it
    must be known, and `encrypted` what the heuristic for fully encrypted traffic says.
    """

    label: str | None
    packet: int = 0
    carries: Transport = UDP
    encrypted: bool | None = None
    named: bool = False
    matches: str = ""


KNOWN = {
    "wireguard": Row("WireGuard", 2, matches="wireguard-initiation"),
    "wireguard-userspace": Row("WireGuard", 2, matches="wireguard-initiation"),
    "openvpn-udp": Row("OpenVPN", 2),
    "openvpn-tls-auth": Row("OpenVPN", 2),
    "openvpn-tls-crypt": Row("OpenVPN", 4),
    "openvpn-tcp": Row("OpenVPN", 6, encrypted=False),
    "ssh": Row("SSH", 4, TCP, encrypted=False),
    "shadowsocks": Row("", 0, TCP, encrypted=True),
    "obfs4": Row("", 0, TCP, encrypted=True),
    "vmess-tcp": Row("", 0, TCP, encrypted=True),
    "ss2022": Row("", 0, TCP, encrypted=True),
    "vless-tls": Row("TLS", 4, TCP, encrypted=False, named=True),
    "trojan": Row("TLS", 4, TCP, encrypted=False, named=True),
    "vless-reality": Row("TLS", 5, TCP, encrypted=False, named=True),
    "stunnel-socks": Row("TLS", 4, TCP, encrypted=False),
    "hysteria2": Row("QUIC", 1, named=True),
    "tuic": Row("QUIC", 1, named=True),
    "socks-microsocks": Row("SOCKS", 6, TCP, encrypted=False),
    "http-connect": Row("HTTP_Connect", 4, TCP, encrypted=False),
    "ikev2": Row("IPSec", 1),
    "tor": Row("TLS.Tor", 4, TCP, encrypted=False, named=True),
}
"""A segment of a hello that needs two adds one packet to what TLS needs."""


def transport(specimen: Specimen) -> Transport:
    """What is tried through it: as its row says, or what it carries."""
    if specimen.name in KNOWN and KNOWN[specimen.name].carries in specimen.carries:
        return KNOWN[specimen.name].carries
    return UDP if UDP in specimen.carries else TCP


def seen(specimen: Specimen) -> Appearance:
    """Bring it up, have it carry something there and back, and look at what passed until then."""

    async def main() -> Appearance:
        async with asyncio.timeout(BOUND), town() as place:
            echo = Echo(transport(specimen), size=600)
            target = await place.serve(echo, "neutral", min(specimen.versions))
            found = await _watched(specimen, place, echo, target)
            assert found is not None
            return found

    return asyncio.run(main())


async def _watched(
    specimen: Specimen, place: Lab, echo: Echo, target: tuple[Address, ...]
) -> Appearance | None:
    def exchange() -> Script[None]:
        return echo.script(target, Random(1))

    async with specimen.server().serve(place) as fields:
        with observing(place.censor) as observer:
            tunnel = specimen.tunnel(fields)
            async with tunnel.up(place.client) as path:
                await prove(path, exchange, getattr(tunnel, "patience", 10.0))
                record = await play(exchange(), path)
                assert record.outcome == Success()
                return look(observer.end())


@pytest.mark.parametrize("name", KNOWN)
def test_it_looks_like_what_it_is(name: str, record_property: Any) -> None:
    """The label and no later than elsewhere; the first segment; the hello's name and print."""
    row, found = KNOWN[name], seen(SPECIMENS[name])
    record_property("appearance", (name, msgspec.json.encode(found).decode()))

    assert found.ndpi is not None
    assert (found.ndpi.label, found.ndpi.packet <= row.packet) == (row.label, True)
    assert found.fully_encrypted is row.encrypted
    assert bool(found.name) >= row.named
    assert bool(found.ja4) >= row.named
    assert not row.matches or row.matches in found.signatures
    assert found.sizes[0] > 0


@pytest.mark.parametrize("name", [name for name in SPECIMENS if name not in KNOWN])
def test_the_others_are_measured(name: str, record_property: Any) -> None:
    """Something passes, and it is looked at."""
    found = seen(SPECIMENS[name])
    record_property("appearance", (name, msgspec.json.encode(found).decode()))

    assert found.ndpi is not None
    assert found.engine.startswith("nDPI 5")
    assert found.sizes
