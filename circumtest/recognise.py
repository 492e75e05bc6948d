"""From what people have (a file, a link, a word) to the table of a tunnel, by what is in it.

Each kind of tunnel says itself what it takes for its own: its class has

    @classmethod
    def claims(cls, text: str) -> dict[str, Any] | None

which is given a link, or what a file holds, and returns the fields of the tunnel, or None.  Names
of files decide nothing.  It refuses to guess between two kinds, and to repeat what may be a secret.
"""

import dataclasses
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from circumtest import registry
from circumtest.errors import ConfigError
from circumtest.registry import TUNNELS

LIMIT = 1 << 20
"""Bytes that a configuration may have."""

_WORDS = ("iface:DEVICE", "netns:NAME", "KIND:FILE")
ALIASES = {"iface": "interface", "cmd": "command"}


def recognise(given: str | Mapping[str, Any], where: str, place: str) -> dict[str, Any]:
    """The table (`kind` and its fields) of what was given: a table as it is, a link, or a file.

    `kind:file` says the kind; `iface:wg0`, `netns:NAME` name what is there already.  Raises
    ConfigError for what nobody, or more than one kind, takes for its own, and for a file that
    cannot be read.
    """
    if isinstance(given, Mapping):
        return dict(given)
    text = given.strip()
    if "://" in text.partition("\n")[0]:
        return _claimed(text, where, place, "the link")
    kind, colon, rest = text.partition(":")
    kind = ALIASES.get(kind, kind)
    if colon and kind in registry.kinds(TUNNELS):
        return _of_kind(kind, rest, where, place)
    return _of_file(text, where, place)


def _of_kind(kind: str, rest: str, where: str, place: str) -> dict[str, Any]:
    cls = registry.load(TUNNELS, kind, where, place)
    if (fields := _claims(cls, f"{kind}:{rest}")) is not None:
        return {"kind": kind, **fields}
    if "config" not in {field.name for field in dataclasses.fields(cls)}:
        raise ConfigError(where, place, f"{kind} is not read from a file", "write it as a table")
    return {"kind": kind, "config": rest}


def _of_file(name: str, where: str, place: str) -> dict[str, Any]:
    try:
        file = Path(name).expanduser()
        if file.stat().st_size > LIMIT:
            raise ConfigError(str(file), "", "is too large for a configuration", f"{LIMIT} bytes")
        text = file.read_text(encoding="utf-8-sig")
    except UnicodeDecodeError:
        raise ConfigError(name, "", "is not text", "a tunnel's configuration") from None
    except (FileNotFoundError, ValueError, RuntimeError):  # what no file can be called, ~nobody
        remedy = f"a file, a link (scheme://…), or one of {', '.join(_WORDS)}"
        raise ConfigError(where, place, f"there is no file {name!r}", remedy) from None
    except OSError as error:
        raise ConfigError(name, "", f"cannot be read: {error.strerror}") from None
    table = _claimed(text.strip(), str(file), "", "what it holds")
    if "text" in table:  # read again under its own name, which messages can then tell
        table["config"] = str(file)
        del table["text"]
    return table


def _claimed(text: str, where: str, place: str, what: str) -> dict[str, Any]:
    found = {}
    for kind in registry.kinds(TUNNELS):
        cls = registry.load(TUNNELS, kind, where, place)
        if (fields := _claims(cls, text)) is not None:
            found[kind] = fields
    if len(found) == 1:
        ((kind, fields),) = found.items()
        return {"kind": kind, **fields}
    known = f"name the kind, like wireguard:FILE; kinds: {', '.join(registry.kinds(TUNNELS))}"
    if found:
        raise ConfigError(where, place, f"{what} may be {' or '.join(found)}", known)
    raise ConfigError(where, place, f"{what} is no tunnel's configuration that is known", known)


def _claims(cls: type[Any], text: str) -> dict[str, Any] | None:
    claims = getattr(cls, "claims", None)
    return claims(text) if claims else None
