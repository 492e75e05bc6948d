"""The transports of MTProto, held to Telethon's streams and to garbage."""

from collections import defaultdict
from pathlib import Path
from random import Random
from zlib import crc32

import dpkt
import pytest
from hypothesis import given
from hypothesis import strategies as st

from circumtest.wire import mtproto
from circumtest.wire.mtproto_transport import (
    INIT,
    MAX_PAYLOAD,
    PREAMBLES,
    Acceptor,
    Framer,
    Framing,
    deobfuscate,
    obfuscate,
    usable,
)

CAPTURE = Path(__file__).parents[2] / "data" / "tg_mtproto.pcap"
PAYLOAD = bytes(range(40))


def streams() -> list[tuple[list[bytes], list[bytes]]]:
    """The segments up and down of each connection that Telethon made, in order."""
    found: dict[int, tuple[list[bytes], list[bytes]]] = defaultdict(lambda: ([], []))
    with CAPTURE.open("rb") as capture:
        for _, packet in dpkt.pcap.UniversalReader(capture):
            tcp = dpkt.ethernet.Ethernet(packet).data.data
            if tcp.data:
                down = tcp.sport == 443
                found[tcp.dport if down else tcp.sport][down].append(bytes(tcp.data))
    return list(found.values())


def test_telethon_is_understood_in_each_of_its_transports() -> None:
    """Full, abridged, intermediate and obfuscated2: each asks req_pq_multi, then req_DH_params."""
    for up, _ in streams():
        acceptor = Acceptor()
        payloads = [payload for segment in up for payload in acceptor.feed(segment)]

        asked = [mtproto.constructor(mtproto.parse_message(payload).body) for payload in payloads]
        assert asked == [mtproto.REQ_PQ_MULTI, mtproto.REQ_DH_PARAMS]
    assert len(streams()) == 4


def said(number: int) -> bytes:
    """The server's answer in the connection of that number, as it came down."""
    return streams()[number][1][0]


@pytest.mark.parametrize("number", range(4))
@pytest.mark.parametrize("cut", [1, 7, 1000])
def test_an_answer_goes_down_in_the_bytes_of_the_captured_server(number: int, cut: int) -> None:
    """To the byte, in each transport, wherever the client's segments are cut."""
    up = b"".join(streams()[number][0][:2])
    framing = (Framing.FULL, Framing.ABRIDGED, Framing.INTERMEDIATE, Framing.ABRIDGED)[number]
    down = said(number)
    clear = deobfuscate(up[:INIT])[2].encrypt(down) if number == 3 else down
    acceptor = Acceptor()
    for i in range(0, len(up), cut):
        acceptor.feed(up[i : i + cut])

    assert acceptor.pack(Framer(framing).feed(clear)[0]) == down


def test_obfuscated_answers_decrypt_to_what_the_server_said() -> None:
    """The keystream from server to client is the header's key reversed, from its beginning."""
    up, down = streams()[3]
    _, dc, cipher = deobfuscate(up[0])
    # A server encrypts with it; in counter mode the same keystream turns it back.
    clear = cipher.encrypt(down[0])
    answer = mtproto.parse_res_pq(
        mtproto.parse_message(Framer(Framing.ABRIDGED).feed(clear)[0]).body
    )

    assert answer.fingerprints == (0xD09D1D85DE64FD85, 0x0BC35F3509F7B7A5)
    assert dc == 18194  # Telethon leaves random bytes there


@pytest.mark.parametrize(
    ("framing", "expected"),
    [
        (Framing.ABRIDGED, "0a" + PAYLOAD.hex()),
        (Framing.INTERMEDIATE, "28000000" + PAYLOAD.hex()),
        (Framing.PADDED, "28000000" + PAYLOAD.hex()),
        (
            Framing.FULL,
            "3400000000000000"
            + PAYLOAD.hex()
            + crc32(bytes.fromhex("3400000000000000") + PAYLOAD).to_bytes(4, "little").hex(),
        ),
    ],
)
def test_each_framing_is_what_the_documentation_says(framing: Framing, expected: str) -> None:
    """Forty bytes, the size of the first question, in every framing."""
    assert Framer(framing).pack(PAYLOAD).hex() == expected


