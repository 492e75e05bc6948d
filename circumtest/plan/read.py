"""A plan read from TOML: every name in it is known and every field has its type, or one message.

It refuses to start anything, and to keep a secret where it is published: the hash leaves them out.
"""

import hashlib
import json
import re
import tomllib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any

import msgspec

from circumtest import configs, registry
from circumtest.errors import ConfigError
from circumtest.finding import (
    CONTROL_TUNNELS,
    MIRROR,
    MOS,
    HandshakeOutline,
    Outline,
    TunnelOutline,
)
from circumtest.model import Level
from circumtest.named import Naming, host_name
from circumtest.plan import live
from circumtest.plan.live import LiveTable
from circumtest.plan.values import TARGETS, Plan, server_table
from circumtest.recognise import recognise
from circumtest.script import Handshake

_GENERIC = frozenset({"name", "far", "resolve"})
"""Keys of a [[handshake]] that are not the handshake's own."""
OWN = "own"
"""What the plan says to have our own answerer where a handshake has a real program by default."""
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")


class _PlanTable(msgspec.Struct, frozen=True):
    """The top level of a plan's file."""

    tunnel: tuple[dict[str, Any] | list[Any] | str, ...]
    handshake: tuple[dict[str, Any], ...] = ()
    policies: tuple[str, ...] = ()
    live: LiveTable | None = None
    summary: str = ""
    seed: int = 1
    blocks: int = 12
    lanes: int = 1
    labs: int = 10_000
    level: Level = Level.QUICK
    stop_early: bool = False
    mos: Annotated[float, msgspec.Meta(ge=1, le=4.5)] = MOS  # what the E-model can say
    targets: tuple[str, ...] = ("lab",)


def load(name: str, vpns: Sequence[str] = (), describe: live.Describe | None = None) -> Plan:
    """A shipped plan by name, or the plan in a file.  Raises ConfigError: file, table, key, cure.

    `describe` reads the targets of a plan for a real network, which only a live run can carry out.
    `vpns` are files and links that stand in place of the plan's tunnels; its controls stay.
    Tunnels that bring their own configuration are built here once, so that a malformed one is
    refused before anything starts.
    """
    file = configs.find("plans", name)
    where = str(file) if Path(name).suffix else f"plan {name}"
    try:
        raw = tomllib.loads(file.read_text(encoding="utf-8"))
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise ConfigError(where, "", f"is not TOML: {error}") from None
    except OSError as error:
        raise ConfigError(where, "", f"cannot be read: {error.strerror}") from None
    if vpns:
        controls = [one for one in raw.get("tunnel", ()) if _is_control(one)]
        raw = {**raw, "tunnel": [*controls, *vpns]}
    return parse(raw, file.stem, where, describe)


def _is_control(tunnel: Any) -> bool:
    return isinstance(tunnel, Mapping) and tunnel.get("kind") in CONTROL_TUNNELS


def parse(
    raw: Mapping[str, Any], name: str, where: str, describe: live.Describe | None = None
) -> Plan:
    """A plan from a table that TOML gave.  Raises ConfigError."""
    known = [field.name for field in msgspec.structs.fields(_PlanTable)]
    for key in raw:
        if key not in known:
            raise ConfigError(
                where, f"key `{key}`", "there is no such key", registry.suggest(key, known)
            )
    table = registry.convert(dict(raw), _PlanTable, where, "")
    real = _real(table, raw, where, describe)
    _check_head(table, where, real)
    handshakes, outlines = _called(table, where, real)
    tables, taken = _recognised(table.tunnel, where)
    tunnels = _named(tables, where, "tunnel")
    for number, (tunnel, fields) in enumerate(tunnels.items(), 1):
        _check_tunnel(fields, where, f"[[tunnel]] {number} {tunnel!r}")
    public = {
        **raw,
        "tunnel": [_public(fields) for fields in tables],
        "handshake": [_with_content(fields) for fields in table.handshake],
        **({"targets": [f"{k} {v}" for k, v in real.digests.items()]} if real else {}),
    }
    digest = hashlib.sha256(_canonical(public).encode()).hexdigest()
    outline = Outline(
        name=name,
        summary=" ".join(table.summary.split()),
        hash=digest,
        seed=table.seed,
        blocks=table.blocks,
        level=table.level,
        stop_early=table.stop_early,
        targets=tuple(real.services) or table.targets if real else table.targets,
        policies=live.POLICIES if real else table.policies,
        mos=table.mos,
        tunnels=tuple(
            TunnelOutline(one, fields["kind"], _server_kind(fields))
            for one, fields in tunnels.items()
        ),
        handshakes=outlines,
        places=live.places(real) if real else (),
        notes=live.notes(real) if real else (),
    )
    fars = {} if real else _fars(table, handshakes, where)
    namings = {} if real else _namings(table, handshakes, where)
    return Plan(
        outline, table.lanes, table.labs, where, tunnels, handshakes, fars, taken, namings, real
    )


