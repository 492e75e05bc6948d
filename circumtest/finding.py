"""What a run was, and what comparing its arms gave: the values between running and showing.

It refuses to compute: `circumtest.plan` fills the outline, `circumtest.compare` the rest, and
`circumtest.report` shows them.
"""

from enum import StrEnum

import msgspec

from circumtest.appearance import Sighting
from circumtest.model import Attribution, Cell, Level, Role, Stage, Transport

OPEN = "open"
"""The policy that restricts nothing: the negative control of every plan that has it."""
MOS = 3.1
"""The opinion of sound, 1 to 4.5, below which a tunnel degrades calls: nearly all are dissatisfied
(G.107 Annex B, R = 60)."""
LIVE = "live"
"""The policy in the cells of live runs: whatever this network does."""
MIRROR = "mirror"
"""The target in a live run that asks one's own mirror, and no service."""
HANDSHAKE_ONLY = "handshake-only block"
"""What is said where a call set up in the tunnel goes on without it, and outside none is set up."""
BEYOND = "blocked beyond the set-up"
NONE = "none"
ISOLATED = "isolated"
CONTROL_TUNNELS = (NONE, ISOLATED)
"""Kinds of tunnel that are controls: nothing is ever claimed of them."""


# ------------------------------------------------------------------ what was tried


class TunnelOutline(msgspec.Struct, frozen=True, omit_defaults=True):
    """A tunnel as the plan names it; `server` is the lab server it leads to, or ""."""

    name: str
    kind: str
    server: str = ""


class HandshakeOutline(msgspec.Struct, frozen=True, omit_defaults=True):
    """A handshake as the plan names it.

    `messaging` is the kind of its application's messaging, `app` what arms over different
    transports are both calls of, or "".  `reached` are the stages that a real service answers to
    strangers, where those only are tried.  `variant` says in what a row at a mirror differs from
    the one called `base`: "inverted", "random" or "port".  `handoff`: inside, the call is set up in
    the tunnel and goes on without it, and nothing is claimed of the tunnel.
    """

    name: str
    kind: str
    role: Role
    transport: Transport
    level: Level
    messaging: str = ""
    app: str = ""
    reached: tuple[Stage, ...] = ()
    base: str = ""
    variant: str = ""
    handoff: bool = False

    @property
    def claimed(self) -> bool:
        """Whether something is claimed of a tunnel by it."""
        return self.role is Role.CALL and not self.handoff


class Outline(msgspec.Struct, frozen=True):
    """All that a reader needs to know of a plan, without its secrets or any plugin of it.

    `hash` is the plan's (hexadecimal SHA-256), `blocks` how many each cell was meant to have,
    `mos` the line below which sound is too bad.  `places` are the pairs of target and handshake
    that are tried where not every handshake goes to every target, `notes` what the targets
    themselves say that a result shows and does not show.
    """

    name: str
    summary: str
    hash: str
    seed: int
    blocks: int
    level: Level
    stop_early: bool
    targets: tuple[str, ...]
    policies: tuple[str, ...]
    tunnels: tuple[TunnelOutline, ...]
    handshakes: tuple[HandshakeOutline, ...]
    mos: float = MOS
    places: tuple[tuple[str, str], ...] = ()
    notes: tuple[str, ...] = ()

    def cells(self) -> tuple[Cell, ...]:
        """Every cell, in the plan's order: policies, targets, handshakes, tunnels."""
        return tuple(
            Cell(tunnel.name, handshake.name, target, policy)
            for policy in self.policies
            for target in self.targets
            for handshake in self.handshakes
            if not self.places or (target, handshake.name) in self.places
            for tunnel in self.tunnels
        )

    def claims(self) -> tuple[Cell, ...]:
        """The cells about which something is claimed: calls, through tunnels that are no control.

        They are one family: the more claims, the stronger each one's evidence has to be.
        """
        calls = {one.name for one in self.handshakes if one.claimed}
        tunnels = {one.name for one in self.tunnels if one.kind not in CONTROL_TUNNELS}
        return tuple(c for c in self.cells() if c.handshake in calls and c.tunnel in tunnels)


# ------------------------------------------------------------------ what was found


