"""What is marked on a flow's bytes: values that recur have one name, what is empty stays."""

from circumtest.recording import Kind, Place
from circumtest.recording.sheet import Book, Sheet


def sheet(data: bytes, book: Book | None = None) -> Sheet:
    """One of the client's."""
    return Sheet(data, book or Book(), client=True)


def test_the_same_value_has_the_same_name_wherever_it_stands() -> None:
    """On any sheet of the flow; another has another."""
    book = Book()
    one, two = sheet(b"abcdefgh", book), sheet(b"xxabcdwxyz", book)
    one.draw(0, 4, "t")
    two.draw(2, 4, "t")
    two.draw(6, 4, "t")

    assert one.places == [Place(0, 4, Kind.RANDOM, "t1")]
    assert two.places == [Place(2, 4, Kind.RANDOM, "t1"), Place(6, 4, Kind.RANDOM, "t2")]


def test_what_is_short_or_empty_has_no_name_or_stays() -> None:
    """Three bytes recur by chance; zeros mean that there is nothing."""
    one = sheet(b"abc" + bytes(8))
    one.draw(0, 3, "t")
    one.draw(3, 8, "t")
    one.mark(3, 0, Kind.RANDOM)

    assert one.places == [Place(0, 3, Kind.RANDOM)]


def test_each_ff_in_plain_bytes_stays_one() -> None:
    """It decides whether a censor recognises the packet."""
    one = sheet(b"ab\xff\xffcdefg\xff")
    one.draw(0, 10, "g", Kind.PLAIN)

    assert [(place.offset, place.size) for place in one.places] == [(0, 2), (4, 5)]
    assert one.bare() == bytes(2) + b"\xff\xff" + bytes(5) + b"\xff"


def test_words_are_replaced_and_signs_stay() -> None:
    """What cannot be read is drawn as a whole."""
    one, two = sheet(b"user:pass@x"), sheet(b"\0user:pass")
    one.text(0, 11, "u")
    two.text(0, 10, "u")

    assert one.bare() == bytes(4) + b":" + bytes(4) + b"@\0"
    assert all(place.kind is Kind.BASE64 for place in one.places)
    assert two.places == [Place(0, 10, Kind.RANDOM, "u1")]


def test_counters_count_from_their_first_value_backwards_too() -> None:
    """And over the end of their bytes."""
    book = Book()
    numbers = (65534, 65535, 1, 65533)
    sheets = [sheet(n.to_bytes(2), book) for n in numbers]
    for one in sheets:
        one.count(0, 2, "q")

    assert [one.places[0].add for one in sheets] == [0, 1, 3, -1]


def test_what_is_seen_is_counted_where_it_was() -> None:
    """On the sheet and in the book."""
    one = sheet(b"abcd")
    one.at = 2
    one.seen("RTP")

    assert one.spots == [(2, "RTP")]
    assert one.book.labels == {"RTP": 1}
