"""A running sing-box: as whom it runs, and what is and is not its server's doing."""

import asyncio
import os
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path as File

import dns.message
import pytest

from circumtest import sandbox
from circumtest.engine.sing_box import NOBODY
from circumtest.engine.sing_box_path import SingBoxPath
from circumtest.errors import TunnelDown
from circumtest.lab.pki import certified
from circumtest.lab.servers.sing_box import SingBox
from circumtest.lab.topology import EXIT, Lab
from circumtest.model import Address, Cause, Transport, TunnelFault
from circumtest.tunnels.anytls import Anytls
from circumtest.tunnels.hysteria2 import Hysteria2
from tests.lab.town import FAR, ask, play, until

CLOSED = Address(FAR[4].host, 9)
"""Nothing listens there, and it says so."""
IDLE = 11.0
"""Seconds: sing-box's own patience with DNS, STUN and NTP is 10."""


@asynccontextmanager
async def hysteria(place: Lab) -> AsyncIterator[SingBoxPath]:
    """A tunnel that has carried something."""
    async with (
        SingBox().serve(place) as fields,
        Hysteria2(**fields, exits=tuple(EXIT.values())).up(place.client) as path,
    ):
        await ask(path, Transport.UDP, FAR[4])
        yield path


def scene(what: Callable[[Lab, SingBoxPath], Awaitable[None]]) -> None:
    """Play with a tunnel that is up."""

    async def whole(place: Lab) -> None:
        async with hysteria(place) as path:
            await what(place, path)

    play(whole)


def test_it_has_no_capability_and_is_nobody_where_that_is_possible() -> None:
    """An ordinary user's namespace has one uid: there it stays who it is, and may do nothing."""

    async def looks(_place: Lab, path: SingBoxPath) -> None:
        proc = File(f"/proc/{path.process.pid}")
        lines = (proc / "status").read_text().splitlines()
        text = dict(line.split(":\t", 1) for line in lines if ":\t" in line)
        wanted = NOBODY if sandbox.origin().uid == 0 else 0
        assert {int(text[key], 16) for key in text if key.startswith("Cap")} == {0}
        assert text["NoNewPrivs"] == "1"
        assert text["Uid"].split() == [str(wanted)] * 4
        environ = (proc / "environ").read_bytes().split(b"\0")
        assert [word.partition(b"=")[0] for word in environ if word] == [b"PATH"]

    scene(looks)


def test_a_target_that_refuses_is_not_the_tunnels_fault() -> None:
    """The server was reached, and says so of the target."""

    async def refused(_place: Lab, path: SingBoxPath) -> None:
        with pytest.raises(ConnectionError):
            await ask(path, Transport.TCP, CLOSED)
        assert path.fault() is None

    scene(refused)


def test_a_flow_that_says_nothing_for_long_is_not_forgotten() -> None:
    """Not even to a port of DNS, for which sing-box has little patience by itself."""

    async def idle(_place: Lab, path: SingBoxPath) -> None:
        inbox: list[bytes | Cause] = []
        resolver = Address(FAR[4].host, 53)
        query = dns.message.make_query("who.invalid", "TXT").to_wire()
        conn = await path.open(Transport.UDP, resolver, lambda data, _: inbox.append(data), 5)
        try:
            for wait in (0.0, IDLE):
                await asyncio.sleep(wait)
                before = len(inbox)
                conn.send(query, resolver)
                async with asyncio.timeout(3):
                    await until(lambda heard=before: len(inbox) > heard)  # type: ignore[misc]
                assert isinstance(inbox[-1], bytes)
        finally:
            conn.close()

    scene(idle)


def test_a_network_that_changes_around_it_never_reads_as_blocked() -> None:
    """It drops its connections then: that is its own doing, and afterwards it carries again."""

    async def changes(place: Lab, path: SingBoxPath) -> None:
        inbox: list[bytes | Cause] = []
        conn = await path.open(Transport.UDP, FAR[4], lambda data, _: inbox.append(data), 5)
        conn.send(b"hello", FAR[4])
        async with asyncio.timeout(5):
            await until(lambda: bool(inbox))
            await place.client.address("censor", "192.0.2.77/32")
            await until(lambda: Cause.EOF in inbox)
        down = path.fault()
        assert down is not None
        assert (down.fault, "change" in down.detail) == (TunnelFault.NO_DATA, True)
        conn.close()
        assert await ask(path, Transport.UDP, FAR[4]) == (EXIT[4], b"hello")
        assert path.fault() is None

    scene(changes)


def test_a_certificate_of_another_authority_is_refused_and_said() -> None:
    """Whatever the protocol: what answers may be anybody."""

    async def strange(place: Lab) -> None:
        other = certified(["www.example.com"]).authority
        for protocol, tunnel in (("hysteria2", Hysteria2), ("anytls", Anytls)):
            async with SingBox(protocol).serve(place) as fields:  # type: ignore[arg-type]
                wrong = fields | {"ca_text": other}
                async with tunnel(**wrong).up(place.client) as path:
                    with pytest.raises(TunnelDown) as caught:
                        await ask(path, Transport.TCP, FAR[4])
                assert caught.value.fault is TunnelFault.HANDSHAKE
                assert "certificate is not accepted" in caught.value.detail
                unverified = fields | {"url": fields["url"].replace("sni=", "insecure=1&sni=")}
                del unverified["ca_text"]
                async with tunnel(**unverified).up(place.client) as path:
                    assert await ask(path, Transport.TCP, FAR[4]) == (EXIT[4], b"hello")

    play(strange)


def test_what_it_is_told_is_left_nowhere() -> None:
    """The file goes with it."""

    async def left(place: Lab) -> None:
        def ours() -> list[str]:
            return [name for name in os.listdir("/run") if f"-{os.getpid()}-" in name]

        before = len(ours())
        async with hysteria(place):
            assert len(ours()) > before
        assert len(ours()) == before

    play(left)
