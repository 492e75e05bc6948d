"""What is wrong with a tunnel: real tunnels made wrong on purpose, each named right."""

import asyncio
import base64
import os
import re
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable
from contextlib import asynccontextmanager, suppress
from dataclasses import replace
from random import Random

import msgspec
import pytest

from circumtest.handshakes.echo import Echo, EchoServer
from circumtest.handshakes.stun_binding import StunBinding
from circumtest.lab.servers.dante import Dante
from circumtest.lab.servers.microsocks import Microsocks
from circumtest.lab.servers.tinyproxy import Tinyproxy
from circumtest.lab.servers.wireguard_go import WireguardGo
from circumtest.lab.topology import CLIENT, EXIT, RESOLVER, Lab
from circumtest.lab.web import sites
from circumtest.live.advice import TroubleKind
from circumtest.live.asking import ask
from circumtest.live.diagnosis import Far, Trouble, around, diagnose, of_down
from circumtest.live.nat import Mapping, Nat, mapping
from circumtest.model import Address, Attribution, Transport
from circumtest.path import Path
from circumtest.process import daemon, run
from circumtest.script import Answerer, Emit, Flow
from circumtest.tunnels.http_connect import HttpConnect
from circumtest.tunnels.socks import Socks
from circumtest.tunnels.wireguard import Wireguard
from circumtest.wire import socks
from tests.lab.town import fault_of, town

Scene = Callable[[Lab, Far], Awaitable[None]]
RANDOM = "add rule inet circumtest-wireguard out oifname backbone masquerade fully-random"


def play(scene: Scene) -> None:
    """Run one scene in a town with a mirror's echo and two STUN servers, bounded."""

    async def whole() -> None:
        async with asyncio.timeout(90), town() as place:
            (at,) = await place.serve(Echo(), "echo")
            place.answer(Transport.TCP, [at], EchoServer(Echo().secret))
            stun = [(await place.serve(StunBinding(), f"stun {one}"))[0] for one in "ab"]
            await scene(place, Far(at, Echo().secret, tuple(stun)))

    asyncio.run(whole())


@asynccontextmanager
async def wireguard(place: Lab, **changes: str) -> AsyncIterator[Path]:
    """A real tunnel to the exit; `changes` are lines of its file that say something else."""
    async with WireguardGo().serve(place) as fields:
        text = fields["text"]
        for key, value in changes.items():
            text = re.sub(f"(?m)^{key} = .*", f"{key} = {value}", text)
        async with Wireguard(text=text).up(place.client) as path:
            yield path


async def found(place: Lab, path: Path, far: Far) -> tuple[Trouble, ...]:
    """The diagnosis, beside the outside; each in words that are whole."""
    troubles = await diagnose(path, far, Random(1), outside=place.outside)
    for one in troubles:
        assert "?" not in one.sentence + one.remedy, one
        assert "{" not in one.sentence + one.remedy, one
    return troubles


async def only(place: Lab, path: Path, far: Far) -> Trouble:
    """The one thing that is wrong."""
    (one,) = await found(place, path, far)
    return one


async def rules(place: Lab, room: str, *forwarded: str) -> None:
    """Have one more nft chain in a room."""
    chain = f"chain c {{ type filter hook forward priority 0; {'; '.join(forwarded)}; }}"
    await run(place.rooms[room], ["nft", f"table inet wrong {{ {chain}; }}"])


# ------------------------------------------------------------------ nothing


def test_of_a_tunnel_that_works_nothing_is_said() -> None:
    """Its packets pass up to its MTU, its NAT is plain, its resolver answers."""

    async def scene(place: Lab, far: Far) -> None:
        async with wireguard(place) as path:
            assert await found(place, path, far) == ()

    play(scene)


