"""A held call past a censor that lists its relay later: in the kernel, with times made shorter."""

import asyncio
from random import Random

from circumtest.censor.enforce import enforced
from circumtest.censor.load import policy
from circumtest.handshakes.whatsapp_call import WhatsappCall
from circumtest.lab.topology import lab
from circumtest.model import Cause, Failure, Level, Record, Stage, Success
from circumtest.play import play

SCALE = 0.01
"""Ten minutes are six seconds: a standard call is held as long as forty minutes then."""


def called(*levels: Level) -> list[Record]:
    """Calls one after the other, each in a lab of its own."""

    async def once(level: Level) -> Record:
        rules = policy("ru-calls-2026-dest").scaled(SCALE)
        async with lab() as here, enforced(here.censor, rules, 1):
            call = WhatsappCall(level=level)
            target = await here.serve(call, "call", 4)
            return await play(call.script(target, Random(1)), here.outside)

    async def all_() -> list[Record]:
        return [await once(level) for level in levels]

    return asyncio.run(all_())


def test_only_a_call_that_is_held_sees_its_relay_being_listed() -> None:
    """The short one is over before; the long one falls silent when it happens, and says when."""
    short, long = called(Level.QUICK, Level.STANDARD)

    assert short.outcome == Success()
    assert isinstance(long.outcome, Failure)
    assert (long.outcome.stage, long.outcome.cause) == (Stage.SUSTAIN, Cause.FROZEN)
    down = long.media[0].down.silent_at
    assert down is not None
    assert 3 < down < 12
    assert f"{down:.1f} s" in long.outcome.detail
