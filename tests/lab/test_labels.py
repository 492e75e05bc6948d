"""An outsider's table: what nDPI calls the packets of every handshake, played in the lab.

The far half is the real program where there is one.  Expected is what captures of the applications
are called; where nothing is known of that, the table says what was measured, and why no more is
asked.  It is printed when all of it was played (`conftest.py`).
"""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from random import Random
from typing import Any

import pytest
from nfstream import NFStreamer

from circumtest.handshakes.whatsapp_message import TEST_ROOT
from circumtest.lab.capture import capture
from circumtest.lab.topology import Lab, lab
from circumtest.model import Address, Carrier, Invalid, Level, Record, Success, Transport
from circumtest.play import play
from circumtest.registry import FARS, HANDSHAKES, kinds, load
from circumtest.script import Handshake

TIMEOUT = 60.0
TRIES = 3


@dataclass(frozen=True)
class Row:
    """A handshake; the labels that its flows have, and those that some may have beside them."""

    kind: str
    labels: frozenset[str]
    options: dict[str, Any] = field(default_factory=dict)
    beside: frozenset[str] = frozenset()


def row(kind: str, *labels: str, beside: tuple[str, ...] = (), **options: Any) -> Row:
    """A row; labels are nDPI's, `master.application`."""
    return Row(kind, frozenset(labels), options, frozenset(beside))


RTCP = ("Unknown",)
"""baresip sends one report to the port above the sound's: too little for nDPI."""
ROWS = {
    "whatsapp-call": row("whatsapp-call", "STUN.WhatsAppCall"),
    "whatsapp-message": row("whatsapp-message", "WhatsApp", form="ed", root=TEST_ROOT),
    "signal-message": row("signal-message", "TLS.Signal"),
    "telegram-call-udp": row(
        "telegram-call-udp", "Telegram", beside=("SRTP.TelegramVoip",), level=Level.QUICK
    ),
    "telegram-call-turn": row("telegram-call-turn", "STUN.TelegramVoip"),
    "signal-call": row("signal-call", "STUN.SignalVoip"),
    "messenger-call": row("messenger-call", "STUN.FacebookVoip"),
    "meet-call": row("meet-call", "STUN", "DTLS.SRTP"),
    "webrtc": row("webrtc", "DTLS.SRTP", "HTTP"),
    "sip": row("sip", "SIP", "RTP", beside=RTCP),
    "sip over TCP": row("sip", "SIP", "RTP", beside=RTCP, transport=Carrier.TCP),
    "zoom-call": row("zoom-call", "STUN.Zoom", "SRTP.Zoom"),
    "discord-voice": row("discord-voice", "Discord"),
    "stun-binding": row("stun-binding", "STUN"),
    "turn": row("turn", "STUN"),
    "turn over TCP": row("turn", "STUN", transport=Carrier.TCP),
}
"""What captures of the same application are called, or what the RFCs' own protocol is."""

MEASURED = {
    "echo": row("echo"),
    "echo over TCP": row("echo", transport=Transport.TCP),
    "telegram-message": row("telegram-message"),
    "telegram-call-tcp": row("telegram-call-tcp", level=Level.QUICK),
    "recorded": row("recorded"),
}
"""Nothing is asked of these: nDPI knows Telegram over TCP by addresses only, and a neutral
exchange is nobody's."""


@asynccontextmanager
async def answered(town: Lab, it: Handshake, version: int) -> AsyncIterator[tuple[Address, ...]]:
    """The far half is up: the real program where there is one."""
    if not it.far:
        yield await town.serve(it, "labelled", version)
        return
    target = await town.place(it, "labelled", version)
    async with load(FARS, it.far, "test", "")().serve(town, it, target):
        yield target


async def played(it: Handshake, file: Path, version: int) -> Record:
    """One trial without a censor, captured at the client's link."""
    async with (
        asyncio.timeout(TIMEOUT),
        lab() as town,
        answered(town, it, version) as target,
        capture(town.client, "censor", file),
    ):
        return await play(it.script(target, Random(4)), town.outside)


def labels(file: Path) -> frozenset[str]:
    """What nDPI says of each flow; the lab's own housekeeping (ICMPv6) is left out."""
    flows = NFStreamer(source=str(file), n_meters=1, n_dissections=20, accounting_mode=3)
    return frozenset(flow.application_name for flow in flows if flow.protocol in (6, 17))


def look(one: Row, file: Path, version: int) -> frozenset[str]:
    """Play a row until the player was in time, and have it labelled."""
    it = load(HANDSHAKES, one.kind, "test", "")(**one.options)
    for _ in range(TRIES):
        record = asyncio.run(played(it, file, version))
        if not isinstance(record.outcome, Invalid):
            break
    assert record.outcome == Success()
    return labels(file)


@pytest.mark.parametrize("name", ROWS)
@pytest.mark.parametrize("version", [4, 6])
def test_ndpi_calls_it_what_it_calls_the_application(
    name: str, version: int, tmp_path: Path, record_property: Any
) -> None:
    """These labels, and of no flow another, over either IP."""
    one = ROWS[name]
    found = look(one, tmp_path / "labelled.pcap", version)
    record_property("labels", (name, version, sorted(one.labels), sorted(found)))

    assert one.labels <= found <= one.labels | one.beside


@pytest.mark.parametrize("name", MEASURED)
@pytest.mark.parametrize("version", [4, 6])
def test_the_others_are_measured(
    name: str, version: int, tmp_path: Path, record_property: Any
) -> None:
    """And taken for no messenger's call."""
    found = look(MEASURED[name], tmp_path / "labelled.pcap", version)
    record_property("labels", (name, version, [], sorted(found)))

    assert not {label for label in found if label.endswith(("Call", "Voip"))}


def test_no_handshake_is_forgotten() -> None:
    """Whatever is installed has a row."""
    assert {one.kind for one in (*ROWS.values(), *MEASURED.values())} == set(kinds(HANDSHAKES))
