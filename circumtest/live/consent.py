"""What a check tells before it sends anything: to whom, about how much, and what that may mean.

It refuses to ask: the command does, and only a person can say yes.
"""

from collections.abc import Iterator, Sequence

from circumtest.live.check import BUDGET, Asked
from circumtest.live.checked import QUORUM

LINES = 12
"""Lines at most: longer ones are not read."""
_WIDTH = 6


def lines(asked: Asked) -> tuple[str, ...]:
    """The text, a line each."""
    return tuple(_lines(asked))


def _lines(asked: Asked) -> Iterator[str]:
    most = sum(len(service.endpoints) for service in asked.services)
    ways = 1 + len(asked.vpns)
    services = _some([service.name for service in asked.services])
    yield f"This check sends a few packets from here, for about {BUDGET:.0f} seconds at most:"
    yield f"  to {services}: what their apps say first, without an account,"
    yield f"  to {QUORUM} or fewer of each one's servers, {most * ways} connections at most;"
    yield "  to neutral servers (time, STUN, web): to tell a dead line from a restricted one;"
    if asked.token:
        yield "  to your mirror: whole calls with a few seconds of sound, one after another;"
    if asked.vpns:
        yield f"  through {_some([vpn.name for vpn in asked.vpns])}: the same again."
    yield "Your provider can see it, as it sees these apps.  Where using them or a VPN is"
    yield "forbidden it may be so to test them, and a VPN's server that is tested may get listed."
    yield "Nothing is uploaded, nothing is kept on disk."


def _some(names: Sequence[str]) -> str:
    """The names, not all where they are many."""
    shown = ", ".join(names[:_WIDTH])
    return shown if len(names) <= _WIDTH else f"{shown} and {len(names) - _WIDTH} more"
