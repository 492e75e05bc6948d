"""How a tunnel looks to somebody who watches its packets on their way: the values.

They are what results keep and reports show beside whether the tunnel works.  This file refuses to
look (`circumtest.detect` does), and to say that anything cannot be detected: only what was looked
for, and what was found.
"""

import msgspec

from circumtest.model import Cell

FIRST = 10
"""Packets with a payload whose sizes and times are kept."""


class Named(msgspec.Struct, frozen=True, omit_defaults=True):
    """What nDPI called a flow: `label` is "TLS" or "STUN.TelegramVoip", "" where it knew none.

    `packet` is after how many packets of the flow, both directions and a TCP handshake included, it
    first had a label; 0 where it only guessed when no more came.  `confidence` is its own word
    for how it knew ("DPI", "Match by port").
    """

    label: str = ""
    packet: int = 0
    confidence: str = ""


class Other(msgspec.Struct, frozen=True, omit_defaults=True):
    """Flows beside the tunnel's own that nDPI calls alike: what carries them, how many, bytes."""

    over: str
    flows: int
    bytes: int
    label: str = ""


class Appearance(msgspec.Struct, frozen=True, omit_defaults=True):
    """What passed of a tunnel, by the flow of it that had most bytes.

    `over` is "udp", "tcp" or "ip N" with a protocol number, `port` the server's (0: none);
    `packets` and `bytes` (with IP headers) were seen of it.

    `ndpi` and `heuristics` (the same with nDPI's heuristics for obfuscated TLS and OpenVPN on) are
    None where nobody could be asked; `engine` is who was, or why not.  `fully_encrypted` is whether
    the client's first segment is one that the heuristic of Wu et al. (USENIX Security 2023)
    blocks, None where there is none; `set_bits` is how many bits of a byte of it are set, on
    average.  `signatures` are those of `circumtest.censor.signatures` that match, in the order of
    their matching.

    `sizes` are the payload lengths of the first FIRST packets that had one, those towards the
    client negative; `times` are theirs, in seconds since the flow's first packet.  `name`, `ja4`
    and `ech` are the ClientHello's, "" and False where there is none or none is named.
    """

    over: str
    port: int
    packets: int
    bytes: int
    engine: str
    ndpi: Named | None = None
    heuristics: Named | None = None
    fully_encrypted: bool | None = None
    set_bits: float | None = None
    signatures: tuple[str, ...] = ()
    sizes: tuple[int, ...] = ()
    times: tuple[float, ...] = ()
    name: str = ""
    ja4: str = ""
    ech: bool = False
    others: tuple[Other, ...] = ()


class Sighting(msgspec.Struct, frozen=True):
    """A tunnel watched in a run: in which cell, and what was seen, None where nothing passed.

    `played`: it came up and carried a trial, which is then part of what was seen.
    """

    cell: Cell
    played: bool
    appearance: Appearance | None
