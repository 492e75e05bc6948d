"""A whole `.ovpn` file as a value: what is honoured of it, checked, and what is not, said.

What goes to OpenVPN is written anew from this, never the person's own file: so nothing in it runs a
program, opens a file or leads packets elsewhere unseen.  Messages name file and line, never a
secret.
"""

import re
from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from difflib import get_close_matches
from pathlib import Path

from circumtest.errors import ConfigError
from circumtest.openvpn import directives as known
from circumtest.openvpn.files import Files
from circumtest.openvpn.keys import BLOCKS, SECRET, Keys, first_line, user_and_password
from circumtest.openvpn.remotes import Remote, remotes
from circumtest.openvpn.routing import Filter, Option, check
from circumtest.openvpn.words import Directive, directives, quoted

_INLINE = frozenset({*BLOCKS, "auth-user-pass", "connection", "peer-fingerprint", "verify-hash"})
_ALL = known.PASSED | known.ROUTING | known.OWN
_GATEWAYS = frozenset({"vpn_gateway", "net_gateway", "net_gateway_ipv6", "default"})
_REMOTES = frozenset({"remote", "port", "rport", "proto", "connection"})


@dataclass(frozen=True)
class Profile:
    """What is honoured of a file.

    `lines` go to the daemon as they are, `blocks` between tags; `login` is what it is told when it
    asks; `local` are the directives that `routing` reads, before those that the server pushes.
    `secrets` are what the daemon's words must not tell.
    """

    remotes: tuple[Remote, ...]
    lines: tuple[str, ...]
    blocks: tuple[tuple[str, str], ...] = field(repr=False)
    login: tuple[str, str] | None = field(repr=False)
    local: tuple[Option, ...]
    filters: tuple[Filter, ...]
    nopull: bool
    notes: tuple[str, ...]
    secrets: tuple[str, ...] = field(repr=False)


def is_ovpn(text: str) -> bool:
    """Whether a file looks like a client's of OpenVPN: for telling kinds apart."""
    client = re.search(r"^\s*(--)?(client|tls-client|pull)\s*([#;].*)?$", text, re.MULTILINE)
    return bool(client and re.search(r"^\s*((--)?remote[ \t]|<connection>)", text, re.MULTILINE))


def parse(
    text: str,
    where: str,
    directory: Path | None = None,
    login: str = "",
    now: datetime | None = None,
) -> Profile:
    """The configuration in `text`; `where` is its name in messages, `directory` where it stands.

    `login` is a file with a user and a password.  Raises ConfigError.
    """
    given = _sorted(list(directives(text, where)), where)
    files = Files(where, directory)
    if directory is not None and any(one.inline and one.name in SECRET for one in given.own):
        files.private(Path(where))
    last = {one.name: one for one in given.own if one.args[:1] != ("[inline]",)}
    _check_client(given.own, last, where)
    passphrase = first_line(files, last["askpass"]) if "askpass" in last else None
    fingerprint = any(re.match("<?peer-fingerprint", line) for line in given.lines)
    keys = Keys(files, passphrase, now or datetime.now(UTC))
    keys.gather(given.own, last, authority=not fingerprint)
    credentials = user_and_password(files, last, login)
    if "cert" not in keys.blocks and credentials is None:
        problem = "has neither a certificate with its key nor a login"
        raise ConfigError(where, "", problem, "<cert> and <key>, or auth-user-pass")
    servers = remotes([one for one in given.own if one.name in _REMOTES], where)
    hidden = (*(credentials or ()), passphrase or "", *keys.names, *(one.host for one in servers))
    return Profile(
        servers,
        (*given.lines, *keys.lines, *(("auth-user-pass",) if credentials else ())),
        tuple(keys.blocks.items()),
        credentials,
        tuple(given.local),
        tuple(_filters(given.own, where)),
        "route-nopull" in last,
        (*given.notes, *files.notes, *keys.notes),
        tuple(filter(None, hidden)),
    )


# ------------------------------------------------------------------ sorting


@dataclass
class _Given:
    """The directives of a file, sorted by who reads them."""

    own: list[Directive] = field(default_factory=list)
    lines: list[str] = field(default_factory=list)
    local: list[Option] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)