def test_without_a_mirror_it_is_said_what_cannot_be_known() -> None:
    """Public STUN servers answer small packets only; one of them tells nothing of a NAT."""

    async def scene(place: Lab, far: Far) -> None:
        async with wireguard(place) as path:
            one = await found(place, path, Far(stun=far.stun[:1]))
            assert {one.kind for one in one} == {TroubleKind.UNKNOWN_MTU, TroubleKind.UNKNOWN_NAT}
            assert not any(one.fatal for one in one)

    play(scene)


# ------------------------------------------------------------------ the MTU


def test_a_black_hole_is_found_and_its_mtu_mends_it() -> None:
    """A smaller link whose router says nothing; with the MTU that is named all of it passes."""

    async def scene(place: Lab, far: Far) -> None:
        await place.backbone.mtu("exit", 1280)
        silent = "type filter hook output priority 0; meta l4proto { icmp, icmpv6 } drop;"
        await run(place.backbone, ["nft", f"table inet wrong {{ chain c {{ {silent} }}; }}"])
        async with wireguard(place) as path:
            one = await only(place, path, far)
        # 1280 without 60 octets of IP, UDP and WireGuard, which fills up to 16.
        assert (one.kind, one.mtu, one.fatal) == (TroubleKind.MTU, 1216, True)
        assert "MTU = 1216" in one.remedy
        assert "take the IPv6 addresses out" in one.remedy
        async with wireguard(place, MTU=str(one.mtu), Address="10.99.0.2/32") as path:
            assert await found(place, path, far) == ()

    play(scene)


@pytest.mark.parametrize(
    ("device", "where"),
    [('oifname "exit"', "on the way to the server"), ('oifname "censor"', "on the way back")],
)
def test_the_way_on_which_large_packets_are_lost_is_told(device: str, where: str) -> None:
    """Dropped by size in one direction only."""

    async def scene(place: Lab, far: Far) -> None:
        await rules(place, "backbone", f"{device} ip length > 1300 drop")
        async with wireguard(place) as path:
            one = await only(place, path, far)
        assert one.kind is TroubleKind.MTU
        assert where in one.sentence
        assert one.mtu == 1232

    play(scene)


def test_a_lossy_tunnel_is_not_called_a_small_one() -> None:
    """Every third packet is lost, whatever its size."""

    async def scene(place: Lab, far: Far) -> None:
        async with wireguard(place) as path:
            await rules(place, "backbone", "meta l4proto udp numgen random mod 100 < 30 drop")
            kinds = {one.kind for one in await found(place, path, far)}
            assert TroubleKind.MTU not in kinds

    play(scene)


# ------------------------------------------------------------------ nothing comes through


def test_a_wrong_key_and_a_dead_server_are_no_handshake() -> None:
    """WireGuard answers strangers with silence: the sentence claims no more than that."""

    async def scene(place: Lab, far: Far) -> None:
        async with WireguardGo().serve(place) as fields:
            stranger = base64.b64encode(os.urandom(32)).decode()
            text = re.sub("PrivateKey = .*", f"PrivateKey = {stranger}", fields["text"])
            wrong = of_down(await fault_of(Wireguard(text=text, patience=2).up(place.client)))
        gone = of_down(await fault_of(Wireguard(text=text, patience=2).up(place.client)))
        for one in (wrong, gone):
            assert (one.kind, one.attribution) == (TroubleKind.HANDSHAKE, Attribution.TUNNEL)
            assert "down, unreachable or blocked, or does not know us" in one.sentence

    play(scene)


def test_a_wrong_password_is_told_from_silence() -> None:
    """A proxy says so."""

    async def scene(place: Lab, far: Far) -> None:
        async with Dante().serve(place) as fields:
            url = re.sub(":[^:@/]+@", ":wrong@", fields["url"])
            one = of_down(await fault_of(Socks(url=url).up(place.client)))
        assert one.kind is TroubleKind.AUTH
        assert "password" in one.remedy

    play(scene)


