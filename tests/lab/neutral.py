"""A lab with whom an environment is asked by: pages, servers with TLS, STUN, a resolver, plain."""

import asyncio
import email.utils
import socket
import ssl
import time
from collections.abc import AsyncIterator, Iterable, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, replace
from datetime import date

from circumtest.handshakes.stun_binding import StunServer
from circumtest.lab.pki import certified
from circumtest.lab.topology import Lab, lab
from circumtest.lab.web import sites
from circumtest.live.neutral import Neutral, Page, Server, Stun
from circumtest.model import Address, Transport
from circumtest.process import private_dir, run
from circumtest.script import Emit, Flow
from circumtest.wire import dns

SERVERS = ("one.example", "two.example", "three.example")
LISTED = "ya.ru"
PAGES = ("first.example", "second.example", "third.example")
STUN = ("stun1.example", "stun2.example", "stun3.example")
WHEN, SOURCE = date(2026, 11, 25), "this test"


class Names:
    """A resolver without cookies, as providers have them: `names`, or one lie for everything."""

    def __init__(self, names: Mapping[str, str]) -> None:
        self.names = dict(names)
        self.lies: tuple[str, ...] = ()
        self.by_name: dict[str, str] = {}

    def lie(self, *addresses: str) -> None:
        """From now on every name has these, one name after the other."""
        self.lies = addresses

    def receive(self, flow: Flow, data: bytes, now: float) -> Iterable[Emit]:
        try:
            asked = dns.parse_query(data)
        except ValueError:
            return
        if self.lies:
            lie = self.lies[len(self.by_name) % len(self.lies)]
            found = self.by_name.setdefault(asked.name, lie)
            yield Emit(flow, asked.reply(addresses=[found]))
        elif asked.name not in self.names:
            yield Emit(flow, asked.reply(dns.NXDOMAIN))
        else:
            yield Emit(flow, asked.reply(addresses=[self.names[asked.name]]))

    def timer(self) -> float | None:
        return None

    def tick(self, now: float) -> Iterable[Emit]:
        return ()


class Pages:
    """Answers every request with 204 and its clock's time, or leads elsewhere."""

    def __init__(self, *, portal: bool = False) -> None:
        self.portal, self.ahead = portal, 0.0

    def receive(self, flow: Flow, data: bytes, now: float) -> Iterable[Emit]:
        if not data:
            return
        first = "302 Found" if self.portal else "204 No Content"
        when = email.utils.formatdate(time.time() + self.ahead, usegmt=True)
        lines = [f"HTTP/1.1 {first}", f"Date: {when}", "Content-Length: 0"]
        if self.portal:
            lines.append("Location: http://login.example/")
        yield Emit(flow, "\r\n".join([*lines, "", ""]).encode(), close=True)

    def timer(self) -> float | None:
        return None

    def tick(self, now: float) -> Iterable[Emit]:
        return ()


def _neutral(*more: Server) -> Neutral:
    """Whom to ask by name, and `more` servers."""
    return Neutral(
        tuple(Page(url=f"http://{one}/x", status=204, date=WHEN, source=SOURCE) for one in PAGES),
        (*(Server(name=one, date=WHEN, source=SOURCE) for one in SERVERS), *more),
        (),
        tuple(Stun(name=one, date=WHEN, source=SOURCE) for one in STUN),
    )


@dataclass(frozen=True)
class Neighbourhood:
    """The lab, whom to ask in it, and what stands there; `resolver` is its address."""

    lab: Lab
    neutral: Neutral
    resolver: str
    names: Names
    pages: Pages
    portal: str


@asynccontextmanager
async def neighbourhood(*, ipv6: bool = False) -> AsyncIterator[Neighbourhood]:
    """Three of each, and three more servers by number; with `ipv6` those have addresses of it that
    nobody answers at.
    """
    async with lab() as place, sites(place, (*SERVERS, LISTED, "a.example", "b.example")) as there:
        known = dict(there.names)
        pages, portal = Pages(), Pages(portal=True)
        for name, at in zip(PAGES, await place.addresses(3, 80, 4), strict=True):
            known[name] = at.host
            place.answer(Transport.TCP, [at], pages)
        for name, at in zip(STUN, await place.addresses(3, 3478, 4), strict=True):
            known[name] = at.host
            place.answer(Transport.UDP, [at], StunServer())
        resolver, gate = await place.addresses(2, 53, 4)
        names = Names(known)
        place.answer(Transport.UDP, [resolver], names)
        place.answer(Transport.TCP, [Address(gate.host, 80)], portal)
        numbers: dict[str, tuple[str, ...]] = {
            name: (known[name],) for name in ("a.example", "b.example")
        }
        if ipv6:
            numbers = {name: (*one, "2001:db8:113::99") for name, one in numbers.items()}
        numbered = (
            Server(name=name, addresses=one, date=WHEN, source=SOURCE)
            for name, one in numbers.items()
        )
        listed = (Server(name=LISTED, date=WHEN, source=SOURCE),)
        neutral = replace(_neutral(*numbered), listed=listed)
        yield Neighbourhood(place, neutral, resolver.host, names, pages, gate.host)


async def cut(place: Lab, *but: str) -> None:
    """Let the censor's router forward nothing but what nft's rules in `but` accept, and answers."""
    rules = "; ".join(("ct state established accept", *(f"{one} accept" for one in but)))
    chain = f"chain c {{ type filter hook forward priority 0; policy drop; {rules}; }}"
    await run(place.censor, ["nft", "-f", "-"], input=f"table inet cut {{ {chain}; }}".encode())


@asynccontextmanager
async def six(place: Lab) -> AsyncIterator[tuple[Neutral, str]]:
    """Whom to ask in a lab over IPv6 only, and the address of the resolver."""
    known: dict[str, str] = {}
    made = certified(SERVERS)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    with private_dir() as folder:
        file = folder / "both.pem"
        file.write_text(made.certificate + made.key)
        context.load_cert_chain(file)

    async def visit(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.close()

    async with AsyncExitStack() as stack:
        for name, at in zip(SERVERS, await place.addresses(3, 443, 6), strict=True):
            known[name] = at.host
            sock = place.services.socket(socket.AF_INET6, socket.SOCK_STREAM)
            sock.bind(at)
            await stack.enter_async_context(
                await asyncio.start_server(visit, sock=sock, ssl=context)
            )
        for name, at in zip(PAGES, await place.addresses(3, 80, 6), strict=True):
            known[name] = at.host
            place.answer(Transport.TCP, [at], Pages())
        for name, at in zip(STUN, await place.addresses(3, 3478, 6), strict=True):
            known[name] = at.host
            place.answer(Transport.UDP, [at], StunServer())
        (resolver,) = await place.addresses(1, 53, 6)
        place.answer(Transport.UDP, [resolver], Names(known))
        yield _neutral(), resolver.host
