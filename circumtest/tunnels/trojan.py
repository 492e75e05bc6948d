"""Trojan by V2Ray (or Xray): `trojan://` links.

To trojan itself and to every other server of the protocol.  One that does not know the password
passes us on to a web site, as it is meant to: only an exchange with a far end tells.  It refuses
links without a password.
"""

from dataclasses import dataclass
from typing import ClassVar

from circumtest.engine.by_link import LinkTunnel


@dataclass(frozen=True)
class Trojan(LinkTunnel):
    """A Trojan server by link: the fields are those of every tunnel by link."""

    scheme: ClassVar[str] = "trojan"
