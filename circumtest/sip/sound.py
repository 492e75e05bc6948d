"""The caller's end of a SIP call's sound: PCMU, plain RTP, to an end that plays it back.

The far end's own numbers say what came down; our marks in its sound say what it heard of us.  A far
end that sends our very packets back cannot tell the two directions apart: then nobody says what
went up.  RTP has no seal: a packet counts that comes from where the far end said, in one stream.
"""

from collections.abc import Iterable
from random import Random

from circumtest.ear import Ear
from circumtest.media import Heard, Report
from circumtest.model import Address, Cause, Transport
from circumtest.script import Arrival, Channel, Send
from circumtest.wire import pcmu
from circumtest.wire.rtp import Header

MAX_EARLY = 256
"""Arrivals kept that came before the sound began."""
_HALF = 1 << 15
_TURN = 1 << 16


class Leg:
    """A `media.Leg` on one channel; `remote` is set when the far end has said where to send.

    `echoes` is whether the far end is known to play back what it hears.
    """

    def __init__(self, channel: Channel, rng: Random, key: bytes, *, echoes: bool = True) -> None:
        self.channel, self._key, self._echoes = channel, key, echoes
        self.remote: Address | None = None
        self.ssrc = rng.getrandbits(32)
        self._first, self._stamp = rng.randrange(2, 1 << 15), rng.randrange(320, 1 << 31)
        self.early: list[Arrival] = []
        self._heard = _Stream()
        self._up, self._reported = Ear(), 0
        self._tail = b""
        # Where our sound begins in the far end's stream: its number, and what came before it.
        self._begins, self._before = 0, 0

    def overhear(self, arrival: Arrival) -> None:
        """Keep what came before the sound began: sound, and the end of a stream."""
        ended = isinstance(arrival.data, Cause)
        sound = arrival.channel == self.channel and not ended
        gone = arrival.channel.transport is Transport.TCP and ended
        if (sound or gone) and len(self.early) < MAX_EARLY:
            self.early.append(arrival)

    def openers(self) -> Iterable[Send]:
        """Silence, ahead of what is counted: two packets, since one may be lost."""
        return [self._packet(seq, pcmu.SILENCE) for seq in (-2, -1)]

    def encode(self, seq: int, at: float) -> Send:
        return self._packet(seq, pcmu.sound(pcmu.Mark(seq, at), self._key))

    def _packet(self, seq: int, sound: bytes) -> Send:
        assert self.remote is not None
        number, stamp = self._first + seq, self._stamp + pcmu.SAMPLES * seq
        header = Header(pcmu.PAYLOAD_TYPE, number, stamp, self.ssrc, marker=seq == -2)
        return Send(self.channel, pcmu.pack(header, sound), self.remote)

    def decode(self, arrival: Arrival) -> Iterable[Heard]:
        if (
            isinstance(arrival.data, Cause)
            or arrival.channel != self.channel
            or arrival.source != self.remote
        ):
            return ()
        try:
            header, payload = pcmu.unpack(arrival.data)
        except ValueError:
            return ()
        if header.payload_type != pcmu.PAYLOAD_TYPE:
            return ()
        if header.ssrc == self.ssrc:
            return tuple(Heard(*mark) for mark in pcmu.marks(payload, self._key))
        return self._played_back(header, payload)

    def _played_back(self, header: Header, payload: bytes) -> Iterable[Heard]:
        place = self._heard.place(header)
        if place is None:
            return ()
        seq, clock, follows = place
        sound = self._tail + payload if follows else payload
        self._tail = payload[1 - pcmu.MARK :]
        echo = None
        for mark in pcmu.marks(sound, self._key):
            if not self._up.received:
                self._begins, self._before = seq, self._heard.ear.received - 1
            # By the far end's clock: what was late on the way back was not late on the way up.
            self._up.hear(mark.seq, mark.sent_at, clock)
            echo = mark.sent_at
        return (Heard(seq, clock, self._told(echo) if self._echoes else None),)

    # -------------------------------------------------------------- what the far end heard

    def _told(self, echo: float | None) -> Report:
        """`echo` counts as just said: what the far end held it for is part of the round trip."""
        up = self._up
        self._reported = max(self._reported, self._estimate())
        highest = max(up.highest, self._reported - 1)
        return Report(self._reported, highest, up.jitter, up.gap, echo, 0.0)

    def _estimate(self) -> int:
        """Packets that the far end heard, from those of them that came back.

        A mark that did not come back was lost on either way.  As many as packets are missing on the
        way down may have been in those; beyond that, marks are as frequent in what was lost as in
        what came.
        """
        up, ear = self._up, self._heard.ear
        if not up.received:
            return 0
        came = ear.received - self._before
        sent = ear.highest - self._begins + 1
        missing = up.highest + 1 - up.received
        if missing <= sent - came:
            return up.highest + 1
        return min(round(up.received * sent / came), up.highest + 1)


class _Stream:
    """The far end's own stream: 16-bit numbers to numbers from 0, its timestamps to seconds."""

    def __init__(self) -> None:
        self.ear = Ear()
        self._ssrc: int | None = None
        self._first = self._stamp = self._last = 0

    def place(self, header: Header) -> tuple[int, float, bool] | None:
        """Number, seconds by its clock, whether it follows the last; None for another stream's."""
        if self._ssrc is None:
            self._ssrc, self._first, self._stamp = header.ssrc, header.seq, header.timestamp
            self._last = header.seq - 1
        if header.ssrc != self._ssrc:
            return None
        step = (header.seq - self._last + _HALF) % _TURN - _HALF
        seq = self._last + step
        follows = step == 1
        self._last = max(seq, self._last)
        clock = ((header.timestamp - self._stamp + (1 << 31)) % (1 << 32) - (1 << 31)) / pcmu.CLOCK
        self.ear.hear(seq - self._first, clock, clock)
        return seq - self._first, clock, follows
