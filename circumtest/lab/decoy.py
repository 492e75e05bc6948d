"""A web site at the exit that knows nobody: where servers send whoever they do not know.

Trojan passes strangers on to it, REALITY borrows its TLS.  It answers every request with the same
page, hangs up on whoever asks nothing, and refuses to be anything more.
"""

import asyncio
import socket
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from pathlib import Path

from circumtest.lab.pki import Certified
from circumtest.model import Address
from circumtest.netns import Netns
from circumtest.process import private_dir

_PAGE = b"<title>It works</title>\n"
_ANSWER = b"HTTP/1.1 200 OK\r\nContent-Type: text/html\r\nContent-Length: %d\r\n"
_ANSWER = _ANSWER % len(_PAGE) + b"Connection: close\r\n\r\n" + _PAGE
_PATIENCE = 0.3
"""Seconds that a request may take."""


class Decoy:
    """The site.  `at` is where; `visits` are counted when they are over."""

    def __init__(self, at: Address, context: ssl.SSLContext | None) -> None:
        self.at, self._context = at, context
        self.visits = 0
        self._over = asyncio.Condition()

    async def visited(self, times: int, timeout: float) -> None:
        """Wait until so many have come and gone.  Raises TimeoutError."""
        async with asyncio.timeout(timeout), self._over:
            await self._over.wait_for(lambda: self.visits >= times)

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """One visit."""
        try:
            with suppress(OSError, asyncio.IncompleteReadError, asyncio.LimitOverrunError):
                async with asyncio.timeout(_PATIENCE):
                    if self._context:
                        await writer.start_tls(self._context)
                    await reader.readuntil(b"\r\n\r\n")
                writer.write(_ANSWER)
                await writer.drain()
        finally:
            writer.close()
            async with self._over:
                self.visits += 1
                self._over.notify_all()


@asynccontextmanager
async def decoy(netns: Netns, certified: Certified | None = None) -> AsyncIterator[Decoy]:
    """Serve on a free port of the loopback of `netns`; over TLS (1.2 and 1.3) if `certified`."""
    sock = netns.socket(socket.AF_INET, socket.SOCK_STREAM)
    sock.bind(("127.0.0.1", 0))
    site = Decoy(Address(*sock.getsockname()), _context(certified) if certified else None)
    server = await asyncio.start_server(site.serve, sock=sock)
    try:
        yield site
    finally:
        server.close()
        await server.wait_closed()


def _context(certified: Certified) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.set_alpn_protocols(["h2", "http/1.1"])
    with private_dir() as place:  # Python takes a key from files only
        certificate, key = Path(place, "cert.pem"), Path(place, "key.pem")
        certificate.write_text(certified.certificate)
        key.touch(0o600)
        key.write_text(certified.key)
        context.load_cert_chain(certificate, key)
    return context
