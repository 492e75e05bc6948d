"""The lab's Tor network: four relays at one address, three of them authorities, and a bridge.

Its keys and its first consensus take half a minute and are the same for many labs, so they are made
once and kept (`circumtest.lab.kept`); what a lab runs is a copy.  A consensus lives for days here
and is thrown away after one, while it is fresh: no lab meets an old one.  It refuses to be used by
anybody outside a lab: its keys are no secret of anyone's.
"""

import asyncio
import hashlib
import re
import shutil
from collections.abc import AsyncIterator, Iterable
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from datetime import UTC, datetime, timedelta
from pathlib import Path

from circumtest.lab.kept import kept
from circumtest.netns import Netns
from circumtest.process import Daemon, ProcessEnded, daemon, program, run
from circumtest.tor.bridge import OBFS4
from circumtest.tor.managed import PROGRAM

RELAYS = ("lab0", "lab1", "lab2", "lab3")
AUTHORITIES = RELAYS[:3]
BRIDGE = "bridge"
SPARE = timedelta(hours=1)
"""How long a kept consensus must stay fresh for a lab to begin with it."""
ATTEMPTS = 3
_START = 60.0
_VOTE = 25.0
"""Seconds in which a first vote is held (10 to 20 of them) and everybody has what it decided."""
_READY = "Bootstrapped 100%"
_DIR, _TRANSPORT = 10, 20  # how far the other ports are from the first relay's

_COMMON = """\
TestingTorNetwork 1
{authorities}
DataDirectory {place}/{name}
Nickname {name}
Address {host}
ORPort {host}:{port} IPv4Only
SocksPort 0
AssumeReachable 1
ContactInfo nobody@lab.invalid
ShutdownWaitLength 0
NumCPUs 1
Log notice stdout
"""
_EXIT = """\
ExitRelay 1
IPv6Exit 1
ExitPolicy accept *:*
ExitPolicyRejectPrivate 0
"""
# The first vote is soon (a testing network's shortest interval), and what it decides lives long.
_AUTHORITY = """\
AuthoritativeDirectory 1
V3AuthoritativeDirectory 1
DirPort {host}:{dir_port}
V3AuthVotingInterval 86400
V3AuthNIntervalsValid 3
V3AuthVoteDelay 2
V3AuthDistDelay 2
TestingV3AuthInitialVotingInterval 10
TestingV3AuthInitialVoteDelay 2
TestingV3AuthInitialDistDelay 2
AuthDirMaxServersPerAddr 0
TestingDirAuthVoteExit *
TestingDirAuthVoteGuard *
TestingDirAuthVoteHSDir *
TestingMinExitFlagThreshold 0
"""
_BRIDGE = """\
BridgeRelay 1
BridgeDistribution none
PublishServerDescriptor 0
ExitRelay 0
ExtORPort auto
ServerTransportPlugin {transport} exec {program}
ServerTransportListenAddr {transport} {host}:{transport_port}
"""


@asynccontextmanager
async def network(
    netns: Netns, place: Path, host: str, port: int, *, bridge: bool
) -> AsyncIterator[tuple[tuple[str, ...], str]]:
    """Run it at `host`, from `port` on, with its files in `place`, which is empty.

    Yields the authorities' DirAuthority lines and the bridge's line ("" without one) when every
    relay says that it has bootstrapped.  Raises EnvironmentUnfit, ProcessEnded, TimeoutError.
    """
    layout = hashlib.sha256("".join((host, str(port), _COMMON, _EXIT, _AUTHORITY)).encode())
    async with kept(
        f"tor-network-{layout.hexdigest()[:12]}",
        lambda new: _make(netns, new, host, port),
        _fresh,
    ) as store:
        for name in (*RELAYS, BRIDGE):
            shutil.copytree(store / name, place / name)
            shutil.copytree(store / "directory", place / name, dirs_exist_ok=True)
        shutil.copy(store / "authorities", place)
    names = (*RELAYS, BRIDGE) if bridge else RELAYS
    async with _running(netns, place, host, port, names) as processes:
        line = ""
        if bridge:
            await processes[-1].line(f"Registered server transport '{OBFS4}'", _START)
            line = _bridge_line(place, host, port)
        yield _authorities(place), line


@asynccontextmanager
async def _running(
    netns: Netns, place: Path, host: str, port: int, names: Iterable[str], patience: float = _START
) -> AsyncIterator[list[Daemon]]:
    (place / "defaults").touch()  # or tor would read the system's
    async with AsyncExitStack() as stack:
        processes = []
        for name in names:
            file = place / f"{name}.torrc"
            file.write_text(_torrc(place, name, host, port))
            argv = ["tor", "--defaults-torrc", str(place / "defaults"), "-f", str(file)]
            processes.append(await stack.enter_async_context(daemon(netns, argv, name=name)))
        await asyncio.gather(*(process.line(_READY, patience) for process in processes))
        yield processes