class ArmState(StrEnum):
    """What may be said of one arm; RESTRICTED of the outside only, beside controls that passed."""

    WORKS = "works"
    RESTRICTED = "restricted"
    FAILS = "fails"
    UNCLEAR = "unclear"


class VerdictKind(StrEnum):
    BYPASSES = "bypasses"
    DOES_NOT_BYPASS = "does-not-bypass"
    NOT_NEEDED = "not-needed"
    BREAKS_CALLS = "breaks-calls"
    DEGRADES = "degrades"
    TUNNEL_DOWN = "tunnel-down"
    UNSUPPORTED = "unsupported"
    INCONCLUSIVE = "inconclusive"
    CONTROL_OK = "control-ok"
    CONTROL_FAILED = "control-failed"
    CONTEXT = "context"
    """Messaging and neutral traffic: shown beside the calls, never claimed upon."""


class Doubt(StrEnum):
    """Why a comparison is inconclusive."""

    ENVIRONMENT = "environment"
    INVALID = "invalid"
    ENDPOINT = "endpoint"
    """It fails at a real service outside and inside: nobody knows whether the service is up."""
    LEAK = "leak"
    TOO_FEW = "too-few"
    UNSTEADY = "unsteady"
    """No number of blocks would do: an arm neither works nor fails."""


class Verdict(msgspec.Struct, frozen=True, omit_defaults=True):
    """What the comparison allows one to say.

    `reason` is the tunnel's fault, the Doubt, what failed of a control, or the inside arm's state
    in a context cell.  `needed` is how many blocks would do, where too few were played.
    """

    kind: VerdictKind
    reason: str = ""
    needed: int | None = None

    def __str__(self) -> str:
        return f"{self.kind}({self.reason})" if self.reason else str(self.kind)


class Rate(msgspec.Struct, frozen=True):
    """Successes of n, with Wilson's 95 % limits."""

    successes: int
    n: int
    low: float
    high: float


class Difference(msgspec.Struct, frozen=True):
    """Inside minus outside rate, with Newcombe's 95 % limits for pairs."""

    estimate: float
    low: float
    high: float


class Death(msgspec.Struct, frozen=True):
    """Where and how most failures of an arm died: `count` of its `failures`.

    `how`: silent, reset, refused, unreachable, one-way, frozen after n packets, lossy, ...
    """

    stage: Stage
    how: str
    count: int
    failures: int

    def __str__(self) -> str:
        return f"{self.stage} ({self.how})"


class ArmFinding(msgspec.Struct, frozen=True):
    """One arm of a cell; `mos` is the median opinion of its sound, None where there was none."""

    state: ArmState
    rate: Rate
    death: Death | None = None
    mos: float | None = None


class Fallback(msgspec.Struct, frozen=True, omit_defaults=True):
    """The only transport over which `app`'s calls work, by arm; None where there is not one only.

    None, too, where the other transport's arm is unclear or was not tried.
    """

    app: str = ""
    outside: Transport | None = None
    inside: Transport | None = None


class Comparison(msgspec.Struct, frozen=True):
    """Outside against inside in one cell.

    `blocks` were played whole, `pairs` of them count; `voids` says why the others do not.
    `p` is exact McNemar's, or the anytime-valid one where the plan stops early; `p_adjusted` is
    Holm's over all claims of the run, None where nothing is claimed.  `trigger` says what of a call
    that is restricted outside triggers that, where its variants at a mirror tell, `attribution`
    with whom a failure in a live run lies, None where nobody can tell.
    """

    cell: Cell
    role: Role
    claim: bool
    blocks: int
    pairs: int
    outside: ArmFinding
    inside: ArmFinding
    difference: Difference
    p: float
    p_adjusted: float | None
    verdict: Verdict
    voids: dict[str, int] = {}
    messaging: str = ""
    fallback: Fallback = Fallback()
    leak: bool = False
    warnings: tuple[str, ...] = ()
    trigger: str = ""
    attribution: Attribution | None = None


class Findings(msgspec.Struct, frozen=True):
    """Everything that a run allows one to say, what it does not show, and how its tunnels look."""

    outline: Outline
    comparisons: tuple[Comparison, ...]
    warnings: tuple[str, ...]
    sightings: tuple[Sighting, ...] = ()
