"""What kind of network this is: told right in networks that are really so."""

import asyncio
import re
from collections.abc import Awaitable, Callable

from circumtest.censor.enforce import enforced
from circumtest.censor.load import policy
from circumtest.lab.topology import lab
from circumtest.live.advice import EnvironmentKind, TroubleKind
from circumtest.live.environment import Environment, look
from circumtest.netns import Netns
from circumtest.process import run
from tests.lab.neutral import Neighbourhood, cut, neighbourhood, six

SYMMETRIC = TroubleKind.SYMMETRIC_NAT
Scene = Callable[[Neighbourhood], Awaitable[None]]


def play(scene: Scene, *, ipv6: bool = False) -> None:
    """Run one scene in a neighbourhood of its own, bounded."""

    async def whole() -> None:
        async with asyncio.timeout(90), neighbourhood(ipv6=ipv6) as here:
            await scene(here)

    asyncio.run(whole())


async def seen(here: Neighbourhood, *resolvers: str) -> Environment:
    """Look from where the client is."""
    found = await look(here.lab.client, resolvers or (here.resolver,), here.neutral)
    assert found.sentence
    assert found.remedy
    assert "?" not in found.sentence + found.remedy, found
    assert "{" not in found.sentence + found.remedy, found
    assert not re.search(r"\d+\.\d+\.\d+\.\d+|::", found.sentence + "".join(found.seen)), found
    return found


def test_a_network_that_passes_everything_is_fine() -> None:
    """Nothing is noted, either."""

    async def scene(here: Neighbourhood) -> None:
        found = await seen(here)
        assert (found.kind, found.fine, found.notes) == (EnvironmentKind.FINE, True, ())
        assert found.versions == {4}

    play(scene)


def test_one_dead_server_never_decides() -> None:
    """One page, one server and one STUN server that are gone change nothing."""

    async def scene(here: Neighbourhood) -> None:
        gone = [here.names.names[one] for one in ("one.example", "first.example", "stun1.example")]
        drop = f"ip daddr {{ {', '.join(gone)} }} drop"
        chain = f"chain c {{ type filter hook forward priority 0; {drop}; }}"
        await run(here.lab.censor, ["nft", f"table inet gone {{ {chain}; }}"])
        assert (await seen(here)).fine

    play(scene)


def test_without_a_device_there_is_no_network() -> None:
    """And with one that has no route there is none either; each says so."""

    async def whole() -> None:
        async with asyncio.timeout(60), Netns.new("alone") as alone, Netns.new("other") as other:
            found = await look(alone, ())
            assert found.kind is EnvironmentKind.NO_NETWORK
            assert "no device is up" in found.sentence
            await alone.veth("eth0", other, "eth0")
            found = await look(alone, ())
            assert found.kind is EnvironmentKind.NO_NETWORK
            assert "no route" in found.sentence

    asyncio.run(whole())


def test_a_link_behind_which_nobody_answers_is_no_answer() -> None:
    """Neither a resolver nor a server."""

    async def scene(here: Neighbourhood) -> None:
        await cut(here.lab)
        assert (await seen(here)).kind is EnvironmentKind.NO_ANSWER

    play(scene)


def test_a_captive_portal_that_lies_about_names_is_told() -> None:
    """Every name is the portal's, which leads pages to itself; everything else is dropped."""

    async def scene(here: Neighbourhood) -> None:
        here.names.lie(here.portal)
        await cut(here.lab, "udp dport 53", f"ip daddr {here.portal} tcp dport 80")
        found = await seen(here)
        assert found.kind is EnvironmentKind.CAPTIVE_PORTAL
        assert "3 of 3" in found.sentence

    play(scene)


def test_a_captive_portal_that_takes_over_connections_is_told() -> None:
    """Names are true; port 80 is redirected on the way, the rest refused."""

    async def scene(here: Neighbourhood) -> None:
        turn = f"tcp dport 80 dnat ip to {here.portal}"
        chain = f"chain t {{ type nat hook prerouting priority dstnat; {turn}; }}"
        await run(here.lab.censor, ["nft", f"table inet portal {{ {chain}; }}"])
        await cut(here.lab, "udp dport 53", f"ip daddr {here.portal} tcp dport 80")
        assert (await seen(here)).kind is EnvironmentKind.CAPTIVE_PORTAL

    play(scene)


def test_the_mobile_allow_list_is_told() -> None:
    """Connections open, and only what is said to listed names passes."""

    async def scene(here: Neighbourhood) -> None:
        async with enforced(here.lab.censor, policy("mobile-whitelist")) as censor:
            found = await seen(here)
            assert censor.fault() is None
        assert found.kind is EnvironmentKind.ALLOW_LIST
        assert "No VPN" in found.sentence

    play(scene)


def test_a_network_that_answers_names_only_is_told() -> None:
    """No server, on no list: it is not called an allow-list."""

    async def scene(here: Neighbourhood) -> None:
        await cut(here.lab, "udp dport 53")
        assert (await seen(here)).kind is EnvironmentKind.DNS_ONLY

    play(scene)


