"""A tunnel by share link: the engine that speaks what the link says, in front of its server.

Debian's V2Ray where it can, Xray for what only Xray does.  Both say yes to everything before they
have reached their server, and none can tell a server that does not know us from one that is silent.
"""

import json
import re
import secrets
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import cached_property, partial
from pathlib import Path
from typing import Any, ClassVar, Literal

from cryptography import x509

from circumtest.engine import v2ray, xray
from circumtest.engine.v2ray import Entry
from circumtest.errors import ConfigError, TunnelDown
from circumtest.listening import free_port
from circumtest.localproxy import Local, LocalPath, local_proxy
from circumtest.model import TunnelFault
from circumtest.netns import Netns
from circumtest.path.resolve import resolve
from circumtest.process import private_dir
from circumtest.sharelink.links import claimed, read
from circumtest.sharelink.outbound import Outbound

Engine = Literal["auto", "v2ray", "xray"]

_MEANS = (
    (r"x509: |processed invalid connection", "the server's certificate is not to be trusted"),
    (r"connect: connection refused", "the server refuses connections"),
    (r"connect: (?:no route to host|network is unreachable)", "the server is unreachable"),
    (r"dial \w+ \S+ i/o timeout", "the server does not answer"),
    (r"websocket: bad handshake", "what answers speaks another transport"),
)
"""What the engines say of their server: it is their only way out, so nobody else is meant.

That it hung up before it answered is not among them: it does so too when it cannot reach a target.
"""
_STRANGER = "what answers is not the REALITY server, or does not know our keys"
"""Whoever is not known gets the borrowed site's own certificate."""


def which(outbound: Outbound, asked: Engine, kind: str) -> Literal["v2ray", "xray"]:
    """The engine that does all that the link says, or the one that is `asked` for.

    Raises ConfigError when there is none, or when it cannot.  A fingerprint may be given up: `told`
    says so.
    """
    missing = {"v2ray": v2ray.lacks(outbound), "xray": xray.lacks(outbound)}
    if asked == "v2ray":
        missing["v2ray"] = tuple(one for one in missing["v2ray"] if not one.startswith("fp="))
    for engine in ("v2ray", "xray"):
        if asked in ("auto", engine) and not missing[engine]:
            return engine
    said = "; ".join(
        f"{engine} has no {', '.join(lacking)}"
        for engine, lacking in missing.items()
        if asked in ("auto", engine)
    )
    remedy = ""
    if asked == "auto" and not [one for one in missing["v2ray"] if not one.startswith("fp=")]:
        remedy = 'with engine = "v2ray" no browser\'s TLS is imitated'
    raise ConfigError(kind, "key `url`", said, remedy)


def told(outbound: Outbound, engine: Engine, ca: str) -> tuple[str, ...]:
    """What of the link is not honoured, and which certificates of `ca` (PEM) are over, in words."""
    notes = outbound.notes
    print_ = outbound.tls.fingerprint if outbound.tls else ""
    if engine == "v2ray" and print_ not in ("", "none"):
        note = f"fp={print_}: V2Ray imitates no browser's TLS, and a censor may see the difference"
        notes += (note,)
    for one in x509.load_pem_x509_certificates(ca.encode()) if ca else ():
        if one.not_valid_after_utc < datetime.now(UTC):
            notes += (f"a certificate of `ca` is over since {one.not_valid_after_utc:%Y-%m-%d}",)
    return notes


def authorities(kind: str, ca: str, ca_text: str) -> str:
    """The certificates in PEM that the server's has to come from, "" for the machine's own.

    From the file `ca`, or given as `ca_text`.  Raises ConfigError.
    """
    if not ca and not ca_text:
        return ""
    if ca and ca_text:
        raise ConfigError(kind, "key `ca`", "is given twice", "name a file, or give what it holds")
    where = ca or kind
    try:
        text = ca_text or Path(ca).expanduser().read_text(encoding="utf-8")
        x509.load_pem_x509_certificates(text.encode())
    except OSError as error:
        raise ConfigError(where, "", f"cannot be read: {error.strerror}") from None
    except ValueError:  # UnicodeDecodeError is one
        raise ConfigError(where, "key `ca`", "holds no certificate in PEM") from None
    return text