def _real(
    table: _PlanTable, raw: Mapping[str, Any], where: str, describe: live.Describe | None
) -> live.Live | None:
    """How the plan is carried out on a real network; None for one that is for the lab."""
    if "policies" in raw:
        if table.live is not None:
            problem = "is there, and policies are the lab's"
            raise ConfigError(where, "table [live]", problem, "leave one of them out")
        return None
    if not set(table.targets).isdisjoint(TARGETS):
        cure = f"known: {', '.join(configs.names('policies'))}"
        raise ConfigError(where, "key `policies`", "is missing: the plan is for the lab", cure)
    real = live.read(table.targets, table.live, where, describe)
    live.check(raw, real, where)
    return real


def _called(
    table: _PlanTable, where: str, real: live.Live | None
) -> tuple[dict[str, Handshake], tuple[HandshakeOutline, ...]]:
    """The handshakes by name, and what a reader has to know of each row."""
    if real and real.services:
        return live.of_services(real, table.level)
    handshakes = _handshakes(table, where)
    outlines = tuple(
        _outline_of(one, kind, handshake, table.level)
        for (one, handshake), kind in zip(handshakes.items(), _kinds(table), strict=True)
    )
    return handshakes, live.with_variants(outlines, real) if real else outlines


def _check_head(table: _PlanTable, where: str, real: live.Live | None) -> None:
    for key, value in (("blocks", table.blocks), ("lanes", table.lanes), ("labs", table.labs)):
        if not 1 <= value <= 10_000:
            raise ConfigError(where, f"key `{key}`", f"{value} is out of range", "1 to 10000")
    if not real:
        _check_targets(table, where)
    for policy in table.policies:
        configs.find("policies", policy)
    for key, values in (("policies", table.policies), ("targets", table.targets)):
        if len(set(values)) < len(values):
            raise ConfigError(where, f"key `{key}`", "names one of them twice")
    for key in ("tunnel", "targets") if real else ("tunnel", "handshake", "policies", "targets"):
        if not getattr(table, key):
            problem = "is empty: the plan has no cells"
            raise ConfigError(where, f"key `{key}`", problem, "name at least one")


def _check_targets(table: _PlanTable, where: str) -> None:
    """Those of the lab."""
    for target in table.targets:
        if target == MIRROR:
            problem = "is the lab's, and the plan asks a mirror"
            raise ConfigError(where, "key `policies`", problem, "leave it out")
        if target not in TARGETS:
            problem = f"no target is called {target!r}"
            raise ConfigError(where, "key `targets`", problem, registry.suggest(target, TARGETS))


def _recognised(
    given: Sequence[Mapping[str, Any] | list[Any] | str], where: str
) -> tuple[list[dict[str, Any]], dict[str, str]]:
    """The tunnels as tables, and for each that named no kind, by name, what it was taken for.

    A file or a link stands alone, or is the key `vpn` of a table with other keys; a list of them is
    a chain.
    """
    tables: list[dict[str, Any]] = []
    taken = {}
    for number, one in enumerate(given, 1):
        fields: dict[str, Any] = dict(one) if isinstance(one, Mapping) else {"vpn": one}
        if "vpn" in fields:
            place = f"[[tunnel]] {number}"
            vpn = fields.pop("vpn")
            if isinstance(vpn, list):
                vpn = {"kind": "chain", "hops": vpn}
            elif not isinstance(vpn, str):
                raise ConfigError(where, f"{place}, key `vpn`", "is not a file or a link")
            fields = {**recognise(vpn, where, place), **fields}
            fields.setdefault("name", _free(fields["kind"], tables))
            taken[str(fields["name"])] = str(fields["kind"])
        tables.append(fields)
    return tables, taken


def _free(kind: str, tables: Sequence[Mapping[str, Any]]) -> str:
    """A name that no tunnel has: its kind, with a number where that is taken."""
    names = {one.get("name", one.get("kind")) for one in tables}
    numbered = (f"{kind}-{number}" for number in range(2, len(tables) + 3))
    return next(name for name in (kind, *numbered) if name not in names)


