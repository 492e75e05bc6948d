"""Programs that are not ours, as somebody runs them at the lab's client, and where they go.

What became of one is told by its own exit code and words.  Nothing here knows the censor's rules.
"""

import asyncio
import json
import sys
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

from circumtest.censor.enforce import Enforced, enforced
from circumtest.censor.load import policy
from circumtest.handshakes.turn import Turn
from circumtest.lab.pki import certified
from circumtest.lab.servers.shadowsocks import SsServer
from circumtest.lab.topology import Lab, lab
from circumtest.listening import free_port, listening
from circumtest.model import Address, Carrier
from circumtest.netns import Netns
from circumtest.process import ProcessEnded, daemon, private_dir, run
from circumtest.tunnels.shadowsocks import Shadowsocks
from circumtest.wire import turn
from tests.lab.pages import HTTPS
from tests.lab.town import echo

T = TypeVar("T")

LISTED, OTHER = "www.blocked.example", "www.free.example"
"""A name that the boxes' kinds I to IV list, and one that nobody lists."""
CERTIFIED = (
    *("*.blocked.example", "*.free.example", "*.many.example"),
    *("twitter.com", "ya.ru", "cloudflare-ech.com", "www.example.com"),
)
PAGES = Path(__file__).with_name("pages.py")
START = 20.0
LONG = 200_000
"""Bytes of a page that no few packets carry."""
WAIT = 5.0
"""Seconds that a program may take; where nothing stops it, it needs a tenth of one."""
BOUND = 80.0

LOCAL = "127.0.0.1"
_CURL = {7: "refused", 28: "silence"}
"""curl's exit codes that say all: no connection, and time is over."""


@dataclass(frozen=True)
class Site:
    """Web servers, over TLS and without, at addresses of their own; `authority` certifies them."""

    hosts: tuple[str, ...]
    authority: Path


@dataclass(frozen=True)
class Scene:
    """The lab behind a censor."""

    town: Lab
    site: Site
    censor: Enforced

    async def curl(
        self,
        url: str,
        *more: str,
        at: int = 0,
        wait: float = WAIT,
        netns: Netns | None = None,
        proxy: str = "",
    ) -> "Fetched":
        """curl at the client (or in `netns`), its name resolved to one of the site's hosts.

        `proxy` speaks SOCKS.
        """
        where = self.site.hosts[at]
        argv = ["curl", "--silent", "--show-error", "--max-time", str(wait)]
        argv += ["--connect-to", f"::{where}:", "--cacert", str(self.site.authority)]
        # Whatever the machine's own environment says.
        argv += ["--socks5", proxy] if proxy else ["--noproxy", "*"]
        argv += ["--output", "/dev/null", "--write-out", "\\n%{size_download} %{time_total}\\n"]
        code = 0
        try:
            said = await run(netns or self.town.client, [*argv, *more, url], timeout=wait + 10)
        except ProcessEnded as ended:
            code, said = ended.code, ended.words
        lines = [line.split() for line in said.splitlines()]
        size, seconds = next(line for line in lines if len(line) == 2 and line[0].isdigit())
        return Fetched(code, int(size), float(seconds), said)


@dataclass(frozen=True)
class Fetched:
    """What curl said: its exit code, bytes of the page, seconds, words."""

    code: int
    size: int
    seconds: float
    words: str

    @property
    def end(self) -> str:
        """In a word: passes, reset, refused (a reset before the connection is one), silence."""
        if "reset by peer" in self.words:
            return "reset"
        return _CURL.get(self.code, "passes" if not self.code else self.words)


@asynccontextmanager
async def behind(name: str, scale: float = 1.0, seed: int = 0) -> AsyncIterator[Scene]:
    """The lab with web sites and an echo, behind the shipped policy of that name.

    A censor that fell silent, or had no time, is no censor: AssertionError.
    """
    rules = policy(name).scaled(scale)
    async with (
        lab() as town,
        echo(town.services),
        web(town) as site,
        enforced(town.censor, rules, seed) as force,
    ):
        yield Scene(town, site, force)
        assert force.fault() is None
        assert force.counters().lost == 0


