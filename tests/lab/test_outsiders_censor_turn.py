"""coturn's own client, at a real coturn, meets each censor of calls as it is told.

Behind the open policy, and behind censors whom it does not concern, it passes.
"""

import asyncio
import time

from circumtest.handshakes.turn import Turn
from circumtest.lab.far.coturn import Coturn
from circumtest.model import Address, Carrier
from tests.lab.outsiders import OTHER, Scene, each, uclient

TELEGRAM = 1400
"""Where Telegram's servers of STUN and TURN listen."""
LISTED, AWHILE = 9.0, 3.0
"""Seconds until a relay is listed, in place of ten minutes; and for which nobody waits in vain."""


async def called(it: Scene, handshake: Turn) -> bool:
    """Whether a call through a coturn of its own works."""
    target = await it.town.place(handshake, "call")
    async with Coturn().serve(it.town, handshake, target):
        return await uclient(it.town.client, handshake, target[0])


def test_coturns_client_is_stopped_where_all_of_stun_is() -> None:
    """And where what is listed passes, or few packets; not where another port or DTLS is seen to.

    Over UDP and TCP.
    """

    async def scene(it: Scene) -> list[bool]:
        carriers = (Carrier.UDP, Carrier.TCP)
        return list(await asyncio.gather(*(called(it, Turn(carrier)) for carrier in carriers)))

    passing = {"open", "ru-calls-2025-09", "ru-dtls-pion-2026", "sni-iv", "ru-openvpn"}
    acting = {"uae-voip": {"stun", "stun-tcp"}}
    acting |= {name: {"datagrams", "streams"} for name in ("mobile-whitelist", "l4-25")}
    assert each({*passing, *acting}, scene, acting) == {
        **{name: [True, True] for name in passing},
        **{name: [False, False] for name in acting},
    }


def test_coturns_client_is_stopped_on_telegrams_port_where_that_is_looked_at() -> None:
    """Over UDP; TCP is left alone."""

    async def scene(it: Scene) -> list[bool]:
        calls = [Turn(carrier, port=TELEGRAM) for carrier in (Carrier.UDP, Carrier.TCP)]
        return list(await asyncio.gather(*(called(it, handshake) for handshake in calls)))

    acting = {"ru-calls-2025-09": {"telegram-turn"}}
    assert each({"open", "ru-dtls-pion-2026", *acting}, scene, acting) == {
        "open": [True, True],
        "ru-dtls-pion-2026": [True, True],
        "ru-calls-2025-09": [False, True],
    }


def test_a_relay_is_listed_by_its_address_some_time_after_its_first_call() -> None:
    """Then curl does not reach it either, at a port of its own; other addresses are not touched.

    The first call has to be over by then.
    """

    page = f"https://{OTHER}/100"

    async def scene(it: Scene) -> tuple[list[bool], list[str]]:
        handshake, relay = Turn(port=TELEGRAM), Address(it.site.hosts[1], TELEGRAM)
        begun = time.monotonic()
        async with Coturn().serve(it.town, handshake, [relay]):
            first = await uclient(it.town.client, handshake, relay)
            early = late = await it.curl(page, at=1)
            while late.end == "passes" and time.monotonic() < begun + LISTED + AWHILE:
                late = await it.curl(page, at=1, wait=1)
            again = await uclient(it.town.client, handshake, relay)
        other = await it.curl(page)
        return [first, again], [one.end for one in (early, late, other)]

    acting = {"ru-calls-2026-dest": {"relays"}}
    assert each({"open", "ru-openvpn", *acting}, scene, acting, LISTED / 600) == {
        "open": ([True, True], ["passes"] * 3),
        "ru-openvpn": ([True, True], ["passes"] * 3),
        "ru-calls-2026-dest": ([True, False], ["passes", "silence", "passes"]),
    }
