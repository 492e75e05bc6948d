"""The truth table of who is to blame."""

from itertools import product

import pytest

from circumtest.attribution import Controls, attribute
from circumtest.finding import ArmState
from circumtest.model import Attribution

WORKS, FAILS, RESTRICTED = ArmState.WORKS, ArmState.FAILS, ArmState.RESTRICTED
UNCLEAR = ArmState.UNCLEAR
BOTH, NO_TUNNEL = Controls(True, True), Controls(True)
TUNNEL, CENSOR = Attribution.TUNNEL, Attribution.CENSOR
ENDPOINT, ENVIRONMENT = Attribution.ENDPOINT, Attribution.ENVIRONMENT
INSIDE = (None, *ArmState)
CONTROLS = tuple(Controls(*one) for one in product((None, True, False), repeat=2))


@pytest.mark.parametrize(
    ("outside", "inside", "controls", "known_up", "blamed"),
    [
        (RESTRICTED, WORKS, BOTH, False, CENSOR),
        (RESTRICTED, WORKS, BOTH, True, CENSOR),
        (RESTRICTED, FAILS, BOTH, False, ENDPOINT),
        (RESTRICTED, FAILS, BOTH, True, CENSOR),
        (RESTRICTED, None, NO_TUNNEL, False, ENDPOINT),
        (RESTRICTED, None, NO_TUNNEL, True, CENSOR),
        (FAILS, FAILS, Controls(True, False), False, TUNNEL),
        (WORKS, FAILS, BOTH, False, TUNNEL),
        (WORKS, FAILS, Controls(True, False), False, TUNNEL),
        (WORKS, FAILS, Controls(True, None), False, None),
        (WORKS, WORKS, BOTH, False, None),
        (WORKS, None, NO_TUNNEL, False, None),
        (RESTRICTED, UNCLEAR, BOTH, False, None),
        (UNCLEAR, FAILS, BOTH, False, None),
        (FAILS, WORKS, Controls(None, True), False, None),
        (FAILS, FAILS, Controls(True, None), False, None),
        (FAILS, FAILS, Controls(False, True), False, ENVIRONMENT),
        (WORKS, WORKS, Controls(False, True), False, ENVIRONMENT),
    ],
)
def test_who_is_to_blame(
    outside: ArmState,
    inside: ArmState | None,
    controls: Controls,
    known_up: bool,
    blamed: Attribution | None,
) -> None:
    """Row by row."""
    assert attribute(outside, inside, controls, known_up=known_up) is blamed


def test_a_trouble_is_blamed_before_anybody_far_away() -> None:
    """With whom the trouble is, unless calls pass all the same."""
    assert attribute(FAILS, FAILS, BOTH, trouble=TUNNEL) is TUNNEL
    assert attribute(FAILS, FAILS, BOTH, trouble=ENDPOINT) is ENDPOINT
    assert attribute(FAILS, WORKS, BOTH, trouble=TUNNEL) is CENSOR


def test_an_environment_that_is_not_fine_is_blamed_whatever_else_is_seen() -> None:
    """No VPN is to blame there."""
    for outside, inside, controls in product(ArmState, INSIDE, CONTROLS):
        said = attribute(outside, inside, controls, trouble=TUNNEL, fine=False)
        assert said is ENVIRONMENT


def test_a_censor_is_named_only_beside_an_outside_control_that_passed() -> None:
    """In no case else, and never where the outside works."""
    for outside, inside, controls, up in product(ArmState, INSIDE, CONTROLS, (False, True)):
        if attribute(outside, inside, controls, known_up=up) is CENSOR:
            assert outside in (FAILS, RESTRICTED)
            assert controls.outside is True
            assert inside is WORKS or up
