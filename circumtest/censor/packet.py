"""A packet at a censor, and what may become of it.

It refuses to know why: that is `circumtest.censor.policy`'s and the judge's.
"""

from dataclasses import dataclass, field
from typing import ClassVar, Protocol

from circumtest.model import Address, Transport


@dataclass(frozen=True, slots=True)
class Packet:
    """One packet at the censor: `payload` is the layer 4 payload, b"" for a bare TCP segment.

    `upwards` is whether it comes from the client's side.  Of a stream, `offset` is how many bytes
    of its direction went before, and `last` says that it ends the stream (FIN or RST).
    """

    transport: Transport
    source: Address
    destination: Address
    payload: bytes
    upwards: bool = True
    offset: int = 0
    last: bool = False

    @property
    def client(self) -> Address:
        return self.source if self.upwards else self.destination

    @property
    def server(self) -> Address:
        return self.destination if self.upwards else self.source

    @property
    def size(self) -> int:
        """Bytes with the headers of IP and UDP or TCP (without options): as conntrack counts."""
        ip = 40 if self.source.version == 6 else 20
        return ip + (8 if self.transport is Transport.UDP else 20) + len(self.payload)


# ------------------------------------------------------------------ what may become of a packet


@dataclass(frozen=True, slots=True)
class Resets:
    """TCP resets to both ends, each as if the other had sent it."""


@dataclass(frozen=True, slots=True)
class Unreachable:
    """An ICMP error to the sender: its port is closed, or (`admin`) it is prohibited."""

    admin: bool = False


@dataclass(frozen=True, slots=True)
class Answer:
    """A datagram to the sender, as if the destination had sent it."""

    payload: bytes


Forgery = Resets | Unreachable | Answer


@dataclass(frozen=True, slots=True)
class Verdict:
    """Whether a packet passes, after how many seconds, and what the censor sends besides.

    `rule` is whose doing it is.  `settled`: all that follows of this flow, in both directions,
    meets the same (it passes, or is dropped by the same rule) without being looked at.
    """

    PASS: ClassVar["Verdict"]
    DROP: ClassVar["Verdict"]

    passes: bool
    forged: Forgery | None = None
    delay: float = 0.0
    rule: str = field(default="", compare=False)
    settled: bool = field(default=False, compare=False)


Verdict.PASS = Verdict(passes=True)
Verdict.DROP = Verdict(passes=False)


class Judge(Protocol):
    """What the simulator and the middlebox ask about every packet, in order of time."""

    def judge(self, packet: Packet, now: float) -> Verdict: ...
