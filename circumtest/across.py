"""ICE with a callee across a TURN server, and the sound behind it, as libwebrtc's clients do.

The first check goes in a Send indication; a channel is bound once there is more to send than
checks.  It refuses to know what keys the sound is sealed under, and who agreed on them.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from random import Random

from circumtest.ice import Agent, Ends, Session
from circumtest.media import Leg, media
from circumtest.model import Address
from circumtest.script import Arrival, Script, Send, now
from circumtest.turn import Allocation, Channels, Dialect, left
from circumtest.wire.ice import TGCALLS, Role


@dataclass(frozen=True, slots=True)
class Reached:
    """A callee with whom there is a pair: the allocation, and the session of ICE through it."""

    allocation: Allocation
    session: Session

    def converse(self, leg: Leg, seconds: float) -> Script[None]:
        """Media by `leg`, which runs over the session; consent and allocation are kept alive.

        Raises like `media`.
        """
        kept = self.allocation.kept((yield from now()))
        early = [*self.session.early(), kept]
        beats = (self.session.beat(), *self.allocation.beats)
        yield from media(leg, None, seconds=seconds, beats=beats, early=early, answer=self.answer)

    def answer(self, arrival: Arrival) -> Iterable[Send]:
        """What ICE and TURN say to an arrival."""
        yield from self.allocation.answer(arrival)
        yield from self.session.answer(arrival)


def reach(
    allocation: Allocation,
    peer: Address,
    ends: Ends,
    dialect: Dialect,
    rng: Random,
    patience: float,
) -> Script[Reached]:
    """A permission for `peer`, ICE with him as the controlling end, and a channel.

    Raises like `Session.connect` and `Allocation.permit`, after `patience` seconds in all.
    """
    until = (yield from now()) + patience
    yield from allocation.permit(peer, patience)
    agent = Agent(ends.caller, ends.callee, rng, TGCALLS, Role(controlling=True))
    session = Session(agent, allocation.to(peer), peer, rng)
    yield from session.connect((yield from left(until)))
    if dialect.channel is not Channels.NONE:
        yield from allocation.bind(peer, (yield from left(until)))
    return Reached(allocation, session)
