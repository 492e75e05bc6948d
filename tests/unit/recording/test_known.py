"""What is recognised in datagrams and streams: STUN and TURN, whatever they carry, and garbage."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from circumtest.recording import Kind, Place
from circumtest.recording.known import REALMS, recognise, recognise_stream
from circumtest.recording.sheet import Book, Sheet
from circumtest.wire import stun

TID = bytes(range(1, 13))
FOUND = {
    "USERNAME": 0x0006,
    "REALM": 0x0014,
    "NONCE": 0x0015,
    "SOFTWARE": 0x8022,
}


def look(data: bytes, book: Book | None = None, *, client: bool = True) -> tuple[Sheet, bool]:
    """A datagram, looked at once the survey is over."""
    sheet = Sheet(data, book or Book(survey=False), client=client)
    return sheet, recognise(sheet, 0, len(data))


def message(*attributes: tuple[int, bytes], kind: int = 1, key: bytes | None = None) -> bytes:
    """A STUN message."""
    return stun.pack(stun.Message(kind, TID, attributes), key, fingerprint=key is not None)


def test_seals_addresses_and_ids_of_a_message_are_places() -> None:
    """Each as what it is."""
    address = stun.xor_address("192.0.2.7", 1, TID)
    data = message((0x0020, address), (0x0016, address), (0x0012, address), key=b"k")
    sheet, known = look(data)

    assert known
    assert sheet.places == [
        Place(8, 12, Kind.RANDOM, "t1"),
        Place(24, 8, Kind.MAPPED),
        Place(36, 8, Kind.RELAYED),
        Place(48, 8, Kind.PEER),
        Place(60, 20, Kind.INTEGRITY),
        Place(84, 4, Kind.FINGERPRINT),
    ]
    assert sheet.book.labels == {"STUN": 1}


def test_ids_that_begin_alike_are_a_session_and_a_counter() -> None:
    """Those of libwebrtc are characters."""
    book = Book()
    tids = [bytes(8) + n.to_bytes(4) for n in (7, 8)]
    messages = [stun.pack(stun.Message(1, b"session1" + tid[8:])) for tid in tids]
    for data in messages:
        look(data, book)
    (first, _), (sheet, _) = (look(data, book) for data in messages)
    other, _ = look(stun.pack(stun.Message(1, b"H2qUCYqnj4Oi")))

    assert [place.kind for place in sheet.places] == [Kind.RANDOM, Kind.COUNTER]
    assert sheet.places[1].add - first.places[1].add == 1
    assert other.places == [Place(8, 12, Kind.BASE64, "t1")]


@pytest.mark.parametrize("kind", FOUND.values(), ids=FOUND)
def test_names_are_replaced_unless_they_are_kept(kind: int) -> None:
    """And what is kept is told."""
    data = message((kind, b"me@home"))
    sheet, _ = look(data)
    kept, _ = look(data, Book(keep_names=True, survey=False))

    assert b"home" not in sheet.bare()
    assert b"me@home" in kept.bare()
    assert sum(kept.book.kept.values()) == 1


@pytest.mark.parametrize("realm", REALMS)
def test_the_realm_of_a_service_that_everybody_shares_is_kept(realm: bytes) -> None:
    """Censors look for it, and it identifies nobody."""
    sheet, _ = look(message((0x0014, realm)))

    assert realm in sheet.bare()
    assert sheet.book.kept


@pytest.mark.parametrize("kind", [0x0001, 0x0004, 0x802B, 0x802C, 0x8023])
def test_addresses_in_plain_become_ones_for_documentation(kind: int) -> None:
    """For good: they are the same in every play."""
    sheet, _ = look(message((kind, bytes.fromhex("0001123408080808"))))

    assert bytes.fromhex("08080808") not in sheet.bare()
    assert bytes.fromhex("c0000201") in sheet.bare()


def test_an_attribute_that_nobody_explains_is_drawn() -> None:
    """A relay's token keeps the two bytes that all have."""
    sheet, _ = look(message((0x7777, b"secret!!"), (0x4000, b"\x09\x02" + b"s" * 30)))

    assert b"secret" not in sheet.bare()
    assert b"ss" not in sheet.bare()
    assert b"\x09\x02" in sheet.bare()
    assert sheet.book.labels == {"WhatsApp call": 1}


