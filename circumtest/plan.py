"""What to try: a plan read from TOML, its cells, and in which order their arms are tried.

Everything random is derived from the plan's seed, the cell and the block, so that a run that was
stopped goes on exactly as it would have.  It refuses to start anything.
"""

import hashlib
import json
import re
import tomllib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from random import Random
from typing import Any

import msgspec

from circumtest import configs, registry
from circumtest.errors import ConfigError
from circumtest.finding import CONTROL_TUNNELS, HandshakeOutline, Outline, TunnelOutline
from circumtest.ladders import PACES
from circumtest.model import Arm, Cell, Level
from circumtest.script import Handshake

TARGETS = {"lab": 4, "lab-v6": 6}
"""Where handshakes go in the lab, and the IP version there."""
_SECRET = ("url", "text", "config", "secret")
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")


class _PlanTable(msgspec.Struct, frozen=True):
    """The top level of a plan's file."""

    tunnel: tuple[dict[str, Any], ...]
    handshake: tuple[dict[str, Any], ...]
    policies: tuple[str, ...]
    summary: str = ""
    seed: int = 1
    blocks: int = 12
    lanes: int = 1
    level: Level = Level.QUICK
    stop_early: bool = False
    targets: tuple[str, ...] = ("lab",)


@dataclass(frozen=True)
class Plan:
    """A plan that can be carried out: every name in it is known, every field has its type.

    `lanes` is over how many labs side by side the blocks of one cell are spread.
    """

    outline: Outline
    lanes: int
    where: str
    _tunnels: Mapping[str, Mapping[str, Any]]
    _handshakes: Mapping[str, Handshake]

    def handshake(self, name: str) -> Handshake:
        return self._handshakes[name]

    def control(self, cell: Cell) -> Handshake:
        """The neutral exchange with the same place: transport, port and size of the handshake's."""
        handshake = self._handshakes[cell.handshake]
        listen = handshake.listen
        fields = {"kind": "echo", "transport": str(listen.transport), "port": listen.port}
        table = {**fields, "size": handshake.opening, "level": str(self.outline.level)}
        control: Handshake = registry.build(registry.HANDSHAKES, table, self.where, "control")
        return control

    def server(self, tunnel: str) -> Any | None:
        """What the lab starts at the exit for a tunnel, None for one that brings its own."""
        server = self._tunnels[tunnel].get("server")
        if server is None:
            return None
        return registry.build(registry.SERVERS, _server(server), self.where, f"tunnel {tunnel!r}")

    def is_control(self, tunnel: str) -> bool:
        """Whether it is a control of the plan, which nothing is claimed or demanded of."""
        return self._tunnels[tunnel]["kind"] in CONTROL_TUNNELS

    def exits(self, tunnel: str, addresses: Iterable[str]) -> dict[str, Any]:
        """The field that tells a tunnel how it may be seen, where it has one and does not say."""
        fields = self._tunnels[tunnel]
        if "exits" in fields:
            return {}
        return registry.known(registry.TUNNELS, fields["kind"], {"exits": tuple(sorted(addresses))})

    def tunnel(self, name: str, given: Mapping[str, Any]) -> Any:
        """The tunnel, made of the plan's fields and those that the lab's server gave."""
        table = {k: v for k, v in self._tunnels[name].items() if k not in ("name", "server")}
        return registry.build(
            registry.TUNNELS, {**table, **given}, self.where, f"[[tunnel]] {name!r}"
        )

    def notes(self) -> tuple[str, ...]:
        """What of the tunnels' own configurations is not honoured, in words."""
        said = []
        for name, fields in self._tunnels.items():
            if "server" not in fields:
                tunnel = self.tunnel(name, {})
                said += [f"{name}: {note}" for note in getattr(tunnel, "notes", tuple)()]
        return tuple(said)

    def private(self) -> bytes:
        """What the hash leaves out of the tunnels: their secrets, and what their files hold.

        It tells two VPNs apart that the hash cannot, so that neither resumes the other's run.  Not
        for keeping: `circumtest.store` seals it.  b"" when there is nothing of the kind.
        """
        hidden = {
            name: [[key, fields[key], _content(fields[key])] for key in _SECRET if key in fields]
            for name, fields in self._tunnels.items()
        }
        return json.dumps(hidden, default=str).encode() if any(hidden.values()) else b""

    def version(self, target: str) -> int:
        """4 or 6."""
        return TARGETS[target]

    def order(self, cell: Cell, block: int) -> tuple[Arm, ...]:
        """The arms of one block, shuffled."""
        arms = list(Arm)
        self._random(cell, block, "order").shuffle(arms)
        return tuple(arms)

    def chance(self, cell: Cell) -> Random:
        """The chance that what is played before the first block has."""
        return self._random(cell, 0, "proof")

    def rng(self, cell: Cell, block: int, arm: Arm) -> Random:
        """All the chance that one trial has."""
        return self._random(cell, block, str(arm))

    def seconds(self, cell: Cell) -> float:
        """At most how long one block of a cell takes, in seconds, without bringing anything up."""
        pace = PACES[self.outline.level]
        media = pace.media if "media-up" in self._handshakes[cell.handshake].stages else 0.0
        return 2 * (pace.patience + media)

    def select(
        self,
        tunnels: Sequence[str] = (),
        handshakes: Sequence[str] = (),
        policies: Sequence[str] = (),
        *,
        blocks: int | None = None,
        seed: int | None = None,
    ) -> "Plan":
        """The same plan with only these; another plan, with a hash of its own.

        Raises ConfigError for a name that the plan does not have.
        """
        outline = self.outline
        for given, has, option in (
            (tunnels, [one.name for one in outline.tunnels], "--tunnel"),
            (handshakes, [one.name for one in outline.handshakes], "--handshake"),
            (policies, outline.policies, "--policy"),
        ):
            for name in given:
                if name not in has:
                    problem = f"the plan has no {name!r}"
                    raise ConfigError(self.where, option, problem, registry.suggest(name, has))
        changed = msgspec.structs.replace(
            outline,
            tunnels=tuple(t for t in outline.tunnels if not tunnels or t.name in tunnels),
            handshakes=tuple(
                h for h in outline.handshakes if not handshakes or h.name in handshakes
            ),
            policies=tuple(p for p in outline.policies if not policies or p in policies),
            blocks=outline.blocks if blocks is None else blocks,
            seed=outline.seed if seed is None else seed,
        )
        if changed == outline:
            return self
        changed = msgspec.structs.replace(changed, hash=_rehash(changed))
        return Plan(changed, self.lanes, self.where, self._tunnels, self._handshakes)

    def _random(self, cell: Cell, block: int, what: str) -> Random:
        text = f"{self.outline.seed}/{cell}/{block}/{what}"
        return Random(hashlib.sha256(text.encode()).digest())


