"""Sound and reflectors in recordings: what makes something RTP, and whose tag it is."""

import struct

from circumtest.recording import Kind
from circumtest.recording.sheet import Book, Sheet
from circumtest.recording.voip import (
    discord,
    reflector,
    reflector_stream,
    rtp,
    whatsapp_words,
)
from circumtest.wire import reflector as wire

TAG = b"\x00" + b"0123456789a" + b"own1"
PEER = b"\x01" + b"0123456789a" + b"own2"


def packet(seq: int, *, ssrc: int = 7, extension: bytes = b"", body: bytes = b"sealed..") -> bytes:
    """An RTP packet."""
    first = 0x90 if extension else 0x80
    head = struct.pack("!BBHII", first, 111, seq % 65536, seq * 960 % (1 << 32), ssrc)
    more = b"\xbe\xde" + struct.pack("!H", len(extension) // 4) + extension if extension else b""
    return head + more + body


def looked(book: Book, *data: bytes) -> list[tuple[Sheet, bool]]:
    """Each as RTP: surveyed first."""
    for survey in (True, False):
        book.survey = survey
        sheets = [Sheet(one, book, client=True) for one in data]
        found = [(sheet, rtp(sheet, 0, len(sheet.data))) for sheet in sheets]
    return found


def test_one_source_with_growing_numbers_is_rtp() -> None:
    """Its numbers and times count on, its payload is random."""
    found = looked(Book(), *(packet(n) for n in (65534, 65535, 65536, 65538)))

    assert all(known for _, known in found)
    adds = [[p.add for p in sheet.places if p.kind is Kind.COUNTER] for sheet, _ in found]
    assert adds == [[0, 0], [1, 960], [2, 1920], [4, 3840]]
    assert all(b"sealed" not in sheet.bare() for sheet, _ in found)
    assert (
        len({p.name for sheet, _ in found for p in sheet.places if p.size == 4 and not p.add}) > 1
    )


def test_an_extension_stays_unless_its_length_is_absurd() -> None:
    """Then it is sealed as well."""
    kept = looked(Book(), *(packet(n, extension=b"\x10\xff\0\0") for n in range(4)))
    sealed = looked(
        Book(), *(packet(n, body=b"x" * 8)[:0] + b"\x90" + packet(n)[1:] for n in range(4))
    )

    assert b"\x10\xff\0\0" in kept[0][0].bare()
    assert b"sealed" not in sealed[0][0].bare()


def test_what_merely_looks_like_it_is_not_rtp() -> None:
    """Two packets, or numbers without order, or another source each."""
    for numbers, sources in (
        ((1, 2), (7, 7)),
        ((9, 500, 3, 40000), (7,) * 4),
        ((1, 2, 3), (7, 8, 9)),
    ):
        data = [packet(n, ssrc=source) for n, source in zip(numbers, sources, strict=True)]
        assert not any(known for _, known in looked(Book(), *data))


def test_reports_are_known_by_their_type_and_length() -> None:
    """Their source is the sound's."""
    book = Book()
    data = [*(packet(n) for n in range(4)), struct.pack("!BBHI", 0x81, 200, 1, 7) + b"sealed"]
    sound, *_, report = looked(book, *data)

    assert report[1]
    assert report[0].places[0].name in {place.name for place in sound[0].places}
    assert b"sealed" not in report[0].bare()
    assert not looked(Book(), struct.pack("!BBHI", 0x81, 200, 99, 7))[0][1]


def test_a_call_through_a_reflector_is_followed_from_hello_to_data() -> None:
    """Tags are the same wherever they stand, addresses are nobody's, what is carried is found."""
    book = Book(survey=False)
    hello = wire.Hello(TAG).pack()
    info = wire.SelfInfo(TAG, 1_700_000_000, "203.0.113.9", 1234).pack()
    data = wire.Data(TAG[:12], TAG[12:], PEER[12:], b"carried").pack()
    sheets = [Sheet(one, book, client=True) for one in (hello, info, data)]
    found = [reflector(sheet, 0, len(sheet.data)) for sheet in sheets]

    assert found == [(40, 40), (64, 64), (24, 31)]
    assert len({sheet.places[-2].name for sheet in sheets}) == 1
    assert wire.parse_hello(sheets[0].bare()).query == wire.QUERY
    assert bytes([203, 0, 113, 9]) not in sheets[1].bare()
    assert TAG[1:12] not in b"".join(sheet.bare() for sheet in sheets)
    assert sheets[0].bare()[16:32] == hello[16:32]


def test_data_before_any_hello_is_unknown() -> None:
    """A tag is known by the run of ff behind it."""
    data = wire.Data(TAG[:12], TAG[12:], PEER[12:], b"carried").pack()

    assert reflector(Sheet(data, Book(), client=True), 0, len(data)) is None


def test_the_older_reflectors_carry_what_is_behind_the_whole_tag() -> None:
    """With queries of their own, and answers about the peer."""
    book = Book(survey=False)
    tag = b"\xdc" + TAG[1:]
    told = tag + b"\xff" * 12 + b"\x1c\x37\xd9\x27" + b"\x0a\0\0\1" * 4
    hello, asked, answer, data = (
        Sheet(one, book, client=True)
        for one in (
            wire.Hello(tag, query=0x1122334455667788).pack(),
            tag + b"\xff" * 16,
            told,
            tag + b"secret" * 8,
        )
    )

    assert reflector(hello, 0, 40) == (40, 40)
    assert hello.bare()[32:] == bytes(8)
    assert reflector(asked, 0, 32) == (32, 32)
    assert reflector(answer, 0, 48) == (48, 48)
    assert b"\x0a\0\0\1" not in answer.bare()
    assert reflector(data, 0, 64) == (16, 64)


def test_a_stream_to_a_reflector_is_cut_into_its_packets() -> None:
    """Both directions, once the caller has said hello."""
    book = Book()
    hello = wire.PREAMBLE + wire.frame(wire.TcpHello(TAG).pack())
    data = wire.frame(wire.Data(TAG[:12], TAG[12:], PEER[12:], b"carried").pack())
    down = Sheet(data, book, client=False)
    assert reflector_stream(down) is None
    up = Sheet(hello + data + data[:9], book, client=True)

    assert reflector_stream(up) == [(8, 28), (32, 64), (68, 73)]
    assert reflector(up, 8, 28) == (28, 28)
    assert reflector_stream(down) == [(4, 36)]
    assert reflector_stream(Sheet(b"\xff" * 40, book, client=False)) is None


def test_discords_and_whatsapps_small_packets_are_known() -> None:
    """Without the address in them."""
    ask = b"\0\1\0\x46" + b"ssrc" + bytes(66)
    told = b"\0\2\0\x46" + b"ssrc" + b"203.0.113.9".ljust(64, b"\0") + b"\1\2"
    book = Book(survey=False)
    one, two = Sheet(ask, book, client=True), Sheet(told, book, client=False)

    assert discord(one, 0, 74)
    assert discord(two, 0, 74)
    assert b"203" not in two.bare()
    assert one.places == two.places
    assert discord(Sheet(b"\x13\x37\xca\xfe\1\0\0\0", book, client=True), 0, 8)
    assert not discord(Sheet(bytes(74), book, client=True), 0, 74)
    assert whatsapp_words(Sheet(b"health", book, client=True), 0, 6)
    assert not whatsapp_words(Sheet(b"wealth", book, client=True), 0, 6)
