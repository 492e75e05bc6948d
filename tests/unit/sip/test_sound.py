"""The caller's end of the sound: what he sends, and what he makes of what comes back."""

from collections.abc import Iterable
from itertools import pairwise
from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from circumtest.media import Heard, Report
from circumtest.model import Address, Cause, Transport
from circumtest.script import Arrival, Channel
from circumtest.sip.sound import MAX_EARLY, Leg
from circumtest.wire import pcmu
from circumtest.wire.rtp import Header

FAR = Address("203.0.113.10", 40000)
CHANNEL = Channel(1, Transport.UDP, FAR)
KEY = b"k" * 32


def leg() -> Leg:
    """One that knows where to send."""
    made = Leg(CHANNEL, Random(1), KEY)
    made.remote = FAR
    return made


def arrival(
    data: bytes | Cause, source: Address = FAR, channel: Channel = CHANNEL, at: float = 5.0
) -> Arrival:
    """Something that came in."""
    return Arrival(channel, data, source, at)


def played(seq: int, sound: bytes, ssrc: int = 9, first: int = 65530) -> bytes:
    """A packet of the far end's own stream."""
    return pcmu.pack(Header(0, first + seq, 1000 + 160 * seq, ssrc), sound)


def mark(seq: int) -> bytes:
    """Our own sound."""
    return pcmu.sound(pcmu.Mark(seq, 1.0 + seq / 50), KEY)


def heard(it: Leg, packets: Iterable[tuple[int, bytes]]) -> list[Heard]:
    """What a leg makes of packets of the far end."""
    return [one for seq, sound in packets for one in it.decode(arrival(played(seq, sound)))]


def last(reports: Iterable[Heard]) -> Report:
    """What was said last of the way up."""
    report = list(reports)[-1].report
    assert report is not None
    return report


def test_what_is_sent_is_plain_pcmu_every_twenty_milliseconds() -> None:
    """Two packets of silence lead, numbers and timestamps go on by one and by 160."""
    it = leg()
    sent = [item.data for item in (*it.openers(), it.encode(0, 1.0), it.encode(1, 1.02))]
    headers = [pcmu.unpack(data)[0] for data in sent]

    assert {len(data) for data in sent} == {172}
    assert [data[:2] for data in sent] == [b"\x80\x80", b"\x80\0", b"\x80\0", b"\x80\0"]
    assert len({header.ssrc for header in headers}) == 1
    for before, after in pairwise(headers):
        assert after.seq - before.seq == 1
        assert after.timestamp - before.timestamp == 160
    assert [len(list(pcmu.marks(data, KEY))) for data in sent] == [0, 0, 1, 1]


def test_numbers_of_the_far_end_count_what_came_down_and_marks_what_went_up() -> None:
    """Its numbers begin anywhere and pass 65535."""
    told = heard(leg(), [(0, pcmu.SILENCE), *((seq, mark(seq - 1)) for seq in range(1, 20))])

    assert [one.seq for one in told] == list(range(20))
    assert [one.sent_at for one in told] == pytest.approx([seq / 50 for seq in range(20)])
    assert told[0].report == Report(0, -1, 0.0, 0.0, None, 0.0)
    assert last(told)[:2] == (19, 18)
    assert last(told).echo == pytest.approx(1.0 + 18 / 50)


def test_sound_that_is_cut_elsewhere_is_found() -> None:
    """The far end's packets begin in the middle of ours."""
    sound = pcmu.SILENCE[:70] + b"".join(mark(seq) for seq in range(5))
    packets = [(n, sound[160 * n : 160 * n + 160]) for n in range(5)]

    assert last(heard(leg(), packets)).received == 5
    # Across a gap there is no whole mark, and none is made up.
    assert last(heard(leg(), [packets[0], *packets[2:]])).highest == 4


def test_what_is_missing_on_the_way_back_is_not_missed_on_the_way_up() -> None:
    """As many marks as packets; beyond that they are as frequent in what was lost."""
    whole = [(seq, mark(seq)) for seq in range(100)]
    third = [one for one in whole if one[0] % 3]
    half_up = [(seq, mark(seq) if seq % 2 else pcmu.SILENCE) for seq in range(100)]
    both = [one for one in half_up if one[0] % 5]

    assert last(heard(leg(), third)).received == pytest.approx(99, abs=1)
    assert last(heard(leg(), half_up)).received == 50
    assert last(heard(leg(), both)).received == pytest.approx(50, abs=2)


def test_counts_never_go_back() -> None:
    """An estimate that sinks would look like an older report."""
    dice = Random(4)
    packets = [(n, mark(n) if dice.random() < 0.7 else pcmu.SILENCE) for n in range(400)]
    told = heard(leg(), [one for one in packets if dice.random() < 0.7])
    counts = [one.report.received for one in told if one.report]

    assert counts == sorted(counts)
    assert counts[-1] == pytest.approx(280, abs=40)


def test_our_own_packets_sent_back_are_heard_and_tell_nothing_of_the_way_up() -> None:
    """The same source as ours."""
    it = leg()
    sent = [it.encode(seq, 1.0 + seq).data for seq in range(3)]

    assert [one for data in sent for one in it.decode(arrival(data))] == [
        Heard(seq, 1.0 + seq) for seq in range(3)
    ]


def test_what_comes_from_elsewhere_or_is_another_stream_is_not_sound() -> None:
    """Another host, port, channel, codec, a second source."""
    it = leg()
    data = played(0, pcmu.SILENCE)

    for other in (
        arrival(data, FAR._replace(port=1)),
        arrival(data, Address("203.0.113.11", 40000)),
        arrival(data, channel=Channel(2, Transport.UDP, FAR)),
        arrival(Cause.REFUSED),
        arrival(b"\x80\x08" + data[2:]),
        arrival(b"\x80\xc8" + data[2:]),
    ):
        assert not list(it.decode(other))
    assert list(it.decode(arrival(data)))
    assert not list(it.decode(arrival(played(1, pcmu.SILENCE, ssrc=10))))


@given(st.lists(st.binary(max_size=200), max_size=5))
def test_garbage_is_no_sound(chunks: list[bytes]) -> None:
    """Never an exception."""
    it = leg()
    for chunk in chunks:
        for data in (chunk, b"\x80\0" + chunk):
            for one in it.decode(arrival(data)):
                assert one.report is None or one.report.received == 0


def test_what_came_before_the_sound_is_kept_within_bounds() -> None:
    """Sound, and the end of a stream; nothing else."""
    it = leg()
    stream = Channel(2, Transport.TCP, FAR)
    it.overhear(arrival(b"signalling", channel=stream))
    it.overhear(arrival(Cause.REFUSED))
    it.overhear(arrival(Cause.EOF, channel=stream))
    for _ in range(2 * MAX_EARLY):
        it.overhear(arrival(b"sound"))

    assert it.early[0].data is Cause.EOF
    assert len(it.early) == MAX_EARLY
