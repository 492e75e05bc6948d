"""Calls through coturn, a real TURN server: every handshake that has one, also in tunnels."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path as File
from random import Random
from typing import Any

import dpkt
import pytest

from circumtest import turn, voice
from circumtest.censor.enforce import enforced
from circumtest.censor.load import policy
from circumtest.errors import ConfigError
from circumtest.handshakes.echo import Echo
from circumtest.handshakes.messenger_call import MessengerCall
from circumtest.handshakes.signal_call import SignalCall
from circumtest.handshakes.telegram_call_turn import TelegramCallTurn
from circumtest.handshakes.turn import Turn
from circumtest.lab.capture import capture
from circumtest.lab.far.coturn import Coturn
from circumtest.lab.servers.dante import Dante
from circumtest.lab.servers.wireguard_go import WireguardGo
from circumtest.lab.topology import CLIENT, EXIT, Lab, lab
from circumtest.ladders import Pace
from circumtest.model import (
    Address,
    Carrier,
    Cause,
    Failure,
    Record,
    Stage,
    Success,
    Transport,
)
from circumtest.path import Path
from circumtest.play import play
from circumtest.relay import Relay
from circumtest.script import Flow, Handshake, Script, enter, now, open_udp
from circumtest.tunnels.socks import Socks
from circumtest.tunnels.wireguard import Wireguard
from circumtest.turn import LIBWEBRTC, Caller, Credentials
from circumtest.voice import Callee
from circumtest.wire import stun
from circumtest.wire import turn as wire

TIMEOUT = 60.0
CALLS: dict[str, Handshake] = {
    **{f"turn-{carrier}": Turn(carrier) for carrier in Carrier},
    "turn-indications": Turn(channels=False),
    "messenger-call": MessengerCall(),
    "telegram-call-turn": TelegramCallTurn(),
    **{f"signal-call-{carrier}": SignalCall(carrier) for carrier in Carrier},
}


@asynccontextmanager
async def path_of(tunnel: str, town: Lab) -> AsyncIterator[Path]:
    """The client's own network, or a tunnel out of it."""
    if tunnel == "none":
        yield town.outside
        return
    server: Any
    client: Any
    server, client = {"wireguard": (WireguardGo(), Wireguard), "socks": (Dante(), Socks)}[tunnel]
    exits = tuple(town.exit_addresses)
    async with server.serve(town) as given, client(**given, exits=exits).up(town.client) as path:
        yield path


async def called(
    handshake: Handshake,
    version: int = 4,
    tunnel: str = "none",
    *,
    far: Coturn | None = None,
    script: Callable[[tuple[Address, ...]], Script[None]] | None = None,
    file: File | None = None,
    censor: str = "open",
) -> Record:
    """One call, or another script, with a coturn of its own; `file` gets what the censor sees."""
    async with asyncio.timeout(TIMEOUT), lab() as town, enforced(town.censor, policy(censor)):
        target = await town.place(handshake, "call", version)
        async with (far or Coturn()).serve(town, handshake, target), path_of(tunnel, town) as path:
            made = script(target) if script else handshake.script(target, Random(version))
            if file is None:
                return await play(made, path)
            async with capture(town.censor, "client", file):
                return await play(made, path)


@pytest.mark.parametrize("version", [4, 6])
@pytest.mark.parametrize("tunnel", ["none", "wireguard", "socks"])
@pytest.mark.parametrize("name", CALLS)
def test_a_call_is_connected_and_carries_sound_both_ways(
    name: str, tunnel: str, version: int
) -> None:
    """Every stage passes; the server saw the exit, and the callee counted what we sent."""
    handshake = CALLS[name]
    record = asyncio.run(called(handshake, version, tunnel))

    assert record.outcome == Success()
    assert tuple(stage.stage for stage in record.stages) == handshake.stages
    assert record.exit is not None
    assert record.exit.host == (CLIENT if tunnel == "none" else EXIT)[version]
    (media,) = record.media
    for direction in (media.up, media.down):
        assert direction.lost is not None
        assert direction.lost <= 4
        assert direction.rtt is not None


def messages(file: File) -> list[stun.Message]:
    """The STUN messages in the UDP packets of a capture."""
    found = []
    with file.open("rb") as pcap:
        for _, frame in dpkt.pcap.UniversalReader(pcap):
            packet = getattr(dpkt.ethernet.Ethernet(frame).data, "data", None)
            if isinstance(packet, dpkt.udp.UDP) and packet.data[:1] < b"\x40":
                found.append(stun.unpack(bytes(packet.data)))
    return found


@pytest.mark.parametrize("name", ["turn-udp", "messenger-call", "telegram-call-turn"])
def test_every_allocation_is_given_back(name: str, tmp_path: File) -> None:
    """As many as were granted, and the server agrees."""
    file = tmp_path / "call.pcap"
    assert asyncio.run(called(CALLS[name], file=file)).outcome == Success()
    seen = messages(file)
    granted = sum(one.type == wire.ALLOCATE | wire.OK for one in seen)
    ended = [one for one in seen if one.type == wire.REFRESH | wire.OK]

    assert granted == CALLS[name].listen.hosts
    assert [one.get(wire.LIFETIME) for one in ended] == [bytes(4)] * granted


