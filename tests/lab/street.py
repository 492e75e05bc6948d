"""The lab as a person's network: a resolver, neutral places, a messenger; our command line in it.

Everything that `circumtest check` asks is there, at addresses of its own; what stands in the way is
for each test to add.  The command is a process of its own, with this network's /etc/resolv.conf.
"""

import asyncio
import subprocess
import sys
import tempfile
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

from circumtest.handshakes.stun_binding import StunBinding
from circumtest.handshakes.telegram_call_turn import TelegramCallTurn
from circumtest.handshakes.whatsapp_message import TEST_ROOT, WhatsappMessage
from circumtest.lab.topology import RESOLVER, Lab, lab
from circumtest.live.control import Ntp, Tls
from circumtest.model import Address, Transport
from circumtest.script import Answerer, Emit, Flow
from circumtest.wire import dns

BOUND = 90.0
"""Seconds within which a check must be over, whatever hangs."""
SECRET = "circumtest lab"
NEUTRAL = ("one.example", "two.example", "three.example")
LISTED = "ya.ru"
"""A name that the policy `mobile-whitelist` lets through."""
BODY = "everything is well"

_TARGET = """\
handshake = "{kind}"
shows = "{shows}"
does_not_show = "{not_shown}"
date = 2026-11-25
source = "this test"
{options}
[[endpoints]]
host = {hosts}
port = {port}
[control]
handshake = "{control}"
options = {control_options}
[[control.endpoints]]
{control_endpoints}
"""

_COMMAND = "from circumtest.cli import main; main()"
_ENTER = """\
set -e
mount --bind "$1" "$(readlink -f /etc/resolv.conf)"
for hidden in $2; do
    if [ -d "$hidden" ]; then mount -t tmpfs none "$hidden"
    elif [ -e "$hidden" ]; then mount --bind /dev/null "$hidden"; fi
done
if [ "$3" = root ]; then shift 3; exec "$@"; fi
mount -t tmpfs -o mode=0755 none /run
if [ "$3" = bare ]; then echo 1 >/proc/sys/user/max_user_namespaces; fi
shift 3
exec unshare --user --map-user=1000 --map-group=1000 "$@"
"""
"""Arguments: resolv.conf, programs to hide, who, the command.  An ordinary user is one in a user
namespace of his own, who rules nothing of the network; "bare" may make no further one."""


