"""Session descriptions as values: RFC 8866, and the candidates of RFC 8839 5.1.

Just enough of it for calls: sessions, media, connection addresses, attributes in order.  It refuses
to negotiate, and to repair: what is not well formed is a ValueError and nothing else, and what no
call has (times, keys, bandwidths, repeats) is read over.
"""

import re
from dataclasses import dataclass
from ipaddress import ip_address
from typing import NamedTuple

MAX_SIZE = 16384
"""Bytes that a description may have; browsers write 2 to 8 KiB."""
MAX_MEDIA = 16
TYPE = "application/sdp"
"""The media type (RFC 8866 8.1)."""

Attributes = tuple[tuple[str, str], ...]
"""(name, value) in order; the value of a mere property is ""."""

_LINE = re.compile(r"([a-z])=(.*)")
_TOKEN = r"[!#$%&'*+\-.0-9A-Z^_`a-z{|}~]+"
_NAME = re.compile(r"(?=[A-Za-z0-9-]*[A-Za-z])[A-Za-z0-9-]{1,63}(\.[A-Za-z0-9-]{1,63}){0,16}\.?")
_ORIGIN = re.compile(r"(\S+) (\d{1,20}) (\d{1,20}) IN IP([46]) (\S+)")
_CONNECTION = re.compile(r"IN IP([46]) (\S+?)(?:/\d{1,3}){0,2}")
_MEDIA = re.compile(rf"({_TOKEN}) (\d{{1,5}})(?:/\d{{1,5}})? ([A-Za-z0-9/.\-]+)((?: {_TOKEN})+)")
_ATTRIBUTE = re.compile(rf"({_TOKEN})(?::(.*))?")
_CANDIDATE = re.compile(
    r"([A-Za-z0-9+/]{1,32}) (\d{1,3}) (\w+) (\d{1,10}) (\S+) (\d{1,5}) typ ([a-z]+)((?: \S+ \S+)*)"
)


def get(attributes: Attributes, name: str) -> str | None:
    """The value of the first attribute of that name, None where there is none."""
    return next((value for found, value in attributes if found == name), None)


@dataclass(frozen=True, slots=True)
class Media:
    """One `m=` line and what belongs to it.

    `port` 0 means refused (RFC 3264 6); `connection` is an IP address, "" where only the session
    has one; `formats` are payload types in order of preference.
    """

    kind: str
    port: int
    protocol: str
    formats: tuple[str, ...]
    connection: str = ""
    attributes: Attributes = ()

    def get(self, name: str) -> str | None:
        """The value of its first attribute of that name, None where there is none."""
        return get(self.attributes, name)


@dataclass(frozen=True, slots=True)
class Session:
    """A whole description.

    `origin` is the IP address or the name of its maker (RFC 8866 5.2), `number` and `version` tell
    it from others of his; `connection` is an IP address or "".
    """

    origin: str
    number: int
    version: int
    media: tuple[Media, ...]
    user: str = "-"
    name: str = "-"
    connection: str = ""
    attributes: Attributes = ()

    def get(self, media: Media, name: str) -> str | None:
        """An attribute of a medium, else the session's, else None: as ice-ufrag is inherited."""
        found = media.get(name)
        return found if found is not None else get(self.attributes, name)

    def address(self, media: Media) -> tuple[str, int]:
        """Where a medium is wanted: (host, port).  Raises ValueError where nothing says it."""
        host = media.connection or self.connection
        if not host:
            raise ValueError("SDP without a connection address")
        return host, media.port


def pack(session: Session) -> bytes:
    """The description as it travels: CRLF behind every line."""
    lines = [
        "v=0",
        f"o={session.user} {session.number} {session.version} {_maker(session.origin)}",
        f"s={session.name}",
        *([f"c={_address(session.connection)}"] if session.connection else []),
        "t=0 0",
        *_lines(session.attributes),
    ]
    for media in session.media:
        lines.append(f"m={media.kind} {media.port} {media.protocol} {' '.join(media.formats)}")
        lines += [f"c={_address(media.connection)}"] if media.connection else []
        lines += _lines(media.attributes)
    return ("\r\n".join(lines) + "\r\n").encode()


