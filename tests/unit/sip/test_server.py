"""The far half of ours: whom it answers, what it plays back, and what it never does."""

from collections.abc import Iterable, Iterator
from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from circumtest.model import Address, Carrier, Transport
from circumtest.script import Emit, Flow
from circumtest.sip import password, sound_key
from circumtest.sip.server import GIVE_UP, MAX_CALLS, MAX_FLOWS, Server
from circumtest.sip.words import Account, Words
from circumtest.wire import digest, pcmu, sdp, sip
from circumtest.wire.rtp import Header
from circumtest.wire.sip import Request, Response

SECRET, NOW, SOUND = "a secret", 1_764_000_000.0, 40000
HERE, THERE = Address("203.0.113.10", 5060), Address("192.0.2.2", 5000)
FLOW = Flow(Transport.UDP, HERE, THERE)
STREAM = Flow(Transport.TCP, HERE, THERE)
TOLD = Address("192.0.2.2", 6000)


def request(method: str, call: str = "call", *more: tuple[str, str], body: bytes = b"") -> Request:
    """A caller's, with what a telephone says besides."""
    fields = (
        ("Via", f"SIP/2.0/UDP x.invalid;rport;branch=z9hG4bK{method}"),
        ("From", "<sip:caller@203.0.113.10>;tag=mine"),
        ("To", "<sip:echo@203.0.113.10>"),
        ("Call-ID", call),
        ("CSeq", f"1 {method}"),
        ("Contact", "<sip:caller@192.0.2.2:5000>"),
        ("User-Agent", "a telephone with a long name"),
        ("Allow", "INVITE,ACK,BYE,CANCEL,OPTIONS,NOTIFY,SUBSCRIBE,INFO,MESSAGE,REFER"),
        *more,
    )
    return Request(fields, body, method, "sip:echo@203.0.113.10")


def offer(at: Address = TOLD, ssrc: str = "77 cname:x", formats: str = "0") -> bytes:
    """Where the caller wants the sound."""
    media = sdp.Media("audio", at.port, "RTP/AVP", (formats,), attributes=(("ssrc", ssrc),))
    return sdp.pack(sdp.Session(at.host, 1, 1, (media,), connection=at.host))


def said(server: Server, what: Request | bytes, flow: Flow = FLOW, now: float = NOW) -> list[Emit]:
    """All that comes of it."""
    data = what if isinstance(what, bytes) else sip.pack(what)
    return list(server.receive(flow, data, now))


def replies(emits: Iterable[Emit]) -> Iterator[Response]:
    """The messages among them."""
    for emit in emits:
        message = sip.unpack(emit.data)
        assert isinstance(message, Response)
        yield message


def let_in(server: Server, made: Request, flow: Flow = FLOW) -> list[Response]:
    """A request that is challenged, and then made again with the password's proof."""
    (no,) = replies(said(server, made, flow))
    names = {401: ("WWW-Authenticate", "Authorization")}
    names[407] = ("Proxy-Authenticate", "Proxy-Authorization")
    asked, given_ = names[no.code]
    challenge = digest.parse_challenge(no.get(asked))
    proof = digest.answer(
        challenge, "caller", password(SECRET, "caller"), made.method, made.uri, "cnonce"
    )
    again = Request((*made.fields, (given_, proof)), made.body, made.method, made.uri)
    return list(replies(said(server, again, flow)))


def in_call(server: Server, call: str = "call", **how: str) -> Response:
    """The 200 of a call that was let in."""
    *_, ok = let_in(server, request("INVITE", call, body=offer(**how)))  # type: ignore[arg-type]
    return ok


def within(ok: Response, method: str, call: str = "call") -> Request:
    """A request of that call."""
    made = request(method, call)
    fields = tuple((name, ok.get("To") if name == "To" else value) for name, value in made.fields)
    return Request(fields, b"", method, made.uri)


def sound(seq: int, call: str = "call", ssrc: int = 77, key: bytes | None = None) -> bytes:
    """The caller's."""
    played = pcmu.sound(pcmu.Mark(seq, NOW), key or sound_key(SECRET, call))
    return pcmu.pack(Header(0, seq, 160 * seq, ssrc), played)


