"""WhatsApp's call, packet by packet: what leaves, when, and what is taken for an answer."""

from pathlib import Path
from random import Random

import dpkt
import pytest

from circumtest import registry, warp
from circumtest.censor.packet import Packet, Verdict
from circumtest.errors import ConfigError
from circumtest.handshakes.whatsapp_call import WhatsappCall
from circumtest.model import Address, Record, Role, Success
from circumtest.simulate import CLIENT, START, far_end, simulate
from circumtest.wire import rtp, stun, whatsapp

DATA = Path(__file__).parents[2] / "data"


class Tap:
    """A judge that passes everything and writes it down."""

    def __init__(self) -> None:
        self.packets: list[tuple[float, Packet]] = []

    def judge(self, packet: Packet, now: float) -> Verdict:
        self.packets.append((round(now - START, 4), packet))
        return Verdict.PASS

    def up(self) -> list[tuple[float, Address, bytes]]:
        """Time, relay and bytes of what left the client."""
        return [
            (at, packet.destination, packet.payload)
            for at, packet in self.packets
            if packet.source.host in CLIENT.values()
        ]


def played(version: int = 4, relays: int = 5, seed: int = 1) -> tuple[Record, Tap]:
    """A whole call that nobody hinders."""
    handshake, tap = WhatsappCall(relays=relays), Tap()
    target, services = far_end(handshake, version)
    return simulate(handshake.script(target, Random(seed)), services, tap), tap


RECORD, TAP = played()


def sized(tap: Tap, size: int) -> list[tuple[float, Address, bytes]]:
    """The packets of a size that left."""
    return [row for row in tap.up() if len(row[2]) == size]


def test_a_call_is_what_it_says_it_is() -> None:
    """UDP 3478 on as many hosts as there are relays; the first packet has 212 bytes."""
    call = WhatsappCall(relays=3)

    assert (call.listen.port, call.listen.hosts) == (3478, 3)
    assert (call.opening, call.role, call.messaging) == (212, Role.CALL, "whatsapp-message")
    assert len(TAP.up()[0][2]) == 212


@pytest.mark.parametrize("relays", [0, 2, 6])
def test_a_call_to_fewer_or_more_relays_than_real_ones_is_refused(relays: int) -> None:
    """By the plan's reader, with the key's name; three to five is what signalling gives."""
    with pytest.raises(ConfigError, match="relays"):
        registry.build(
            registry.HANDSHAKES, {"kind": "whatsapp-call", "relays": relays}, "plan.toml", "call"
        )


def test_each_relay_gets_two_allocates_within_ten_milliseconds() -> None:
    """From one socket; each with the relay's own address and token."""
    rows = sized(TAP, 212)

    assert len(rows) == 10
    assert {at for at, _, _ in rows} == {0.0}
    assert (
        len({packet.source for _, packet in TAP.packets if packet.source.host in CLIENT.values()})
        == 1
    )
    tokens: dict[Address, set[bytes]] = {}
    for _, relay, data in rows:
        message = stun.unpack(data)
        value = message.get(stun.XOR_RELAYED_ADDRESS) or b""
        assert stun.parse_xor_address(value, message.tid) == tuple(relay)
        tokens.setdefault(relay, set()).add(whatsapp.parse_token(message))
    assert [len(found) for found in tokens.values()] == [1] * 5
    assert len(set.union(*tokens.values())) == 5


def test_the_first_packet_is_the_captures_field_by_field() -> None:
    """Type, length, cookie, attributes and their lengths, the token's prefix; the rest is drawn."""
    with (DATA / "wa_alloc_2023.pcap").open("rb") as file:
        _, raw = next(iter(dpkt.pcap.Reader(file)))
    theirs = bytes(dpkt.ethernet.Ethernet(raw).data.data.data)
    ours = TAP.up()[0][2]

    drawn = [*range(8, 20), *range(26, 174), *range(182, 188), *range(192, 212)]
    fixed = [at for at in range(212) if at not in drawn]
    assert [ours[at] for at in fixed] == [theirs[at] for at in fixed]