def test_a_resolver_that_is_silent_is_told_from_a_network_that_is() -> None:
    """Servers answer by their numbers; with a second resolver that works it is a note."""

    async def scene(here: Neighbourhood) -> None:
        dead = "203.0.113.253"
        found = await seen(here, dead)
        assert found.kind is EnvironmentKind.NO_DNS
        assert "generic_timeout_error" in found.sentence
        found = await seen(here, dead, here.resolver)
        assert found.fine
        assert [one.kind for one in found.notes] == [TroubleKind.RESOLVER]

    play(scene)


def test_no_resolver_at_all_is_no_names() -> None:
    """Nothing is set in this system."""

    async def scene(here: Neighbourhood) -> None:
        found = await look(here.lab.client, (), here.neutral)
        assert found.kind is EnvironmentKind.NO_DNS

    play(scene)


def test_a_resolver_that_lies_is_told() -> None:
    """Private addresses for public names."""

    async def scene(here: Neighbourhood) -> None:
        here.names.lie("10.10.34.34", "10.10.34.35", "10.10.34.36")
        assert (await seen(here)).kind is EnvironmentKind.WRONG_DNS

    play(scene)


def test_a_wrong_clock_is_told_by_how_much() -> None:
    """Forty days by three servers; three minutes are a note."""

    async def scene(here: Neighbourhood) -> None:
        here.pages.ahead = 40 * 86400.0
        found = await seen(here)
        assert found.kind is EnvironmentKind.CLOCK
        assert "40 days" in found.sentence
        here.pages.ahead = 180.0
        found = await seen(here)
        assert found.fine
        assert [one.kind for one in found.notes] == [TroubleKind.CLOCK_OFF]

    play(scene)


def test_datagrams_that_are_dropped_are_a_note() -> None:
    """Connections pass: whether that is the network or STUN is not claimed."""

    async def scene(here: Neighbourhood) -> None:
        await cut(here.lab, "meta l4proto tcp", "udp dport 53")
        found = await seen(here)
        assert found.fine
        assert [one.kind for one in found.notes] == [TroubleKind.NO_STUN]

    play(scene)


def test_a_symmetric_nat_of_this_network_is_a_note() -> None:
    """The router at home shows every server another port; a plain one is not mentioned."""

    async def scene(here: Neighbourhood) -> None:
        for how, kinds in (("masquerade", []), ("masquerade fully-random", [SYMMETRIC])):
            chain = f"chain n {{ type nat hook postrouting priority srcnat; {how}; }}"
            await run(here.lab.censor, ["nft", f"table ip home {{ {chain}; }}"])
            found = await seen(here)
            assert [one.kind for one in found.notes] == kinds
            await run(here.lab.censor, ["nft", "delete table ip home"])

    play(scene)


def test_a_device_that_is_named_is_looked_through() -> None:
    """One that is not there has no network, whatever the routes say."""

    async def scene(here: Neighbourhood) -> None:
        asked = [here.resolver], here.neutral
        assert (await look(here.lab.client, *asked, device="censor")).fine
        found = await look(here.lab.client, *asked, device="wg0")
        assert found.kind is EnvironmentKind.NO_NETWORK

    play(scene)


def test_a_network_that_has_ipv6_only_is_fine() -> None:
    """Resolver, pages, servers and STUN are asked over what there is."""

    async def whole() -> None:
        async with asyncio.timeout(90), lab() as place, six(place) as (neutral, resolver):
            await run(place.client, ["ip", "-4", "route", "flush", "root", "0/0"])
            found = await look(place.client, [resolver], neutral)
        assert (found.kind, found.notes) == (EnvironmentKind.FINE, ())
        assert found.versions == {6}

    asyncio.run(whole())


def test_ipv6_that_leads_nowhere_is_a_note() -> None:
    """A route is there and nobody answers over it."""

    async def scene(here: Neighbourhood) -> None:
        found = await seen(here)
        assert found.fine
        assert [one.kind for one in found.notes] == [TroubleKind.BROKEN_IPV6]

    play(scene, ipv6=True)


def test_two_servers_of_five_that_pass_are_enough_and_one_is_doubtful() -> None:
    """A quorum, and less than one: no verdict is thought of then."""

    async def scene(here: Neighbourhood) -> None:
        one, other = (here.names.names[name] for name in ("one.example", "two.example"))
        await cut(here.lab, "udp dport 53", f"ip daddr {{ {one}, {other} }}")
        assert (await seen(here)).fine
        await run(here.lab.censor, ["nft", "delete table inet cut"])
        await cut(here.lab, "udp dport 53", f"ip daddr {one}")
        found = await seen(here)
        assert (found.kind, found.fine) == (EnvironmentKind.DOUBTFUL, False)
        assert "1 of 5" in found.sentence

    play(scene)