def _named(
    tables: Sequence[Mapping[str, Any]], where: str, what: str
) -> dict[str, Mapping[str, Any]]:
    named: dict[str, Mapping[str, Any]] = {}
    for number, table in enumerate(tables, 1):
        place = f"[[{what}]] {number}"
        name = table.get("name", table.get("kind"))
        if name is None:
            raise ConfigError(where, f"{place}, key `kind`", "is missing")
        if not isinstance(name, str) or not _NAME.fullmatch(name):
            problem = f"{name!r} is no name"
            raise ConfigError(where, f"{place}, key `name`", problem, "letters, digits, . _ -")
        if name in named:
            problem = f"there are two called {name!r}"
            raise ConfigError(where, place, problem, "give one of them another `name`")
        named[name] = table
    return named


def _kinds(table: _PlanTable) -> list[str]:
    return [str(fields["kind"]) for fields in table.handshake]


def _handshakes(table: _PlanTable, where: str) -> dict[str, Handshake]:
    built = {}
    for number, (name, fields) in enumerate(_named(table.handshake, where, "handshake").items(), 1):
        own = {key: value for key, value in fields.items() if key not in _GENERIC}
        place = f"[[handshake]] {number} {name!r}"
        built[name] = registry.build(
            registry.HANDSHAKES, {"level": str(table.level), **own}, where, place
        )
    return built


def _fars(
    table: _PlanTable, handshakes: Mapping[str, Handshake], where: str
) -> dict[str, Mapping[str, Any]]:
    """The real program for each handshake that has one: its own choice, or the plan's."""
    found = {}
    for (name, handshake), fields in zip(handshakes.items(), table.handshake, strict=True):
        far = fields.get("far", handshake.far)
        if far and far != OWN:
            found[name] = server_table(far)
            place = f"[[handshake]] {name!r}, key `far`"
            registry.build(registry.FARS, found[name], where, place)
    return found


def _namings(
    table: _PlanTable, handshakes: Mapping[str, Handshake], where: str
) -> dict[str, Naming]:
    """How the names of services are resolved: `resolve` is a carrier, or a table with `over`."""
    found = {}
    for name, fields in zip(handshakes, table.handshake, strict=True):
        given = fields.get("resolve")
        if given is None:
            continue
        place = f"[[handshake]] {name!r}, key `resolve`"
        if getattr(handshakes[name], "handoff", False):
            problem = "a call that is handed off is called by address"
            raise ConfigError(where, place, problem, "leave out `resolve` or `handoff`")
        told = given if isinstance(given, Mapping) else {"over": given}
        found[name] = registry.convert(told, Naming, where, place)
        try:
            host_name(name, max(TARGETS.values()))
        except ValueError as error:
            problem = f"the handshake's name is to be a host's: {error}"
            raise ConfigError(where, place, problem, "give it another `name`") from None
    return found


def _check_tunnel(fields: Mapping[str, Any], where: str, place: str) -> None:
    own = {key: value for key, value in fields.items() if key not in ("name", "server")}
    if "server" not in fields:
        registry.build(registry.TUNNELS, own, where, place)
        return
    registry.build(registry.SERVERS, server_table(fields["server"]), where, f"{place}, server")
    registry.check_keys(registry.TUNNELS, own, where, place)


def _server_kind(fields: Mapping[str, Any]) -> str:
    return str(server_table(fields["server"])["kind"]) if "server" in fields else ""


def _outline_of(name: str, kind: str, handshake: Handshake, level: Level) -> HandshakeOutline:
    return HandshakeOutline(
        name,
        kind,
        handshake.role,
        handshake.listen.transport,
        level,
        handshake.messaging,
        # A call that is handed off is no call over its transport that works.
        "" if (handed := bool(getattr(handshake, "handoff", False))) else handshake.app,
        handoff=handed,
    )


def _public(fields: Mapping[str, Any]) -> dict[str, Any]:
    """A tunnel's table without what may be secret."""
    hidden = registry.secrets(registry.TUNNELS, fields.get("kind"))
    return {key: value for key, value in fields.items() if key not in hidden}


def _with_content(fields: Mapping[str, Any]) -> dict[str, Any]:
    """A handshake's table with what is in the file that it names, so that the hash covers it."""
    file = fields.get("file")
    if not isinstance(file, str) or not Path(file).is_file():
        return dict(fields)
    return {**fields, "file": hashlib.sha256(Path(file).read_bytes()).hexdigest()}


def _canonical(raw: Any) -> str:
    """The plan as one text."""
    if isinstance(raw, Mapping):
        return "{" + ",".join(f"{key}:{_canonical(raw[key])}" for key in sorted(raw)) + "}"
    if isinstance(raw, list | tuple):
        return "[" + ",".join(_canonical(one) for one in raw) + "]"
    return json.dumps(raw, default=str)