def test_a_call_that_dies_gives_its_allocation_back_too(tmp_path: File) -> None:
    """Nobody answers where the callee should be."""
    file = tmp_path / "call.pcap"
    handshake = Turn()

    def script(target: tuple[Address, ...]) -> Script[None]:
        server, callee = target
        return handshake.script((server, callee._replace(port=1)), Random(1))

    record = asyncio.run(called(handshake, script=script, file=file))
    assert isinstance(record.outcome, Failure)
    assert (record.outcome.stage, record.outcome.cause) == (Stage.CONNECTIVITY, Cause.TIMEOUT)
    assert messages(file)[-1].type == wire.REFRESH | wire.OK


def test_a_stale_nonce_costs_a_request_and_not_the_call(tmp_path: File) -> None:
    """A nonce that is good for a second is stale when a call of three ends."""
    handshake, file, pace = Turn(), tmp_path / "call.pcap", Pace(3.0, 3.0)

    def script(target: tuple[Address, ...]) -> Script[None]:
        yield from enter(Stage.ALLOCATE)
        who = caller(handshake, (yield from user()))
        allocation = yield from turn.allocate(who, target[0], pace.patience)
        rng, secret = Random(1), handshake.secret
        yield from voice.call([allocation], target[-1], rng, secret, LIBWEBRTC, pace)

    record = asyncio.run(called(handshake, script=script, far=Coturn(stale=1), file=file))
    seen = messages(file)

    assert record.outcome == Success()
    assert wire.REFRESH | wire.ERROR in [one.type for one in seen]
    assert seen[-1].type == wire.REFRESH | wire.OK


def user() -> Script[str]:
    """A name that is good for an hour."""
    return f"{int((yield from now())) + 3600}:abcd"


def caller(handshake: Turn, name: str, seed: int = 1) -> Caller:
    """Who asks, as libwebrtc does."""
    return Caller(Credentials.given(handshake.secret, name), LIBWEBRTC, Random(seed))


def test_a_port_that_the_server_remembers_is_left_for_another(tmp_path: File) -> None:
    """437, as whoever reuses a port of an unfinished call is told."""
    handshake, file = Turn(), tmp_path / "call.pcap"

    def script(target: tuple[Address, ...]) -> Script[None]:
        yield from enter(Stage.ALLOCATE)
        channel = yield from open_udp(target[0])
        first = caller(handshake, (yield from user()))
        one = yield from turn.allocate(first, target[0], 3.0, channel)
        second = caller(handshake, (yield from user()) + "e", 2)
        two = yield from turn.allocate(second, target[0], 3.0, channel)
        assert one.seen.port != two.seen.port

    assert asyncio.run(called(handshake, script=script, file=file)).outcome == Success()
    codes = [stun.error_code(value)[0] for one in messages(file) if (value := one.get(9))]
    assert 437 in codes


def test_a_quota_is_told(tmp_path: File) -> None:
    """486: the user has an allocation already."""
    handshake = Turn()

    def script(target: tuple[Address, ...]) -> Script[None]:
        yield from enter(Stage.ALLOCATE)
        name = yield from user()
        yield from turn.allocate(caller(handshake, name), target[0], 3.0)
        yield from turn.allocate(caller(handshake, name, 2), target[0], 3.0)

    record = asyncio.run(called(handshake, script=script, far=Coturn(quota=1)))
    assert isinstance(record.outcome, Failure)
    assert record.outcome.cause is Cause.ERROR_REPLY
    assert record.outcome.detail.startswith("486")


def test_the_censor_of_september_stops_telegrams_servers_and_no_others() -> None:
    """At the first packet; the same client at another port is let through."""
    blocked = asyncio.run(called(TelegramCallTurn(), censor="ru-calls-2025-09")).outcome
    assert isinstance(blocked, Failure)
    assert (blocked.stage, blocked.cause) == (Stage.BINDING, Cause.TIMEOUT)
    assert asyncio.run(called(Turn(), censor="ru-calls-2025-09")).outcome == Success()


def test_coturn_is_for_calls_through_turn() -> None:
    """And says so of others."""

    async def wrong() -> None:
        async with lab() as town:
            target = await town.place(Echo(), "echo")
            async with Coturn().serve(town, Echo(), target):
                pass

    with pytest.raises(ConfigError, match="calls no TURN server"):
        asyncio.run(wrong())


# ------------------------------------------------------------------ our own server and coturn

Ask = Callable[[bytes], Awaitable[bytes]]
Said = list[tuple[str, int, int]]
ADDRESSES = {
    4: ("203.0.113.99", "127.0.0.1", "2001:db8::1"),
    6: ("2001:db8::99", "::1", "192.0.2.9"),
}


