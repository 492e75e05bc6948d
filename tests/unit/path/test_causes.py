"""Errors of the operating system have OONI's names."""

import errno
import os

import pytest

from circumtest.model import Cause
from circumtest.path.causes import cause_of, cause_of_errno


@pytest.mark.parametrize(
    ("number", "cause"),
    [
        (errno.ECONNREFUSED, Cause.REFUSED),
        (errno.ECONNRESET, Cause.RESET),
        (errno.ENETUNREACH, Cause.NETWORK_UNREACHABLE),
        (errno.EHOSTUNREACH, Cause.HOST_UNREACHABLE),
        (errno.ETIMEDOUT, Cause.TIMEOUT),
    ],
)
def test_what_networks_do_has_a_name(number: int, cause: Cause) -> None:
    """The errno of a network's doing is a cause."""
    assert cause_of(OSError(number, os.strerror(number))) is cause


def test_silence_is_a_timeout_with_or_without_an_errno() -> None:
    """asyncio's TimeoutError has no errno."""
    assert cause_of(TimeoutError()) is Cause.TIMEOUT


def test_what_no_network_does_goes_up_as_it_is() -> None:
    """Running out of descriptors is not a censor's work."""
    error = OSError(errno.EMFILE, "too many open files")
    with pytest.raises(OSError, match="too many") as raised:
        cause_of(error)
    assert raised.value is error
    assert cause_of_errno(errno.EMFILE) is None
