"""Tags: made and known under a secret, and none where there is none."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from circumtest import tags

SECRET = "s" * 32
FORMS = [
    (tags.mark, tags.is_marked),
    (tags.mark_letters, tags.has_marked_letters),
    (tags.below_ff, tags.is_below_ff),
]


@pytest.mark.parametrize("form", FORMS)
@given(drawn=st.binary(min_size=8, max_size=32))
def test_who_knows_the_secret_makes_it_and_knows_it(form: tuple, drawn: bytes) -> None:  # type: ignore[type-arg]
    """Of the same size; not for another purpose, nor under another secret."""
    mark, knows = form
    field = mark(drawn, SECRET, "purpose")

    assert len(field) == len(drawn)
    assert field[: len(drawn) // 2] == drawn[: len(drawn) // 2]
    assert knows(field, SECRET, "purpose")
    assert not knows(field, SECRET, "another")
    assert not knows(field, "t" * 32, "purpose")


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("secret", ["", tags.LAB])
def test_without_a_secret_nothing_is_put_in_and_everybody_is_a_friend(
    form: tuple,  # type: ignore[type-arg]
    secret: str,
) -> None:
    """What goes to a real service has nothing that could be recognised."""
    mark, knows = form

    assert mark(bytes(range(12)), secret, "purpose") == bytes(range(12))
    assert knows(b"whatever", secret, "purpose")
