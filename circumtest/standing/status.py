"""What a lab that is up tells of itself, as values: JSON for programs, `told` for people."""

import msgspec


class RuleStatus(msgspec.Struct, frozen=True):
    """A rule in words, and how many packets it has acted on so far."""

    id: str
    matches: str
    does: str
    hits: int


class TunnelStatus(msgspec.Struct, frozen=True):
    """A tunnel: the room that leads through it, or why there is none (`fault`, `detail`).

    `evidence` are its daemon's own last words, `note` is what it does not carry.
    """

    name: str
    kind: str
    room: str
    fault: str = ""
    detail: str = ""
    evidence: str = ""
    note: str = ""


class Service(msgspec.Struct, frozen=True):
    """What can be talked to, where (address and port), and a command that does, if there is one.

    `why_not` says why it is not there.
    """

    name: str
    transport: str
    addresses: tuple[str, ...]
    example: tuple[str, ...] = ()
    why_not: str = ""


class MiddleboxStatus(msgspec.Struct, frozen=True):
    """Packets that the middlebox was given to judge, and those that it had no room for."""

    looked: int
    lost: int


class Status(msgspec.Struct, frozen=True):
    """The lab just now, `seconds` after it came up.

    `faults` say why nothing that is tried now tells anything about the policy.
    """

    policy: str
    summary: str
    confidence: str
    scale: float
    seed: int
    seconds: float
    rules: tuple[RuleStatus, ...]
    network: tuple[str, ...]
    middlebox: MiddleboxStatus | None
    faults: tuple[str, ...]
    tunnels: tuple[TunnelStatus, ...]
    services: tuple[Service, ...]

    @property
    def down(self) -> dict[str, str]:
        """The rooms that lead nowhere just now, and why."""
        return {one.room: f"{one.fault}: {one.detail}" for one in self.tunnels if one.fault}
