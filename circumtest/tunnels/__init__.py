"""What a tunnel is: something that is brought up from an underlay and yields a path.

One tunnel a file, found by entry point (`circumtest.tunnel`).  A tunnel never imports another one.
"""

from contextlib import AbstractAsyncContextManager
from typing import Protocol

from circumtest.netns import Netns
from circumtest.path import Path


class Tunnel(Protocol):
    """Any frozen dataclass with `up` is a tunnel; its fields are its configuration."""

    def up(self, underlay: Netns) -> AbstractAsyncContextManager[Path]:
        """Bring it up with its own packets leaving from `underlay`; take everything down on exit.

        Returns only when the tunnel is ready by its honest signal.  Raises TunnelDown with the
        cause when it does not come up, EnvironmentUnfit when a program is missing, ConfigError when
        its configuration cannot be right.
        """
        ...