def load(name: str) -> Plan:
    """A shipped plan by name, or the plan in a file.  Raises ConfigError: file, table, key, cure.

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
    return parse(raw, file.stem, where)


def parse(raw: Mapping[str, Any], name: str, where: str) -> Plan:
    """A plan from a table that TOML gave.  Raises ConfigError."""
    known = [field.name for field in msgspec.structs.fields(_PlanTable)]
    for key in raw:
        if key not in known:
            raise ConfigError(
                where, f"key `{key}`", "there is no such key", registry.suggest(key, known)
            )
    table = registry.convert(dict(raw), _PlanTable, where, "")
    _check_head(table, where)
    handshakes = _handshakes(table, where)
    tunnels = _named(table.tunnel, where, "tunnel")
    for number, (tunnel, fields) in enumerate(tunnels.items(), 1):
        _check_tunnel(fields, where, f"[[tunnel]] {number} {tunnel!r}")
    digest = hashlib.sha256(_canonical(raw).encode()).hexdigest()
    outline = Outline(
        name=name,
        summary=" ".join(table.summary.split()),
        hash=digest,
        seed=table.seed,
        blocks=table.blocks,
        level=table.level,
        stop_early=table.stop_early,
        targets=table.targets,
        policies=table.policies,
        tunnels=tuple(
            TunnelOutline(one, fields["kind"], _server_kind(fields))
            for one, fields in tunnels.items()
        ),
        handshakes=tuple(
            _outline_of(one, kind, handshake, table.level)
            for (one, handshake), kind in zip(handshakes.items(), _kinds(table), strict=True)
        ),
    )
    return Plan(outline, table.lanes, where, tunnels, handshakes)


def _check_head(table: _PlanTable, where: str) -> None:
    for key, value in (("blocks", table.blocks), ("lanes", table.lanes)):
        if not 1 <= value <= 10_000:
            raise ConfigError(where, f"key `{key}`", f"{value} is out of range", "1 to 10000")
    for target in table.targets:
        if target not in TARGETS:
            problem = f"no target is called {target!r}"
            raise ConfigError(where, "key `targets`", problem, registry.suggest(target, TARGETS))
    for policy in table.policies:
        configs.find("policies", policy)
    for key, values in (("policies", table.policies), ("targets", table.targets)):
        if len(set(values)) < len(values):
            raise ConfigError(where, f"key `{key}`", "names one of them twice")
    for key in ("tunnel", "handshake", "policies", "targets"):
        if not getattr(table, key):
            problem = "is empty: the plan has no cells"
            raise ConfigError(where, f"key `{key}`", problem, "name at least one")


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
        own = {key: value for key, value in fields.items() if key != "name"}
        place = f"[[handshake]] {number} {name!r}"
        built[name] = registry.build(
            registry.HANDSHAKES, {"level": str(table.level), **own}, where, place
        )
    return built


def _check_tunnel(fields: Mapping[str, Any], where: str, place: str) -> None:
    own = {key: value for key, value in fields.items() if key not in ("name", "server")}
    if "server" not in fields:
        registry.build(registry.TUNNELS, own, where, place)
        return
    registry.build(registry.SERVERS, _server(fields["server"]), where, f"{place}, server")
    registry.check_keys(registry.TUNNELS, own, where, place)


def _server(given: Any) -> Mapping[str, Any]:
    """A server by its kind alone, or a table with its other fields."""
    return given if isinstance(given, Mapping) else {"kind": given}


def _server_kind(fields: Mapping[str, Any]) -> str:
    return str(_server(fields["server"])["kind"]) if "server" in fields else ""


def _outline_of(name: str, kind: str, handshake: Handshake, level: Level) -> HandshakeOutline:
    return HandshakeOutline(
        name, kind, handshake.role, handshake.listen.transport, level, handshake.messaging
    )


def _canonical(raw: Any) -> str:
    """The plan as one text, without what may be secret."""
    if isinstance(raw, Mapping):
        kept = {key: value for key, value in raw.items() if key not in _SECRET}
        return "{" + ",".join(f"{key}:{_canonical(kept[key])}" for key in sorted(kept)) + "}"
    if isinstance(raw, list | tuple):
        return "[" + ",".join(_canonical(one) for one in raw) + "]"
    return json.dumps(raw, default=str)


def _content(named: Any) -> str:
    """The digest of a file that a field names, "" for what is no file."""
    try:
        return hashlib.sha256(Path(named).read_bytes()).hexdigest()
    except (OSError, TypeError, ValueError):
        return ""


def _rehash(outline: Outline) -> str:
    return hashlib.sha256(msgspec.json.encode(outline)).hexdigest()
