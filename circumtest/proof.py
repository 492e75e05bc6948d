"""Proving a path before anything is tried through it: a neutral exchange with a far end.

A daemon that opened its port, a proxy that said "ok", even a handshake with the server, do not show
that a tunnel carries anything.  An answer from beyond it does.  It refuses to judge calls: what is
exchanged is the control that every block plays anyway.
"""

import asyncio
from collections.abc import Callable

from circumtest.errors import TunnelDown
from circumtest.model import Failure, Invalid, Record, Success, TunnelFault
from circumtest.path import Path
from circumtest.play import play
from circumtest.script import Script

PAUSE = 0.004
"""Seconds before the first repetition of an exchange that failed at once; doubled to MOST."""
MOST = 0.5
MOST_ALONE = 3.0
"""Seconds that the exchange over TCP may take, which is played once."""

_FINAL = frozenset(
    {TunnelFault.AUTH, TunnelFault.BINARY, TunnelFault.NO_UDP, TunnelFault.WRONG_SOURCE}
)
"""Faults that waiting does not mend."""


Exchange = Callable[[], Script[None]]
"""Makes the caller's half of a neutral exchange, anew for each time it is played."""


async def prove(
    path: Path, exchange: Exchange, patience: float, stream: Exchange | None = None
) -> None:
    """Play `exchange` through `path` until it succeeds once, for about `patience` seconds.

    `stream` is an exchange over TCP: where it passes and datagrams do not, the tunnel has no UDP.
    Raises TunnelDown: the path's own word where it has one, NO_UDP, else `path.silence`.  A wrong
    exit is let pass: it is for the trials to show.
    """
    try:
        await _insist(path, exchange, patience)
    except TunnelDown as down:
        if down.fault is path.silence and stream is not None and await _passes(path, stream):
            detail = f"TCP passes, and no datagram came through in {patience:g} s"
            raise TunnelDown(TunnelFault.NO_UDP, detail, down.evidence) from None
        raise


async def _passes(path: Path, exchange: Exchange) -> bool:
    record = await _once(path, exchange(), MOST_ALONE)
    return record is not None and isinstance(record.outcome, Success)


async def _insist(path: Path, exchange: Exchange, patience: float) -> None:
    loop = asyncio.get_running_loop()
    end, pause = loop.time() + patience, PAUSE
    while True:
        record = await _once(path, exchange(), end - loop.time())
        if record is None:
            raise _silent(path, patience, "")
        match record.outcome:
            case Failure(stage, cause):
                why = f" ({stage}: {cause})"
            case Invalid("tunnel-down", fault, detail, evidence):
                if fault in _FINAL or loop.time() >= end:
                    assert fault is not None
                    raise TunnelDown(fault, detail, evidence or path.words)
                why = f" ({detail})"
            case _:
                return
        if loop.time() >= end:
            raise _silent(path, patience, why)
        await asyncio.sleep(min(pause, max(end - loop.time(), 0)))
        pause = min(2 * pause, MOST)


async def _once(path: Path, script: Script[None], left: float) -> Record | None:
    """One exchange, None when it took longer than is left."""
    try:
        async with asyncio.timeout(max(left, 0.1)):
            return await play(script, path)
    except TimeoutError:
        return None


def _silent(path: Path, patience: float, why: str) -> TunnelDown:
    known = path.fault()
    if known is not None:
        return known
    if path.silence is TunnelFault.HANDSHAKE:
        detail = (
            f"nothing came through in {patience:g} s{why}: the server is down, unreachable or"
            " blocked, or does not know us"
        )
    else:
        detail = f"it says that it is up, and nothing came through in {patience:g} s{why}"
    return TunnelDown(path.silence, detail, path.words)