def test_a_handshake_without_data_is_no_data() -> None:
    """The server takes packets and forwards none."""

    async def scene(place: Lab, far: Far) -> None:
        async with wireguard(place) as path:
            await rules(place, "exit", "drop")
            one = await only(place, path, far)
        assert (one.kind, one.attribution) == (TroubleKind.NO_DATA, Attribution.TUNNEL)
        assert "ip_forward" in one.remedy

    play(scene)


def test_a_tunnel_without_udp_is_told_from_one_without_data() -> None:
    """The server drops datagrams; a proxy that has none refuses them."""

    async def scene(place: Lab, far: Far) -> None:
        async with wireguard(place) as path:
            await rules(place, "exit", "meta l4proto udp drop")
            one = await only(place, path, far)
            assert one.kind is TroubleKind.NO_UDP
        async with Microsocks().serve(place) as fields, Socks(**fields).up(place.client) as proxy:
            one = await only(place, proxy, far)
            assert one.kind is TroubleKind.NO_UDP
            assert "udpassociate" in one.remedy

    play(scene)


def test_a_far_end_that_is_gone_is_no_fault_of_the_tunnel() -> None:
    """Silent with and without it."""

    async def scene(place: Lab, far: Far) -> None:
        assert far.echo is not None
        away = replace(far, echo=far.echo._replace(port=9))
        async with wireguard(place) as path:
            one = await only(place, path, away)
        assert (one.kind, one.attribution) == (TroubleKind.FAR_END, Attribution.ENDPOINT)

    play(scene)


def test_datagrams_that_are_lost_either_way_are_not_the_tunnels_fault() -> None:
    """Nor is the far end said to be gone: connections to it pass."""

    async def scene(place: Lab, far: Far) -> None:
        assert far.echo is not None
        deaf = far.echo._replace(port=9001)
        place.answer(Transport.TCP, [deaf], EchoServer(far.secret))
        async with wireguard(place) as path:
            one = await only(place, path, replace(far, echo=deaf))
        assert one.kind is TroubleKind.NO_UDP_EITHER_WAY
        assert one.attribution is Attribution.ENDPOINT

    play(scene)


def test_a_tunnel_without_udp_is_so_by_nature_whatever_passes_outside() -> None:
    """An HTTP proxy, where datagrams are dropped outside as well; and no word of the far end."""

    async def scene(place: Lab, far: Far) -> None:
        await rules(place, "censor", "meta l4proto udp drop")
        async with (
            Tinyproxy().serve(place) as fields,
            HttpConnect(**fields).up(place.client) as path,
        ):
            for whom in (far, Far(stun=far.stun)):
                assert (await only(place, path, whom)).kind is TroubleKind.NO_UDP

    play(scene)


def test_without_a_mirror_neutral_servers_tell_no_udp_from_no_data() -> None:
    """By TLS to a name, through the tunnel."""

    async def scene(place: Lab, far: Far) -> None:
        async with sites(place, ["www.example"]) as there, wireguard(place) as path:
            at = Address(there.names["www.example"], 443)
            public = Far(stun=far.stun, tls=((at, "www.example"),))
            await rules(place, "exit", "meta l4proto udp drop")
            assert (await only(place, path, public)).kind is TroubleKind.NO_UDP
            await run(place.exit, ["nft", "delete table inet wrong"])
            await rules(place, "exit", "drop")
            assert (await only(place, path, public)).kind is TroubleKind.NO_DATA

    play(scene)


# ------------------------------------------------------------------ another address


class Elsewhere:
    """Answers like another one, from another address of the same host."""

    def __init__(self, of: Answerer, place: Address) -> None:
        self._of, self._place = of, place

    def receive(self, flow: Flow, data: bytes, now: float) -> Iterable[Emit]:
        for one in self._of.receive(flow, data, now):
            yield msgspec.structs.replace(
                one, flow=msgspec.structs.replace(one.flow, local=self._place)
            )

    def timer(self) -> float | None:
        return None

    def tick(self, now: float) -> Iterable[Emit]:
        return ()


