"""What works over one transport only is told, and nothing is told where that is not sure."""

import pytest
from msgspec.structs import replace

from circumtest import compare
from circumtest.finding import Comparison, Fallback, HandshakeOutline
from circumtest.model import (
    Cell,
    Invalid,
    Level,
    Outcome,
    Role,
    Transport,
    TunnelFault,
    Unsupported,
)
from circumtest.report.rows import answer
from tests.unit.runs import LOSSY, OK, SILENT, outline, trials

TCP = Transport.TCP
ARMS = tuple(
    HandshakeOutline(f"call-{t}", f"call-{t}", Role.CALL, t, Level.QUICK, app="the-call")
    for t in Transport
)
PLAN = replace(outline("socks"), handshakes=ARMS)
NO_UDP = Invalid("tunnel-down", TunnelFault.NO_UDP)


def judged(
    udp: tuple[Outcome, Outcome], tcp: tuple[Outcome, Outcome] | None
) -> tuple[Comparison, ...]:
    """Findings of twelve blocks with these outcomes outside and inside."""
    plan = PLAN if tcp else replace(PLAN, handshakes=ARMS[:1])
    played = [
        trial
        for arm, pair in (("call-udp", udp), ("call-tcp", tcp))
        if pair
        for trial in trials(
            Cell("socks", arm, "lab", "ru"), [pair[0]] * 12, [pair[1]] * 12, (OK, OK)
        )
    ]
    return compare.compare(plan, played).comparisons


@pytest.mark.parametrize(
    ("udp", "tcp", "told"),
    [
        ((SILENT, OK), (OK, OK), Fallback("the-call", outside=TCP)),
        ((SILENT, SILENT), (OK, OK), Fallback("the-call", TCP, TCP)),
        ((OK, NO_UDP), (OK, OK), Fallback("the-call", inside=TCP)),
        ((OK, Unsupported("no UDP")), (OK, OK), Fallback("the-call", inside=TCP)),
        ((LOSSY, OK), (OK, OK), Fallback("the-call", outside=TCP)),
        ((OK, OK), (OK, OK), Fallback("the-call")),
        ((SILENT, SILENT), (SILENT, SILENT), Fallback("the-call")),
        ((OK, OK), (SILENT, OK), Fallback("the-call", outside=Transport.UDP)),
    ],
)
def test_the_only_transport_that_works_is_told_for_both_arms(
    udp: tuple[Outcome, Outcome], tcp: tuple[Outcome, Outcome], told: Fallback
) -> None:
    """Outside and inside are told apart; what the tunnel cannot carry does not work in it."""
    assert [one.fallback for one in judged(udp, tcp)] == [told, told]


def test_nothing_is_told_where_one_transport_was_tried() -> None:
    """Nobody knows of the other."""
    assert [one.fallback for one in judged((SILENT, OK), None)] == [Fallback("the-call")]


def test_the_answer_says_it_in_words() -> None:
    """Once for both arms, with the tunnels by name."""
    plan = PLAN
    played = [
        trial
        for arm, outcomes in (("call-udp", (SILENT, NO_UDP)), ("call-tcp", (OK, OK)))
        for trial in trials(Cell("socks", arm, "lab", "ru"), [outcomes[0]] * 12, [outcomes[1]] * 12)
    ]
    words = " ".join(answer(compare.compare(plan, played)))

    assert words.count("the-call works only over TCP: outside, in socks.") == 1
