"""tshark, at both sides of the censor, sees nothing missing but what the rules count, and no more.

What is on one link and not on the other, byte for byte behind the Ethernet header but for what a
router changes, was dropped; what is on a link and came from nowhere was forged.
"""

import asyncio
import time
from collections import Counter
from collections.abc import Awaitable, Callable
from pathlib import Path
from random import Random
from typing import NamedTuple

import pytest

from circumtest.handshakes.turn import Turn
from circumtest.handshakes.whatsapp_call import WhatsappCall
from circumtest.lab.capture import capture
from circumtest.lab.far.coturn import Coturn
from circumtest.lab.topology import CLIENT
from circumtest.model import Failure, Stage
from circumtest.play import play
from circumtest.process import run
from tests.lab.outsiders import BOUND, LISTED, LONG, OTHER, Scene, behind, uclient

FIELDS = [*("ip.src", "ip.dst", "ip.id", "ip.len"), *("udp.srcport", "udp.dstport", "udp.checksum")]
FIELDS += ["tcp.srcport", "tcp.dstport", "tcp.seq_raw", "tcp.ack_raw", "tcp.flags", "tcp.checksum"]
SOURCE, FLAGS = FIELDS.index("ip.src"), FIELDS.index("tcp.flags")
RST = 0x04

Frame = tuple[str, ...]


class Seen(NamedTuple):
    """Frames that a censor has dropped, by direction; that it has forged, by whom they go to."""

    up: "Counter[Frame]"
    down: "Counter[Frame]"
    to_client: "Counter[Frame]"
    to_server: "Counter[Frame]"

    @property
    def dropped(self) -> int:
        return self.up.total() + self.down.total()


async def frames(it: Scene, file: Path) -> "Counter[Frame]":
    """What tshark reads of IPv4's UDP and TCP in a capture: the fields that tell packets apart."""
    argv = ["tshark", "-n", "-r", str(file), "-Y", "ip && (udp || tcp) && !icmp", "-T", "fields"]
    argv += [word for field in FIELDS for word in ("-e", field)]
    argv += ["-o", "tcp.desegment_tcp_streams:FALSE", "-E", "separator=|"]
    said = await run(it.town.client, argv, timeout=60)
    lines = (tuple(line.split("|")) for line in said.splitlines())
    return Counter(line for line in lines if len(line) == len(FIELDS))


async def seen(
    it: Scene, place: Path, program: Callable[[Scene], Awaitable[None]]
) -> tuple[Seen, dict[str, int]]:
    """Run a program with captures at both links of the censor; what they show, and the counts."""
    files = {link: place / f"{link}.pcap" for link in ("client", "backbone")}
    async with (
        capture(it.town.censor, "client", files["client"]),
        capture(it.town.censor, "backbone", files["backbone"]),
    ):
        await program(it)
        # Programs that have ended are survived by their kernels' retransmissions.
        for netns, link in ((it.town.services, "backbone"), (it.town.client, "censor")):
            await run(netns, ["ip", "link", "set", link, "down"])
            hits = await settled(it)
    near, far = [await frames(it, files[link]) for link in ("client", "backbone")]

    def only(one: "Counter[Frame]", other: "Counter[Frame]", *, up: bool) -> "Counter[Frame]":
        more = (one - other).items()
        return Counter({frame: n for frame, n in more if (frame[SOURCE] == CLIENT[4]) is up})

    found = Seen(
        only(near, far, up=True),
        only(far, near, up=False),
        only(near, far, up=False),
        only(far, near, up=True),
    )
    assert near, "tshark has seen nothing"
    return found, hits


async def settled(it: Scene) -> dict[str, int]:
    """What the rules count once nothing is on its way any more: the same for 0.3 s."""
    hits, since = await it.censor.hits(), time.monotonic()
    while time.monotonic() - since < 0.3:
        await asyncio.sleep(0.05)
        if (now := await it.censor.hits()) != hits:
            hits, since = now, time.monotonic()
    return hits


def under(
    name: str, place: Path, program: Callable[[Scene], Awaitable[None]]
) -> tuple[Seen, dict[str, int]]:
    """The same behind the policy of that name."""

    async def scene() -> tuple[Seen, dict[str, int]]:
        async with asyncio.timeout(BOUND), behind(name) as it:
            return await seen(it, place, program)

    return asyncio.run(scene())


async def coturns_client(it: Scene) -> None:
    """turnutils_uclient, until it gives up or has had time enough to."""
    handshake = Turn()
    target = await it.town.place(handshake, "call")
    async with Coturn().serve(it.town, handshake, target):
        await uclient(it.town.client, handshake, target[0], wait=4)


async def curl(it: Scene) -> None:
    """A listed name and another one, at places of their own."""
    await asyncio.gather(
        it.curl(f"https://{LISTED}/{LONG}", wait=2), it.curl(f"https://{OTHER}/{LONG}", at=1)
    )


async def call(it: Scene) -> None:
    """A WhatsApp call, of which the caller hears nothing."""
    handshake = WhatsappCall()
    target = await it.town.serve(handshake, "call")
    outcome = (await play(handshake.script(target, Random(4)), it.town.outside)).outcome
    assert isinstance(outcome, Failure)
    assert outcome.stage is Stage.MEDIA_DOWN


@pytest.mark.parametrize("program", [coturns_client, curl])
def test_behind_the_open_policy_nothing_is_missing_and_nothing_forged(
    program: Callable[[Scene], Awaitable[None]], tmp_path: Path
) -> None:
    """What goes in at one link comes out at the other."""
    found, hits = under("open", tmp_path, program)
    assert found == Seen(Counter(), Counter(), Counter(), Counter())
    assert hits == {}


def test_what_a_rule_of_the_kernel_drops_is_what_is_missing(tmp_path: Path) -> None:
    """coturn's client behind a censor that drops all of STUN: every packet of it, and no other."""
    found, hits = under("uae-voip", tmp_path, coturns_client)
    assert found.up
    assert {rule: n for rule, n in hits.items() if n} == {"stun": found.dropped}
    assert not found.to_client + found.to_server


def test_what_a_rule_of_the_middlebox_drops_is_what_is_missing(tmp_path: Path) -> None:
    """curl's hello, again and again, and whatever else is said to that place."""
    found, hits = under("sni-iv", tmp_path, curl)
    assert found.up
    assert hits == {"sni-iv": found.dropped}
    assert not found.to_client + found.to_server


def test_what_is_dropped_one_way_is_missing_that_way_only(tmp_path: Path) -> None:
    """The sound of a call that comes down; all that goes up arrives."""
    found, hits = under("wa-oneway", tmp_path, call)
    assert found.down
    assert not found.up
    assert hits == {"sound-down": found.down.total()}
    assert not found.to_client + found.to_server


def test_a_reset_is_one_that_neither_end_has_sent(tmp_path: Path) -> None:
    """curl's hello is missing beyond the censor, and on both links are resets from nowhere."""
    found, hits = under("sni-i", tmp_path, curl)
    assert hits == {"sni-i": found.dropped}
    assert found.to_client
    assert found.to_server
    for forged in (*found.to_client, *found.to_server):
        assert int(forged[FLAGS], 16) & RST
