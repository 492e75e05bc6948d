"""A flow becomes a recording: what is kept, what is fresh, what is refused and with which words."""

from collections import Counter
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from circumtest.errors import ConfigError
from circumtest.model import Address, Transport
from circumtest.recording import MAX_FRAMES, Kind
from circumtest.recording.capture import open_capture
from circumtest.recording.flows import Flow, Said, flows
from circumtest.recording.make import Made, Wish, labelled, make
from circumtest.recording.text import dumps, loads

DATA = Path(__file__).parents[2] / "data"
CAPTURES = sorted(file.stem for file in DATA.glob("*.pcap"))
ENDS = Address("192.0.2.1", 40000), Address("198.51.100.2", 9)


def flow(*said: Said, transport: Transport = Transport.UDP) -> Flow:
    """One of these words."""
    return Flow(transport, *ENDS, 0.0, 9.0, said=list(said))


def captured(name: str) -> Flow:
    """The first flow of a capture."""
    read = open_capture(DATA / f"{name}.pcap")
    return flows(read.packets, read.left_out)[0]


def talk(count: int, every: float = 0.02, size: int = 60) -> list[Said]:
    """Unknown packets both ways, regular."""
    words = [Said(0.0, True, b"hello"), Said(0.01, False, b"hello yourself")]
    for n in range(count):
        at = 1 + n * every
        words += [Said(at, True, bytes([n % 250] * size)), Said(at + 0.005, False, b"y" * size)]
    return words


def refused(what: Flow, wish: Wish | None = None) -> str:
    """What is said of a flow that is not imported."""
    with pytest.raises(ConfigError) as caught:
        make(what, wish or Wish(), "call.pcap")
    return str(caught.value)


@pytest.mark.parametrize("name", CAPTURES)
def test_every_capture_becomes_a_recording_that_survives_being_written(name: str) -> None:
    """Its sizes and order are the capture's, and it keeps no address of anybody."""
    what = captured(name)
    recording = make(what, Wish(opaque=True), name).recording

    assert loads(dumps(recording), name) == recording
    real = [frame for frame in recording.frames if not frame.made]
    assert [len(frame.data) for frame in real] == [len(one.data) for one in what.said[: len(real)]]
    told = dumps(recording)
    for host, _ in (what.client, what.server):
        assert host not in told
        assert not any(Address(host, 0).packed in frame.data for frame in recording.frames)


def test_a_call_has_its_sound_behind_the_handshake() -> None:
    """RTP both ways; recognised by more than its regularity."""
    for name, least in (
        ("aiortc_p2p", 8),
        ("tg_turn_coturn_call", 30),
        ("tg_reflector_tcp_call", 20),
    ):
        made = make(captured(name), Wish(), name)
        media = made.recording.media
        assert media is not None
        assert least <= media < 45
        assert made.labels["RTP"] > 50
    assert make(captured("plain_turn"), Wish(), "turn").recording.media is None


def test_what_comes_regularly_both_ways_is_sound_as_well() -> None:
    """25 packets each way are enough, and they must not be too slow."""
    for count, every, sound in ((40, 0.02, True), (40, 0.5, False), (20, 0.02, False)):
        made = make(flow(*talk(count, every)), Wish(opaque=True), "call.pcap")
        assert (made.recording.media == 2) is sound


def test_unknown_bytes_are_random_unless_they_are_kept_and_it_is_told() -> None:
    """By frame."""
    stun = bytes.fromhex("000100002112a442") + b"transactioni"
    what = flow(Said(0, True, stun), Said(1, False, b"nobody knows this"))
    plain, kept = make(what, Wish(), "x"), make(what, Wish(unknown=True), "x")

    assert not any(plain.recording.frames[1].data)
    assert kept.recording.frames[1].data == b"nobody knows this"
    assert any(note.startswith("random now: 1 of 2 frames (2)") for note in plain.notes)
    assert any(note.startswith("kept: all bytes of 1 of 2") for note in kept.notes)


def test_a_flow_of_which_nothing_is_known_needs_a_word() -> None:
    """In one line, with the option that helps."""
    unknown = refused(flow(Said(0, True, b"hello"), Said(1, False, b"you")))
    hidden = refused(captured("wg_plain"))

    assert "no protocol of a call is recognised" in unknown
    assert "encrypted all through (WireGuard): nothing to refresh" in hidden
    assert "--opaque" in unknown
    assert "--opaque" in hidden
    assert make(captured("wg_plain"), Wish(opaque=True), "x").recording.frames[0].data[0] == 1


