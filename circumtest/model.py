"""The values that everything else passes around, and that results are made of.

It refuses to do anything: no I/O, no clock, no judgement.  One word per thing, as in
`docs/architecture.md`.  Failure strings are OONI's (df-007) where one fits; the others are ours,
in the same style.
"""

import ipaddress
from enum import StrEnum
from typing import NamedTuple

import msgspec


class Transport(StrEnum):
    UDP = "udp"
    TCP = "tcp"


class Carrier(StrEnum):
    """What carries a signalling protocol, as SIP and TURN URIs say it; TLS runs over TCP."""

    UDP = "udp"
    TCP = "tcp"
    TLS = "tls"

    @property
    def transport(self) -> Transport:
        return Transport.UDP if self is Carrier.UDP else Transport.TCP


class Address(NamedTuple):
    """An IP address as text and a port, 0 to 65535.  Never a host name."""

    host: str
    port: int

    @property
    def version(self) -> int:
        """4 or 6."""
        return 6 if ":" in self.host else 4

    @property
    def packed(self) -> bytes:
        """The address in network order: 4 or 16 bytes."""
        return ipaddress.ip_address(self.host).packed

    def __str__(self) -> str:
        return f"[{self.host}]:{self.port}" if self.version == 6 else f"{self.host}:{self.port}"


class Stage(StrEnum):
    """The rungs of a call setup, in the order in which they can die."""

    RESOLVE = "resolve"
    SIGNALLING = "signalling"
    BINDING = "binding"
    ALLOCATE = "allocate"
    CONNECTIVITY = "connectivity"
    DTLS = "dtls"
    MEDIA_UP = "media-up"
    MEDIA_DOWN = "media-down"
    SUSTAIN = "sustain"


class Cause(StrEnum):
    """Why a stage failed.  The first group is OONI's df-007, the second ours."""

    TIMEOUT = "generic_timeout_error"
    REFUSED = "connection_refused"
    RESET = "connection_reset"
    ABORTED = "connection_aborted"
    EOF = "eof_error"
    HOST_UNREACHABLE = "host_unreachable"
    NETWORK_UNREACHABLE = "network_unreachable"
    DNS_NXDOMAIN = "dns_nxdomain_error"
    DNS_REFUSED = "dns_refused_error"
    DNS_SERVFAIL = "dns_servfail_error"
    DNS_MISBEHAVING = "dns_server_misbehaving"
    DNS_EMPTY = "dns_no_answer"
    DNS_BOGON = "dns_bogon_error"

    MALFORMED = "malformed_reply"
    ERROR_REPLY = "error_reply"
    WRONG_IDENTITY = "wrong_identity"
    NO_UPLINK = "media_no_uplink"
    NO_DOWNLINK = "media_no_downlink"
    FROZEN = "media_frozen"
    LOSSY = "media_lossy"
    DNS_POISONED = "dns_poisoned_answer"
    DNS_LATE = "dns_late_answer"


class TunnelFault(StrEnum):
    """What is wrong with a tunnel, as said in the verdict `tunnel-down(...)`."""

    HANDSHAKE = "handshake"
    AUTH = "auth"
    NO_DATA = "no-data"
    NO_UDP = "no-udp"
    WRONG_SOURCE = "wrong-source"
    MTU = "mtu"
    BINARY = "binary"


class Attribution(StrEnum):
    """With whom something is wrong.  "Blocked" is said of CENSOR only."""

    TUNNEL = "tunnel"
    CENSOR = "censor"
    ENDPOINT = "endpoint"
    """The service, or nobody knows whether it is the service."""
    ENVIRONMENT = "environment"


class Level(StrEnum):
    """How long a handshake tries and how long its media stages last."""

    QUICK = "quick"
    STANDARD = "standard"
    DEEP = "deep"
    SOAK = "soak"


class Role(StrEnum):
    """What a handshake's result is used for: claims are made about calls only."""

    CALL = "call"
    MESSAGING = "messaging"
    CONTROL = "control"


class Arm(StrEnum):
    OUTSIDE = "outside"
    INSIDE = "inside"
    OUTSIDE_CONTROL = "outside-control"
    INSIDE_CONTROL = "inside-control"


