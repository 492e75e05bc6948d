"""Target files: which services are called on a real network, where, and what that would show.

A file says for each endpoint since when and from where it is known, and what success does and does
not show; whatever is wrong with it is one message that names file, place and cure.  It refuses to
call anything that a stranger cannot honestly be answered by: those handshakes are refused by name.
"""

import dataclasses
import datetime
import re
import tomllib
from collections.abc import Callable, Mapping, Sequence
from ipaddress import ip_address
from pathlib import Path
from typing import Annotated, Any

import msgspec

from circumtest import configs, registry
from circumtest.errors import ConfigError
from circumtest.live.control import CONTROLS
from circumtest.live.exchanged import REFUSED, At, called, controlled, exchanged, is_address
from circumtest.live.locate import Located, resolved
from circumtest.live.schedule import SPACING
from circumtest.live.service import Endpoint, Service
from circumtest.model import Transport
from circumtest.script import Handshake, Listen

__all__ = ["FEWEST", "REFUSED", "SPACING", "Endpoint", "Located", "Service", "load", "resolved"]

FEWEST = 3
"""Endpoints of a service, and of its control: one that is down must not pass for a block."""
_LABEL = re.compile(r"[A-Za-z0-9_]([A-Za-z0-9_-]{0,61}[A-Za-z0-9_])?")


