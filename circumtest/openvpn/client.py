"""A running OpenVPN in the underlay, and its device inside: what a tunnel does with both.

It knows what went wrong by what the daemon told.  It refuses to guess: OpenVPN answers strangers
with silence, and then silence is what is said.
"""

import asyncio
import re
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager, suppress
from pathlib import Path

from circumtest.errors import TunnelDown
from circumtest.inside import Settings, binary, settle
from circumtest.model import TunnelFault
from circumtest.netns import Netns
from circumtest.openvpn.management import Management, Refusal, managing
from circumtest.openvpn.profile import Profile
from circumtest.openvpn.routing import accepted, settings
from circumtest.openvpn.written import Server, written
from circumtest.process import Daemon, ProcessEnded, daemon
from circumtest.scrub import scrub

_NAMES = (
    re.compile(r"(depth=\d+(?:, error=[^:]*:)?,? ).*"),  # whose certificate
    re.compile(r"()\[[^\]]+\](?= Peer Connection Initiated)"),
    re.compile(r"(Certificate does not have |X509NAME \w+: ).*"),
)
_LOST = frozenset({"ping-exit", "remote-exit", "inactive"})
"""Reasons of the daemon's for an end that is not its own fault."""


class Client:
    """The daemon and what it told.  Made by `client`."""

    def __init__(
        self, underlay: Netns, device: str, profile: Profile, process: Daemon, told: Management
    ) -> None:
        self.process, self._told = process, told
        self._underlay, self._device, self._profile = underlay, device, profile
        self._broken: TunnelDown | None = None
        self._followed = 0  # how many connections the device inside has followed

    async def connected(self, servers: int, left: float, patience: float) -> None:
        """Wait until it is, for the `left` seconds of `patience`.  Raises TunnelDown."""
        await self._decided(servers, left / 2)
        if self._told.furthest == "GET_CONFIG" and not self._told.refusal:
            # A server that still remembers another session from our port lets the new one in, and
            # then never answers it: once more, from another port.
            self._told.restart()
        await self._decided(servers, left / 2)
        if self._told.connections:
            return
        if (down := self._refused()) is not None:
            raise down
        if not self.process.alive:
            raise self._ended()
        raise TunnelDown(TunnelFault.HANDSHAKE, self._silence(patience), self.words())

    async def _decided(self, servers: int, wait: float) -> None:
        """Return when it is connected, refused or ended, or after `wait` seconds."""
        waiting = [
            asyncio.ensure_future(self.process.ended()),
            asyncio.ensure_future(self._told.decided(servers)),
        ]
        try:
            await asyncio.wait(waiting, timeout=wait, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for one in waiting:
                one.cancel()

    async def enter(self, inside: Netns) -> Settings:
        """Move the device inside and give it what was pushed.

        Raises TunnelDown(HANDSHAKE) when that makes no sense, OSError when the kernel refuses it.
        """
        profile, told = self._profile, self._told
        seen = told.connections
        taken = accepted(told.options, profile.filters, nopull=profile.nopull)
        try:
            given = settings((*profile.local, *taken))
        except ValueError as error:
            detail = f"what the server pushed {error}"
            raise TunnelDown(TunnelFault.HANDSHAKE, detail, self.words()) from None
        if not given.addresses:
            detail = "the server lets us in and gives us no address"
            raise TunnelDown(TunnelFault.HANDSHAKE, detail, self.words())
        await self._underlay.move(self._device, inside)
        await inside.configure(lambda links: settle(links, self._device, given))
        self._followed = seen
        return given

    async def follow(self, inside: Netns) -> None:
        """For ever: move the device again when it was made anew, after another connection."""
        while True:
            seen = await self._told.connected(self._followed)
            if self._device not in await self._underlay.links():
                self._followed = seen  # it kept the one that it had
                continue
            try:
                await self.enter(inside)
            except (TunnelDown, OSError) as error:
                self._broken = error if isinstance(error, TunnelDown) else refused(error)
                return

    def known(self) -> TunnelDown | None:
        """What is wrong with it just now, None for nothing."""
        if self._broken or (self.process.alive and self._through()):
            return self._broken
        if (down := self._refused()) is not None:
            return down
        told = self._told
        if not self.process.alive and not (told.state == "EXITING" and told.reason in _LOST):
            return self._ended()
        detail = f"the connection to the server was lost ({told.reason or 'no reason given'})"
        return TunnelDown(TunnelFault.NO_DATA, detail, self.words())

    def _through(self) -> bool:
        """Is it connected, and its device inside?"""
        return self._told.state == "CONNECTED" and self._told.connections == self._followed

    def words(self) -> str:
        """Its last words, scrubbed."""
        return self._scrubbed(self._told.log or self.process.log)

    def _scrubbed(self, words: str) -> str:
        for name in _NAMES:
            words = name.sub(r"\1<name>", words)
        return scrub(words, self._profile.secrets)

    def _ended(self) -> TunnelDown:
        ended = self.process.post_mortem()
        return binary(ProcessEnded(ended.name, ended.code, self._scrubbed(ended.words)))

    def _refused(self) -> TunnelDown | None:
        told = self._told
        match told.refusal:
            case Refusal.LOGIN:
                fault, detail = TunnelFault.AUTH, "the server refuses our login"
            case Refusal.BROWSER:
                fault, detail = TunnelFault.AUTH, "the server wants a login in a browser"
            case Refusal.OURS:
                fault = TunnelFault.AUTH
                detail = f"the server refuses our certificate: {told.alert}"
            case Refusal.THEIRS:
                fault, detail = (
                    TunnelFault.HANDSHAKE,
                    "the server's certificate is not to be trusted",
                )
            case _:
                return None
        return TunnelDown(fault, detail, self.words())

    def _silence(self, patience: float) -> str:
        match self._told.furthest:
            case "GET_CONFIG":
                return f"the server lets us in and pushes no configuration in {patience:g} s"
            case "VERIFIED":
                return (
                    f"the server shows its certificate, and nothing more in {patience:g} s: it does"
                    " not accept ours, or what follows is blocked"
                )
            case "AUTH":
                return f"the server answers, and the handshake does not end in {patience:g} s"
        if "Connection refused" in self._told.log:
            return "cannot reach the server: refused"
        wrapped = {"tls-auth", "tls-crypt", "tls-crypt-v2"} & dict(self._profile.blocks).keys()
        stranger = (
            f", or does not know our key (with {min(wrapped)} strangers are met with silence)"
            if wrapped
            else ""
        )
        return (
            f"no answer in {patience:g} s: the server is down or unreachable, its port is"
            f" blocked{stranger}"
        )


@asynccontextmanager
async def client(
    underlay: Netns,
    profile: Profile,
    servers: Sequence[Server],
    device: str,
    place: Path,
    patience: float,
) -> AsyncIterator[Client]:
    """Start the daemon in `underlay`, its files in the private directory `place`.

    Raises EnvironmentUnfit when OpenVPN is not installed.
    """
    socket, file = place / "management", place / "client.conf"
    file.touch(0o600)
    file.write_text(written(profile, servers, device, socket, patience))
    async with (
        managing(socket, profile.login) as told,
        daemon(underlay, ["openvpn", "--config", str(file)]) as process,
    ):
        yield Client(underlay, device, profile, process, told)


@asynccontextmanager
async def followed(running: Client, inside: Netns) -> AsyncIterator[None]:
    """While the context lasts, a device that is made anew is moved inside too."""
    task = asyncio.create_task(running.follow(inside))
    try:
        yield
    finally:
        task.cancel()
        with suppress(asyncio.CancelledError):
            await task


def refused(error: OSError) -> TunnelDown:
    """An address, a route or an MTU that the kernel does not take."""
    detail = f"the device does not take what the server pushed: {error.strerror or error}"
    return TunnelDown(TunnelFault.BINARY, detail)
