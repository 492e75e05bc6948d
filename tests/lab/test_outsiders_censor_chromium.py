"""Chromium, whose TLS is a browser's and whose call is WebRTC, meets each censor as it is told.

Its calls behind other censors: `test_outsiders_chromium`.
"""

import asyncio
import json
import sys
from collections.abc import Sequence

from circumtest.handshakes.webrtc import Webrtc
from circumtest.lab.far.aiortc import Aiortc
from circumtest.model import Level, Stage
from circumtest.process import run
from tests.lab.chromium_pages import FORCED
from tests.lab.outsiders import LISTED, LONG, OTHER, WAIT, Scene, each, shadowsocks
from tests.lab.test_outsiders_chromium import browse, where

START = 40.0
"""Seconds that a browser may take to start and to end beside others."""


async def fetched(it: Scene, *urls: str, hosts: Sequence[int] = (), option: str = "") -> list[int]:
    """How many bytes of each page Chromium gets; by turns at these of the site's hosts."""
    names = [url.split("/")[2].partition(":")[0] for url in urls]
    at = hosts or range(len(it.site.hosts))
    rules = ",".join(f"MAP {name} {it.site.hosts[at[n % len(at)]]}" for n, name in enumerate(names))
    options = [f"--host-resolver-rules={rules}", *filter(None, [option])]
    argv = [sys.executable, "-m", "tests.lab.chromium_pages", str(WAIT), *options, *urls]
    said = await run(it.town.client, argv, timeout=START)
    sizes: list[int] = json.loads(said)
    return sizes


def test_pages_come_but_those_whose_names_are_listed() -> None:
    """By its own TLS; and its ECH, which it sends everybody, stops it at one name only."""

    async def scene(it: Scene) -> list[int]:
        urls = [f"https://{name}/{LONG}" for name in (LISTED, "cloudflare-ech.com", OTHER)]
        return await fetched(it, *urls)

    assert each(
        ("open", "sni-iv", "ech-2024"), scene, {"sni-iv": {"sni-iv"}, "ech-2024": {"ech"}}
    ) == {
        "open": [LONG] * 3,
        "sni-iv": [0, LONG, LONG],
        "ech-2024": [LONG, 0, LONG],
    }


def test_a_browsers_many_connections_at_once_are_too_many() -> None:
    """Eight pass and fourteen do not; fourteen of curl's, whose TLS is no browser's, do."""

    async def scene(it: Scene, number: int) -> tuple[bool, bool]:
        urls = [f"https://n{n}.many.example/100" for n in range(number)]
        sizes = await fetched(it, *urls, hosts=[0])
        curls = await asyncio.gather(*(it.curl(url, at=1) for url in urls))
        return sizes == [100] * number, all(one.end == "passes" for one in curls)

    async def eight(it: Scene) -> tuple[bool, bool]:
        return await scene(it, 8)

    async def fourteen(it: Scene) -> tuple[bool, bool]:
        return await scene(it, 14)

    assert each(["siberian"], eight, {}) == {"siberian": (True, True)}
    assert each(("open", "siberian"), fourteen, {"siberian": {"browsers-tls"}}) == {
        "open": (True, True),
        "siberian": (False, True),
    }


def test_a_browsers_call_is_stopped_where_stun_is() -> None:
    """Not where only WhatsApp's sound is, nor where only pion's DTLS is."""

    async def scene(it: Scene) -> Stage | None:
        handshake = Webrtc(level=Level.QUICK)
        target = await it.town.place(handshake, "webrtc")
        async with Aiortc().serve(it.town, handshake, target):
            return where(await browse(it.town.client, target[0]))

    assert each(("wa-oneway", "ru-dtls-pion-2026", "uae-voip"), scene, {"uae-voip": {"stun"}}) == {
        "wa-oneway": None,
        "ru-dtls-pion-2026": None,
        "uae-voip": Stage.CONNECTIVITY,
    }


def test_a_browsers_tls_in_a_tunnel_is_stopped_by_its_sizes() -> None:
    """Its hello is of two packets, and a request the third: no upload is needed."""

    async def scene(it: Scene) -> list[int]:
        async with shadowsocks(it) as proxy:
            # By address: ss-server, which would be asked about a name, knows none.
            url = f"https://{it.site.hosts[0]}/{LONG}"
            return await fetched(it, url, option=f"--proxy-server=socks5://{proxy}")

    assert each(("open", "tls-in-tls-2024"), scene, {"tls-in-tls-2024": {"tls-in-tls"}}) == {
        "open": [LONG],
        "tls-in-tls-2024": [0],
    }


def test_a_browsers_quic_is_recognised() -> None:
    """That it would have got a page is not shown: nothing here serves HTTP/3."""

    async def scene(it: Scene) -> list[int]:
        return await fetched(it, f"https://{OTHER}:443/{LONG}", option=FORCED)

    found = each(("quic-2022", "sni-iv"), scene, {"quic-2022": {"quic"}})
    assert found == {"quic-2022": [0], "sni-iv": [0]}
