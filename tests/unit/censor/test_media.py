"""Sound, channels and dialects of STUN: what is told from what merely looks like it."""

import struct
from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from circumtest.censor import media
from circumtest.censor.packet import Packet
from circumtest.model import Transport
from circumtest.wire import rtp, stun
from tests.unit.censor.flows import CLIENT, SERVER, Down, flows, recognised, sent, sights

TID = bytes(range(12))
BINDING = stun.pack(stun.Message(stun.BINDING, TID, ()))
BOUND = stun.pack(stun.Message(stun.BINDING_OK, TID, ()))


def sound(seq: int, ssrc: int = 7, kind: int = 111) -> bytes:
    """A bare RTP packet of 172 bytes."""
    return struct.pack("!BBHII", 0x80, kind, seq & 0xFFFF, seq * 160, ssrc) + bytes(160)


def call(*seqs: int, ssrc: int = 7) -> list[bytes]:
    """Packets both ways, by turns."""
    return [part for seq in seqs for part in (sound(seq, ssrc), Down(sound(seq, ssrc + 1)))]


def found(*payloads: bytes, transport: Transport = Transport.UDP) -> int:
    """How many packets are taken for sound."""
    return recognised(sent(transport, *payloads))["rtp"]


def test_bare_sound_both_ways_is_recognised_from_its_tenth_packet_on() -> None:
    """Numbers may wrap, payload types be static or dynamic."""
    assert found(*call(*range(10))) == 11
    assert found(*call(*range(65530, 65540))) == 11
    assert found(*call(*range(4))) == 0


def test_sound_one_way_is_not_told_from_other_things() -> None:
    """Nor what goes back in time, comes from many sources, or goes over TCP."""
    assert found(*(sound(seq) for seq in range(30))) == 0
    assert found(*call(*range(40, 0, -1))) == 0
    assert found(*(p for seq in range(30) for p in (sound(seq, seq), Down(sound(seq, seq))))) == 0
    assert found(*call(*range(10)), transport=Transport.TCP) == 0


def test_sound_behind_stun_is_recognised_whatever_its_source() -> None:
    """A call's checks come first on the same pair of ports, or a handshake, or a report."""
    report = struct.pack("!BBHII", 0x80, 201, 1, 7, 0)
    assert found(BINDING, Down(BOUND), *call(*range(10))) == 13
    assert found(report, Down(report), *call(*range(10))) == 6
    assert (
        found(b"\x16\xfe\xfd" + bytes(60), Down(b"\x16\xfe\xfd" + bytes(60)), *call(*range(10)))
        == 13
    )


@pytest.mark.parametrize("second", [64, 72, 95, 35, 63])
def test_what_is_no_payload_type_of_sound_is_none(second: int) -> None:
    """RTCP's numbers, and those that nobody assigned (RFC 3551 6)."""
    packets = [sound(seq, kind=second) for seq in range(20)]
    assert found(*(p for packet in packets for p in (packet, Down(packet)))) == 0


def test_a_harness_call_is_sound() -> None:
    """Sealed, with a header extension, as it is played here."""
    header = rtp.Header(120, 0, 0, 9, profile=0xDEBE, extension=bytes(4))
    made = []
    for seq in range(12):
        one = rtp.seal(
            rtp.Header(120, seq, seq * 320, 9, profile=0xDEBE, extension=header.extension),
            bytes(60),
            bytes(16),
        )
        made += [one, Down(one)]
    assert found(*made) == 15


def test_channel_data_belongs_to_a_flow_that_began_with_stun() -> None:
    """QUIC's short headers begin with the same bits, and may say a length by chance."""
    channel = b"\x40\0\0\x05hello"
    assert recognised(sent(Transport.UDP, BINDING, channel))["turn-channel"] == 1
    assert recognised(sent(Transport.UDP, BINDING, channel + bytes(3)))["turn-channel"] == 1
    assert recognised(sent(Transport.UDP, BINDING, channel + bytes(4)))["turn-channel"] == 0
    assert recognised(sent(Transport.UDP, BINDING, b"\x3f" + channel[1:]))["turn-channel"] == 0
    assert recognised(sent(Transport.UDP, channel, channel))["turn-channel"] == 0


def asking(kind: int, value: bytes = b"word") -> bytes:
    """A binding request with one attribute behind another."""
    return stun.pack(stun.Message(stun.BINDING, TID, ((0x0006, b"a:b"), (kind, value))))


@pytest.mark.parametrize(
    ("data", "expected"),
    [
        (asking(0xC057), {"stun-google"}),
        (asking(0xC060), {"stun-google"}),
        (asking(0xC061), set()),
        (asking(0x8008), {"stun-microsoft"}),
        (asking(0x8070), {"stun-microsoft"}),
        (asking(0x4000), {"stun-whatsapp"}),
        (asking(0x4007), {"stun-whatsapp"}),
        (asking(0x4005), set()),
        (asking(0x8022, b"Telegram 7"), {"stun-telegram"}),
        (asking(0x0014, b"telegram.org"), {"stun-telegram"}),
        (asking(0x0014, b"turn.signal.org"), {"stun-signal"}),
        (asking(0x0014, b"turner.facebook"), {"stun-facebook"}),
        (asking(0x8022, b"Viber"), {"stun-viber"}),
        (asking(0x0006, b"telegram"), set()),
    ],
)
def test_a_dialect_is_known_by_an_attribute_anywhere(data: bytes, expected: set[str]) -> None:
    """By its type, or by a word in REALM or SOFTWARE, in whatever letters."""
    assert set(recognised(sent(Transport.UDP, data))) == {"stun"} | expected
    assert set(recognised(sent(Transport.TCP, data))) == {"stun-tcp"}


def test_channels_of_a_real_call_are_data_not_sound() -> None:
    """What is in them is not looked into."""
    seen = recognised(flows("tg_turn_coturn_call")[0])
    assert seen["turn-channel"] > 200
    assert seen["rtp"] == 0


@given(st.lists(st.binary(max_size=60), min_size=1, max_size=14), st.randoms())
def test_garbage_never_raises(payloads: list[bytes], random: Random) -> None:
    """Whatever comes, over whichever transport, behind a header that is right."""
    heads = (b"", b"\0\1\0\x20\x21\x12\xa4\x42" + TID, b"\x80\x6f", b"\x40\0")
    for transport in Transport:
        packets = [
            Packet(transport, CLIENT, SERVER, random.choice(heads) + data, random.random() < 0.5)
            for data in payloads
        ]
        for packet, sight in sights(packets):
            for sees in (media.rtp, media.turn_channel, media.says(b"x"), media.attributes(1)):
                assert sees(packet, sight) in (True, False)
