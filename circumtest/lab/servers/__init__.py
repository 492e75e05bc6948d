"""What stands at the lab's exit: one real tunnel server a file, found by `circumtest.server`.

A server is a frozen dataclass whose fields are its configuration, as a tunnel is.  `serve` starts
the real program at the exit, waits until it is honestly ready, and yields the fields by which the
client's tunnel is made (`{"url": ...}`, `{"text": ...}`): plain strings and numbers, secrets made
anew each time.  The plan adds what it wants of the tunnel's other fields.  A server refuses to know
the censor: what leaves the exit never meets it.
"""

from collections.abc import Collection
from contextlib import AbstractAsyncContextManager
from typing import Any, Protocol

from circumtest.netns import Netns


class Site(Protocol):
    """What a server needs of a lab: the exit, and its addresses towards the client (v4 and v6).

    `client` is for what has a half there before circumtest comes.
    """

    @property
    def client(self) -> Netns: ...
    @property
    def exit(self) -> Netns: ...
    @property
    def exit_addresses(self) -> Collection[str]: ...


class Server(Protocol):
    """Any frozen dataclass with `serve` is a server."""

    def serve(self, lab: Site) -> AbstractAsyncContextManager[dict[str, Any]]:
        """Serve at `lab.exit`; nothing of it is left on exit.

        Raises EnvironmentUnfit when the program is missing, ProcessEnded when it does not start.
        """
        ...


def address_of(lab: Site, version: int) -> str:
    """The exit's IPv4 or IPv6 address.  Raises LookupError when it has none."""
    for address in sorted(lab.exit_addresses):
        if (6 if ":" in address else 4) == version:
            return address
    raise LookupError(f"the exit has no IPv{version} address")