def parse(data: bytes) -> Session:
    """The description in a body; lines may end with a bare LF (RFC 8866 5).

    Raises ValueError for what is none, is too large, or has host names where addresses belong.
    """
    if len(data) > MAX_SIZE:
        raise ValueError(f"SDP of more than {MAX_SIZE} bytes")
    lines = [_split(line) for line in re.split(r"\r?\n", data.decode("utf-8")) if line]
    if lines[:1] != [("v", "0")] or [kind for kind, _ in lines[1:3]] != ["o", "s"]:
        raise ValueError("SDP must begin with v=0, o= and s=")
    origin = _match(_ORIGIN, lines[1][1])
    starts = [at for at, (kind, _) in enumerate(lines) if kind == "m"]
    if len(starts) > MAX_MEDIA:
        raise ValueError(f"SDP with more than {MAX_MEDIA} media")
    ends = [*starts, len(lines)][1:]
    connection, attributes = _section(lines[3 : starts[0] if starts else len(lines)])
    return Session(
        _origin(origin[5]),
        int(origin[2]),
        int(origin[3]),
        tuple(_medium(lines[start:end]) for start, end in zip(starts, ends, strict=True)),
        origin[1],
        lines[2][1],
        connection,
        attributes,
    )


def _medium(lines: list[tuple[str, str]]) -> Media:
    head = _match(_MEDIA, lines[0][1])
    connection, attributes = _section(lines[1:])
    return Media(head[1], _port(head[2]), head[3], tuple(head[4].split()), connection, attributes)


def _section(lines: list[tuple[str, str]]) -> tuple[str, Attributes]:
    """The connection address and the attributes of one section; other lines are read over."""
    connection, attributes = "", []
    for kind, value in lines:
        if kind == "c":
            found = _match(_CONNECTION, value)
            connection = connection or _host(found[2], found[1])
        elif kind == "a":
            named = _match(_ATTRIBUTE, value)
            attributes.append((named[1], named[2] or ""))
    return connection, tuple(attributes)


def _lines(attributes: Attributes) -> list[str]:
    return [f"a={name}:{value}" if value else f"a={name}" for name, value in attributes]


def _address(host: str) -> str:
    return f"IN IP{ip_address(host).version} {host}"


def _maker(origin: str) -> str:
    return f"IN IP4 {origin}" if _NAME.fullmatch(origin) else _address(origin)


def _origin(text: str) -> str:
    """Whatever agents write there: an address, one in brackets, or a name (RFC 8866 5.2).

    Nothing is sent to it, so a version that does not fit it is no reason to give up a call.
    """
    bare = text.removeprefix("[").removesuffix("]")
    try:
        return str(ip_address(bare))
    except ValueError:
        if _NAME.fullmatch(bare):
            return bare
        raise


def _split(line: str) -> tuple[str, str]:
    found = _match(_LINE, line)
    return found[1], found[2]


def _host(text: str, version: str) -> str:
    host = ip_address(text)  # a ValueError for a name
    if host.version != int(version):
        raise ValueError(f"SDP says that {text} is IPv{version}")
    return str(host)


def _port(text: str) -> int:
    port = int(text)
    if port > 65535:
        raise ValueError(f"SDP with port {text}")
    return port


def _match(pattern: re.Pattern[str], text: str) -> re.Match[str]:
    if (found := pattern.fullmatch(text)) is None:
        raise ValueError(f"not SDP: {text[:60]!r}")
    return found


# ------------------------------------------------------------------ candidates


class Candidate(NamedTuple):
    """One candidate of ICE (RFC 8839 5.1): `kind` is host, srflx, prflx or relay."""

    host: str
    port: int
    priority: int = 2130706431
    kind: str = "host"
    foundation: str = "1"
    component: int = 1
    transport: str = "udp"

    def pack(self) -> str:
        """The value of a `candidate` attribute."""
        head = f"{self.foundation} {self.component} {self.transport} {self.priority}"
        return f"{head} {self.host} {self.port} typ {self.kind}"


def parse_candidate(value: str) -> Candidate:
    """The candidate in an attribute's value; extensions are read over.

    Raises ValueError for what is none, also where a host name (mDNS) stands for the address.
    """
    found = _match(_CANDIDATE, value)
    return Candidate(
        str(ip_address(found[5])),
        _port(found[6]),
        int(found[4]),
        found[7],
        found[1],
        int(found[2]),
        found[3].lower(),
    )
