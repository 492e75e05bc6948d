"""stunnel's configuration files as values: one client's service of them, checked.

What goes to stunnel is written anew from this, never the person's own file: so nothing in it runs a
program or leads packets elsewhere unseen.  Messages name file and line, never a secret.
"""

import ipaddress
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from difflib import get_close_matches
from pathlib import Path
from typing import NamedTuple

from circumtest import material
from circumtest.beside import Beside
from circumtest.errors import ConfigError
from circumtest.stunnel import options as known

_YES = {"yes": True, "no": False}


@dataclass(frozen=True)
class Service:
    """A client's service: where it listens, where its servers are, how they are known.

    `accept` is (host or "", port).  `lines` go to stunnel as they are; `files` are what is in the
    files that keys of it name, by key.  `secrets` are what its words must not tell.
    """

    accept: tuple[str, int] | None
    connect: tuple[tuple[str, int], ...]
    lines: tuple[str, ...]
    files: tuple[tuple[str, str], ...] = field(repr=False)
    notes: tuple[str, ...] = ()
    secrets: tuple[str, ...] = field(default=(), repr=False)


class _Line(NamedTuple):
    number: int
    key: str
    value: str


def is_stunnel(text: str) -> bool:
    """Whether a file looks like a client's of stunnel: for telling kinds apart."""
    client = re.search(r"^\s*client\s*=\s*yes\s*$", text, re.MULTILINE | re.IGNORECASE)
    return bool(client and re.search(r"^\s*connect\s*=", text, re.MULTILINE | re.IGNORECASE))


def parse(
    text: str,
    where: str,
    directory: Path | None = None,
    wanted: str = "",
    port: int = 0,
    now: datetime | None = None,
) -> Service:
    """The service called `wanted`, or that accepts at `port`, or the only one.

    `where` is the file's name in messages, `directory` where it stands.  Raises ConfigError.
    """
    lines = _chosen(_sections(text, where), where, wanted, port)
    notes = [note for line in lines if (note := _checked(line, where))]
    by: dict[str, list[_Line]] = {}
    for line in lines:
        by.setdefault(line.key.lower(), []).append(line)
    if "connect" not in by:
        raise ConfigError(where, "", "`connect` is missing", "connect = HOST:PORT")
    beside = Beside(where, directory)
    passed = [f"{one.key} = {one.value}" for one in lines if one.key.lower() in known.PASSED]
    checks, told = _checks(by, where)
    files, names, more = _files(by, beside, now or datetime.now(UTC))
    if "capath" in by:
        one = by["capath"][-1]
        checks.append(f"CApath = {beside.path(one.value, f'line {one.number}', one.key)}")
    servers = tuple(_host_port(one, where) for one in by["connect"])
    if "sni" not in by and not re.fullmatch(r"[\d.]+|.*:.*", servers[0][0]):
        passed.append(f"sni = {servers[0][0]}")  # stunnel would, and is given an address here
    return Service(
        _host_port(by["accept"][-1], where) if "accept" in by else None,
        servers,
        (*passed, *checks),
        tuple(files.items()),
        (*notes, *told, *more, *beside.notes),
        (*names, *(host for host, _ in servers), *(one.value for one in by.get("checkhost", ()))),
    )


# ------------------------------------------------------------------ sections


def _sections(text: str, where: str) -> dict[str, list[_Line]]:
    """The lines of every service, those before the first one put before each; "" is those alone."""
    found: dict[str, list[_Line]] = {"": []}
    name = ""
    for number, raw in enumerate(text.removeprefix("\ufeff").split("\n"), 1):
        line = raw.strip()
        if not line or line[0] in ";#":
            continue
        place = f"line {number}"
        if any(ord(one) < 32 or ord(one) == 127 for one in line.replace("\t", " ")):
            raise ConfigError(where, place, "has a control character")
        if head := re.fullmatch(r"\[(.+)\]", line):
            name = head[1].strip()
            if name in found:
                raise ConfigError(where, place, f"there is a second [{name[:40]}]")
            found[name] = list(found[""])
            continue
        key, equals, value = (part.strip() for part in line.partition("="))
        if not equals or not key:
            raise ConfigError(where, place, "is neither `[name]` nor `key = value`")
        found[name].append(_Line(number, key, value))
    return found


def _chosen(sections: dict[str, list[_Line]], where: str, wanted: str, port: int) -> list[_Line]:
    common = sections.pop("")
    # Without a service the file itself is one (stunnel's inetd mode).
    clients = {
        name: lines for name, lines in (sections or {"": common}).items() if _is_client(lines)
    }
    names = ", ".join(f"[{name[:40]}]" for name in clients)
    if wanted:
        if wanted not in clients:
            remedy = f"one of: {names}" if names else "client = yes"
            raise ConfigError(where, "", f"has no client's service [{wanted[:40]}]", remedy)
        return clients[wanted]
    if port and len(clients) > 1:
        at = {name: lines for name, lines in clients.items() if _accepts(lines, port)}
        clients = at or clients
    if not clients:
        raise ConfigError(where, "", "has no client's service", "client = yes, connect = HOST:PORT")
    if len(clients) > 1:
        raise ConfigError(where, "", f"has several client's services: {names}", "name one of them")
    return next(iter(clients.values()))


def _is_client(lines: Sequence[_Line]) -> bool:
    said = [line.value.lower() for line in lines if line.key.lower() == "client"]
    return said[-1:] == ["yes"]


def _accepts(lines: Sequence[_Line], port: int) -> bool:
    said = [line.value for line in lines if line.key.lower() == "accept"]
    return bool(said) and said[-1].rpartition(":")[2] == str(port)


# ------------------------------------------------------------------ keys