SOUND_FLOW = Flow(Transport.UDP, HERE._replace(port=SOUND), TOLD)


def test_options_are_answered_to_anybody_with_no_more_than_he_sent() -> None:
    """And say where he was seen."""
    asked = request("OPTIONS")
    (emit,) = said(Server(SECRET, SOUND), asked)
    (ok,) = replies([emit])

    assert ok.code == 200
    assert sip.seen_at(ok) == THERE
    assert len(emit.data) <= len(sip.pack(asked))


@pytest.mark.parametrize("method", ["OPTIONS", "REGISTER", "INVITE", "BYE", "ACK", "MESSAGE"])
def test_a_strangers_datagram_is_never_answered_with_more_bytes(method: str) -> None:
    """However short he makes it."""
    made = request(method)
    for keep in range(5, len(made.fields) + 1):
        short = Request(made.fields[:keep], b"", method, made.uri)
        answered = said(Server(SECRET, SOUND), short)
        assert sum(len(one.data) for one in answered) <= len(sip.pack(short))


def test_registering_wants_the_password() -> None:
    """And says back where he is reached."""
    server = Server(SECRET, SOUND)
    (ok,) = let_in(server, request("REGISTER"))

    assert ok.code == 200
    assert ok.get("Contact") == "<sip:caller@192.0.2.2:5000>"


def test_a_call_is_tried_rings_and_is_answered() -> None:
    """With a description, a contact and a tag; the same INVITE again is answered the same."""
    server = Server(SECRET, SOUND)
    made = request("INVITE", body=offer())
    trying, ringing, ok = let_in(server, made)

    assert [trying.code, ringing.code, ok.code] == [100, 180, 200]
    assert sip.tag(ringing.get("To")) == sip.tag(ok.get("To")) != ""
    session = sdp.parse(ok.body)
    assert session.address(session.media[0]) == (HERE.host, SOUND)
    assert list(replies(said(server, made))) == [ok]


@pytest.mark.parametrize("body", [b"", b"v=1", offer(formats="8"), offer(ssrc="x"), offer(ssrc="")])
def test_an_offer_of_no_use_is_not_acceptable(body: bytes) -> None:
    """None, garbage, another codec, a stream that nobody could recognise."""
    (no,) = let_in(Server(SECRET, SOUND), request("INVITE", body=body), STREAM)

    assert no.code == 488


def test_a_200_is_said_again_until_it_is_acknowledged_and_not_for_ever() -> None:
    """After half a second, doubling up to four."""
    server, times = Server(SECRET, SOUND), []
    in_call(server)
    while (due := server.timer()) is not None:
        times += [due - NOW] * len(list(server.tick(due)))
    assert times[:5] == [0.5, 1.5, 3.5, 7.5, 11.5]
    assert times[-1] <= GIVE_UP

    ok = in_call(server)
    assert not said(server, request("ACK"))  # of no call's: it lacks the tag
    assert server.timer() == NOW + 0.5
    said(server, within(ok, "ACK"))
    (first,) = server.tick(NOW)
    assert first.data[:2] == b"\x80\x80"


def test_what_is_heard_is_played_back_and_silence_else() -> None:
    """By its own numbers and its own clock, to where the offer said."""
    server = Server(SECRET, SOUND)
    said(server, within(in_call(server), "ACK"))
    for seq in (0, 1):
        assert not said(server, sound(seq), SOUND_FLOW)
    spoken = [one for step in range(4) for one in server.tick(NOW + step / 50 + 0.001)]
    headers = [pcmu.unpack(one.data)[0] for one in spoken]
    marks = [
        [mark.seq for mark in pcmu.marks(one.data, sound_key(SECRET, "call"))] for one in spoken
    ]

    assert {one.flow for one in spoken} == {SOUND_FLOW}
    assert [header.seq for header in headers] == [0, 1, 2, 3]
    assert {header.ssrc for header in headers} != {77}
    assert marks == [[0], [1], [], []]


