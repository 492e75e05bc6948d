"""The relay dialect, field by field against a capture, and by the sizes that wire captures show."""

from pathlib import Path

import dpkt
import pytest
from hypothesis import given
from hypothesis import strategies as st

from circumtest.wire import stun, whatsapp
from circumtest.wire.whatsapp import NARROW, WIDE, Subscription

DATA = Path(__file__).parents[2] / "data"
KEY = b"a2V5IGFzIEFTQ0lJIHRleHQ="
TOKEN = whatsapp.TOKEN_PREFIX + bytes(148)
TID = b"prefix--\0\0\0\1"
RELAY = ("203.0.113.10", 3478)
STREAMS = [Subscription(n, b"opaque--", tail) for n, tail in ((1, WIDE), (2, NARROW), (3, WIDE))]


def captured() -> list[tuple[tuple[str, int], tuple[str, int], bytes]]:
    """Source, destination and payload of each packet of the captured allocation."""
    found = []
    with (DATA / "wa_alloc_2023.pcap").open("rb") as file:
        for _, raw in dpkt.pcap.Reader(file):
            ip = dpkt.ethernet.Ethernet(raw).data
            ends = [
                (".".join(map(str, host)), port)
                for host, port in ((ip.src, ip.data.sport), (ip.dst, ip.data.dport))
            ]
            found.append((ends[0], ends[1], bytes(ip.data.data)))
    return found


def test_an_allocate_is_the_captured_bytes_but_for_the_integrity() -> None:
    """Given the capture's transaction id and token; its key is not known."""
    requests = [row for row in captured() if row[2][:2] == b"\0\3"]

    assert len(requests) == 2
    for _, relay, packet in requests:
        message = stun.unpack(packet)
        token = whatsapp.parse_token(message)
        ours = whatsapp.allocate(message.tid, token, relay, KEY)
        assert ours[:-20] == packet[:-20]
        assert len(ours) == len(packet) == 212
        assert token[:2] == whatsapp.TOKEN_PREFIX


def test_transaction_ids_of_a_capture_are_a_prefix_and_a_counter() -> None:
    """Eight bytes stay, the last four grow by one with each packet that goes out."""
    ids = [data[8:20] for _, (_, port), data in captured() if port == 3478]

    assert len({tid[:8] for tid in ids}) == 1
    counts = [int.from_bytes(tid[8:]) for tid in ids]
    assert counts == list(range(counts[0], counts[0] + 3))


def test_an_answer_is_the_captured_bytes_but_for_the_integrity() -> None:
    """Mapped address and the relay's clock in milliseconds: 68 bytes."""
    answers = [row for row in captured() if row[2][:2] == b"\1\3"]

    assert len(answers) == 2
    for _, _, packet in answers:
        message = stun.unpack(packet)
        mapped, clock = (message.get(n) or b"" for n in (stun.XOR_MAPPED_ADDRESS, whatsapp.CLOCK))
        seen = stun.parse_xor_address(mapped, message.tid)
        at = int.from_bytes(clock) / 1000
        ours = whatsapp.allocate_ok(message.tid, seen, at, KEY)
        assert ours[:-20] == packet[:-20]
        assert len(ours) == len(packet) == 68


def test_keep_alives_are_the_captured_bytes() -> None:
    """20 bytes each way, the same transaction."""
    asked, answered = (packet for _, _, packet in captured() if len(packet) == 20)

    assert asked == whatsapp.ping(asked[8:])
    assert answered == whatsapp.pong(asked[8:])


def test_the_other_requests_have_the_sizes_that_captures_show() -> None:
    """272 for the re-allocate, 220 for the hang-up; twelve more over IPv6."""
    for host, more in (("203.0.113.10", 0), ("2001:db8::10", 12)):
        relay = (host, 3478)
        assert len(whatsapp.reallocate(TID, TOKEN, STREAMS, relay, KEY)) == 272 + more
        assert len(whatsapp.hang_up(TID, TOKEN, relay, KEY)) == 220 + more
        assert len(whatsapp.allocate(TID, TOKEN, relay, KEY)) == 212 + more


def test_a_reallocate_names_the_callers_own_stream_last() -> None:
    """Three subscriptions of 16, 14 and 16 bytes between token and relayed address."""
    message = stun.unpack(whatsapp.reallocate(TID, TOKEN, STREAMS, RELAY, KEY))

    assert [(kind, len(value)) for kind, value in message.attributes] == [
        (0x4000, 150),
        (0x0022, 16),
        (0x0022, 14),
        (0x0022, 16),
        (0x0016, 8),
    ]
    assert whatsapp.own_stream(message) == 3
    assert whatsapp.own_stream(stun.unpack(whatsapp.allocate(TID, TOKEN, RELAY, KEY))) is None


@pytest.mark.parametrize("value", [b"", b"\3short", b"\4" + bytes(15)])
def test_a_subscription_of_another_kind_is_refused(value: bytes) -> None:
    """It cannot name a stream."""
    with pytest.raises(ValueError):
        whatsapp.own_stream(stun.Message(3, TID, ((whatsapp.SUBSCRIPTION, value),)))


def test_a_token_of_another_length_is_refused() -> None:
    """The forms before 2023 had 102 bytes."""
    with pytest.raises(ValueError):
        whatsapp.parse_token(stun.Message(3, TID, ((whatsapp.TOKEN, bytes(102)),)))


def test_a_refusal_carries_its_code_under_integrity() -> None:
    """0x0113 with ERROR-CODE."""
    data = whatsapp.allocate_error(TID, 486, "Quota", KEY)

    assert stun.authentic(data, KEY)
    message = stun.unpack(data)
    assert message.type == whatsapp.ALLOCATE_ERROR
    assert stun.error_code(message.get(stun.ERROR_CODE) or b"") == (486, "Quota")


@given(
    st.lists(
        st.tuples(
            st.sampled_from([whatsapp.TOKEN, whatsapp.SUBSCRIPTION, whatsapp.CLOCK])
            | st.integers(0, 65535),
            st.binary(max_size=40)
            | st.just(TOKEN)
            | st.sampled_from([one.pack() for one in STREAMS]),
        ),
        max_size=5,
    ),
    st.integers(0, 0x3FFF),
)
def test_garbage_in_a_request_is_a_value_error_and_nothing_else(
    attributes: list[tuple[int, bytes]], kind: int
) -> None:
    """Whatever attributes a message of any type has."""
    message = stun.Message(kind, TID, tuple(attributes))
    first = next((value for name, value in attributes if name == whatsapp.TOKEN), b"")
    try:
        assert whatsapp.parse_token(message) == first
    except ValueError:
        assert len(first) != whatsapp.TOKEN_SIZE
    try:
        stream = whatsapp.own_stream(message)
    except ValueError:
        return
    assert stream is None or 0 <= stream < 2**32