def test_transaction_ids_are_one_prefix_and_a_counter_over_the_whole_call() -> None:
    """It grows by one with each STUN packet, whatever its kind."""
    ids = [data[8:20] for _, _, data in TAP.up() if data[:1] != b"\x90"]

    assert len({tid[:8] for tid in ids}) == 1
    counts = [int.from_bytes(tid[8:]) for tid in ids]
    assert counts == list(range(counts[0], counts[0] + len(ids)))


def test_the_other_packets_come_in_the_captures_order() -> None:
    """212, 272, a ping, media and pings, 220; two, two and one to each relay."""
    sizes = [len(data) for _, _, data in TAP.up()]

    assert sizes[:21] == [212] * 10 + [272] * 10 + [20]
    assert sizes[-5:] == [220] * 5
    assert set(sizes[21:-5]) <= {20, 190}
    assert {relay for _, relay, _ in sized(TAP, 220)} == {relay for _, relay, _ in sized(TAP, 212)}


def test_media_has_the_header_that_captures_show() -> None:
    """`90 78`, numbers from 0, 320 ticks a packet, one SSRC: that of the re-allocate; one relay."""
    rows = sized(TAP, 190)
    headers = [rtp.unpack(data)[0] for _, _, data in rows]
    ssrc = whatsapp.own_stream(stun.unpack(sized(TAP, 272)[0][2]))

    assert len(rows) == 80
    assert len({relay for _, relay, _ in rows}) == 1
    assert {data[:2] for _, _, data in rows} == {b"\x90\x78"}
    assert [header.seq for header in headers] == list(range(80))
    assert [header.timestamp for header in headers] == list(range(0, 80 * 320, 320))
    assert {header.ssrc for header in headers} == {ssrc}
    assert {header.profile for header in headers} == {0xDEBE}


def test_nothing_that_should_change_stays_from_call_to_call() -> None:
    """Ids, tokens, integrity, streams and every media packet."""
    _, other = played(seed=2)
    for mine, theirs in zip(TAP.up(), other.up(), strict=True):
        assert len(mine[2]) == len(theirs[2])
        assert mine[2] != theirs[2]
    assert stun.unpack(TAP.up()[0][2]).tid[:8] != stun.unpack(other.up()[0][2]).tid[:8]


@pytest.mark.parametrize("relays", [3, 4, 5])
def test_it_goes_over_ipv6_as_well(relays: int) -> None:
    """Twelve bytes more where an address is carried, and the address that was seen is recorded."""
    record, tap = played(version=6, relays=relays)

    assert record.outcome == Success()
    assert record.exit is not None
    assert record.exit.host == CLIENT[6]
    assert [len(data) for _, _, data in tap.up()][: 2 * relays] == [224] * (2 * relays)


def test_the_address_that_the_relay_saw_is_recorded() -> None:
    """It proves by which exit the packets left."""
    assert RECORD.exit == Address(CLIENT[4], 40001)


def test_a_secret_of_ones_own_needs_the_same_at_the_far_end() -> None:
    """Otherwise relays cannot tell the caller from a stranger, and are silent."""
    ours, theirs = WhatsappCall(secret="ours"), WhatsappCall(secret="theirs")
    target, services = far_end(theirs)

    assert simulate(ours.script(target, Random(1)), services).outcome != Success()
    assert simulate(theirs.script(target, Random(1)), services).outcome == Success()


def test_keys_of_the_two_directions_differ() -> None:
    """A packet that is reflected does not open."""
    token = bytes(whatsapp.TOKEN_SIZE)
    keys = {warp.media_key("secret", token, way) for way in ("up", "down")}

    assert len(keys) == 2
    assert {len(key) for key in keys} == {rtp.KEY}
