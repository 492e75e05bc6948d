"""What a certificate says of a name and a time, whoever made it."""

import base64
import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from circumtest.lab.pki import Authority
from circumtest.live.probes import Certificate, certificate

DAY = 86400.0


def der(*hosts: str) -> bytes:
    """A certificate for hosts, from yesterday to tomorrow."""
    lines = Authority().server(*hosts).certificate.splitlines()
    return base64.b64decode("".join(one for one in lines if not one.startswith("-")))


@pytest.mark.parametrize(
    ("hosts", "asked", "right"),
    [
        (("a.example",), "a.example", True),
        (("a.example",), "A.Example", True),
        (("*.example",), "a.example", True),
        (("*.example",), "b.a.example", False),
        (("b.example",), "a.example", False),
        (("login.portal.example", "a.example"), "a.example", True),
    ],
)
def test_a_certificate_is_for_the_names_it_holds(
    hosts: tuple[str, ...], asked: str, right: bool
) -> None:
    """A star is one label."""
    assert certificate(der(*hosts), asked, time.time()) == Certificate(right, 0.0)


def test_how_far_off_its_time_is() -> None:
    """Before it begins negative, behind its end positive."""
    made, now = der("a.example"), time.time()
    assert certificate(made, "a.example", now - 11 * DAY).off == pytest.approx(-10 * DAY, abs=60)
    assert certificate(made, "a.example", now + 11 * DAY).off == pytest.approx(10 * DAY, abs=60)


@given(st.binary(max_size=300))
def test_any_bytes_are_a_certificate_that_is_not_right(data: bytes) -> None:
    """And no exception."""
    assert certificate(data, "a.example", 0.0) == Certificate(False, 0.0)