async def interviewed(ask: Ask, secret: str, realm: str, name: str, version: int) -> Said:
    """What a server says to a series of requests: what was asked, the type, the error's code."""
    said: Said = []
    numbers = iter(range(1, 1000))
    nonce = b""

    async def say(
        what: str,
        method: int,
        *attributes: tuple[int, bytes],
        peer: str = "",
        word: str = "",
        without: int = 0,
        signed: bool = True,
    ) -> stun.Message:
        tid = next(numbers).to_bytes(12)
        if peer:
            attributes += ((wire.XOR_PEER_ADDRESS, stun.xor_address(peer, 7, tid)),)
        key = None
        if signed:
            named = (
                (wire.USERNAME, name.encode()),
                (wire.REALM, realm.encode()),
                (wire.NONCE, nonce),
            )
            attributes += tuple(one for one in named if one[0] != without)
            key = wire.long_term_key(name, realm, word or wire.password(secret, name))
        reply = stun.unpack(await ask(stun.pack(stun.Message(method, tid, attributes), key)))
        code = reply.get(stun.ERROR_CODE)
        said.append((what, reply.type, stun.error_code(code)[0] if code else 0))
        assert reply.tid == tid
        return reply

    udp = (wire.REQUESTED_TRANSPORT, wire.UDP)
    good, loop, alien = ADDRESSES[version]
    channel, other = ((wire.CHANNEL_NUMBER, bytes((0x40, n, 0, 0))) for n in (0, 1))
    await say("a binding", stun.BINDING, signed=False)
    nonce = (await say("a stranger", wire.ALLOCATE, udp, signed=False)).get(wire.NONCE) or b""
    await say("a refresh too early", wire.REFRESH)
    for missing in (wire.USERNAME, wire.REALM, wire.NONCE):
        await say(f"without {missing:#x}", wire.ALLOCATE, udp, without=missing)
    await say("a wrong password", wire.ALLOCATE, udp, word="wrong")
    fresh, nonce = nonce, b"0123456789abcdef"
    await say("a wrong nonce", wire.ALLOCATE, udp)
    nonce = fresh
    await say("no transport", wire.ALLOCATE)
    await say("an unknown attribute", wire.ALLOCATE, udp, (0x7777, b"abcd"))
    await say("an unknown family", wire.ALLOCATE, udp, (wire.REQUESTED_ADDRESS_FAMILY, b"\5\0\0\0"))
    await say("an allocation", wire.ALLOCATE, udp)
    await say("another", wire.ALLOCATE, udp)
    await say("a permission", wire.CREATE_PERMISSION, peer=good)
    await say("a permission for nobody", wire.CREATE_PERMISSION)
    await say("a permission for itself", wire.CREATE_PERMISSION, peer=loop)
    await say("a permission for another family", wire.CREATE_PERMISSION, peer=alien)
    await say("a channel", wire.CHANNEL_BIND, channel, peer=good)
    await say("the same channel", wire.CHANNEL_BIND, channel, peer=good)
    await say("a second channel", wire.CHANNEL_BIND, other, peer=good)
    await say("a channel for two", wire.CHANNEL_BIND, channel, peer=good[:-1])
    await say("no channel", wire.CHANNEL_BIND, peer=good)
    await say("a channel for itself", wire.CHANNEL_BIND, other, peer=loop)
    await say("a refresh", wire.REFRESH)
    await say("the end", wire.REFRESH, (wire.LIFETIME, bytes(4)))
    return said


@pytest.mark.parametrize("version", [4, 6])
def test_our_own_server_answers_as_coturn_does(version: int) -> None:
    """Twenty-five requests, good and bad, in turn: the same types, the same codes."""
    handshake = Turn()

    async def real() -> tuple[Said, str]:
        async with asyncio.timeout(TIMEOUT), lab() as town:
            target = await town.place(handshake, "call", version)
            inbox: asyncio.Queue[Any] = asyncio.Queue()
            async with Coturn().serve(town, handshake, target):
                path, server = town.outside, target[0]
                conn = await path.open(
                    Transport.UDP, server, lambda data, _: inbox.put_nowait(data), 1.0
                )

                async def ask(data: bytes) -> bytes:
                    conn.send(data, server)
                    answer: bytes = await inbox.get()
                    return answer

                name = "2000000000:abcd"
                said = await interviewed(ask, handshake.secret, handshake.realm, name, version)
                conn.close()
                return said, name

    theirs, name = asyncio.run(real())
    relay = Relay(handshake.secret, handshake.realm, Callee(handshake.secret))
    hosts = {4: ("203.0.113.10", CLIENT[4]), 6: ("2001:db8:113::10", CLIENT[6])}[version]
    flow = Flow(Transport.UDP, *(Address(host, 3478) for host in hosts))

    async def ours(data: bytes) -> bytes:
        (emit,) = relay.receive(flow, data, 1_764_000_000.0)
        return emit.data

    said = asyncio.run(interviewed(ours, handshake.secret, handshake.realm, name, version))
    assert said == theirs
