"""VMess by V2Ray (or Xray): `vmess://` links.

Over TCP, WebSocket, HTTP/2, mKCP and QUIC, with TLS or without; gRPC, HTTPUpgrade and XHTTP with
Xray.  A server that does not know the user's id is silent: only an exchange with a far end tells.
It refuses to guess at transports and parameters that it does not know.
"""

from dataclasses import dataclass
from typing import ClassVar

from circumtest.engine.by_link import LinkTunnel


@dataclass(frozen=True)
class Vmess(LinkTunnel):
    """A VMess server by link: the fields are those of every tunnel by link."""

    scheme: ClassVar[str] = "vmess"