def test_only_authentic_sound_of_a_call_is_heard() -> None:
    """Another key, another stream, another call's key, no sound at all."""
    server = Server(SECRET, SOUND)
    said(server, within(in_call(server), "ACK"))
    for data in (
        sound(0, key=b"guessed"),
        sound(0, ssrc=78),
        sound(0, call="another"),
        b"\x80\0garbage",
        b"",
    ):
        said(server, data, SOUND_FLOW)
    (spoken,) = server.tick(NOW)

    assert spoken.data[12:] == pcmu.SILENCE


@pytest.mark.parametrize("at", [Address("192.0.2.99", 6000), Address("192.0.2.2", 53)])
def test_sound_goes_to_who_called_or_to_where_authentic_sound_comes_from(at: Address) -> None:
    """An offer that names somebody else, or a service's port, has nothing sent there."""
    server = Server(SECRET, SOUND)
    *_, ok = let_in(server, request("INVITE", body=offer(at)))
    said(server, within(ok, "ACK"))
    assert not list(server.tick(NOW))

    elsewhere = Flow(Transport.UDP, SOUND_FLOW.local, Address("192.0.2.2", 7777))
    said(server, sound(0), elsewhere)
    (spoken,) = server.tick(NOW + 0.02)
    assert spoken.flow == elsewhere


def test_bye_ends_the_sound_if_it_is_the_calls() -> None:
    """Another tag or another address does not."""
    server = Server(SECRET, SOUND)
    ok = in_call(server)
    said(server, within(ok, "ACK"))
    strange = Flow(Transport.UDP, HERE, Address("192.0.2.77", 5000))

    assert not said(server, request("BYE"))
    assert not said(server, within(ok, "BYE"), strange)
    assert server.timer() is not None
    (bye,) = replies(said(server, within(ok, "BYE")))
    assert bye.code == 200
    assert server.timer() is None


def test_a_cancel_that_comes_too_late_is_answered() -> None:
    """The call is there already."""
    server = Server(SECRET, SOUND)
    in_call(server)

    assert [one.code for one in replies(said(server, request("CANCEL")))] == [200]
    assert not said(server, request("CANCEL", "another"))


def test_a_stream_is_cut_into_messages_and_garbage_on_it_is_ignored() -> None:
    """Perhaps it is somebody else's at the same place."""
    server = Server(SECRET, SOUND)
    data = sip.pack(request("OPTIONS"))

    assert not said(server, data[:30], STREAM)
    assert len(said(server, data[30:] + data, STREAM)) == 2
    assert not said(server, b"GET / HTTP/1.1\r\n\r\n", STREAM)
    assert not said(server, data[:30], STREAM)
    assert not said(server, b"", STREAM)
    assert len(said(server, data, STREAM)) == 1


@given(st.lists(st.binary(max_size=200), max_size=6), st.sampled_from([FLOW, STREAM, SOUND_FLOW]))
def test_garbage_is_never_answered(chunks: list[bytes], flow: Flow) -> None:
    """Over datagrams, streams, and where the sound goes."""
    server = Server(SECRET, SOUND)
    in_call(server)
    for chunk in chunks:
        assert not said(server, chunk, flow)


def test_memory_is_bounded() -> None:
    """Calls and streams: the oldest is forgotten first."""
    server = Server(SECRET, SOUND)
    for number in range(MAX_CALLS + 5):
        in_call(server, str(number))
    for number in range(MAX_FLOWS + 5):
        said(server, b"OPTIONS", replace(STREAM, remote=THERE._replace(port=number)))

    assert len(server._calls) == MAX_CALLS
    assert len(server._streams) == MAX_FLOWS


def test_the_callers_own_words_are_understood() -> None:
    """What the handshake says has room for the answer."""
    account = Account("caller", password(SECRET, "caller"), "echo", HERE.host)
    asked = Words(account, Carrier.UDP, Random(1)).options()

    assert [one.code for one in replies(said(Server(SECRET, SOUND), asked))] == [200]