def test_an_attribute_at_the_end_without_padding_is_one() -> None:
    """WhatsApp's of 2019 had such."""
    data = bytes.fromhex("0003000a2112a442") + TID + bytes.fromhex("40000006") + b"\5\3abcd"
    sheet, known = look(data)

    assert known
    assert b"abcd" not in sheet.bare()


def carried(inner: bytes, form: str) -> bytes:
    """A message inside of TURN."""
    if form == "data":
        return message((0x0012, stun.xor_address("192.0.2.7", 1, TID)), (0x0013, inner), kind=0x17)
    return b"\x40\x01" + len(inner).to_bytes(2) + inner


@pytest.mark.parametrize("form", ["data", "channel"])
def test_what_turn_carries_is_looked_at_as_well(form: str) -> None:
    """With its own seals, which belong to where it begins."""
    sheet, known = look(carried(message((0x0024, b"prio"), key=b"k"), form))
    seals = {place.add for place in sheet.places if place.kind is Kind.FINGERPRINT}
    unknown, _ = look(carried(b"nobody knows what this is", form))

    assert known
    assert seals == {36 if form == "data" else 4}
    assert sheet.book.labels == {"TURN": 1, "STUN": 1}
    assert b"nobody" not in unknown.bare()


def test_messages_inside_of_messages_come_to_an_end() -> None:
    """What is nested too deeply is drawn."""
    data = b"x" * 8
    for _ in range(40):
        data = carried(data, "channel")
    sheet, known = look(data)

    assert known
    assert len(sheet.places) == 1


def test_messages_one_after_the_other_on_a_stream_are_found() -> None:
    """Up to where it breaks off in the middle of one."""
    whole = message((0x0006, b"user")) + carried(message(), "channel") + message()
    for data in (whole, whole[:-4]):
        sheet = Sheet(data, Book(), client=True)
        assert recognise_stream(sheet)
        assert b"user" not in sheet.bare()
        assert all(0 <= place.offset < place.end <= len(data) for place in sheet.places)


def overlap(sheet: Sheet) -> bool:
    """Whether two places do, or one reaches beyond the bytes."""
    free = 0
    for place in sorted(sheet.places, key=lambda p: p.offset):
        if place.offset < free or place.end > len(sheet.data):
            return True
        free = place.end
    return False


BEGINNINGS = st.sampled_from(
    [
        b"",
        message(key=b"k"),
        carried(message(), "data"),
        carried(message(), "channel"),
        bytes.fromhex("16fefd0000000000000000"),
        bytes.fromhex("160301003001"),
        bytes.fromhex("90f8135638"),
        bytes.fromhex("81c80006"),
        b"t" * 16 + b"\xff" * 12 + b"\xfe\xff\xff\xff",
        b"\xee" * 4 + b"\x14\0\0\0",
        b"ED\0\1\0\0\4",
        b"WA\6\3\0\0\x24",
        b"\1\0\0\0",
        b"\xc0\0\0\0\1\x08",
        b"\0\1\0\x46",
        b"INVITE sip:a@b SIP/2.0\r\n",
        b"\xef\x0a",
    ]
)


@settings(max_examples=400)
@given(st.lists(st.tuples(BEGINNINGS, st.binary(max_size=80), st.booleans()), max_size=6))
def test_garbage_behind_any_beginning_is_looked_at_without_an_exception(
    said: list[tuple[bytes, bytes, bool]],
) -> None:
    """Datagrams and streams; places stay inside and apart."""
    for stream in (False, True):
        book = Book()
        for _ in range(2):
            for beginning, rest, client in said:
                sheet = Sheet(beginning + rest, book, client=client)
                if stream:
                    recognise_stream(sheet)
                else:
                    recognise(sheet, 0, len(sheet.data))
                assert not overlap(sheet)
            book.survey = False
