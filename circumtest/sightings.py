"""Which tunnels of a run are watched, what was seen of them, and where it is kept.

A worker deposits the packets that an observer saw; when all is played they are looked at, so that
no trial waits for that, and thrown away: they may hold what a tunnel carries in the clear.  What
they looked like stays, a line a tunnel.  It refuses to watch, and to judge what was seen.
"""

from collections.abc import Iterable
from pathlib import Path

import msgspec

from circumtest import store
from circumtest.appearance import Sighting
from circumtest.finding import CONTROL_TUNNELS, HandshakeOutline, Outline
from circumtest.model import Cell, Role, Transport

FILE = "appearances.jsonl"
DEPOSITS = ".seen"
"""Packets that wait to be looked at."""


class _Deposit(msgspec.Struct, frozen=True):
    """What passed in a cell: Ethernet frames with their times."""

    cell: Cell
    played: bool
    frames: tuple[tuple[float, bytes], ...]


_encode = msgspec.msgpack.Encoder().encode
_decode = msgspec.msgpack.Decoder(_Deposit).decode
_decode_line = msgspec.json.Decoder(store.Watched).decode


def to_watch(outline: Outline, policy: str) -> tuple[Cell, ...]:
    """Where tunnels are watched, under `policy`: a cell a tunnel and transport, better ones first.

    Two at most, because nobody knows before it is up what a tunnel carries: over UDP, over TCP, of
    each the first call, or the first handshake of any kind.  Controls are no tunnels.
    """
    first = [
        min(those, key=lambda one: one.role is not Role.CALL)
        for transport in (Transport.UDP, Transport.TCP)
        if (those := [one for one in outline.handshakes if one.transport is transport])
    ]
    return tuple(
        Cell(tunnel.name, handshake.name, outline.targets[0], policy)
        for handshake in _calls_first(first)
        for tunnel in outline.tunnels
        if tunnel.kind not in CONTROL_TUNNELS
    )


def _calls_first(those: Iterable[HandshakeOutline]) -> list[HandshakeOutline]:
    return sorted(those, key=lambda one: one.role is not Role.CALL)


class Deposits:
    """The packets that were seen in a run's folder, by the cells of `cells`."""

    def __init__(self, folder: Path, cells: Iterable[Cell]) -> None:
        self._folder = folder
        seen = {one.cell.tunnel for one in read(folder)[0]}
        places = {cell: folder / DEPOSITS / str(n) for n, cell in enumerate(cells)}
        self._places = {cell: file for cell, file in places.items() if cell.tunnel not in seen}

    def wanted(self, cell: Cell) -> bool:
        """Whether that cell is to be watched, and has not been."""
        return cell in self._places and not self._places[cell].exists()

    def put(self, cell: Cell, frames: tuple[tuple[float, bytes], ...], *, played: bool) -> None:
        """Keep what passed until it is looked at.  Raises EnvironmentUnfit on a full disk."""
        file = self._places[cell]
        store.make(file.parent)
        store.publish(file, _encode(_Deposit(cell, played, frames)))

    def recognise(self) -> None:
        """Look at all that was deposited, keep how it looks, and throw it away.

        Of a tunnel that was watched in several cells the first in which a trial was played counts.
        Raises EnvironmentUnfit when the disk is full.
        """
        from circumtest.detect.look import look  # whoever only reads a run needs none of it

        seen, _ = read(self._folder)
        deposits = [
            found for file in self._places.values() if (found := _deposited(file)) is not None
        ]
        for one in sorted(deposits, key=lambda one: not one.played):
            if one.cell.tunnel not in {sighting.cell.tunnel for sighting in seen}:
                seen.append(Sighting(one.cell, one.played, look(one.frames)))
        if deposits:
            lines = (msgspec.json.encode(store.Watched(store.FORMAT, one)) for one in seen)
            store.publish(self._folder / FILE, b"\n".join(lines))
        for file in (self._folder / DEPOSITS).glob("*"):
            file.unlink()
        if (self._folder / DEPOSITS).exists():
            (self._folder / DEPOSITS).rmdir()


def _deposited(file: Path) -> _Deposit | None:
    """What a file holds; None where there is none, or half of one."""
    try:
        return _decode(file.read_bytes().removesuffix(b"\n"))
    except (FileNotFoundError, msgspec.DecodeError):
        return None


def read(folder: Path) -> tuple[list[Sighting], list[str]]:
    """What was seen of each tunnel, the first line of each, and what was wrong with other lines.

    Raises ConfigError when the file is there and cannot be read; without it nobody watched.
    """
    found: dict[str, Sighting] = {}
    troubles: list[str] = []
    for place, text in store.lines(folder / FILE):
        try:
            line = _decode_line(text)
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
            troubles.append(f"{place}: not a whole sighting, left out ({str(error)[:80]})")
            continue
        if line.v != store.FORMAT:
            troubles.append(f"{place}: format {line.v}, left out")
            continue
        found.setdefault(line.sighting.cell.tunnel, line.sighting)
    return list(found.values()), troubles