def test_empty_flows_and_servers_that_speak_first_are_refused() -> None:
    """And without a word from the client."""
    assert "nothing is said" in refused(flow())
    greeting = flow(Said(0, False, b"220 ready"), Said(1, True, b"EHLO"), transport=Transport.TCP)
    assert "the server speaks first" in refused(greeting, Wish(opaque=True))


def test_a_call_longer_than_a_recording_is_cut_and_it_is_told() -> None:
    """The sound goes round anyway."""
    made = make(flow(*talk(MAX_FRAMES)), Wish(opaque=True), "x")

    assert len(made.recording.frames) < MAX_FRAMES
    assert any("behind the first 4000" in note for note in made.notes)


def test_what_the_capture_lacks_is_told() -> None:
    """With its reason."""
    what = captured("plain_turn")
    what = replace(what, troubles=Counter({"bytes are missing": 2}))

    assert "left out: bytes are missing (2)" in make(what, Wish(), "x").notes


# ------------------------------------------------------------------ --refresh

WORDS = (
    Said(0, True, b"ask 0001 token-42 xx"),
    Said(1, False, b"ok  0001 token-42 yy"),
    Said(2, True, b"ask 0003 token-42 xx"),
    Said(3, False, b"ok  0003 token-42 yy"),
)


def wished(*refresh: str) -> Made:
    """The words with places of one's own."""
    return make(flow(*WORDS), Wish(refresh=refresh, unknown=True), "x")


def test_places_of_ones_own_are_random_or_echoed_or_counted() -> None:
    """Frames count from 1, offsets from 0."""
    made = wished(
        "1:9:8:echo", "2:9:8:echo", "3:9:8:echo", "1:4:4:counter", "3:4:4:counter", "1:18:2"
    )
    frames = made.recording.frames
    token, number, drawn = (frames[0].places[n] for n in (0, 1, 2))

    assert {frames[n].places[0].name for n in range(3)} == {"echo1"}
    assert (token.kind, number.kind, drawn.kind) == (Kind.RANDOM, Kind.COUNTER, Kind.RANDOM)
    assert frames[2].places[1].add == 2
    assert frames[0].data == b"ask " + bytes(4) + b" " + bytes(8) + b" " + bytes(2)
    assert frames[3].data == WORDS[3].data


def test_a_place_of_ones_own_goes_before_what_was_found_there() -> None:
    """Whole."""
    made = make(captured("plain_turn"), Wish(refresh=("1:8:12",)), "x")

    assert [place.kind for place in made.recording.frames[0].places] == [Kind.RANDOM]


@pytest.mark.parametrize(
    "wish", ["", "1:2", "0:1:1", "9:0:1", "1:0:0", "1:19:2", "1:0:9:counter", "1:0:2:wild", "a:b:c"]
)
def test_a_place_that_there_is_not_is_refused_with_its_option(wish: str) -> None:
    """By what was typed."""
    assert f"--refresh {wish}" in refused(flow(*WORDS), Wish(refresh=(wish,), unknown=True))


# ------------------------------------------------------------------ anything


def test_labels_are_those_of_the_import() -> None:
    """Without making anything."""
    what = captured("tg_reflector_udp_call")

    assert labelled(what) == make(what, Wish(), "x").labels


WORD = st.tuples(
    st.floats(0, 100),
    st.booleans(),
    st.one_of(
        st.binary(min_size=1, max_size=60),
        st.sampled_from(
            [one.data for name in ("fb_turn", "aiortc_p2p") for one in captured(name).said[:12]]
        ),
    ),
)


@settings(max_examples=150, deadline=None)
@given(st.lists(WORD, max_size=12), st.sampled_from(list(Transport)), st.booleans())
def test_any_flow_is_imported_or_refused(
    words: list[tuple[float, bool, bytes]], transport: Transport, unknown: bool
) -> None:
    """And what is imported can be written and read again."""
    said = [Said(at, way, data) for at, way, data in sorted(words, key=lambda word: word[0])]
    try:
        made = make(flow(*said, transport=transport), Wish(opaque=True, unknown=unknown), "x")
    except ConfigError:
        return
    assert loads(dumps(made.recording), "x") == made.recording
