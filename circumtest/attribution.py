"""With whom it is wrong: the tunnel, the censor, the endpoint or the environment.  A pure function.

The order of the rules is the order of suspicion, nearest first: what is wrong here, then with the
tunnel, and only then far away.  It refuses to say "censor" of anything but an outside arm that
failed beside a control that passed.
"""

from typing import NamedTuple

from circumtest.finding import ArmState
from circumtest.model import Attribution

_FAILED = (ArmState.FAILS, ArmState.RESTRICTED)


class Controls(NamedTuple):
    """Whether the neutral controls passed, by arm; None where none was played."""

    outside: bool | None = None
    inside: bool | None = None


def attribute(
    outside: ArmState,
    inside: ArmState | None,
    controls: Controls,
    *,
    trouble: Attribution | None = None,
    fine: bool = True,
    known_up: bool = False,
) -> Attribution | None:
    """With whom it is wrong; None where nothing is, or where nobody can tell.

    `inside` is None where no tunnel was tried.  `trouble` is with whom a fault lies that was found
    in the tunnel and forbids a word about calls, `fine` whether the network here is as it should
    be, and `known_up` whether the far end is known to be there by something else than the control
    (one's own mirror; never a real service).

    | environment or outside control | inside | outside | the word |
    |---|---|---|---|
    | not fine, or failed | any | any | environment |
    | fine | fails: a trouble, or its control failed | any | the trouble's, else tunnel |
    | fine, control passed | works | fails | censor |
    | fine, control passed | fails or none, far end known to be up | fails | censor |
    | fine, control passed | fails or none | fails | endpoint |
    | fine | fails beside a control that passed | works | tunnel |
    | fine | works or none | works | nothing |
    | anything that is unclear, or a control nobody played | | | nothing |
    """
    if not fine or controls.outside is False:
        return Attribution.ENVIRONMENT
    if inside is not None and inside is not ArmState.WORKS:
        if trouble is not None:
            return trouble
        if controls.inside is False:
            return Attribution.TUNNEL
    if ArmState.UNCLEAR in (outside, inside):
        return None
    if outside is ArmState.WORKS:
        breaks = inside in _FAILED and controls.inside is True
        return Attribution.TUNNEL if breaks else None
    return _of_outside(inside, controls, known_up=known_up)


def _of_outside(
    inside: ArmState | None, controls: Controls, *, known_up: bool
) -> Attribution | None:
    """What it is when the outside fails and neither the network here nor a tunnel is to blame."""
    if controls.outside is not True:
        return None
    if inside is ArmState.WORKS or known_up:
        return Attribution.CENSOR
    if inside in _FAILED and controls.inside is not True:
        return None
    return Attribution.ENDPOINT
