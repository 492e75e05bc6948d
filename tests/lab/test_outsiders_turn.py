"""Outsiders judge our TURN: a DPI what coturn and we say to each other, coturn's client our server.

nDPI labels what passes where the censor stands.  The table of labels is printed.
"""

import asyncio
import time
from collections.abc import Sequence
from pathlib import Path
from random import Random

import pytest
from nfstream import NFStreamer
from tabulate import tabulate

from circumtest.handshakes.messenger_call import MessengerCall
from circumtest.handshakes.signal_call import SignalCall
from circumtest.handshakes.telegram_call_turn import TelegramCallTurn
from circumtest.handshakes.turn import Turn
from circumtest.lab.capture import capture
from circumtest.lab.far.coturn import Coturn
from circumtest.lab.topology import lab
from circumtest.model import Carrier, Success
from circumtest.play import play
from circumtest.process import run
from circumtest.script import Handshake
from circumtest.wire import turn

TIMEOUT = 60.0
LABELS: list[tuple[Handshake, str]] = [
    (TelegramCallTurn(), "STUN.TelegramVoip"),
    (MessengerCall(), "STUN.FacebookVoip"),
    (SignalCall(), "STUN.SignalVoip"),
    (SignalCall(Carrier.TLS), "TLS.Signal"),
    (Turn(), "STUN"),
    (Turn(channels=False), "STUN"),
]
"""By realm, and over TLS by the name that is asked for."""


async def seen(handshake: Handshake, file: Path, version: int) -> None:
    """One call through coturn, captured where the censor would be."""
    async with asyncio.timeout(TIMEOUT), lab() as town:
        target = await town.place(handshake, "call", version)
        async with (
            Coturn().serve(town, handshake, target),
            capture(town.censor, "client", file),
        ):
            record = await play(handshake.script(target, Random(4)), town.outside)
            assert record.outcome == Success()


def labels(file: Path) -> set[str]:
    """What nDPI says of each flow; the lab's own housekeeping (ICMPv6) is left out."""
    flows = NFStreamer(source=str(file), n_meters=1, n_dissections=20, accounting_mode=3)
    return {flow.application_name for flow in flows if flow.protocol in (6, 17)}


@pytest.mark.parametrize("version", [4, 6])
def test_ndpi_takes_each_call_for_the_application_that_it_imitates(
    tmp_path: Path, version: int
) -> None:
    """Every flow of it; and the plain one for no application's."""
    rows = []
    for number, (handshake, expected) in enumerate(LABELS):
        file = tmp_path / f"{number}.pcap"
        asyncio.run(seen(handshake, file, version))
        rows.append((type(handshake).__name__, handshake.listen.port, expected, labels(file)))
    print(tabulate(rows, ["handshake", "port", "expected", "nDPI"]))  # noqa: T201

    assert [found for *_, found in rows] == [{expected} for *_, expected, _ in rows]


@pytest.mark.parametrize("version", [4, 6])
@pytest.mark.parametrize(
    ("carrier", "options"),
    [(Carrier.UDP, []), (Carrier.UDP, ["-s"]), (Carrier.TCP, ["-t"])],
    ids=["channels", "indications", "tcp"],
)
def test_coturns_own_client_loses_nothing_through_our_server(
    carrier: Carrier, options: Sequence[str], version: int
) -> None:
    """Two of its clients send to each other's relayed addresses."""

    async def played() -> str:
        async with asyncio.timeout(TIMEOUT), lab() as town:
            handshake = Turn(carrier)
            server, _ = await town.serve(handshake, "call", version)
            user = f"{int(time.time()) + 600}:abcd"
            given = ["-u", user, "-w", turn.password(handshake.secret, user)]
            more = [*options, *(["-x"] if version == 6 else [])]
            place = ["-p", str(server.port), server.host]
            argv = ["turnutils_uclient", *more, "-y", "-c", "-n", "5", "-m", "2", *given, *place]
            return await run(town.client, argv, timeout=TIMEOUT)

    said = asyncio.run(played())
    assert "tot_send_msgs=10, tot_recv_msgs=10" in said
    assert "Total lost packets 0 (" in said
