"""What a check found, as values: what `--json` prints, and what its plain words are made of.

No field holds an address of the person, or what a VPN's configuration says.  It refuses to judge:
how little one try shows is for `circumtest.live.words` to say.
"""

from collections.abc import Iterable
from enum import StrEnum
from typing import Literal

import msgspec

SCHEMA = 1
"""Raised when a field changes its meaning or goes."""

QUORUM = 3
"""Endpoints of a service that must have failed before its failing is worth a word."""


class About(StrEnum):
    """What a service is needed for."""

    MESSAGES = "messages"
    CALLS = "calls"
    OTHER = "other"


class State(StrEnum):
    """What can be said of one service over one way."""

    WORKED = "worked"
    FAILED = "failed"  # at QUORUM places or all there are, while a neutral place answered
    UNSTEADY = "unsteady"  # failed, at too few places to say more
    UNCONTROLLED = "uncontrolled"  # failed, and no neutral place answered either
    CANNOT = "cannot"  # the way carries no such transport
    UNTRIED = "untried"


class Tried(msgspec.Struct, frozen=True, kw_only=True):
    """One service over one way.

    `attempts` counts the endpoints that were tried, one after another until one `worked`; those in
    which the way itself was at fault are `void` and not among them.  `died` is the stage and the
    cause of the last failure.  `control` is whether a neutral place answered over the same way at
    the same time, None where nobody asked.  `sound` says that the whole call was played, sound
    included, at one's own mirror, and not only what a service answers to strangers.
    """

    service: str
    app: str
    about: About
    attempts: int = 0
    worked: int = 0
    void: int = 0
    died: str = ""
    control: bool | None = None
    cannot: str = ""
    sound: bool = False
    shows: str = ""
    does_not_show: str = ""

    @property
    def state(self) -> State:
        if self.worked:
            return State.WORKED
        if self.cannot:
            return State.CANNOT
        if not self.attempts:
            return State.UNTRIED
        if not self.control:
            return State.UNCONTROLLED
        return State.FAILED if self.sound or self.attempts >= QUORUM else State.UNSTEADY


class Said(msgspec.Struct, frozen=True):
    """Something wrong: a word for it, with whom (`model.Attribution`), a sentence and a cure.

    `fatal` forbids a word about whatever fails beside it; what is not is worth knowing.
    """

    kind: str
    attribution: str
    sentence: str
    remedy: str = ""
    fatal: bool = True


class Leaked(msgspec.Struct, frozen=True):
    """Packets that went around the VPN: kind ("target", "dns", "ipv6"), how many, over what."""

    kind: str
    packets: int
    transport: str


WayState = Literal["up", "down", "left-out", "no-time"]


class Way(msgspec.Struct, frozen=True, kw_only=True):
    """The connection as it is, or one VPN: `name` is how the person calls it.

    "down" did not carry anything, "left-out" cannot be tried on this machine, "no-time" was not
    reached.  `why` and `remedy` are for the last three.  `unwatched` says why nobody could watch
    for leaks, "" where somebody did.
    """

    name: str
    kind: str = ""
    state: WayState = "up"
    tried: tuple[Tried, ...] = ()
    troubles: tuple[Said, ...] = ()
    leaks: tuple[Leaked, ...] = ()
    unwatched: str = ""
    why: str = ""
    remedy: str = ""
    notes: tuple[str, ...] = ()

    def of(self, service: str) -> Tried | None:
        """What became of a service over this way."""
        return next((one for one in self.tried if one.service == service), None)


class Checked(msgspec.Struct, frozen=True, kw_only=True):
    """All of a check: `environment` has kind "fine" where nothing is wrong with the network.

    `behind` names a device of a VPN that is on already, `bound_to` the device that `outside` was
    bound to because of it.  `mirror` says that one was given, `whole` is False when time ran out
    before everything was tried.
    """

    schema: int = SCHEMA
    version: str = ""
    seconds: float = 0.0
    environment: Said | None = None
    behind: str = ""
    bound_to: str = ""
    left_out: tuple[str, ...] = ()
    outside: Way | None = None
    vpns: tuple[Way, ...] = ()
    mirror: bool = False
    whole: bool = True


FINE = "fine"

_NO_NETWORK = frozenset({"no-network", "no-answer", "captive-portal"})
"""Environments in which nothing else needs to be tried."""


def usable(environment: Said | None) -> bool:
    """Whether there is a network on which trying services makes sense."""
    return environment is None or environment.kind not in _NO_NETWORK


def spoilt(environment: Said | None) -> bool:
    """Whether what fails may be the network's own doing, whoever is called."""
    return environment is not None and environment.kind != FINE


def exit_code(checked: Checked) -> int:
    """0 something could be said, 3 nothing could, 4 there is no network to try, 6 a VPN leaks."""
    ways = [*([checked.outside] if checked.outside else ()), *checked.vpns]
    if any(way.leaks for way in ways):
        return 6
    if not usable(checked.environment):
        return 4
    blamed = not spoilt(checked.environment)
    if any(_conclusive(way, blamed=blamed) for way in ways):
        return 0
    return 3 if checked.outside and checked.outside.tried else 4


def _conclusive(way: Way, *, blamed: bool) -> bool:
    """A fault of a VPN is one where the network may not be to blame."""
    found = blamed and any(trouble.fatal for trouble in way.troubles)
    return found or any(map(_told, _states(way.tried)))


def _states(tried: Iterable[Tried]) -> Iterable[State]:
    return (one.state for one in tried)


def _told(state: State) -> bool:
    return state in (State.WORKED, State.FAILED, State.CANNOT)