def test_a_server_that_answers_from_another_address_is_named() -> None:
    """It is the far end's fault where it does so without the tunnel as well."""

    async def scene(place: Lab, far: Far) -> None:
        asked, other = await place.addresses(2, 9000, 4)
        answerer = Elsewhere(EchoServer(far.secret), other)
        place.answer(Transport.UDP, [asked, other], answerer)
        async with Dante().serve(place) as fields, Socks(**fields).up(place.client) as path:
            one = await only(place, path, replace(far, echo=asked))
        assert (one.kind, one.attribution) == (TroubleKind.WRONG_SOURCE, Attribution.ENDPOINT)

    play(scene)


def test_a_proxy_whose_relay_answers_from_another_address_is_named() -> None:
    """What programs with a connected socket lose is not taken for silence."""

    async def scene(place: Lab, far: Far) -> None:
        await place.exit.address("lo", "198.51.100.77/32")
        await place.backbone.route("198.51.100.77/32", via=EXIT[4])
        async with crooked(place), Socks(url=f"socks5://{EXIT[4]}:1085").up(place.client) as path:
            one = await only(place, path, far)
        assert (one.kind, one.attribution) == (TroubleKind.WRONG_SOURCE, Attribution.TUNNEL)
        assert "bind" in one.remedy

    play(scene)


@asynccontextmanager
async def crooked(place: Lab) -> AsyncIterator[None]:
    """A SOCKS5 proxy for datagrams that answers from an address nobody asked."""
    loop = asyncio.get_running_loop()
    relay, away, other = (place.exit.socket(2, 2) for _ in range(3))
    relay.bind((EXIT[4], 1086))
    other.bind(("198.51.100.77", 1086))
    clients: list[tuple[str, int]] = []

    def there() -> None:
        data, client = relay.recvfrom(2048)
        asked = socks.parse_datagram(data)
        clients.append(client)
        away.sendto(asked.payload, (asked.host, asked.port))

    def back() -> None:
        data, source = away.recvfrom(2048)
        other.sendto(socks.datagram(source[0], source[1], data), clients[-1])

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with suppress(asyncio.IncompleteReadError):  # who only looks whether we are there
            await reader.readexactly(3)
            writer.write(b"\x05\x00")
            await reader.readexactly(10)
            writer.write(b"\x05\x00\x00\x01" + Address(EXIT[4], 0).packed + (1086).to_bytes(2))
            await reader.read(1)
        writer.close()

    listener = place.exit.socket(2, 1)
    listener.bind((EXIT[4], 1085))
    loop.add_reader(relay, there)
    loop.add_reader(away, back)
    try:
        async with await asyncio.start_server(serve, sock=listener):
            yield
    finally:
        for sock in (relay, away, other):
            loop.remove_reader(sock)
            sock.close()


# ------------------------------------------------------------------ NAT


def test_a_mirror_with_one_address_shows_a_symmetric_nat_by_its_ports() -> None:
    """Without STUN servers; a plain NAT is not called anything then."""

    async def scene(place: Lab, far: Far) -> None:
        assert far.echo is not None
        other = far.echo._replace(port=3478)
        place.answer(Transport.UDP, [other], EchoServer(far.secret))
        mirror = replace(far, stun=(), ports=(3478,))
        async with wireguard(place) as path:
            assert await found(place, path, mirror) == ()
            flush = "flush chain inet circumtest-wireguard out"
            await run(place.exit, ["nft", f"{flush}; {RANDOM}"])
            assert (await only(place, path, mirror)).kind is TroubleKind.SYMMETRIC_NAT

    play(scene)


async def at_home(place: Lab) -> None:
    """A router at home with a symmetric NAT."""
    chain = "type nat hook postrouting priority srcnat; masquerade fully-random;"
    await run(place.censor, ["nft", f"table ip home {{ chain n {{ {chain} }}; }}"])


