"""Giving root up, for good: before the first packet is looked at.

It refuses to go on as root where that was not asked for.
"""

import ctypes
import os
import pwd

from circumtest.errors import ConfigError, EnvironmentUnfit

NOBODY = "nobody"
_PR_SET_NO_NEW_PRIVS = 38
_PR_SET_DUMPABLE = 4
_CAPABILITY_VERSION = 0x20080522


def account(name: str) -> tuple[int, int]:
    """User and group of a name.  Raises ConfigError for an unknown one, and for root."""
    try:
        found = pwd.getpwnam(name)
    except KeyError:
        raise ConfigError("--user", "", f"there is no user {name!r} here") from None
    if found.pw_uid == 0:
        raise ConfigError("--user", "", "is root", "any other, `nobody` for one")
    return found.pw_uid, found.pw_gid


def drop(uid: int, gid: int) -> None:
    """Be that user, and never another again; nothing to do where one is not root.

    In a user namespace that has no other user, root is an ordinary user outside of it, and gives up
    what it may do inside.  Raises EnvironmentUnfit where neither can be done.
    """
    libc = ctypes.CDLL(None, use_errno=True)
    if os.geteuid() == 0 and not _is_mapped(uid):
        none = (ctypes.c_uint32 * 6)()
        if libc.capset((ctypes.c_uint32 * 2)(_CAPABILITY_VERSION, 0), none):
            raise EnvironmentUnfit("root cannot be given up in this user namespace")
    elif os.geteuid() == 0:
        try:
            os.setgroups([])
            os.setresgid(gid, gid, gid)
            os.setresuid(uid, uid, uid)
        except OSError as error:
            raise EnvironmentUnfit(f"root cannot be given up: {error.strerror}") from None
    libc.prctl(_PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0)
    libc.prctl(_PR_SET_DUMPABLE, 0, 0, 0, 0)  # nor is the secret in anybody's core file


def _is_mapped(uid: int) -> bool:
    with open("/proc/self/uid_map", encoding="ascii") as file:  # noqa: PTH123
        rows = [[int(word) for word in line.split()] for line in file]
    return any(first <= uid < first + count for first, _, count in rows)
