"""curl and ssh, which are not ours, meet each censor of TLS, names and allow-lists as it is told.

Each is also run behind the open policy and behind censors whom it does not concern.
"""

import asyncio
import sys

import pytest

from circumtest.lab.servers.sshd import Sshd
from circumtest.lab.topology import CLIENT
from circumtest.process import ProcessEnded, run
from tests.lab.outsiders import LISTED, LONG, OTHER, WAIT, Scene, each, ssh
from tests.lab.town import FAR

SECURE = f"https://{LISTED}"
IRAN = "iran-protocol-whitelist"
UNPRIVILEGED = "net.ipv4.ip_unprivileged_port_start"
ASK = "import dns.message, dns.query, sys; q = dns.message.make_query('who.invalid', 'TXT');"
"""dnspython at the client; then the transport, and the resolver's address as an argument."""


def test_curl_is_stopped_by_the_policies_that_list_its_name_and_passes_the_others() -> None:
    """A listed name, one that nobody lists, and the listed one without TLS."""
    stopping = {"sni-i": "reset", "sni-ii": "silence", "sni-iii": "silence", "sni-iv": "silence"}
    passing = {"open", "twitter-2021", "ech-2024", "quic-2022", "uae-voip", "ru-openvpn"}
    passing |= {"siberian", "gfw-fep-2023", "tls-in-tls-2024", IRAN}
    urls = [f"{SECURE}/{LONG}", f"https://{OTHER}/{LONG}", f"http://{LISTED}/{LONG}"]

    async def scene(it: Scene) -> list[str]:
        pages = await asyncio.gather(*(it.curl(url, at=n) for n, url in enumerate(urls)))
        return [page.end for page in pages]

    found = each((*stopping, *passing), scene, {name: {name} for name in stopping})
    assert found == {
        **{name: [end, "passes", "passes"] for name, end in stopping.items()},
        **dict.fromkeys(passing, ["passes"] * 3),
    }


def test_ech_2024_lets_a_client_without_ech_through() -> None:
    """OpenSSL 3.0 and curl have none; that a browser, which has, is stopped is shown elsewhere."""

    async def scene(it: Scene) -> str:
        return (await it.curl(f"https://cloudflare-ech.com/{LONG}")).end

    assert each(["ech-2024"], scene, {}) == {"ech-2024": "passes"}


@pytest.mark.parametrize(
    ("name", "scale", "first", "then"),
    [("sni-i", 0.04, "reset", "refused"), ("sni-iv", 0.05, "silence", "silence")],
)
def test_a_place_stays_blocked_for_other_names_until_its_time_is_over(
    name: str, scale: float, first: str, then: str
) -> None:
    """Same address and port; another address, and another port, are not touched."""

    async def scene(it: Scene) -> list[str]:
        short = f"https://{OTHER}/100"
        listed = await it.curl(f"{SECURE}/100", wait=1)
        here, there, plain = await asyncio.gather(
            it.curl(short, wait=1), it.curl(short, at=1), it.curl(f"http://{OTHER}/100")
        )
        again = here
        while again.end != "passes":
            again = await it.curl(short, wait=1)
        return [one.end for one in (listed, here, there, plain, again)]

    found = each([name], scene, {name: {name}}, scale)
    assert found == {name: [first, then, "passes", "passes", "passes"]}


def test_sni_iii_is_slow_and_not_silent() -> None:
    """A page of one packet comes; of one that takes a moment elsewhere hardly anything does."""

    async def scene(it: Scene) -> tuple[str, int]:
        short, long = await asyncio.gather(
            it.curl(f"{SECURE}/300", wait=20), it.curl(f"{SECURE}/{LONG}", at=1)
        )
        return short.end, long.size

    found = each(["open", "sni-iii"], scene, {"sni-iii": {"sni-iii"}})
    assert found["open"] == ("passes", LONG)
    end, size = found["sni-iii"]
    assert end == "passes"
    assert size < LONG // 20


