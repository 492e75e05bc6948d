"""One thing that is wrong, or worth knowing: its kind, with whom, in words, and what to do.

It refuses to find anything out: `environment` and `diagnosis` do.
"""

import msgspec

from circumtest.errors import TunnelDown
from circumtest.live.advice import TROUBLES, TroubleKind, said
from circumtest.model import Attribution


class Trouble(msgspec.Struct, frozen=True, omit_defaults=True):
    """`sentence` and `remedy` are for a person; `seen` is what it was concluded from, scrubbed.

    `fatal`: nothing that fails beside it says anything about a censor.  `mtu` is the one to set, in
    octets of an IP packet, where that is the trouble.
    """

    kind: TroubleKind
    attribution: Attribution
    sentence: str
    remedy: str
    seen: str = ""
    fatal: bool = True
    mtu: int | None = None


def trouble(
    kind: TroubleKind,
    *,
    attribution: Attribution | None = None,
    seen: str = "",
    mtu: int | None = None,
    **words: object,
) -> Trouble:
    """The trouble of a kind in the table's words, {names} filled from `words` and `mtu`."""
    advice = TROUBLES[kind]
    given = {**words, "mtu": mtu} if mtu is not None else words
    return Trouble(
        kind,
        attribution or advice.attribution,
        said(advice.sentence, **given),
        said(advice.remedy, **given),
        seen,
        advice.fatal,
        mtu,
    )


def of_down(down: TunnelDown) -> Trouble:
    """A tunnel that is down as a trouble, with its daemon's own words."""
    return trouble(TroubleKind(down.fault.value), seen=down.evidence, detail=down.detail)