def _torrc(place: Path, name: str, host: str, port: int) -> str:
    number = (*RELAYS, BRIDGE).index(name)
    text = _COMMON + (_BRIDGE if name == BRIDGE else _EXIT)
    if name in AUTHORITIES:
        text += _AUTHORITY
    return text.format(
        authorities="\n".join(f"DirAuthority {line}" for line in _authorities(place)),
        place=place,
        name=name,
        host=host,
        port=port + number,
        dir_port=port + _DIR + number,
        transport=OBFS4,
        transport_port=port + _TRANSPORT,
        program=program(PROGRAM) if name == BRIDGE else "",
    )


def _authorities(place: Path) -> tuple[str, ...]:
    return tuple((place / "authorities").read_text().splitlines())


def _bridge_line(place: Path, host: str, port: int) -> str:
    """What tor's obfs4proxy leaves in its state directory, with the blanks filled in."""
    file = place / BRIDGE / "pt_state" / "obfs4_bridgeline.txt"
    (line,) = re.findall(rf"^Bridge ({OBFS4} .*)$", file.read_text(), re.MULTILINE)
    fingerprint = (place / BRIDGE / "fingerprint").read_text().split()[-1]
    at = f"{host}:{port + _TRANSPORT}"
    return str(line).replace("<IP ADDRESS>:<PORT>", at).replace("<FINGERPRINT>", fingerprint)


# ------------------------------------------------------------------ making it


async def _make(netns: Netns, place: Path, host: str, port: int) -> None:
    """Keys, and a consensus that has all four relays."""
    fingerprints = await asyncio.gather(
        *(_keys(netns, place, name, host, port) for name in (*RELAYS, BRIDGE))
    )
    lines = []
    for number, name in enumerate(AUTHORITIES):
        certificate = (place / name / "keys" / "authority_certificate").read_text()
        (identity,) = re.findall(r"^fingerprint (\w{40})$", certificate, re.MULTILINE)
        at = f"{host}:{port + _DIR + number}"
        lines.append(
            f"{name} orport={port + number} v3ident={identity} {at} {fingerprints[number]}"
        )
    (place / "authorities").write_text("\n".join(lines))
    for _ in range(ATTEMPTS):
        # A vote that came to nothing is held again only after a day: what is not ready soon after
        # the first one never will be.
        with suppress(TimeoutError):
            async with _running(netns, place, host, port, RELAYS, _VOTE):
                pass
        whole = _members(place / AUTHORITIES[0]) == len(RELAYS)
        _keep(place, directory=whole)
        if whole:
            return
    raise ProcessEnded("tor", 0, "the authorities' consensus lacks a relay, again and again")


async def _keys(netns: Netns, place: Path, name: str, host: str, port: int) -> str:
    """The relay's identity, and an authority's; its fingerprint."""
    home = place / name
    keys = home / "keys"
    home.mkdir(mode=0o700)
    keys.mkdir(mode=0o700)
    (place / f"{name}.empty").touch()
    if name in AUTHORITIES:
        at = f"{host}:{port + _DIR + AUTHORITIES.index(name)}"
        argv = ["tor-gencert", "--create-identity-key", "--passphrase-fd", "0", "-m", "12"]
        files = ("identity_key", "-i"), ("signing_key", "-s"), ("certificate", "-c")
        for file, option in files:
            argv += [option, str(keys / f"authority_{file}")]
        # The passphrase guards a key that lies beside it: it is none.
        await run(netns, [*argv, "-a", at], input=b"lab\n", timeout=_START)
    empty = str(place / f"{name}.empty")
    argv = ["tor", "--defaults-torrc", empty, "-f", empty, "--DataDirectory", str(home)]
    argv += ["--ORPort", "1", "--Nickname", name, "--quiet", "--list-fingerprint"]
    said = await run(netns, argv, timeout=_START)
    return "".join(said.splitlines()[-1].split()[1:])


def _members(home: Path) -> int:
    """How many relays a consensus has that are exits and run."""
    try:
        text = (home / "cached-microdesc-consensus").read_text()
    except OSError:
        return 0
    return len(re.findall(r"^s .*\bExit\b.*\bRunning\b", text, re.MULTILINE))


def _keep(place: Path, *, directory: bool) -> None:
    """Leave the keys, and the authorities' directory if it is worth it."""
    if directory:
        (place / "directory").mkdir(mode=0o700)
        for file in (place / AUTHORITIES[0]).glob("cached-*"):
            shutil.copy(file, place / "directory")
    for name in (*RELAYS, BRIDGE):
        for one in (place / name).iterdir():
            if one.is_dir() and one.name != "keys":
                shutil.rmtree(one)
            elif not one.is_dir():
                one.unlink()
    for file in (*place.glob("*.torrc"), *place.glob("*.empty"), place / "defaults"):
        file.unlink(missing_ok=True)


def _fresh(place: Path) -> bool:
    """Whether a kept network is whole, and its consensus fresh for long enough."""
    try:
        text = (place / "directory" / "cached-microdesc-consensus").read_text()
        begins, ends = (
            datetime.fromisoformat(re.findall(rf"^{word} (.*)$", text, re.MULTILINE)[0])
            for word in ("valid-after", "fresh-until")
        )
        _authorities(place)
    except (OSError, ValueError, IndexError):
        return False
    now = datetime.now(UTC).replace(tzinfo=None)
    return (
        begins <= now
        and now + SPARE < ends
        and all((place / name / "keys").is_dir() for name in (*RELAYS, BRIDGE))
    )
