"""Recordings made from captures play on real sockets, and a DPI takes them for what was recorded.

Every capture in `tests/data` is imported, and each of its flows played in a lab of its own, over
IPv4 and IPv6, captured where the censor would stand.
"""

import asyncio
import sys
from collections.abc import Callable
from pathlib import Path
from random import Random
from typing import NamedTuple

import pytest
from nfstream import NFStreamer

from circumtest.handshakes.recorded import Recorded
from circumtest.lab.capture import capture
from circumtest.lab.topology import CLIENT, lab
from circumtest.model import Record, Success
from circumtest.play import play
from circumtest.recording.capture import open_capture
from circumtest.recording.flows import flows
from circumtest.recording.make import Wish, make
from circumtest.recording.session import Variant
from circumtest.recording.text import dumps

DATA = Path(__file__).parents[1] / "data"
TIMEOUT = 60.0
SIDE_BY_SIDE = 4
RECOGNISED = (
    "aiortc_p2p",
    "fb_turn",
    "google_turn",
    "plain_turn",
    "signal_turn",
    "tg_mtproto",
    "tg_reflector_1400",
    "tg_reflector_3478",
    "tg_reflector_533",
    "tg_reflector_596",
    "tg_reflector_598_noreply",
    "tg_reflector_598_tag_has_ff",
    "tg_reflector_599",
    "tg_reflector_tcp_call",
    "tg_reflector_udp_call",
    "tg_turn_1400",
    "tg_turn_coturn_call",
    "viber_turn",
    "wa_alloc_2019",
    "wa_alloc_2023",
    "wa_alloc_2023_noreply",
    "wa_noise_ED0408",
    "wa_noise_ED_xx_443",
    "wa_noise_ED_xx_5222",
    "wa_noise_xx_443",
    "wa_noise_xx_5222",
)
"""Captures of call set-ups, by name."""
HIDDEN = (
    "awg_H_only",
    "awg_S_only",
    "awg_full",
    "awg_full_I1_quic",
    "awg_full_I1_stun",
    "awg_full_I1_wa",
    "awg_junk_only",
    "wg_plain",
)
"""Captures of tunnels, which say nothing: imported because we ask for it."""


class Case(NamedTuple):
    """A flow of a capture, from 1, over IPv4 or IPv6, as it was or as a control."""

    name: str
    flow: int
    version: int
    variant: Variant = Variant.AS_RECORDED


class Played(NamedTuple):
    """How it ended, and what nDPI says of the packets."""

    record: Record
    label: str


def handshake(case: Case) -> Recorded:
    """The recording of a flow."""
    file = DATA / f"{case.name}.pcap"
    read = open_capture(file)
    flow = flows(read.packets, read.left_out)[case.flow - 1]
    made = make(flow, Wish(opaque=True), case.name)
    return Recorded(text=dumps(made.recording), variant=case.variant)


def labels(file: Path) -> list[str]:
    """What nDPI calls each UDP and TCP flow, in their order.

    nfstream gives packets that were captured in another order than they were sent a flow of their
    own: of flows between the same ports the longest counts.
    """
    streamer = NFStreamer(source=str(file), n_meters=1, n_dissections=20, accounting_mode=3)
    found: dict[frozenset[int], list[tuple[int, int, str]]] = {}
    for flow in streamer:
        if flow.protocol in (6, 17):
            one = (flow.bidirectional_packets, flow.bidirectional_first_seen_ms)
            ends = frozenset({flow.src_port, flow.dst_port})
            found.setdefault(ends, []).append((*one, flow.application_name))
    longest = [max(flows) for flows in found.values()]
    return [label for _, _, label in sorted(longest, key=lambda flow: flow[1])]


def flows_of(name: str) -> int:
    """How many flows a capture has."""
    read = open_capture(DATA / f"{name}.pcap")
    return len(flows(read.packets, read.left_out))


CASES = [
    Case(name, flow, version)
    for name in (*RECOGNISED, *HIDDEN)
    for flow in range(1, flows_of(name) + 1)
    for version in (4, 6)
]
CONTROLS = [
    Case(name, 1, 4, variant)
    for name in ("aiortc_p2p", "tg_turn_1400", "tg_reflector_599", "wa_alloc_2023")
    for variant in (Variant.RANDOM, Variant.INVERTED)
]


@pytest.fixture(scope="module")
def played(tmp_path_factory: pytest.TempPathFactory) -> Callable[[Case], Played]:
    """All of them, side by side in labs of their own; nDPI looks when they are over."""
    folder = tmp_path_factory.mktemp("played")

    def file(case: Case) -> Path:
        return folder / f"{case.name}-{case.flow}-{case.version}-{case.variant}.pcap"

    async def one(case: Case, gate: asyncio.Semaphore) -> Record:
        caller = handshake(case)
        async with gate, asyncio.timeout(TIMEOUT), lab() as town:
            target = await town.serve(caller, "recorded", case.version)
            async with capture(town.censor, "client", file(case)):
                return await play(caller.script(target, Random(7)), town.outside)

    async def everything() -> dict[Case, Record]:
        gate = asyncio.Semaphore(SIDE_BY_SIDE)
        cases = [*CASES, *CONTROLS]
        records = await asyncio.gather(*(one(case, gate) for case in cases))
        return dict(zip(cases, records, strict=True))

    records = asyncio.run(everything())

    def look(case: Case) -> Played:
        (label,) = labels(file(case))
        return Played(records[case], label)

    return look


def spelled(case: Case) -> str:
    """A case as a test's name."""
    return f"{case.name}-{case.flow}-v{case.version}-{case.variant}"


@pytest.mark.parametrize("case", [*CASES, *CONTROLS], ids=spelled)
def test_every_capture_plays_both_halves_on_real_sockets(
    case: Case, played: Callable[[Case], Played]
) -> None:
    """As it was recorded and as a control; where an address is told, it is the caller's."""
    record, _ = played(case)

    assert record.outcome == Success(), record
    assert record.exit is None or record.exit.host == CLIENT[case.version]


def test_ndpi_calls_a_played_flow_what_it_called_the_recorded_one(
    played: Callable[[Case], Played], capsys: pytest.CaptureFixture[str]
) -> None:
    """Every flow of every capture, over both IPs; the table is printed."""
    rows = []
    for case in CASES:
        recorded = labels(DATA / f"{case.name}.pcap")[case.flow - 1]
        rows.append((spelled(case), recorded, played(case).label))
    with capsys.disabled():
        told = (f"  {name:<50} {recorded:<24} {label:<24}" for name, recorded, label in rows)
        sys.stdout.write("\n".join(("", *told, "")))

    assert [row for row in rows if row[1] != row[2]] == []


@pytest.mark.parametrize("case", CONTROLS, ids=spelled)
def test_ndpi_recognises_nothing_in_the_controls(
    case: Case, played: Callable[[Case], Played]
) -> None:
    """Unless by the port."""
    assert played(case).label in ("Unknown", "STUN", "Telegram"), played(case).label
