"""Everything that a mirror plays: the far halves of all handshakes, plain and under every mask.

It refuses to play a handshake that has no secret: whoever has none would be answered like a friend.
"""

import dataclasses
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from circumtest.answer import Mux
from circumtest.handshakes.recorded import Recorded
from circumtest.masked import SHADES, Masked
from circumtest.mirror.gate import Acquainted, Gate
from circumtest.mirror.inventory import NEUTRAL, Offer
from circumtest.model import Address, Carrier, Transport
from circumtest.recording.session import Variant
from circumtest.registry import HANDSHAKES, kinds, load
from circumtest.script import Answerer, Handshake
from circumtest.secure import TlsAnswerer

RELAY_PORTS = range(596, 600)
"""Where Telegram's reflectors listen."""
MORE = {
    Transport.UDP: (*RELAY_PORTS, 19302, *NEUTRAL[Transport.UDP]),
    Transport.TCP: (80, 443, 5222, *RELAY_PORTS, *NEUTRAL[Transport.TCP]),
}
"""Ports of the real services beyond those that handshakes have by themselves."""
NAME = "example.org"
"""What the certificate is said to be for; clients look at its key."""

Known = Callable[[Address, float], bool]


@dataclasses.dataclass(frozen=True)
class Part:
    """One handshake as it is configured here."""

    kind: str
    handshake: Handshake


def parts(secret: str, recordings: Sequence[Path] = ()) -> tuple[Part, ...]:
    """Every handshake that can be held to the secret, in each way that it can be carried.

    Raises ConfigError for a recording that is none.
    """
    made: list[Part] = []
    for kind in kinds(HANDSHAKES):
        cls: Any = load(HANDSHAKES, kind, "the mirror", kind)
        fields = {field.name: field for field in dataclasses.fields(cls)}
        if "secret" not in fields:
            continue
        if cls is Recorded:
            made += [Part(kind, one) for one in _recorded(secret, recordings)]
            continue
        default = fields["transport"].default if "transport" in fields else None
        ways: list[dict[str, Any]]
        if isinstance(default, Carrier | Transport):
            ways = [{"transport": way} for way in type(default)]
        elif "handoff" in fields:
            ways = [{"handoff": True}]  # it follows who is handed off
        else:
            ways = [{}]
        made += [Part(kind, cls(secret=secret, **way)) for way in ways]
    return tuple(made)


def _recorded(secret: str, recordings: Sequence[Path]) -> list[Recorded]:
    files = ["", *(str(file) for file in recordings)]
    return [
        Recorded(file=file, variant=variant, secret=secret) for file in files for variant in Variant
    ]


def offers(played: Sequence[Part]) -> tuple[Offer, ...]:
    """What there is, each once."""
    return tuple(dict.fromkeys(Offer(one.kind, one.handshake.listen.transport) for one in played))


def ports(played: Sequence[Part]) -> dict[Transport, tuple[int, ...]]:
    """Where all of them listen, and the real services, too."""
    found: dict[Transport, set[int]] = {way: set(MORE[way]) for way in Transport}
    for one in played:
        for place in (one.handshake.listen, *one.handshake.also):
            found[place.transport].add(place.port)
    return {way: tuple(sorted(found[way])) for way in Transport}


def rooms(played: Sequence[Part], secret: str, knows: Known) -> Answerer:
    """The far halves, once for each mask; `knows` says who has said hello."""
    shades = [
        room if mask is None else Masked(room, mask, secret)
        for mask, room in ((mask, _room(played, secret, knows)) for mask in SHADES)
    ]
    return Mux(shades)


def _room(played: Sequence[Part], secret: str, knows: Known) -> Answerer:
    plain: dict[str, Answerer] = {}
    recorded: list[Answerer] = []
    tls: dict[str, tuple[Handshake, Answerer]] = {}
    for one in played:
        handshake = one.handshake
        carrier = getattr(handshake, "transport", None)
        if isinstance(handshake, Recorded):
            recorded.append(handshake.answerer())
        elif carrier is Carrier.TLS:
            bare = dataclasses.replace(handshake, transport=Carrier.TCP)  # type: ignore[type-var]
            tls[one.kind] = (bare, _gated(bare))
        elif one.kind not in plain:
            made = _gated(handshake)
            # Nothing but TLS is what the secured room is, for all of them.
            if not isinstance(made, TlsAnswerer):
                plain[one.kind] = made
    inside = [
        answerer if _has_datagrams(bare) else _Streams(answerer) for bare, answerer in tls.values()
    ]
    secured = TlsAnswerer(Mux(inside), secret, NAME)
    return Mux([*plain.values(), *recorded, Acquainted(secured, knows, datagrams=True)])


def _gated(handshake: Handshake) -> Answerer:
    is_ours = getattr(handshake, "is_ours", None)
    return handshake.answerer() if is_ours is None else Gate(handshake.answerer(), is_ours)


def _has_datagrams(handshake: Handshake) -> bool:
    return any(place.transport is Transport.UDP for place in handshake.also)


class _Streams:
    """An answerer that is given streams only: another one of its kind has the datagrams."""

    def __init__(self, inner: Answerer) -> None:
        self._inner = inner
        self.timer, self.tick = inner.timer, inner.tick

    def receive(self, flow: Any, data: bytes, now: float) -> Any:
        return self._inner.receive(flow, data, now) if flow.transport is Transport.TCP else ()
