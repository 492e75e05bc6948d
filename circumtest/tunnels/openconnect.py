"""openconnect: Cisco's AnyConnect as ocserv speaks it, over TLS, and over DTLS beside it.

openconnect lives in the underlay; a script of ours tells what the server gave it, and its device is
moved inside.  Ready when that has happened and, where DTLS is wanted, DTLS is up.  It refuses to
run the scripts of a configuration, and to let a tunnel that fell back to TLS pass for DTLS.
"""

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

from circumtest import credentials
from circumtest.anyconnect.profile import Profile, Server, is_profile, parse, server
from circumtest.anyconnect.state import State, no_dtls
from circumtest.anyconnect.told import script, settings, told
from circumtest.credentials import Identity, Place
from circumtest.errors import ConfigError, TunnelDown
from circumtest.inside import InsidePath, Settings, device_name, moved_inside
from circumtest.model import TunnelFault
from circumtest.netns import Netns
from circumtest.path.resolve import resolve
from circumtest.process import ProcessEnded, daemon, private_dir, program


@dataclass(frozen=True)
class Openconnect:
    """A client by `server`, or from openconnect's own configuration file (`config`, or `text`).

    `user` and `password` are a login; `certificate` (PEM with `key`, or PKCS#12) is a file, as `ca`
    is, and `..._text` what it holds.  `servercert` is a pin as openconnect writes it.  Without
    `dtls` everything goes over TLS.  `patience` is how many seconds it may take until it is up.
    `exits` are the addresses that the far end may see, empty when nobody knows.
    Raises ConfigError when made from what cannot be right; the message tells no secret.
    """

    config: str = ""
    text: str = field(default="", repr=False)
    server: str = field(default="", repr=False)
    user: str = field(default="", repr=False)
    password: str = field(default="", repr=False)
    certificate: str = field(default="", repr=False)
    certificate_text: str = field(default="", repr=False)
    key: str = field(default="", repr=False)
    key_text: str = field(default="", repr=False)
    key_password: str = field(default="", repr=False)
    ca: str = field(default="", repr=False)
    ca_text: str = field(default="", repr=False)
    servercert: str = field(default="", repr=False)
    dtls: bool = True
    patience: float = 10.0
    exits: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        if sum(map(bool, (self.config, self.text, self.server))) != 1:
            raise _wrong("server", "give a server, or a configuration file of openconnect's")
        if not self.patience > 0:
            raise _wrong("patience", "is not a number of seconds above 0")
        for name in ("user", "password", "servercert"):
            if not getattr(self, name).isprintable():
                raise _wrong(name, "has what cannot be printed in it")
        _ = self.profile, self.to, self.identity, self.trusted

    @classmethod
    def claims(cls, text: str) -> dict[str, Any] | None:
        """A configuration file of openconnect's, with a server in it."""
        return {"text": text} if is_profile(text) else None

    @cached_property
    def profile(self) -> Profile:
        """The configuration file, read once; an empty one where there is none."""
        if self.config:
            data = credentials.content(self.config)
            try:
                return parse(data.decode(), self.config, Path(self.config).expanduser().parent)
            except UnicodeDecodeError:
                raise ConfigError(self.config, "", "is not text") from None
        return parse(self.text, "openconnect configuration")

    @cached_property
    def to(self) -> Server:
        """Where to."""
        if self.server:
            return server(self.server, "openconnect", "key `server`")
        where = self.config or "openconnect configuration"
        return server(self.profile.own.get("server", ""), where, "option `server`")

    @cached_property
    def identity(self) -> Identity | None:
        """Our certificate, where there is one."""
        place, files = Place("openconnect", "key `certificate`"), self._files
        certificate = credentials.given(files[0], self.certificate_text, place)
        key = credentials.given(files[1], self.key_text, Place("openconnect", "key `key`"))
        if not certificate:
            if key:
                raise _wrong("key", "is a key without a certificate")
            return None
        password = self.key_password or self.profile.own.get("key-password", "")
        place = Place(files[0]) if files[0] else place
        return credentials.identity(certificate, key, password, place)

    @property
    def _files(self) -> tuple[str, str]:
        """Where our certificate and its key are, "" for those that are given as text."""
        own = self.profile.own
        certificate = self.certificate or ("" if self.certificate_text else own.get("certificate"))
        key = self.key or ("" if self.key_text or self.certificate_text else own.get("sslkey"))
        return certificate or "", key or ""

    @cached_property
    def trusted(self) -> str:
        """The authorities that certify the server, as PEM; "" for the system's."""
        place = Place("openconnect", "key `ca`")
        file = self.ca or ("" if self.ca_text else self.profile.own.get("cafile", ""))
        data = credentials.given(file, self.ca_text, place)
        return credentials.authorities(data, Place(file) if file else place) if data else ""

    @property
    def over_dtls(self) -> bool:
        """Whether DTLS is wanted: the file may say that it is not."""
        return self.dtls and "no-dtls" not in self.profile.own

    def notes(self) -> tuple[str, ...]:
        """What of the configuration is not honoured, and a key that others can read."""
        return *self.profile.notes, *credentials.exposed(self._files[1] or self._files[0])

    @asynccontextmanager
    async def up(self, underlay: Netns) -> AsyncIterator[InsidePath]:
        """Log in; ready when the device is inside and DTLS, where it is wanted, is up.

        Raises TunnelDown: HANDSHAKE when the server is silent, not to be trusted, or has no DTLS,
        AUTH when it refuses us, BINARY when openconnect does not run; EnvironmentUnfit when it is
        not installed.
        """
        end = asyncio.get_running_loop().time() + self.patience
        try:
            address = await resolve(underlay, self.to.host, self.to.port, self.patience)
        except OSError as error:
            detail = f"cannot resolve the server: {error.strerror or 'no answer'}"
            raise TunnelDown(TunnelFault.HANDSHAKE, detail) from None
        device = device_name("oc")
        with private_dir() as place:
            self._write(place, device, address.host)
            async with daemon(underlay, _command(place), name="openconnect") as process:
                state = State(
                    process,
                    self._secrets(),
                    over_dtls=self.over_dtls,
                    certificate=self.identity is not None,
                )
                given = await self._settings(place, state, end)
                async with AsyncExitStack() as stack:
                    moved = moved_inside(underlay, device, given, "openconnect")
                    try:
                        inside = await stack.enter_async_context(moved)
                    except OSError as error:
                        detail = f"the device does not take its settings: {error.strerror}"
                        raise state.down(TunnelFault.BINARY, detail) from None
                    yield InsidePath(
                        "openconnect", inside, given, self.exits, state.known, state.words
                    )

    async def _settings(self, place: Path, state: State, end: float) -> Settings:
        """What the server says about the inside, once everything is up."""
        left = max(end - asyncio.get_running_loop().time(), 0.1)
        try:
            # The script is run when TLS is up and DTLS is up too, or has failed for some seconds.
            await state.process.line("^script: connect$", left)
        except ProcessEnded as ended:
            raise state.ended(ended) from None
        except TimeoutError:
            raise state.late(self.patience) from None
        if self.over_dtls and not state.dtls_up():
            raise state.down(TunnelFault.HANDSHAKE, no_dtls("did not come up"))
        try:
            return settings(told((place / "settings.connect").read_bytes()))
        except ValueError as error:
            detail = f"the server gives settings that cannot be: {error}"
            raise state.down(TunnelFault.HANDSHAKE, detail) from None

    def _write(self, place: Path, device: str, address: str) -> None:
        """The files that openconnect gets: nothing secret is on its command line."""
        own = self.profile.own
        lines = [f"server={self.to}", "protocol=anyconnect", "non-inter", *self.profile.lines]
        lines += [f"interface={device}", f"script={place}/script", "no-proxy"]
        if self.to.host != address:
            lines.append(f"resolve={self.to.host}:{address}")
        if user := self.user or own.get("user"):
            lines.append(f"user={user}")
        if self.password:
            lines.append("passwd-on-stdin")
        if pin := self.servercert or own.get("servercert"):
            lines.append(f"servercert={pin}")
        if not self.over_dtls:
            lines.append("no-dtls")
        if self.trusted:
            _secret(place / "ca.pem", self.trusted)
            lines += [f"cafile={place}/ca.pem", "no-system-trust"]
        if self.identity:
            _secret(place / "certificate.pem", self.identity.certificate + self.identity.chain)
            _secret(place / "key.pem", self.identity.key)
            lines += [f"certificate={place}/certificate.pem", f"sslkey={place}/key.pem"]
        _secret(place / "password", f"{self.password}\n")
        _secret(place / "openconnect.conf", "\n".join(dict.fromkeys(lines)) + "\n")
        _secret(place / "script", script(place))
        (place / "script").chmod(0o700)

    def _secrets(self) -> tuple[str, ...]:
        own = self.profile.own
        name = self.identity.name if self.identity else ""
        return self.to.host, self.user, self.password, own.get("user", ""), name


def _command(place: Path) -> list[str]:
    run = 'exec "$1" --config="$2/openconnect.conf" <"$2/password"'
    return ["sh", "-c", run, "sh", program("openconnect"), str(place)]


def _secret(file: Path, text: str) -> None:
    file.touch(0o600)
    file.write_text(text)


def _wrong(key: str, problem: str) -> ConfigError:
    return ConfigError("openconnect", f"key `{key}`", problem)
