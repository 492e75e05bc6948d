"""VLESS by V2Ray (or Xray): `vless://` links.

Over TCP and WebSocket with TLS by V2Ray; with REALITY, Vision or a browser's ClientHello by Xray.
A server that does not know the user's id hangs up, or passes us on to a web site: only an exchange
with a far end tells.  It refuses flows that nobody speaks any more, and REALITY without its key.
"""

from dataclasses import dataclass
from typing import ClassVar

from circumtest.engine.by_link import LinkTunnel


@dataclass(frozen=True)
class Vless(LinkTunnel):
    """A VLESS server by link: the fields are those of every tunnel by link."""

    scheme: ClassVar[str] = "vless"