class _Places(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Endpoints that share where they are known from: every host at every port."""

    host: str | tuple[str, ...]
    port: int | tuple[int, ...]
    date: datetime.date | None = None
    source: str = ""
    reported: bool = False
    addresses: tuple[str, ...] = ()
    options: dict[str, Any] = {}
    handshake: str = ""


class _ControlTable(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    handshake: str
    endpoints: tuple[dict[str, Any], ...]
    date: datetime.date | None = None
    source: str = ""
    options: dict[str, Any] = {}


class _Table(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The top level of a target's file."""

    handshake: str
    shows: str
    does_not_show: str
    endpoints: tuple[dict[str, Any], ...]
    control: dict[str, Any]
    summary: str = ""
    date: datetime.date | None = None
    source: str = ""
    spacing: Annotated[float, msgspec.Meta(ge=0, le=86400)] = SPACING
    options: dict[str, Any] = {}


def load(name: str) -> Service:
    """A shipped target by name, or the one in a file.  Raises ConfigError: file, place, cure."""
    file = configs.find("targets", name)
    where = str(file) if Path(name).suffix else f"target {name}"
    try:
        raw = tomllib.loads(file.read_text(encoding="utf-8"))
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise ConfigError(where, "", f"is not TOML: {error}") from None
    except OSError as error:
        raise ConfigError(where, "", f"cannot be read: {error.strerror}") from None
    return parse(raw, file.stem, where)


def parse(raw: Mapping[str, Any], name: str, where: str) -> Service:
    """A service from a table that TOML gave.  Raises ConfigError."""
    table: _Table = _converted(raw, _Table, where, "")
    for key in ("shows", "does_not_show"):
        if not getattr(table, key).strip():
            cure = "say in a sentence what success there " + key.replace("_", " ")
            raise ConfigError(where, f"key `{key}`", "is empty", cure)
    head = _Head(where, "", table.date, table.source, table.options)
    endpoints = _endpoints(table.endpoints, table.handshake, head, called)
    control: _ControlTable = _converted(table.control, _ControlTable, where, "[control]")
    below = _Head(
        where,
        "control.",
        control.date or table.date,
        control.source or table.source,
        control.options,
    )
    neutral = _endpoints(control.endpoints, control.handshake, below, controlled)
    _check_transports(endpoints, neutral, where)
    handshake = called(table.handshake, table.options, At(where, "[options]"))
    return Service(
        name=name,
        summary=" ".join(table.summary.split()),
        kind=table.handshake,
        handshake=handshake,
        shows=" ".join(table.shows.split()),
        does_not_show=" ".join(table.does_not_show.split()),
        endpoints=endpoints,
        control=neutral,
        spacing=table.spacing,
    )


def _converted(raw: Mapping[str, Any], cls: type[msgspec.Struct], where: str, place: str) -> Any:
    known = [field.name for field in msgspec.structs.fields(cls)]
    for key in raw:
        if key not in known:
            spot = f"{place}, key `{key}`" if place else f"key `{key}`"
            raise ConfigError(where, spot, "there is no such key", registry.suggest(key, known))
    return registry.convert(dict(raw), cls, where, place)


# ------------------------------------------------------------------ endpoints


@dataclasses.dataclass(frozen=True)
class _Head:
    """What endpoints take from the table that they are in."""

    where: str
    place: str
    date: datetime.date | None
    source: str
    options: Mapping[str, Any]


_Make = Callable[[str, Mapping[str, Any], At], Handshake]


def _endpoints(
    tables: Sequence[Mapping[str, Any]], kind: str, head: _Head, make: _Make
) -> tuple[Endpoint, ...]:
    found: dict[str, Endpoint] = {}
    for number, table in enumerate(tables, 1):
        place = f"[[{head.place}endpoints]] {number}"
        places: _Places = _converted(table, _Places, head.where, place)
        for endpoint in _each(places, kind, head, place, make):
            if str(endpoint) in found:
                raise ConfigError(head.where, place, f"{endpoint} is there twice")
            found[str(endpoint)] = endpoint
    if len(found) < FEWEST:
        problem = f"has {len(found)} of at least {FEWEST}"
        cure = "one that is down must not pass for a block: name more"
        raise ConfigError(head.where, f"[[{head.place}endpoints]]", problem, cure)
    return tuple(found.values())


def _each(places: _Places, kind: str, head: _Head, place: str, make: _Make) -> list[Endpoint]:
    since, source = places.date or head.date, places.source or head.source
    for key, value in (("date", since), ("source", source)):
        if not value:
            cure = "say since when and from where it is known"
            raise ConfigError(head.where, f"{place}, key `{key}`", "is missing", cure)
    assert since is not None
    if places.handshake and make is not controlled:
        problem = "a service has one handshake"
        raise ConfigError(head.where, f"{place}, key `handshake`", problem, "make two files of it")
    options = places.options if places.handshake else {**head.options, **places.options}
    kind = places.handshake or kind
    hosts = (places.host,) if isinstance(places.host, str) else places.host
    ports = (places.port,) if isinstance(places.port, int) else places.port
    found = []
    for host in hosts:
        _check_host(host, places.addresses, head.where, place)
        for port in ports:
            if not 1 <= port <= 65535:
                problem = f"{port} is out of range"
                raise ConfigError(head.where, f"{place}, key `port`", problem, "1 to 65535")
            handshake = make(kind, options, At(head.where, place, host, port))
            stages, reach = exchanged(handshake)
            endpoint = Endpoint(
                host=host,
                port=port,
                kind=kind,
                transport=handshake.listen.transport,
                stages=stages,
                date=since,
                source=source,
                reach=reach,
                reported=places.reported,
                right=tuple(str(ip_address(one)) for one in places.addresses),
            )
            found.append(endpoint)
    return found


def _check_host(host: str, addresses: Sequence[str], where: str, place: str) -> None:
    for one in addresses:
        if not is_address(one):
            problem = f"{one!r} is no IP address"
            raise ConfigError(where, f"{place}, key `addresses`", problem)
    if is_address(host):
        if addresses:
            problem = "are given for an address"
            raise ConfigError(where, f"{place}, key `addresses`", problem, "they are for names")
        return
    if len(host) > 253 or not all(map(_LABEL.fullmatch, host.split("."))):
        problem = f"{host!r} is neither a name nor an address"
        raise ConfigError(where, f"{place}, key `host`", problem, "example.org or 192.0.2.1")
    if host.replace(".", "").isdigit():
        problem = f"{host!r} is no IP address"
        raise ConfigError(where, f"{place}, key `host`", problem, "four numbers, 0 to 255 each")


def _check_transports(
    endpoints: Sequence[Endpoint], neutral: Sequence[Endpoint], where: str
) -> None:
    """A control of the other transport shows nothing of the way that counts."""
    for transport in sorted({one.transport for one in endpoints}):
        count = sum(one.transport is transport for one in neutral)
        if count < FEWEST:
            problem = f"{count} of at least {FEWEST} go over {transport}, as the service does"
            fit = ", ".join(kind for kind in CONTROLS if _goes_over(kind, transport))
            cure = f"add some whose `handshake` is one of: {fit}"
            raise ConfigError(where, "[[control.endpoints]]", problem, cure)


def _goes_over(kind: str, transport: Transport) -> bool:
    listen: Listen = CONTROLS[kind]().listen
    return kind == "echo" or listen.transport is transport