INSIDE = frozenset({Arm.INSIDE, Arm.INSIDE_CONTROL})
CONTROLS = frozenset({Arm.OUTSIDE_CONTROL, Arm.INSIDE_CONTROL})


# ------------------------------------------------------------------ outcomes


class Success(msgspec.Struct, frozen=True, tag="success"):
    """Every stage passed."""


class Failure(msgspec.Struct, frozen=True, tag="failure"):
    """The handshake was played and died: at which stage, and how."""

    stage: Stage
    cause: Cause
    detail: str = ""


class Invalid(msgspec.Struct, frozen=True, tag="invalid"):
    """The trial says nothing about the censor; counted and shown, never part of a rate.

    `reason` is one of `tunnel-down`, `wrong-exit`, `overloaded`, `censor-down`, `network-down`,
    and in live runs `leak` (something went around the tunnel) and `contaminated` (another trial may
    have spoilt this one);
    `fault` is set for `tunnel-down`, and `evidence` holds the tunnel's daemon's own words then,
    scrubbed.
    """

    reason: str
    fault: TunnelFault | None = None
    detail: str = ""
    evidence: str = ""


class Unsupported(msgspec.Struct, frozen=True, tag="unsupported"):
    """The tunnel cannot carry this transport by its nature (UDP over an HTTP proxy)."""

    reason: str


Outcome = Success | Failure | Invalid | Unsupported


class Direction(msgspec.Struct, frozen=True, omit_defaults=True):
    """What became of one direction of media.

    Counts are packets; times are seconds.  `jitter` is the interarrival jitter of RFC 3550 6.4.1,
    `gap` the longest time without an arrival.  `silent_after` and `silent_at` say after how many
    arrived packets and how many seconds silence began, None where it did not.  `received` is None
    where nobody could tell (the far end's reports did not come back).

    Of the `received`, `late` came too late to be played (`circumtest.ear.PLAYOUT`).  `burst` is the
    longest run that could not be played, `burst_ratio` the mean length of such runs over what it
    would be if chance lost as many (G.107 7.5).  `mos` is the E-model's opinion, 1 to 4.5, of what
    could be played; its delay is half the round trip and one packet.  None where nobody can tell.
    """

    sent: int
    received: int | None
    lost: int | None = None
    gap: float | None = None
    jitter: float | None = None
    rtt: float | None = None
    silent_after: int | None = None
    silent_at: float | None = None
    late: int | None = None
    burst: int | None = None
    burst_ratio: float | None = None
    mos: float | None = None


class Media(msgspec.Struct, frozen=True, omit_defaults=True):
    """One media stage: seconds asked for, packets a second, and both directions."""

    seconds: float
    rate: int
    up: Direction
    down: Direction

    @property
    def mos(self) -> float | None:
        """The opinion of the call: that of its worse direction.  None where one is not known."""
        if self.up.mos is None or self.down.mos is None:
            return None
        return min(self.up.mos, self.down.mos)


class StageRecord(msgspec.Struct, frozen=True):
    """A stage that was entered: seconds from the trial's start, and whether it passed."""

    stage: Stage
    start: float
    end: float
    passed: bool


class Record(msgspec.Struct, frozen=True):
    """What one playing of a script gave, in the simulator or on real sockets.

    `exit` is the address that the far end saw, None where it never said.  `lag` is the longest
    delay, in seconds, with which the player itself was late: beyond `play.MAX_LAG` the trial is
    Invalid("overloaded").  `endpoint` is the public one of several that a live trial asked, as its
    target's file names it, or "".
    """

    outcome: Outcome
    seconds: float
    stages: tuple[StageRecord, ...] = ()
    media: tuple[Media, ...] = ()
    exit: Address | None = None
    lag: float = 0.0
    endpoint: str = ""


class Cell(msgspec.Struct, frozen=True, order=True):
    """One (tunnel, handshake, target, policy), each by the name that the plan gives it."""

    tunnel: str
    handshake: str
    target: str
    policy: str

    def __str__(self) -> str:
        return f"{self.policy}/{self.target}/{self.handshake}/{self.tunnel}"


class Trial(msgspec.Struct, frozen=True):
    """One attempt and everything seen: one line of `trials.jsonl`."""

    cell: Cell
    block: int
    arm: Arm
    started: float
    record: Record