@given(
    st.sampled_from(Framing),
    st.lists(st.integers(1, 700), min_size=1, max_size=5),
    st.integers(1, 64),
)
def test_payloads_survive_any_cut_of_the_stream(
    framing: Framing, words: list[int], cut: int
) -> None:
    """Long and short ones, however the segments fall."""
    out, into = Framer(framing), Framer(framing)
    sent = [bytes([i]) * 4 * count for i, count in enumerate(words)]
    stream = b"".join(out.pack(payload) for payload in sent)
    pieces = [stream[i : i + cut] for i in range(0, len(stream), cut)]

    assert [payload for piece in pieces for payload in into.feed(piece)] == sent


@pytest.mark.parametrize(
    ("framing", "head"),
    [
        (Framing.ABRIDGED, "00"),
        (Framing.ABRIDGED, "7fffffff"),
        (Framing.INTERMEDIATE, "00000000"),
        (Framing.INTERMEDIATE, "ffffffff"),
        (Framing.FULL, "0c000000"),
        (Framing.FULL, (MAX_PAYLOAD + 13).to_bytes(4, "little").hex()),
    ],
)
def test_an_impossible_length_is_told_at_once(framing: Framing, head: str) -> None:
    """Nothing is waited for, and nothing kept, that could never be a frame."""
    with pytest.raises(ValueError):
        Framer(framing).feed(bytes.fromhex(head))


@pytest.mark.parametrize("at", [4, 20, 51])
def test_a_wrong_number_or_checksum_of_the_full_framing_is_told(at: int) -> None:
    """Sequence number, payload, checksum: one flipped bit each."""
    frame = bytearray(Framer(Framing.FULL).pack(PAYLOAD))
    frame[at] ^= 1

    with pytest.raises(ValueError):
        Framer(Framing.FULL).feed(bytes(frame))


@pytest.mark.parametrize("framing", [Framing.ABRIDGED, Framing.INTERMEDIATE, Framing.PADDED])
def test_an_obfuscated_stream_works_both_ways(framing: Framing) -> None:
    """Header, question, answer: framing and data centre arrive, the keystreams run on."""
    rng = Random(7)
    header, client = obfuscate(rng.randbytes(INIT), framing, -2)
    assert deobfuscate(header)[:2] == (framing, -2)
    server = Acceptor()
    outgoing, incoming = Framer(framing), Framer(framing)

    for payload in (PAYLOAD, PAYLOAD[::-1]):
        assert server.feed(header + client.encrypt(outgoing.pack(payload))) == [payload]
        assert incoming.feed(client.decrypt(server.pack(payload))) == [payload]
        header = b""


@pytest.mark.parametrize(
    "start",
    [
        *(b"\xef" + bytes(7), b"HEAD1234", b"POST1234", b"GET 1234", b"OPTI1234"),
        *(b"\xee" * 8, b"\xdd" * 8, b"\x16\x03\x01\x02abcd", b"abcd" + bytes(4)),
    ],
)
def test_a_header_never_resembles_another_protocol(start: bytes) -> None:
    """The openings that the documentation forbids are neither made nor taken for a header."""
    init = start + b"x" * (INIT - 8)

    assert not usable(init)
    with pytest.raises(ValueError):
        obfuscate(init, Framing.ABRIDGED, 2)
    with pytest.raises(ValueError):
        deobfuscate(init)


@given(st.binary(max_size=200), st.integers(1, 64))
def test_garbage_is_a_value_error_and_nothing_else(data: bytes, cut: int) -> None:
    """For a server that is still guessing, and for each framing behind its preamble."""
    for preamble in (*PREAMBLES.values(), bytes(8)):
        acceptor = Acceptor()
        stream = preamble + data
        try:
            for i in range(0, len(stream), cut):
                acceptor.feed(stream[i : i + cut])
        except ValueError:
            continue