def _checked(line: _Line, where: str) -> str | None:
    """A note on a key that is left out.  Raises ConfigError for one that is refused."""
    key, place = line.key.lower(), f"line {line.number}"
    if key in known.REFUSED:
        problem, remedy = known.REFUSED[key]
        raise ConfigError(where, place, f"`{line.key}` {problem}", remedy)
    if key == "socket":
        if re.search(r"BINDTODEVICE|SO_MARK|FREEBIND|TRANSPARENT", line.value, re.IGNORECASE):
            raise ConfigError(where, place, "`socket` changes where packets go", "leave it out")
        return None
    if key in known.NOTED:
        return f"{place}: {line.key} {known.NOTED[key]}"
    if key in known.PASSED | known.OWN | known.QUIET:
        return None
    if near := get_close_matches(key, (*known.PASSED, *known.OWN, *known.REFUSED), 1, 0.75):
        problem = f"unknown key `{line.key[:40]}`"
        raise ConfigError(where, place, problem, f"did you mean {near[0]!r}?")
    return f"{place}: `{line.key[:40]}` is no key of stunnel, and is left out"


def _host_port(line: _Line, where: str) -> tuple[str, int]:
    match = re.fullmatch(
        r"(?:(?:\[([0-9A-Fa-f:.]+)\]|([0-9A-Za-z._-]*|[0-9A-Fa-f:]+)):)?(\d{1,5})", line.value
    )
    place = f"line {line.number}"
    if match is None or not 1 <= int(match[3]) <= 0xFFFF:
        raise ConfigError(where, place, f"`{line.key}` is not HOST:PORT", "PORT from 1 to 65535")
    host = match[1] or match[2] or ("127.0.0.1" if line.key.lower() == "connect" else "")
    return host, int(match[3])


def _checks(by: dict[str, list[_Line]], where: str) -> tuple[list[str], list[str]]:
    """How the server's certificate is checked, as lines for stunnel, and what is to be said."""

    def says(key: str) -> bool:
        line = by[key][-1] if key in by else None
        if line is not None and line.value.lower() not in _YES:
            raise ConfigError(where, f"line {line.number}", f"`{line.key}` is yes or no")
        return line is not None and _YES[line.value.lower()]

    chain, peer = says("verifychain"), says("verifypeer")
    if "verify" in by:  # the older way to say it
        line = by["verify"][-1]
        if line.value not in ("0", "1", "2", "3", "4"):
            raise ConfigError(where, f"line {line.number}", "`verify` is from 0 to 4")
        chain, peer = chain or line.value in "23", peer or line.value in "34"
    names = [one for key in known.NAMES for one in by.get(key, ())]
    for one in by.get("checkip", ()):
        _address(one, where)
    if not (chain or peer):
        if names:
            place, problem = f"line {names[0].number}", f"`{names[0].key}` alone checks nothing"
            raise ConfigError(where, place, problem, "add verifyChain = yes")
        told = "the server's certificate is not checked: anybody in the middle could read along"
        return [], [told]
    if "cafile" not in by and "capath" not in by:
        problem = "nothing is there by which to check the server's certificate"
        raise ConfigError(where, "", problem, "CAfile = FILE, or CApath = /etc/ssl/certs")
    lines = [f"verify{what} = yes" for what, on in (("Chain", chain), ("Peer", peer)) if on]
    return [*lines, *(f"{one.key} = {one.value}" for one in names)], []


def _address(line: _Line, where: str) -> None:
    try:
        ipaddress.ip_address(line.value)
    except ValueError:
        raise ConfigError(where, f"line {line.number}", "`checkIP` is no IP address") from None


def _files(
    by: dict[str, list[_Line]], beside: Beside, now: datetime
) -> tuple[dict[str, str], tuple[str, ...], tuple[str, ...]]:
    """What is in the files, names that they tell, and notes."""

    def given(key: str, *, secret: bool = False) -> material.Given:
        line = by[key][-1]
        return beside.text(line.value, f"line {line.number}", line.key, secret=secret)

    files: dict[str, str] = {}
    names: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()
    if "cafile" in by:
        files["CAfile"], notes = material.authorities(given("cafile"), now)
    if "crlfile" in by:
        files["CRLfile"] = material.revoked(given("crlfile"))
    if "cert" in by:
        # Without a `key` it is in the same file.
        key = "key" if "key" in by else "cert"
        found = material.identity(given("cert"), given(key, secret=True), None, now)
        files["cert"], files["key"], names = found.certificate, found.key, found.names
    if "psksecrets" in by:
        secret = given("psksecrets", secret=True)
        lines = list(_shared(secret))
        files["PSKsecrets"] = "".join(f"{identity}:{key}\n" for identity, key in lines)
        names += tuple(word for line in lines for word in line)
    return files, names, notes


def _shared(given: material.Given) -> Iterator[tuple[str, str]]:
    for line in given.text.splitlines():
        if not line.strip():
            continue
        identity, colon, key = line.strip().partition(":")
        if not colon or len(key) < 16 or not line.isprintable():
            remedy = "lines of IDENTITY:KEY, the key 16 characters or more"
            raise given.wrong("holds no shared key", remedy)
        yield identity, key


def read(name: str, wanted: str = "", port: int = 0) -> Service:
    """The same from a file.  Raises ConfigError."""
    file = Path(name)
    try:
        text = file.read_text(encoding="utf-8")
    except OSError as error:
        raise ConfigError(name, "", f"cannot be read: {error.strerror}") from None
    except UnicodeDecodeError:
        raise ConfigError(name, "", "is not text", "a stunnel.conf") from None
    return parse(text, name, file.parent, wanted, port)
