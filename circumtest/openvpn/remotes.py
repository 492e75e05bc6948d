"""Where the servers are: `remote`, `port`, `proto`, and `<connection>` blocks.

It refuses everything that a connection could have of its own but these: proxies above all.
"""

import re
from collections.abc import Iterable
from typing import NamedTuple

from circumtest.errors import ConfigError
from circumtest.model import Transport
from circumtest.openvpn import directives as known
from circumtest.openvpn.words import Directive, directives

DEFAULT_PORT = 1194
MOST = 64
"""Remotes that a file may name, as in OpenVPN."""

_PROTOCOLS: dict[str, tuple[Transport, int]] = {
    "udp": (Transport.UDP, 0),
    "udp4": (Transport.UDP, 4),
    "udp6": (Transport.UDP, 6),
    **{
        f"tcp{version or ''}{client}": (Transport.TCP, version)
        for version in (0, 4, 6)
        for client in ("", "-client")
    },
}
_HERE = frozenset({"remote", "port", "rport", "proto"})


class Remote(NamedTuple):
    """A server: a name or an IP address; `version` is 4 or 6 where only that will do, else 0."""

    host: str
    port: int
    transport: Transport
    version: int


def remotes(lines: Iterable[Directive], where: str) -> tuple[Remote, ...]:
    """The servers in the order of the file.  Raises ConfigError."""
    lines = list(lines)
    outer = {one.name: one for one in lines if one.name != "connection"}
    found = [_remote(one, outer, where) for one in lines if one.name == "remote"]
    for block in (one for one in lines if one.name == "connection"):
        found += _of_block(block, outer, where)
    if len(found) > MOST:
        raise ConfigError(where, "", f"names more than {MOST} servers", "leave some out")
    return tuple(dict.fromkeys(found))


def _of_block(block: Directive, outer: dict[str, Directive], where: str) -> list[Remote]:
    inner = list(directives(block.inline or "", where, block.number + 1))
    for line in inner:
        place = f"line {line.number}, <connection>"
        if line.name in known.REFUSED:
            problem, remedy = known.REFUSED[line.name]
            raise ConfigError(where, place, f"`{line.name}` {problem}", remedy)
        if line.name not in _HERE | known.QUIET | known.NOTED.keys():
            problem = f"`{line.name[:40]}` is not honoured for one connection alone"
            raise ConfigError(where, place, problem, "put it before <connection>")
    here = outer | {one.name: one for one in inner}
    found = [_remote(one, here, where) for one in inner if one.name == "remote"]
    if not found:
        raise ConfigError(where, f"line {block.number}", "<connection> has no `remote`")
    return found


def _remote(line: Directive, by: dict[str, Directive], where: str) -> Remote:
    place = f"line {line.number}"
    if not line.args or not re.fullmatch(r"[0-9A-Za-z._:-]+", line.args[0]):
        raise ConfigError(where, place, "`remote` has no host", "remote HOST PORT")
    port, spot = str(DEFAULT_PORT), place
    for name in ("port", "rport"):
        if name in by:
            port, spot = "".join(by[name].args[:1]), f"line {by[name].number}"
    if len(line.args) > 1:
        port, spot = line.args[1], place
    if not (port.isascii() and port.isdecimal()) or not 1 <= int(port[:9]) <= 0xFFFF:
        raise ConfigError(where, spot, "the port is not from 1 to 65535")
    protocol, spot = "udp", place
    if "proto" in by:
        protocol, spot = "".join(by["proto"].args[:1]), f"line {by['proto'].number}"
    if len(line.args) > 2:
        protocol, spot = line.args[2], place
    if protocol.lower() not in _PROTOCOLS:
        remedy = f"one of {', '.join(_PROTOCOLS)}"
        raise ConfigError(where, spot, f"unknown protocol {protocol[:20]!r}", remedy)
    return Remote(line.args[0], int(port), *_PROTOCOLS[protocol.lower()])