def test_twitter_2021_polices_to_its_rate_and_nothing_else() -> None:
    """17.5 kB a second: not more, and TCP gets a good part of it out of a policer."""

    async def scene(it: Scene) -> tuple[float, str, str]:
        slow, other = await asyncio.gather(
            it.curl("https://twitter.com/1000000", wait=6), it.curl(f"https://{OTHER}/{LONG}", at=1)
        )
        return slow.size / slow.seconds, slow.end, other.end

    found = each(["open", "twitter-2021"], scene, {"twitter-2021": {"twitter"}})
    assert found["open"][1:] == ("passes", "passes")
    rate, *ends = found["twitter-2021"]
    assert ends == ["silence", "passes"]
    assert 17500 / 3 < rate < 17500 * 2


# ------------------------------------------------------------------ allow-lists, and ssh


async def ssh_ends(it: Scene, *ports: int) -> list[bool]:
    """Whether ssh gets in at each port, at the same time."""

    async def one(port: int) -> bool:
        async with Sshd(port).serve(it.town) as fields:
            return (await ssh(it.town, fields))[0]

    await it.town.exit.sysctl(UNPRIVILEGED, min(ports))
    return list(await asyncio.gather(*map(one, ports)))


def test_irans_allow_list_is_of_protocols_on_the_ports_of_the_web() -> None:
    """curl and DNS pass there, ssh does not, and ssh on its own port does."""

    async def scene(it: Scene) -> tuple[list[str], list[bool], list[bool]]:
        urls = [f"http://{OTHER}/{LONG}", f"https://{OTHER}/{LONG}"]
        pages, names, shells = await asyncio.gather(
            asyncio.gather(*map(it.curl, urls)), resolved(it), ssh_ends(it, 22, 443)
        )
        return [page.end for page in pages], names, shells

    found = each(["open", IRAN, "sni-iv"], scene, {IRAN: {"streams"}})
    passing: tuple[list[str], list[bool]] = (["passes"] * 2, [True, True])
    assert found == {
        "open": (*passing, [True, True]),
        "sni-iv": (*passing, [True, True]),
        IRAN: (*passing, [True, False]),
    }


async def resolved(it: Scene) -> list[bool]:
    """Whether dnspython at the client hears from a resolver, over UDP and TCP."""

    async def one(transport: str) -> bool:
        program = f"{ASK} print(dns.query.{transport}(q, sys.argv[1], timeout={WAIT}).answer)"
        try:
            said = await run(it.town.client, [sys.executable, "-c", program, FAR[4].host])
        except ProcessEnded:
            return False
        return CLIENT[4] in said

    return list(await asyncio.gather(one("udp"), one("tcp")))


def test_the_mobile_allow_list_is_of_names() -> None:
    """DNS and TLS to a listed name pass; TLS to another, the web without TLS and ssh do not."""
    urls = (f"https://ya.ru/{LONG}", f"https://{OTHER}/{LONG}", f"http://ya.ru/{LONG}")

    async def scene(it: Scene) -> tuple[list[str], list[bool], list[bool]]:
        fetching = asyncio.gather(*(it.curl(url, at=n) for n, url in enumerate(urls)))
        pages, names, shells = await asyncio.gather(fetching, resolved(it), ssh_ends(it, 22))
        return [page.end for page in pages], names, shells

    assert each(["open", "mobile-whitelist"], scene, {"mobile-whitelist": {"streams"}}) == {
        "open": (["passes"] * 3, [True, True], [True]),
        "mobile-whitelist": (["passes", "silence", "silence"], [True, True], [False]),
    }


def test_l4_25_freezes_what_takes_more_packets_and_spares_ssh() -> None:
    """A short page comes whole, a long one not; through ssh the long one does."""

    async def through_ssh(it: Scene) -> int:
        async with Sshd().serve(it.town) as fields:
            ask = f"GET /{LONG} HTTP/1.1\r\n\r\n"
            return (await ssh(it.town, fields, "-W", f"{it.site.hosts[0]}:80", say=ask))[1]

    async def scene(it: Scene) -> tuple[str, str, bool]:
        short, long, size = await asyncio.gather(
            it.curl(f"http://{OTHER}/100"),
            it.curl(f"https://{OTHER}/{LONG}", at=1),
            through_ssh(it),
        )
        return short.end, long.end, size > LONG

    assert each(["open", "l4-25", "sni-iv"], scene, {"l4-25": {"streams"}}) == {
        "open": ("passes", "passes", True),
        "sni-iv": ("passes", "passes", True),
        "l4-25": ("passes", "silence", True),
    }
