"""What openconnect's log says: whether TLS and DTLS are up, and why there is no connection.

It refuses to take TLS for DTLS: one that was asked for and is not there is a fault.
"""

import re

from circumtest.errors import TunnelDown
from circumtest.inside import binary
from circumtest.model import TunnelFault
from circumtest.process import Daemon, ProcessEnded
from circumtest.scrub import scrub

_UP = "Established DTLS connection"
_DTLS = re.compile(f"({_UP})|DTLS Dead Peer|DTLS (?:handshake|Rehandshake) (?:failed|timed)")
_TLS = re.compile("(^script: reconnect$)|^script: attempt-reconnect$", re.MULTILINE)
_TLS_UP = "CSTP connected"

_MEANS = (
    ("Login failed", TunnelFault.AUTH, "the server does not accept the user or the password"),
    ("User input required", TunnelFault.AUTH, "the server asks for more than was given"),
    ("Certificate Validation Failure", TunnelFault.AUTH, "the server refuses our certificate"),
    ("client certificate is required", TunnelFault.AUTH, "the server wants another certificate"),
    ("client certificate but", TunnelFault.AUTH, "the server wants a certificate"),
    ("ertificate is required", TunnelFault.AUTH, "the server wants another certificate"),
    ("failed verification", TunnelFault.HANDSHAKE, "the server's certificate is not trusted"),
    ("None of the", TunnelFault.HANDSHAKE, "the server's certificate is not the pinned one"),
    ("Cookie is no longer valid", TunnelFault.NO_DATA, "the server has ended the session"),
    ("Failed to open tun", TunnelFault.BINARY, "openconnect gets no TUN device"),
)
"""From what openconnect says in its last words to what it means; the first that is found."""


class State:
    """What openconnect's log says: whether DTLS is up, and why it ended."""

    def __init__(
        self, process: Daemon, secrets: tuple[str, ...], *, over_dtls: bool, certificate: bool
    ) -> None:
        self.process, self._secrets = process, secrets
        self._over_dtls, self._certificate = over_dtls, certificate
        self._read, self._tls, self._dtls = 0, True, False

    def words(self) -> str:
        return scrub(self.process.log, self._secrets)

    def down(self, fault: TunnelFault, detail: str) -> TunnelDown:
        return TunnelDown(fault, detail, self.words())

    def dtls_up(self) -> bool:
        """By the last thing that was said of it."""
        self._hear()
        return self._dtls

    def _hear(self) -> None:
        new = self.process.since(self._read)
        whole = new[: new.rfind("\n") + 1]
        self._read += len(whole.encode())
        for found in _DTLS.finditer(whole):
            self._dtls = found[1] is not None
        for found in _TLS.finditer(whole):
            self._tls = found[1] is not None

    def known(self) -> TunnelDown | None:
        """Why nothing goes through: openconnect is gone, TLS is, or TLS took the place of DTLS."""
        if not self.process.alive:
            return self.ended(self.process.post_mortem())
        self._hear()
        if not self._tls:
            return self.down(TunnelFault.NO_DATA, "the connection to the server broke")
        if self._over_dtls and not self._dtls:
            return self.down(TunnelFault.HANDSHAKE, no_dtls("is gone"))
        return None

    def ended(self, ended: ProcessEnded) -> TunnelDown:
        """Why it gave up: BINARY when it was killed, else by its own words."""
        if ended.code < 0:
            return binary(ended, self._secrets)
        for sign, fault, detail in _MEANS:
            if sign in ended.words:
                return self.down(fault, detail)
        if _TLS_UP in ended.words:
            return self.down(TunnelFault.NO_DATA, "the session with the server is over")
        if "SSL negotiation" in ended.words:
            detail = "TLS with the server broke off"
            if self._certificate:  # ocserv says nothing to one that it does not know
                detail += ": it may not accept our certificate, or somebody in between broke it off"
            return self.down(TunnelFault.HANDSHAKE, detail)
        return self.down(TunnelFault.HANDSHAKE, "no connection to the server")

    def late(self, patience: float) -> TunnelDown:
        """Why it is not up after all the patience."""
        if _TLS_UP in self.process.log:
            said = f"has not come up within {patience:g} s"
            return self.down(TunnelFault.HANDSHAKE, no_dtls(said))
        detail = f"the server has not let us in within {patience:g} s"
        return self.down(TunnelFault.HANDSHAKE, detail)


def no_dtls(what: str) -> str:
    """What to say when only TLS is up."""
    return (
        f"TLS is up, and DTLS {what}: its UDP is blocked, or the server has none"
        " (dtls = false goes over TLS only, which is another thing to test)"
    )
