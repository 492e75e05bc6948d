"""Real programs that play the far half of a handshake in the lab: one a file, by `circumtest.far`.

A far end is a frozen dataclass whose fields are its configuration.  `serve` starts the program in
the services' namespace, at the addresses that the handshake calls, with the keys that the
handshake's own `secret` gives, and waits until it is honestly ready.  What a handshake's `answerer`
is in virtual time, this is on real sockets.  It refuses to know the censor.
"""

from collections.abc import Sequence
from contextlib import AbstractAsyncContextManager
from typing import Protocol

from circumtest.model import Address
from circumtest.netns import Netns
from circumtest.script import Handshake


class Site(Protocol):
    """What a far end needs of a lab: the namespace in which it lives."""

    @property
    def services(self) -> Netns: ...


class FarEnd(Protocol):
    """Any frozen dataclass with `serve` is a far end."""

    def serve(
        self, lab: Site, handshake: Handshake, target: Sequence[Address]
    ) -> AbstractAsyncContextManager[None]:
        """Play the far half at `target` (`listen.hosts` addresses, and the callee's).

        Nothing of it is left on exit.  Raises EnvironmentUnfit when the program is missing,
        ProcessEnded when it does not start, TimeoutError when it never listens.
        """
        ...
