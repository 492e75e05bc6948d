"""What the operating system's errors are called here: OONI's failure strings (df-007).

It refuses to guess: an error that no network causes has no name and goes up as it is.
"""

import errno

from circumtest.model import Cause

_CAUSES = {
    errno.ECONNREFUSED: Cause.REFUSED,
    errno.ECONNRESET: Cause.RESET,
    errno.EPIPE: Cause.RESET,
    errno.ECONNABORTED: Cause.ABORTED,
    errno.EHOSTUNREACH: Cause.HOST_UNREACHABLE,
    errno.EACCES: Cause.HOST_UNREACHABLE,
    errno.EPERM: Cause.HOST_UNREACHABLE,
    errno.ENETUNREACH: Cause.NETWORK_UNREACHABLE,
    errno.EADDRNOTAVAIL: Cause.NETWORK_UNREACHABLE,
    errno.ENETDOWN: Cause.NETWORK_UNREACHABLE,
    errno.ETIMEDOUT: Cause.TIMEOUT,
}


def cause_of(error: OSError) -> Cause:
    """The name of an OSError.  Raises the error itself if it has none."""
    if isinstance(error, TimeoutError):
        return Cause.TIMEOUT
    if (cause := cause_of_errno(error.errno or 0)) is None:
        raise error from None
    return cause


def cause_of_errno(number: int) -> Cause | None:
    """The name of an errno, None for one that is not the network's doing."""
    return _CAUSES.get(number)