def each(
    names: Iterable[str],
    scene: Callable[[Scene], Awaitable[T]],
    acting: Mapping[str, set[str]],
    scale: float = 1.0,
    seed: int = 0,
) -> dict[str, T]:
    """What a scene finds behind each policy; all at the same time, each in a lab of its own.

    `acting` is by policy the rules that act meanwhile, and no others may, and none of the policies
    that are not in it: no program is stopped by another rule than is thought.
    """

    async def whole() -> dict[str, T]:
        # None begins while another's lab is built, which takes all of the machine.
        ready = asyncio.Barrier(len(every))

        async def one(name: str) -> T:
            async with behind(name, scale, seed) as it:
                await ready.wait()
                found = await scene(it)
                acted = {rule for rule, number in (await it.censor.hits()).items() if number}
                assert (name, acted) == (name, acting.get(name, set()))
                return found

        async with asyncio.timeout(BOUND):
            return dict(zip(every, await asyncio.gather(*map(one, every)), strict=True))

    every = tuple(names)
    return asyncio.run(whole())


# ------------------------------------------------------------------ the web


@asynccontextmanager
async def web(town: Lab) -> AsyncIterator[Site]:
    """Three hosts, each with pages of any length: `/N` has N bytes, whatever name is asked for."""
    made = certified(CERTIFIED)
    hosts = tuple(address.host for address in await town.addresses(3, HTTPS, 4))
    with private_dir() as place:
        authority, chain, key = (place / f"{name}.pem" for name in ("authority", "chain", "key"))
        key.touch(0o600)
        for file, text in zip((authority, chain, key), made, strict=True):
            file.write_text(text)
        argv = [sys.executable, str(PAGES), str(chain), str(key), *hosts]
        async with daemon(town.services, argv, name="pages") as process:
            await process.line("^ready$", START)
            yield Site(hosts, authority)


# ------------------------------------------------------------------ ssh


async def ssh(town: Lab, fields: Mapping[str, Any], *more: str, say: str = "") -> tuple[bool, int]:
    """OpenSSH to a server; whether it let us in, and how many bytes came back.

    The server lets everybody with the key in, and runs nothing: it ends with 1.
    """
    with private_dir() as place:
        key, known = place / "key", place / "known_hosts"
        key.touch(0o600)
        key.write_text(fields["key_text"])
        known.write_text(fields["known_hosts_text"])
        options = ["BatchMode=yes", "IdentitiesOnly=yes", f"UserKnownHostsFile={known}"]
        options += [f"ConnectTimeout={WAIT:.0f}", "LogLevel=ERROR"]
        argv = ["ssh", "-F", "none", "-T", "-i", str(key)]
        argv += [word for option in options for word in ("-o", option)]
        try:
            said = await run(
                town.client, [*argv, *more, fields["url"]], input=say.encode(), timeout=3 * WAIT
            )
        except ProcessEnded as ended:
            return ended.code == 1, len(ended.words)
        return True, len(said)


# ------------------------------------------------------------------ coturn's client


async def uclient(netns: Netns, handshake: Turn, server: Address, wait: float = 8.0) -> bool:
    """Whether two of turnutils_uclient's clients hear all that they say to each other's relays."""
    user = f"{int(time.time()) + 600}:abcd"
    argv = ["turnutils_uclient", "-y", "-c", "-n", "30", "-m", "2", "-u", user]
    argv += ["-w", turn.password(handshake.secret, user), "-p", str(server.port)]
    argv += ["-t"] if handshake.carrier is Carrier.TCP else []
    try:
        said = await run(netns, [*argv, server.host], timeout=wait)
    except (ProcessEnded, TimeoutError):
        return False
    return "tot_send_msgs=60, tot_recv_msgs=60" in said


# ------------------------------------------------------------------ ss-local


@asynccontextmanager
async def shadowsocks(it: Scene, port: int = 8388) -> AsyncIterator[str]:
    """ss-local in front of ss-server; the address of its SOCKS port."""
    async with SsServer(port).serve(it.town) as fields:
        server, own = Shadowsocks(**fields).access, free_port(it.town.client)
        settings = {"server": server.host, "server_port": server.port, "method": server.method}
        settings |= {"password": server.password, "local_address": LOCAL, "local_port": own}
        with private_dir() as place:
            file = place / "ss-local.json"
            file.write_text(json.dumps(settings))
            async with daemon(it.town.client, ["ss-local", "-c", str(file)]) as process:
                await listening(it.town.client, Address(LOCAL, own), process)
                yield f"{LOCAL}:{own}"
