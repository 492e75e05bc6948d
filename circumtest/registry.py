"""One door for tunnels, handshakes and servers: entry points, built-in ones included.

A plugin is a class whose fields are its configuration: no base class, no register call.  This file
turns a table of a plan into an instance of that class, or into a ConfigError that says what would
be right.  It refuses to know any of them by name.
"""

import dataclasses
import difflib
from collections.abc import Iterable, Mapping
from functools import cache
from importlib.metadata import EntryPoint, entry_points
from typing import Any

import msgspec

from circumtest.errors import ConfigError

HANDSHAKES = "circumtest.handshake"
TUNNELS = "circumtest.tunnel"
SERVERS = "circumtest.server"
FARS = "circumtest.far"


@cache
def _points(group: str) -> dict[str, EntryPoint]:
    return {point.name: point for point in entry_points(group=group)}


def kinds(group: str) -> tuple[str, ...]:
    """The names found in `group`, sorted; nothing is imported."""
    return tuple(sorted(_points(group)))


def load(group: str, kind: str, where: str, place: str) -> type[Any]:
    """The class behind `kind`.  Raises ConfigError for an unknown one, with the nearest known."""
    points = _points(group)
    if kind not in points:
        raise ConfigError(where, place, f"unknown kind {kind!r}", suggest(kind, points))
    loaded: type[Any] = points[kind].load()
    return loaded


def build(group: str, table: Mapping[str, Any], where: str, place: str) -> Any:
    """An instance made from `table` (its `kind` and the fields of that kind).

    Raises ConfigError naming file, table and key for unknown keys, wrong types and missing fields.
    """
    cls, fields = check_keys(group, table, where, place)
    return convert(fields, cls, where, place)


def check_keys(
    group: str, table: Mapping[str, Any], where: str, place: str
) -> tuple[type[Any], dict[str, Any]]:
    """The class behind `kind` and the other keys, each of which is a field of it.

    Raises ConfigError for a missing or unknown kind and for unknown keys.
    """
    fields = dict(table)
    kind = fields.pop("kind", None)
    if not isinstance(kind, str):
        known = f"one of: {', '.join(kinds(group))}"
        raise ConfigError(where, f"{place}, key `kind`", "is missing", known)
    cls = load(group, kind, where, f"{place}, key `kind`")
    names = [field.name for field in dataclasses.fields(cls) if field.init]
    for key in fields:
        if key not in names:
            problem = f"{kind} has no such key"
            raise ConfigError(where, f"{place}, key `{key}`", problem, suggest(key, names))
    return cls, fields


def known(group: str, kind: str, fields: Mapping[str, Any]) -> dict[str, Any]:
    """Those of `fields` that the class behind `kind`, which must exist, has."""
    names = {field.name for field in dataclasses.fields(_points(group)[kind].load()) if field.init}
    return {name: value for name, value in fields.items() if name in names}


def secrets(group: str, kind: object) -> frozenset[str]:
    """The fields of `kind` that its repr leaves out, and names of files, which tell of a person.

    Of a kind that there is not, those that are usual.
    """
    usual = frozenset({"url", "text", "config", "secret"})
    if kind not in _points(group):
        return usual
    cls = _points(group)[str(kind)].load()
    return usual | {field.name for field in dataclasses.fields(cls) if not field.repr}


def convert(value: Any, cls: Any, where: str, place: str) -> Any:
    """`msgspec.convert` whose errors say where in the file they are.  Raises ConfigError."""
    try:
        return msgspec.convert(value, cls, strict=True)
    except msgspec.ValidationError as error:
        text, _, at = str(error).partition(" - at ")
        key = at.strip("`").removeprefix("$").removeprefix(".")
        spot = f"{place}, key `{key}`" if key else place
        raise ConfigError(where, spot.lstrip(", "), text[:1].lower() + text[1:]) from None


def suggest(word: str, known: Iterable[str]) -> str:
    """'did you mean ...?' and the list of what exists."""
    options = sorted(known)
    close = difflib.get_close_matches(word, options, n=1)
    hint = f"did you mean {close[0]!r}? " if close else ""
    return f"{hint}known: {', '.join(options) or 'none'}"
