"""Flows: who is the client, and streams put together again whatever came twice or too early."""

from collections import Counter

from hypothesis import given
from hypothesis import strategies as st

from circumtest.model import Address, Transport
from circumtest.recording import MAX_FRAME
from circumtest.recording.capture import ACK, RST, SYN, Packet
from circumtest.recording.flows import Flow, flows

CLIENT, SERVER = Address("192.0.2.1", 40000), Address("198.51.100.2", 443)
START = (1 << 32) - 5
"""A stream's first number: it wraps soon."""


def up(data: bytes, seq: int, flags: int = ACK, at: float = 1.0) -> Packet:
    """A segment of the client, `seq` bytes behind its SYN's number."""
    return Packet(at, Transport.TCP, CLIENT, SERVER, data, flags, (START + seq) % (1 << 32))


def down(data: bytes, seq: int, flags: int = ACK, at: float = 1.0) -> Packet:
    """A segment of the server."""
    return Packet(at, Transport.TCP, SERVER, CLIENT, data, flags, seq)


def datagram(data: bytes, *, client: bool = True, at: float = 1.0) -> Packet:
    """One over UDP."""
    ends = (CLIENT, SERVER) if client else (SERVER, CLIENT)
    return Packet(at, Transport.UDP, *ends, data)


def only(*packets: Packet) -> Flow:
    """The one flow that they are."""
    (flow,) = flows(packets, Counter())
    return flow


def said(flow: Flow) -> list[tuple[bool, bytes]]:
    """Whose, and what."""
    return [(one.client, one.data) for one in flow.said]


OPENED = (up(b"", 0, SYN), down(b"", 0, SYN | ACK))


def test_the_first_to_send_is_the_client() -> None:
    """Over UDP there is nothing else to know it by."""
    flow = only(datagram(b"a"), datagram(b"b", client=False), datagram(b""))

    assert (flow.client, flow.server) == (CLIENT, SERVER)
    assert said(flow) == [(True, b"a"), (False, b"b")]
    assert (flow.packets, flow.bytes) == (3, 2)


def test_who_sent_the_syn_is_the_client_even_if_it_was_not_captured() -> None:
    """Its answer names him."""
    flow = only(down(b"", 0, SYN | ACK), up(b"hi", 1), down(b"ho", 1))

    assert flow.client == CLIENT
    assert said(flow) == [(True, b"hi"), (False, b"ho")]


def test_what_was_sent_twice_is_kept_once() -> None:
    """Whole, in part, and with something new behind it; numbers wrap."""
    flow = only(
        *OPENED, up(b"abcdef", 1), up(b"abcdef", 1), up(b"cdefgh", 3), up(b"ef", 5), up(b"ij", 9)
    )

    assert b"".join(one.data for one in flow.said) == b"abcdefghij"
    assert not flow.troubles


def test_what_came_too_early_waits() -> None:
    """And comes out in order, a segment at a time."""
    flow = only(*OPENED, up(b"ef", 5), up(b"cd", 3), up(b"ab", 1))

    assert [data for _, data in said(flow)] == [b"ab", b"cd", b"ef"]


def test_where_bytes_are_missing_the_stream_ends_and_it_is_told() -> None:
    """In that direction."""
    flow = only(*OPENED, up(b"ab", 1), up(b"ef", 5), down(b"x", 1))

    assert said(flow) == [(True, b"ab"), (False, b"x")]
    assert any("missing" in told for told in flow.troubles)


def test_a_stream_without_its_beginning_is_told() -> None:
    """It begins where the capture does."""
    flow = only(up(b"ab", 100), up(b"cd", 102), up(b"", 104, RST))

    assert [data for _, data in said(flow)] == [b"ab", b"cd"]
    assert any("beginning" in told for told in flow.troubles)


def test_a_new_syn_between_the_same_ports_is_a_new_flow() -> None:
    """As is another transport."""
    first = (*OPENED, up(b"ab", 1))
    found = flows([*first, *OPENED, up(b"cd", 1), datagram(b"ef")], Counter())

    assert [one.said[0].data for one in found] == [b"ab", b"cd", b"ef"]


def test_a_segment_larger_than_a_frame_is_cut() -> None:
    """As offload makes them."""
    flow = only(*OPENED, up(bytes(MAX_FRAME + 5), 1))

    assert [len(one.data) for one in flow.said] == [MAX_FRAME, 5]


SEGMENTS = st.lists(
    st.builds(
        lambda way, data, seq, flags: (up if way else down)(data, seq, flags),
        st.booleans(),
        st.binary(max_size=5),
        st.integers(0, 40),
        st.sampled_from([ACK, ACK, ACK, SYN, SYN | ACK, RST]),
    ),
    max_size=40,
)


@given(SEGMENTS)
def test_any_order_of_segments_is_taken(packets: list[Packet]) -> None:
    """Nothing raises, and nothing is invented."""
    found = flows(packets, Counter())

    kept = sum(len(one.data) for flow in found for one in flow.said)
    assert kept <= sum(len(packet.payload) for packet in packets)
    assert sum(flow.packets for flow in found) == len(packets)
