"""Where an application's call works over one transport only: told, since nobody hears it.

An application whose UDP is blocked falls back to TCP, and its user notices a worse call at most; so
"the call works" would hide what was done to it.  Arms over different transports are handshakes of
their own; here those of one application are looked at together.  It refuses to make one verdict of
them.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence

from msgspec.structs import replace

from circumtest.finding import (
    ArmState,
    Comparison,
    Fallback,
    HandshakeOutline,
    Outline,
    VerdictKind,
)
from circumtest.model import Role, Transport

_DEAD = (ArmState.RESTRICTED, ArmState.FAILS)


def tell(outline: Outline, comparisons: Sequence[Comparison]) -> tuple[Comparison, ...]:
    """The comparisons, each with the only transport over which its application's calls work."""
    calls = {one.name: one for one in outline.handshakes if one.role is Role.CALL and one.app}
    return tuple(
        replace(one, fallback=_found(_siblings(one, comparisons, calls), calls))
        if one.cell.handshake in calls
        else one
        for one in comparisons
    )


def _siblings(
    one: Comparison, comparisons: Iterable[Comparison], calls: Mapping[str, HandshakeOutline]
) -> list[Comparison]:
    """The same application's calls in the same place, itself among them."""
    app = calls[one.cell.handshake].app
    return [
        other
        for other in comparisons
        if replace(other.cell, handshake="") == replace(one.cell, handshake="")
        and other.cell.handshake in calls
        and calls[other.cell.handshake].app == app
    ]


def _found(siblings: list[Comparison], calls: Mapping[str, HandshakeOutline]) -> Fallback:
    app = calls[siblings[0].cell.handshake].app
    return Fallback(app, _only(siblings, calls, _outside), _only(siblings, calls, _inside))


def _only(
    siblings: list[Comparison],
    calls: Mapping[str, HandshakeOutline],
    lives: Callable[[Comparison], bool | None],
) -> Transport | None:
    """The transport over which a call works while it surely does not over the other."""
    by: dict[Transport, set[bool | None]] = {transport: set() for transport in Transport}
    for one in siblings:
        by[calls[one.cell.handshake].transport].add(lives(one))
    alive = [transport for transport, seen in by.items() if True in seen]
    dead = [transport for transport, seen in by.items() if seen == {False}]
    return alive[0] if len(alive) == 1 and len(dead) == 1 else None


def _outside(one: Comparison) -> bool | None:
    """Whether calls work outside; None when nobody can tell."""
    return _lives(one.outside.state)


def _inside(one: Comparison) -> bool | None:
    """Whether calls work inside; one that the tunnel cannot carry does not."""
    if one.verdict.kind in (VerdictKind.UNSUPPORTED, VerdictKind.TUNNEL_DOWN):
        return False
    return _lives(one.inside.state)


def _lives(state: ArmState) -> bool | None:
    if state is ArmState.WORKS:
        return True
    return False if state in _DEAD else None
