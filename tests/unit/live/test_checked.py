"""What can be said of one service, and the exit code of a whole check."""

import msgspec
import pytest

from circumtest.live.checked import (
    About,
    Checked,
    Leaked,
    Said,
    State,
    Tried,
    Way,
    exit_code,
    spoilt,
    usable,
)


def tried(**fields: object) -> Tried:
    """A service of which only what matters is given."""
    whole = {"service": "telegram", "app": "telegram", "about": "messages", **fields}
    return msgspec.convert(whole, Tried)


@pytest.mark.parametrize(
    ("one", "state"),
    [
        (tried(attempts=1, worked=1, control=True), State.WORKED),
        (tried(attempts=1, worked=1, control=False), State.WORKED),
        (tried(attempts=3, worked=1, control=True), State.WORKED),
        (tried(attempts=3, control=True), State.FAILED),
        (tried(attempts=2, control=True), State.UNSTEADY),
        (tried(attempts=3, control=False), State.UNCONTROLLED),
        (tried(attempts=3, control=None), State.UNCONTROLLED),
        (tried(attempts=1, control=True, sound=True), State.FAILED),
        (tried(cannot="it carries no UDP"), State.CANNOT),
        (tried(void=3), State.UNTRIED),
        (tried(), State.UNTRIED),
    ],
)
def test_a_service_failed_only_at_enough_places_and_beside_a_neutral_one(
    one: Tried, state: State
) -> None:
    """One place that is down, or a line that is, must never pass for more."""
    assert one.state is state


def test_a_network_is_usable_unless_nothing_can_be_reached_and_spoilt_unless_fine() -> None:
    """An allow-list can be tried, and what fails there is its own doing."""
    found = {
        kind: (usable(Said(kind, "environment", "")), spoilt(Said(kind, "environment", "")))
        for kind in ("fine", "allow-list", "no-network", "captive-portal", "no-answer")
    }

    assert found == {
        "fine": (True, False),
        "allow-list": (True, True),
        "no-network": (False, True),
        "captive-portal": (False, True),
        "no-answer": (False, True),
    }
    assert (usable(None), spoilt(None)) == (True, False)


WORKS = Way(name="outside", tried=(tried(attempts=1, worked=1, control=True),))
NOTHING = Way(name="outside", tried=(tried(attempts=3, control=False),))
LEAKS = Way(name="vpn", leaks=(Leaked("target", 2, "UDP"),))
FAULTY = Way(name="vpn", state="down", troubles=(Said("handshake", "tunnel", "no answer"),))


@pytest.mark.parametrize(
    ("checked", "code"),
    [
        (Checked(outside=WORKS), 0),
        (Checked(outside=NOTHING), 3),
        (Checked(outside=NOTHING, vpns=(FAULTY,)), 0),
        (
            Checked(
                environment=Said("allow-list", "environment", ""), outside=NOTHING, vpns=(FAULTY,)
            ),
            3,
        ),
        (Checked(outside=WORKS, vpns=(LEAKS,)), 6),
        (Checked(environment=Said("no-network", "environment", ""), outside=NOTHING), 4),
        (Checked(environment=Said("allow-list", "environment", ""), outside=NOTHING), 3),
        (Checked(), 4),
    ],
)
def test_the_exit_code_says_what_came_of_a_check(checked: Checked, code: int) -> None:
    """0 something, 3 nothing, 4 no network, 6 a leak."""
    assert exit_code(checked) == code


def test_a_check_survives_json() -> None:
    """What `--json` prints can be read again as the same values."""
    checked = Checked(outside=WORKS, vpns=(LEAKS, FAULTY), left_out=("pasta is missing",))

    assert msgspec.json.decode(msgspec.json.encode(checked), type=Checked) == checked
    assert WORKS.tried[0].about is About.MESSAGES
