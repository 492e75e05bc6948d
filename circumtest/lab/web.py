"""Web sites and their names, for programs that are not ours: curl, openssl, a browser.

Each name has an address of its own, because censors remember verdicts by address; all of them show
the same pages, in clear (port 80) and over TLS (443, HTTP/1.1), certified by the lab's own
authority.  It refuses HTTP/2, QUIC, and connections that are used twice.
"""

import asyncio
import re
import socket
import ssl
from collections.abc import AsyncIterator, Iterable, Mapping
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import NamedTuple

from circumtest.lab.pki import certified
from circumtest.lab.resolvers import SECRET
from circumtest.lab.topology import Lab
from circumtest.model import Address, Transport
from circumtest.names import Names, Zone
from circumtest.process import private_dir
from circumtest.script import Emit, Flow
from circumtest.wire import dns

PLAIN, TLS = 80, 443
MOST = 1 << 30
"""Bytes that a page may have, and that may be sent to one."""
PATIENCE = 60.0
"""Seconds that a handshake or a request may take: behind some censors they are slow."""

_CHUNK = bytes(range(256)) * 256
_LINE = re.compile(r"(GET|HEAD|POST|PUT) (/[!-~]*) HTTP/1\.[01]")
_LONGEST = 16384


class Request(NamedTuple):
    """What somebody asks for: `length` bytes follow it."""

    method: str
    path: str
    host: str
    length: int


class Sites(NamedTuple):
    """What is served: the address of each name, and the authority's certificate (PEM)."""

    names: Mapping[str, str]
    authority: str


@asynccontextmanager
async def sites(lab: Lab, names: Iterable[str]) -> AsyncIterator[Sites]:
    """Serve a site a name at the services, IPv4; nothing of it is left on exit.

    Raises OSError when addresses run out.
    """
    there = {name: (await lab.addresses(1, TLS, 4))[0].host for name in dict.fromkeys(names)}
    made = certified((*there, *there.values()))
    context = _context(made.certificate, made.key)
    open_: set[asyncio.StreamWriter] = set()

    async def visit(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        open_.add(writer)
        try:
            with suppress(OSError, EOFError, asyncio.LimitOverrunError):
                await _visit(reader, writer)
        finally:
            open_.discard(writer)
            writer.close()

    servers = []
    try:
        for host in there.values():
            for port, tls in ((PLAIN, None), (TLS, context)):
                sock = lab.services.socket(socket.AF_INET, socket.SOCK_STREAM)
                sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
                sock.bind((host, port))
                limit = PATIENCE if tls else None
                servers.append(
                    await asyncio.start_server(
                        visit, sock=sock, limit=_LONGEST, ssl=tls, ssl_handshake_timeout=limit
                    )
                )
        yield Sites(there, made.authority)
    finally:
        for server in servers:
            server.close()
        for writer in list(open_):
            writer.transport.abort()


async def _visit(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    async with asyncio.timeout(PATIENCE):
        head = await reader.readuntil(b"\r\n\r\n")
    try:
        request = parse(head)
    except ValueError:
        writer.write(b"HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\nConnection: close\r\n\r\n")
        return
    left = request.length
    while left > 0 and (chunk := await reader.read(min(left, len(_CHUNK)))):
        left -= len(chunk)
    page, size = _page(request, writer)
    writer.write(
        b"HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\n"
        b"Content-Length: %d\r\nConnection: close\r\n\r\n" % size
    )
    if request.method == "HEAD":
        return
    for begin in range(0, size, len(page)):
        writer.write(page[: size - begin])
        await writer.drain()


def _page(request: Request, writer: asyncio.StreamWriter) -> tuple[bytes, int]:
    """What is repeated until the page has its size, and the size."""
    if found := re.fullmatch(r"/bytes/(\d{1,10})", request.path):
        return _CHUNK, min(int(found[1]), MOST)
    how = "TLS" if writer.get_extra_info("ssl_object") else "TCP"
    who = writer.get_extra_info("peername")[0]
    text = f"{request.host}{request.path} over {how}; you come from {who}\n"
    if request.length:
        text += f"{request.length} bytes came with it\n"
    return text.encode(), len(text)


def parse(head: bytes) -> Request:
    """A request's head, empty line included (RFC 9112).  Raises ValueError for what is none."""
    first, *fields = head.decode("ascii").removesuffix("\r\n\r\n").split("\r\n")
    line = _LINE.fullmatch(first)
    if line is None:
        raise ValueError("no request that is answered here")
    told = {
        name.lower(): value.strip() for name, _, value in (one.partition(":") for one in fields)
    }
    length = told.get("content-length", "0")
    if not re.fullmatch(r"\d{1,10}", length) or int(length) > MOST:
        raise ValueError("no length that is taken here")
    return Request(line[1], line[2], told.get("host", ""), int(length))


def _context(certificate: str, key: str) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.set_alpn_protocols(["http/1.1"])
    with private_dir() as place:  # Python takes a key from files only
        files = Path(place, "cert.pem"), Path(place, "key.pem")
        for file, text in zip(files, (certificate, key), strict=True):
            file.touch(0o600)
            file.write_text(text)
        context.load_cert_chain(*files)
    return context


# ------------------------------------------------------------------ names


class Resolver:
    """A zone over UDP and TCP for anybody: whole answers by datagram, which real ones refuse.

    Here nobody can be made to flood another, and programs show no cookies.
    """

    def __init__(self, zone: Zone) -> None:
        self._zone = zone
        self._streams = Names(zone, SECRET)

    def receive(self, flow: Flow, data: bytes, now: float) -> Iterable[Emit]:
        if flow.transport is Transport.TCP:
            return self._streams.receive(flow, data, now)
        try:
            question = dns.parse_query(data)
        except ValueError:
            return ()
        return [Emit(flow, reply) for reply in self._zone.replies(question, flow.transport)]

    def timer(self) -> float | None:
        return self._streams.timer()

    def tick(self, now: float) -> Iterable[Emit]:
        return self._streams.tick(now)


def resolve(lab: Lab, hosts: Iterable[str], zone: Zone) -> None:
    """Let a resolver at each of the services' addresses know the zone.  Raises OSError."""
    answerer = Resolver(zone)
    for host in hosts:
        for transport in Transport:
            lab.answer(transport, [Address(host, dns.PORT)], answerer)