@dataclass(frozen=True)
class Street:
    """The network, and the files that a person there would have."""

    place: Lab
    files: Path
    calls: Sequence[Address]
    """Where the messenger's calls begin."""

    @property
    def targets(self) -> list[str]:
        return [f"--target={self.files / name}.toml" for name in ("messages", "calls")]

    async def check(
        self, *given: str, who: str = "root", hidden: Iterable[str] = (), wrap: Sequence[str] = ()
    ) -> "Said":
        """`circumtest check` at the client's, to its end."""
        own = ["--map-root-user", "--user"] if who != "root" else []
        neutral = f"--neutral={self.files / 'neutral.toml'}"
        argv = [
            *("unshare", *own, "--mount", "--propagation", "private", "sh", "-c", _ENTER, "sh"),
            *(str(self.files / "resolv.conf"), " ".join(hidden), who, *wrap),
            *(sys.executable, "-c", _COMMAND, "check", "-y", neutral, *self.targets, *given),
        ]
        start = lambda: subprocess.Popen(  # noqa: E731
            argv,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        child = await self.place.client.acall(start)
        try:
            out, err = await asyncio.to_thread(child.communicate, timeout=BOUND)
        finally:
            child.kill()
        sys.stdout.write(out)  # pytest shows it where a test fails
        return Said(child.returncode, out, err)


@dataclass(frozen=True)
class Said:
    """What the command left: its exit code, its words, and what it said meanwhile."""

    code: int
    out: str
    err: str

    def __contains__(self, words: str) -> bool:
        return words in self.out


def play(scene: Callable[[Street], Awaitable[None]]) -> None:
    """Run one scene in a street of its own, bounded."""

    async def whole() -> None:
        async with asyncio.timeout(150), street() as here:
            await scene(here)

    asyncio.run(whole())


@asynccontextmanager
async def street() -> AsyncIterator[Street]:
    """The lab, furnished."""
    async with lab() as place:
        # Not in /run, which an ordinary user's own world hides.
        with tempfile.TemporaryDirectory() as name:
            files = Path(name)
            (resolver,) = await place.addresses(1, 53, 4)
            (files / "resolv.conf").write_text(f"nameserver {resolver.host}\n")
            pages = await place.addresses(3, 80, 4)
            names: dict[str, str] = {}
            inside = Address(RESOLVER[4], 53)  # whom the VPN's file names
            place.answer(Transport.UDP, [resolver, inside], _Names(names))
            place.answer(Transport.TCP, pages, Pages())
            servers = await place.addresses(3, 443, 4)
            for name, server in zip(NEUTRAL, servers, strict=True):
                place.answer(Transport.TCP, [server], Tls(host=name, secret=SECRET).answerer())
                names[name] = server.host
            listed = await place.addresses(1, 443, 4)
            place.answer(Transport.TCP, listed, Tls(host=LISTED, secret=SECRET).answerer())
            stun = await place.addresses(3, 3478, 4)
            place.answer(Transport.UDP, stun, StunBinding().answerer())
            clocks = await place.addresses(3, 123, 4)
            place.answer(Transport.UDP, clocks, Ntp().answerer())
            (files / "neutral.toml").write_text(_neutral(pages, servers, listed[0], stun))
            await _messages(place, files, servers)
            calls = await _calls(place, files, clocks)
            yield Street(place, files, calls)


async def _messages(place: Lab, files: Path, servers: Sequence[Address]) -> None:
    at = await place.addresses(3, 443, 4)
    place.answer(Transport.TCP, at, WhatsappMessage().answerer())
    named = zip(NEUTRAL, servers, strict=True)
    (files / "messages.toml").write_text(
        _TARGET.format(
            kind="whatsapp-message",
            shows="Messages can get through.",
            not_shown="Nothing about calls.",
            options=f'options = {{ root = "{TEST_ROOT}" }}',
            hosts=[one.host for one in at],
            port=443,
            control="tls",
            control_options=f'{{ secret = "{SECRET}" }}',
            control_endpoints="\n[[control.endpoints]]\n".join(
                f'host = "{name}"\nport = 443\naddresses = ["{one.host}"]' for name, one in named
            ),
        )
    )


async def _calls(place: Lab, files: Path, clocks: Sequence[Address]) -> Sequence[Address]:
    at = await place.addresses(3, 1400, 4)
    place.answer(Transport.UDP, at, TelegramCallTurn().answerer())
    (files / "calls.toml").write_text(
        _TARGET.format(
            kind="telegram-call-turn",
            shows="The first packets of calls get through.",
            not_shown="Nothing about sound.",
            options="",
            hosts=[one.host for one in at],
            port=1400,
            control="ntp",
            control_options="{}",
            control_endpoints=f"host = {[one.host for one in clocks]}\nport = 123",
        )
    )
    return at


def _neutral(
    pages: Sequence[Address], servers: Sequence[Address], listed: Address, stun: Sequence[Address]
) -> str:
    numbers = ["", *(f'addresses = ["{one.host}"]\n' for one in servers[1:])]
    known = 'date = 2026-11-25\nsource = "this test"\n'
    parts = [
        *(f'[[page]]\nurl = "http://{one.host}/"\nbody = "{BODY}"\n{known}' for one in pages),
        *(
            f'[[server]]\nname = "{name}"\n{where}{known}'
            for name, where in zip(NEUTRAL, numbers, strict=True)
        ),
        f'[[listed]]\nname = "{LISTED}"\naddresses = ["{listed.host}"]\n{known}',
        *(f'[[stun]]\nname = "stun.example"\naddresses = ["{one.host}"]\n{known}' for one in stun),
    ]
    return "\n".join(parts)


class _Names:
    """A resolver that knows the neutral names, their IPv4 addresses, and nothing else."""

    def __init__(self, names: Mapping[str, str]) -> None:
        self._names = names

    def receive(self, flow: Flow, data: bytes, now: float) -> Iterable[Emit]:
        try:
            question = dns.parse_query(data)
        except ValueError:
            return
        if (host := self._names.get(question.name)) is None:
            yield Emit(flow, question.reply(dns.NXDOMAIN))
        else:
            yield Emit(flow, question.reply(addresses=[host] if question.version == 4 else []))

    def timer(self) -> float | None:
        return None

    def tick(self, now: float) -> Iterable[Emit]:
        return ()


class Pages:
    """The same page for whoever asks."""

    def __init__(self, body: str = BODY) -> None:
        self._body = body

    def receive(self, flow: Flow, data: bytes, now: float) -> Iterable[Emit]:
        if data:
            head = f"HTTP/1.1 200 OK\r\nContent-Length: {len(self._body)}\r\n\r\n"
            yield Emit(flow, (head + self._body).encode(), close=True)

    def timer(self) -> float | None:
        return None

    def tick(self, now: float) -> Iterable[Emit]:
        return ()


_: Sequence[Answerer] = (_Names({}), Pages())
