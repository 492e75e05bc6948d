"""Small synthetic runs for tests of what is made of trials."""

from collections.abc import Sequence

from circumtest.finding import HandshakeOutline, Outline, TunnelOutline
from circumtest.model import (
    Arm,
    Cause,
    Cell,
    Direction,
    Failure,
    Invalid,
    Level,
    Media,
    Outcome,
    Record,
    Role,
    Stage,
    Success,
    Transport,
    Trial,
    TunnelFault,
)

OK = Success()
SILENT = Failure(Stage.ALLOCATE, Cause.TIMEOUT)
LOSSY = Failure(Stage.MEDIA_UP, Cause.LOSSY)
DOWN = Invalid("tunnel-down", TunnelFault.HANDSHAKE)
WRONG_EXIT = Invalid("wrong-exit")
LATE = Invalid("overloaded")

CALL = HandshakeOutline(
    "call", "whatsapp-call", Role.CALL, Transport.UDP, Level.QUICK, "whatsapp-message"
)
MESSAGE = HandshakeOutline(
    "message", "whatsapp-message", Role.MESSAGING, Transport.TCP, Level.QUICK, "whatsapp-message"
)


def sounding(mos: float, outcome: Outcome = OK) -> Record:
    """A call with sound of that opinion, up; down it is perfect."""
    up, down = Direction(80, 70, 10, mos=mos), Direction(80, 80, 0, mos=4.4)
    return Record(outcome, 1.6, media=(Media(1.6, 50, up, down),))


def outline(
    *tunnels: str, policies: tuple[str, ...] = ("ru",), blocks: int = 12, early: bool = False
) -> Outline:
    """A plan of one call and its messaging, with tunnels named by their kind."""
    return Outline(
        "small",
        "",
        "0" * 64,
        1,
        blocks,
        Level.QUICK,
        early,
        ("lab",),
        policies,
        tuple(TunnelOutline(kind, kind) for kind in tunnels),
        (CALL, MESSAGE),
    )


def trials(
    cell: Cell,
    outside: Sequence[Outcome | Record],
    inside: Sequence[Outcome | Record],
    controls: tuple[Outcome, Outcome] = (OK, OK),
) -> list[Trial]:
    """A block for each outcome; all controls of an arm end alike."""
    made = []
    for block, (out, within) in enumerate(zip(outside, inside, strict=True)):
        for arm, outcome in (
            (Arm.OUTSIDE, out),
            (Arm.INSIDE, within),
            (Arm.OUTSIDE_CONTROL, controls[0]),
            (Arm.INSIDE_CONTROL, controls[1]),
        ):
            record = outcome if isinstance(outcome, Record) else Record(outcome, 0.1)
            made.append(Trial(cell, block, arm, 0.0, record))
    return made