def test_a_symmetric_nat_is_told_from_a_plain_one_and_is_no_fault_of_itself() -> None:
    """nft's masquerade, with and without fully-random; relayed calls pass either."""

    async def scene(place: Lab, far: Far) -> None:
        async with wireguard(place) as path:
            flush = "flush chain inet circumtest-wireguard out"
            await run(place.exit, ["nft", f"{flush}; {RANDOM}"])
            one = await only(place, path, far)
            assert (one.kind, one.fatal) == (TroubleKind.SYMMETRIC_NAT, False)
            assert one.attribution is Attribution.TUNNEL

    play(scene)


def test_a_symmetric_nat_of_this_network_is_not_the_tunnels() -> None:
    """The router at home does it: the outside shows the same."""

    async def scene(place: Lab, far: Far) -> None:
        await at_home(place)
        one = next(
            one
            for one in await found(place, place.outside, far)
            if one.kind is TroubleKind.SYMMETRIC_NAT
        )
        assert one.attribution is Attribution.ENVIRONMENT

    play(scene)


def test_coturn_with_two_addresses_tells_the_mapping_by_itself() -> None:
    """RFC 5780: plain, by address and port (fully-random), each from one server that is named."""

    async def scene(place: Lab, far: Far) -> None:
        first, second = await place.addresses(2, 3478, 4)
        argv = ["turnserver", "-v", "--no-auth", "--stun-only", "--no-cli", "--no-tls", "--no-dtls"]
        argv += ["--log-file=stdout", "--simple-log", "--userdb=/dev/null"]
        argv += ["--pidfile=/dev/null", "-L", first.host, "-L", second.host, "-n"]
        async with daemon(place.services, argv) as server:
            for one in (first, second):
                await server.line(rf"UDP listener opened on\s?: ?{one.host}:3479", 15)
            plain = await ask(place.outside, mapping([first], Random(1)))
            assert isinstance(plain, Nat)
            assert plain.mapping is Mapping.SAME_FOR_ALL
            assert plain.mapped is not None
            assert plain.mapped.host == CLIENT[4]
            await at_home(place)
            random = await ask(place.outside, mapping([first], Random(2)))
            assert isinstance(random, Nat)
            assert random.mapping is Mapping.BY_ADDRESS_AND_PORT

    play(scene)


# ------------------------------------------------------------------ names and exits


def test_a_resolver_that_is_not_reached_through_the_tunnel_is_named() -> None:
    """It is not in AllowedIPs: elsewhere it would be asked outside."""

    async def scene(place: Lab, far: Far) -> None:
        async with wireguard(place, AllowedIPs="203.0.113.0/24") as path:
            one = await only(place, path, far)
            assert (one.kind, one.fatal) == (TroubleKind.DNS_AROUND, False)
        async with wireguard(place, DNS="203.0.113.250") as path:
            one = await only(place, path, far)
            assert (one.kind, one.fatal) == (TroubleKind.DNS_SILENT, False)

    play(scene)


def test_a_system_whose_resolver_is_asked_beside_a_vpn_is_told() -> None:
    """By its routes; of a program on loopback nothing is claimed."""

    async def scene(place: Lab, far: Far) -> None:
        one = await around(place.client, "wg0", [RESOLVER[4], "127.0.0.53"])
        assert one is not None
        assert one.kind is TroubleKind.DNS_AROUND
        assert "censor, not by wg0" in one.sentence
        assert await around(place.client, "censor", list(RESOLVER.values())) is None
        assert await around(place.client, "wg0", ["127.0.0.53", "::1"]) is None

    play(scene)


def test_a_tunnel_that_leaves_by_the_same_address_is_told() -> None:
    """It says that it is up and leads nowhere else."""

    async def scene(place: Lab, far: Far) -> None:
        one = await only(place, place.outside, far)
        assert (one.kind, one.fatal) == (TroubleKind.SAME_EXIT, True)

    play(scene)
