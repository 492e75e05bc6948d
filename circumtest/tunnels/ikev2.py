"""IKEv2 by strongSwan: a `.sswan` profile, or a server with a certificate or a login.

charon lives in the underlay and encrypts in userspace; its TUN device is moved inside.  Ready when
the server has let us in and an IPsec connection is installed, which is not the same.  It refuses
servers that show no certificate, pre-shared keys, and IKEv1.
"""

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any

from circumtest import credentials
from circumtest.credentials import Identity, Place
from circumtest.errors import ConfigError, TunnelDown
from circumtest.ikev2.charon import Refused, charon
from circumtest.ikev2.client import MTU, Given, State, connect
from circumtest.ikev2.sswan import Profile, host, is_profile, parse, proposal
from circumtest.inside import EVERYTHING, InsidePath, Settings, binary, moved_inside
from circumtest.model import Address, TunnelFault
from circumtest.netns import Netns
from circumtest.path.resolve import resolve
from circumtest.process import ProcessEnded


@dataclass(frozen=True)
class Ikev2:
    """A client from a `.sswan` profile (`config`, or `text`), or by `server`.

    `id` is what the server calls itself (as `server`, when empty), `local_id` what we do.  `user`
    and `password` are a login by EAP-MSCHAPv2; `certificate` (PEM with `key`, or PKCS#12) is a
    file, as `ca` is, and `..._text` what it holds.  `ike` and `esp` are algorithms as strongSwan
    writes them.  `patience` is how many seconds it may take until it is up.  `exits` are the
    addresses that the far end may see, empty when nobody knows.
    Raises ConfigError when made from what cannot be right; the message tells no secret.
    """

    config: str = ""
    text: str = field(default="", repr=False)
    server: str = field(default="", repr=False)
    id: str = field(default="", repr=False)
    local_id: str = field(default="", repr=False)
    user: str = field(default="", repr=False)
    password: str = field(default="", repr=False)
    certificate: str = field(default="", repr=False)
    certificate_text: str = field(default="", repr=False)
    key: str = field(default="", repr=False)
    key_text: str = field(default="", repr=False)
    key_password: str = field(default="", repr=False)
    ca: str = field(default="", repr=False)
    ca_text: str = field(default="", repr=False)
    ike: str = ""
    esp: str = ""
    patience: float = 10.0
    exits: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        if sum(map(bool, (self.config, self.text, self.server))) != 1:
            raise _wrong("server", "give a server, or a .sswan profile")
        if not self.patience > 0:
            raise _wrong("patience", "is not a number of seconds above 0")
        _ = self.profile

    @classmethod
    def claims(cls, text: str) -> dict[str, Any] | None:
        """A profile of strongSwan's for Android."""
        return {"text": text} if is_profile(text) else None

    @cached_property
    def profile(self) -> Profile:
        """The file and the fields together; fields come first."""
        profile = self._read()
        identity = self._identity() or profile.identity
        login = profile.login
        if not (self.config or self.text):
            login = "cert" if identity else "eap"
        place = Place("ikev2", "key `ca`")
        trusted = credentials.given(self.ca, self.ca_text, place)
        found = replace(
            profile,
            login=login,
            identity=identity,
            id=self.id or profile.id or profile.server,
            local_id=self.local_id or profile.local_id,
            user=self.user or profile.user,
            trusted=credentials.authorities(trusted, place) if trusted else profile.trusted,
            ike=proposal(self.ike, "ikev2", "key `ike`") or profile.ike,
            esp=proposal(self.esp, "ikev2", "key `esp`") or profile.esp,
        )
        self._check(found)
        return found

    def _read(self) -> Profile:
        if self.server:
            return Profile(host(self.server, "ikev2", "key `server`"), "")
        if self.text:
            return parse(self.text, ".sswan profile", self.key_password)
        data = credentials.content(self.config)
        try:
            return parse(data.decode("utf-8-sig"), self.config, self.key_password)
        except UnicodeDecodeError:
            raise ConfigError(self.config, "", "is not text", "a .sswan profile") from None

    def _identity(self) -> Identity | None:
        place = Place(self.certificate or "ikev2", "" if self.certificate else "key `certificate`")
        certificate = credentials.given(self.certificate, self.certificate_text, place)
        key = credentials.given(self.key, self.key_text, Place("ikev2", "key `key`"))
        if certificate:
            return credentials.identity(certificate, key, self.key_password, place)
        if key:
            raise _wrong("key", "is a key without a certificate")
        return None

    def _check(self, profile: Profile) -> None:
        if profile.login == "cert" and profile.identity is None:
            raise _wrong("certificate", "the profile wants a certificate: give one with its key")
        if profile.login == "eap" and not (profile.user and self.password):
            missing = "password" if profile.user else "user"
            raise _wrong(missing, "is missing: give a certificate, or a user and a password")
        texts = {"id": profile.id, "local_id": profile.local_id, "user": profile.user}
        for name, text in {**texts, "password": self.password}.items():
            if not text.isprintable():
                raise _wrong(name, "has what cannot be printed in it")

    def notes(self) -> tuple[str, ...]:
        """What of the configuration is not honoured, and a key that others can read."""
        return *self.profile.notes, *credentials.exposed(self.key or self.certificate)

    @asynccontextmanager
    async def up(self, underlay: Netns) -> AsyncIterator[InsidePath]:
        """Connect; ready when the IPsec connection is installed and its device is inside.

        Raises TunnelDown: HANDSHAKE when the server is silent or not to be trusted, AUTH when it
        refuses us, NO_DATA when it lets us in and carries nothing, BINARY when charon does not run;
        EnvironmentUnfit when it, a plugin of it or the Python package vici is not installed.
        """
        end = asyncio.get_running_loop().time() + self.patience
        profile = self.profile
        try:
            address = await resolve(underlay, profile.server, profile.port, self.patience)
        except OSError as error:
            detail = f"cannot resolve the server: {error.strerror or 'no answer'}"
            raise TunnelDown(TunnelFault.HANDSHAKE, detail) from None
        async with AsyncExitStack() as stack:
            starting = charon(underlay, "charon", self.patience, client=True)
            try:
                daemon = await stack.enter_async_context(starting)
            except ProcessEnded as ended:
                raise binary(ended, self._secrets()) from None
            except TimeoutError:
                raise TunnelDown(TunnelFault.BINARY, "charon does not get ready") from None
            state = State(daemon, self._secrets())
            given = await self._connect(state, address, end)
            if not given.addresses:
                raise state.down(TunnelFault.NO_DATA, "the server gives us no address inside")
            settings = Settings(
                given.addresses,
                _both(given.routes, profile.routes),
                profile.mtu or MTU,
                profile.dns or daemon.resolvers(),
            )
            moved = moved_inside(underlay, daemon.device, settings, "ikev2")
            try:
                inside = await stack.enter_async_context(moved)
            except OSError as error:
                detail = f"the device does not take its settings: {error.strerror}"
                raise state.down(TunnelFault.BINARY, detail) from None
            yield InsidePath("ikev2", inside, settings, self.exits, state.known, state.words)

    async def _connect(self, state: State, to: Address, end: float) -> Given:
        profile, left = self.profile, max(end - asyncio.get_running_loop().time(), 0.1)
        try:
            async with asyncio.timeout(left + 1.0):  # a charon that hangs
                return await state.charon.ask(
                    lambda session: connect(session, profile, self.password, to, left)
                )
        except Refused:
            raise state.refused(self.patience) from None
        except TimeoutError:
            raise state.down(TunnelFault.BINARY, "charon does not answer") from None
        except OSError:
            raise state.gone() from None

    def _secrets(self) -> tuple[str, ...]:
        profile = self.profile
        name = profile.identity.name if profile.identity else ""
        names = profile.server, profile.id, profile.local_id, profile.user, name
        return (*names, self.password)


def _both(given: tuple[str, ...], wanted: tuple[str, ...]) -> tuple[str, ...]:
    """What the server takes, or what the profile wants to go there if it names any."""
    return given if wanted == EVERYTHING else wanted


def _wrong(key: str, problem: str) -> ConfigError:
    return ConfigError("ikev2", f"key `{key}`", problem)
