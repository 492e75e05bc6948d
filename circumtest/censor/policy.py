"""A censor's policy as values, and its one meaning: `Censor.judge`.

(The rules come with the censor; this is the seam the simulator uses.)
"""

from dataclasses import dataclass
from enum import Enum
from typing import Protocol

from circumtest.model import Address, Transport


@dataclass(frozen=True, slots=True)
class Packet:
    """One packet at the censor: `payload` is the layer 4 payload, b"" for a bare TCP segment."""

    transport: Transport
    source: Address
    destination: Address
    payload: bytes


class Verdict(Enum):
    PASS = "pass"
    DROP = "drop"


class Judge(Protocol):
    """What the simulator asks about every packet, in order of time."""

    def judge(self, packet: Packet, now: float) -> Verdict: ...