@asynccontextmanager
async def by_link(
    underlay: Netns,
    outbound: Outbound,
    engine: Literal["v2ray", "xray"],
    *,
    ca: str,
    exits: tuple[str, ...],
    patience: float,
) -> AsyncIterator[LocalPath]:
    """Start the engine; ready only when an exchange through it has come back.

    Raises TunnelDown(HANDSHAKE) when the server's name is unknown, TunnelDown(BINARY) when the
    engine does not run, EnvironmentUnfit when it is not installed.
    """
    try:
        server = await resolve(underlay, outbound.host, outbound.port, patience)
    except OSError as error:
        detail = f"cannot resolve the server: {error.strerror or 'no answer'}"
        raise TunnelDown(TunnelFault.HANDSHAKE, detail) from None
    # A login, so that nobody else on this machine goes out by the tunnel.
    entry = Entry(free_port(underlay), "circumtest", secrets.token_urlsafe(12))
    module = xray if engine == "xray" else v2ray
    with private_dir() as place:
        file = place / "client.json"
        file.write_text(json.dumps(module.settings(outbound, server, entry, ca)))
        local = Local(
            outbound.protocol,
            module.command(str(file)),
            entry.port,
            explain=partial(explain, reality=bool(outbound.tls and outbound.tls.public_key)),
            secrets=(*outbound.secrets, entry.password),
            user=entry.user,
            password=entry.password,
        )
        async with local_proxy(underlay, local, exits, patience) as path:
            yield path


def explain(words: str, reality: bool) -> tuple[TunnelFault, str] | None:
    """What an engine says of its server, if it says anything."""
    for pattern, meaning in _MEANS:
        if re.search(pattern, words):
            stranger = reality and pattern == _MEANS[0][0]
            return TunnelFault.HANDSHAKE, _STRANGER if stranger else meaning
    return None


@dataclass(frozen=True)
class LinkTunnel:
    """A server by link; each kind of tunnel by V2Ray or Xray is this with its `scheme`.

    Over TLS its certificate has to come from an authority of this machine, or from those of the
    PEM file `ca` (or of its content, `ca_text`) alone.  `engine` is the program that speaks
    it: `auto` is V2Ray, or Xray where the link asks for what only Xray does.  `patience` is how
    many seconds starting it, and the proof after it, may take.  `exits` are the addresses that the
    far end may see, empty when nobody knows.
    Raises ConfigError when made from what cannot be right; the message tells no secret.
    """

    url: str = field(repr=False)
    ca: str = ""
    ca_text: str = field(default="", repr=False)
    engine: Engine = "auto"
    patience: float = 10.0
    exits: tuple[str, ...] = ()

    scheme: ClassVar[str]

    def __post_init__(self) -> None:
        if not self.patience > 0:
            problem = "is not a number of seconds above 0"
            raise ConfigError(self.scheme, "key `patience`", problem)
        which(self.outbound, self.engine, self.scheme)
        _ = self.authorities

    @classmethod
    def claims(cls, text: str) -> dict[str, Any] | None:
        """A link with the scheme."""
        return {"url": text} if claimed(text, cls.scheme) else None

    @cached_property
    def outbound(self) -> Outbound:
        """What the link says, read once."""
        return read(self.url, self.scheme)

    @cached_property
    def authorities(self) -> str:
        """The certificates that the server's has to come from, "" for the machine's own."""
        return authorities(self.scheme, self.ca, self.ca_text)

    def notes(self) -> tuple[str, ...]:
        """What of the link is not honoured, or is not as safe as it seems, in words."""
        return told(self.outbound, self.engine, self.authorities)

    @asynccontextmanager
    async def up(self, underlay: Netns) -> AsyncIterator[LocalPath]:
        """Start the engine; ready only when an exchange through it has come back.

        Raises TunnelDown(HANDSHAKE) when the server's name is unknown, TunnelDown(BINARY) when the
        engine does not run, EnvironmentUnfit when it is not installed.
        """
        async with by_link(
            underlay,
            self.outbound,
            which(self.outbound, self.engine, self.scheme),
            ca=self.authorities,
            exits=self.exits,
            patience=self.patience,
        ) as path:
            yield path