def _sorted(lines: list[Directive], where: str) -> _Given:
    """Every directive where it belongs.  Raises ConfigError for those that are refused."""
    given, optional = _Given(), _may_be_unknown(lines)
    for line in lines:
        if line.name == "setenv" and line.args[:1] == ("opt",):
            optional |= set(line.args[1:2])  # "setenv opt X": X, where X is known
            line = line._replace(name=(line.args[1:2] or ("setenv",))[0], args=line.args[2:])
        _check(line, where)
        name, place = line.name, f"line {line.number}"
        if name in known.ROUTING:
            given.local.append((name, *line.args))
        if name in known.PASSED:
            given.lines.append(_passed(line))
        elif name in known.OWN:
            given.own.append(line)
        elif name in known.NOTED:
            given.notes.append(f"{place}: {name} {known.NOTED[name]}")
        elif name not in known.ROUTING | known.QUIET | optional:
            given.notes.append(_unknown(line, where))
    return given


def _check(line: Directive, where: str) -> None:
    """One directive by itself.  Raises ConfigError."""
    name, place = line.name, f"line {line.number}"
    if name in known.REFUSED:
        problem, remedy = known.REFUSED[name]
        raise ConfigError(where, place, f"`{name}` {problem}", remedy)
    if line.inline is not None and name in _ALL - _INLINE:
        raise ConfigError(where, place, f"<{name}> is no block", f"{name}, on one line")
    if name in known.ROUTING:
        _check_routing(line, where)


def _may_be_unknown(lines: Iterable[Directive]) -> set[str]:
    return {name for line in lines if line.name == "ignore-unknown-option" for name in line.args}


def _passed(line: Directive) -> str:
    if line.inline is not None:
        inside = "\n".join(re.findall(r"[0-9A-Fa-f:]+", line.inline))
        return f"<{line.name}>\n{inside}\n</{line.name}>"
    return " ".join((line.name, *map(quoted, line.args)))


def _unknown(line: Directive, where: str) -> str:
    """A note, or a ConfigError where it is probably one that matters, misspelt."""
    place = f"line {line.number}"
    matter = (*known.PASSED, *known.ROUTING, *known.OWN, *known.REFUSED)
    if near := get_close_matches(line.name, matter, 1, 0.75):
        problem = f"unknown directive `{line.name[:40]}`"
        raise ConfigError(where, place, problem, f"did you mean {near[0]!r}?")
    return f"{place}: `{line.name[:40]}` is no directive of OpenVPN 2.6, and is left out"


def _check_routing(line: Directive, where: str) -> None:
    gateway = line.args[2:3] if line.name == "route" else line.args[1:2]
    if line.name in ("route", "route-ipv6") and gateway and gateway[0] not in _GATEWAYS:
        remedy = "leave the gateway out: the way is the tunnel"
        place = f"line {line.number}"
        raise ConfigError(where, place, f"`{line.name}` names a gateway of its own", remedy)
    try:
        check((line.name, *line.args))
    except ValueError as error:
        raise ConfigError(where, f"line {line.number}", f"`{line.name}` {error}") from None


def _check_client(own: list[Directive], last: dict[str, Directive], where: str) -> None:
    if "client" not in last and not {"tls-client", "pull"} <= last.keys():
        raise ConfigError(where, "", "is no client's configuration", "add a line `client`")
    for name in ("dev", "dev-type"):
        if name in last and not "".join(last[name].args[:1]).startswith("tun"):
            problem = f"`{name}` is not tun: only IP tunnels carry calls here"
            if not (name == "dev" and last.get("dev-type", Directive(0, "")).args[:1] == ("tun",)):
                raise ConfigError(where, f"line {last[name].number}", problem, f"{name} tun")
    if not {"dev", "dev-type"} & last.keys():
        raise ConfigError(where, "", "`dev` is missing", "dev tun")
    if not any(one.name in ("remote", "connection") for one in own):
        raise ConfigError(where, "", "`remote` is missing", "remote HOST PORT")


def _filters(own: list[Directive], where: str) -> Iterable[Filter]:
    for line in own:
        if line.name == "pull-filter":
            if len(line.args) != 2 or line.args[0] not in ("accept", "ignore", "reject"):
                remedy = 'pull-filter accept|ignore|reject "TEXT"'
                raise ConfigError(where, f"line {line.number}", "is no filter", remedy)
            yield Filter(line.args[0], line.args[1])
