"""A plan that can be carried out: its cells, and in which order their arms are tried.

Everything random is derived from the plan's seed, the cell and the block, so that a run that was
stopped goes on exactly as it would have.  It refuses to start anything.
"""

import hashlib
import json
from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path
from random import Random
from typing import Any

import msgspec

from circumtest import registry
from circumtest.errors import ConfigError
from circumtest.finding import CONTROL_TUNNELS, Outline
from circumtest.ladders import PACES
from circumtest.model import Arm, Cell
from circumtest.named import Naming
from circumtest.plan.live import Live, Variant
from circumtest.resolve import GRACE, Over
from circumtest.script import Handshake

TARGETS = {"lab": 4, "lab-v6": 6}
"""Where handshakes go in the lab, and the IP version there."""
CONTROL_PORT = 9000
"""Where the neutral control is answered beside a real program."""


@dataclass(frozen=True)
class Plan:
    """A plan that can be carried out: every name in it is known, every field has its type.

    `lanes` is over how many labs side by side the blocks of one cell are spread, `labs` how many
    may be up at the same time in all.
    """

    outline: Outline
    lanes: int
    labs: int
    where: str
    _tunnels: Mapping[str, Mapping[str, Any]]
    _handshakes: Mapping[str, Handshake]
    _fars: Mapping[str, Mapping[str, Any]]
    _taken: Mapping[str, str]
    _namings: Mapping[str, Naming]
    live: Live | None = None
    """How it is carried out on a real network; None for a plan that is for the lab."""

    def handshake(self, name: str) -> Handshake:
        """By the name of its row; a variant at a mirror is a row of the handshake that it varies"""
        return self._handshakes[name.partition("~")[0]]

    def variant(self, name: str) -> Variant | None:
        """In what a row at a mirror differs from the handshake; None for the handshake itself."""
        _, _, variant = name.partition("~")
        return Variant(variant) if variant else None

    def control(self, cell: Cell) -> Handshake:
        """The neutral exchange with the same place: transport, port and size of the handshake's.

        Where a real program has that port, another port of the same address.
        """
        handshake = self.handshake(cell.handshake)
        listen = handshake.listen
        port = CONTROL_PORT if cell.handshake in self._fars else listen.port
        fields = {"kind": "echo", "transport": str(listen.transport), "port": port}
        table = {**fields, "size": handshake.opening, "level": str(self.outline.level)}
        control: Handshake = registry.build(registry.HANDSHAKES, table, self.where, "control")
        return control

    def far(self, handshake: str) -> Any | None:
        """The real program that plays the far half of a handshake; None where its answerer does."""
        if handshake not in self._fars:
            return None
        place = f"[[handshake]] {handshake!r}, key `far`"
        return registry.build(registry.FARS, self._fars[handshake], self.where, place)

    def naming(self, handshake: str) -> Naming | None:
        """How the name of a handshake's service is resolved; None where it is called by address."""
        return self._namings.get(handshake)

    def server(self, tunnel: str) -> Any | None:
        """What the lab starts at the exit for a tunnel, None for one that brings its own."""
        server = self._tunnels[tunnel].get("server")
        if server is None:
            return None
        return registry.build(
            registry.SERVERS, server_table(server), self.where, f"tunnel {tunnel!r}"
        )

    def table(self, tunnel: str) -> Mapping[str, Any]:
        """The plan's fields of a tunnel, its kind among them."""
        return {key: value for key, value in self._tunnels[tunnel].items() if key != "name"}

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
        """What each tunnel was taken for, and what of it is not honoured, in words."""
        said = [f"{name}: taken for {kind}" for name, kind in self._taken.items()]
        for name, fields in self._tunnels.items():
            if "server" not in fields:
                tunnel = self.tunnel(name, {})
                said += [f"{name}: {note}" for note in getattr(tunnel, "notes", tuple)()]
        for name, naming in self._namings.items():
            if naming.over is Over.UDP:
                said.append(f"{name}: a path without UDP resolves its name over TCP instead")
        return tuple(said)

    def private(self) -> bytes:
        """What the hash leaves out of the tunnels: their secrets, and what their files hold.

        It tells two VPNs apart that the hash cannot, so that neither resumes the other's run.  Not
        for keeping: `circumtest.store` seals it.  b"" when there is nothing of the kind.
        """
        hidden = {
            name: [
                [key, fields[key], _content(fields[key])]
                for key in sorted(registry.secrets(registry.TUNNELS, fields["kind"]))
                if key in fields
            ]
            for name, fields in self._tunnels.items()
        }
        return json.dumps(hidden, default=str).encode() if any(hidden.values()) else b""

    def confidential(self) -> tuple[str, ...]:
        """Texts that hold the tunnels' secrets, files that fields name among them.

        Not for keeping; `circumtest.telltale.secrets_in` takes them apart.
        """
        texts: list[str] = []
        for fields in self._tunnels.values():
            hidden = registry.secrets(registry.TUNNELS, fields["kind"])
            for key in sorted(hidden & fields.keys()):
                texts += _texts(fields[key])
        return tuple(texts)

    def version(self, target: str) -> int:
        """4 or 6, in the lab."""
        return TARGETS[target]

    def order(self, cell: Cell, block: int) -> tuple[Arm, ...]:
        """The arms of one block, shuffled."""
        arms = list(Arm)
        self._random(cell, block, "order").shuffle(arms)
        return tuple(arms)

    def chance(self, cell: Cell) -> Random:
        """The chance that what is played before the first block has."""
        return self._random(cell, 0, "proof")

    def seed(self, cell: Cell, block: int) -> int:
        """All the chance of the censor in a lab whose first block is this one, 64 bits."""
        return self._random(cell, block, "censor").getrandbits(64)

    def rng(self, cell: Cell, block: int, arm: Arm) -> Random:
        """All the chance that one trial has."""
        return self._random(cell, block, str(arm))

    def seconds(self, cell: Cell) -> float:
        """At most how long one block of a cell takes, in seconds, without bringing anything up."""
        pace = PACES[self.outline.level]
        stages = self.handshake(cell.handshake).stages
        media = pace.media if "media-up" in stages and not self._reached(cell.handshake) else 0.0
        named = pace.patience + GRACE if cell.handshake in self._namings else 0.0
        return 2 * (named + pace.patience + media)

    def _reached(self, handshake: str) -> bool:
        """Whether only what strangers reach of it is tried."""
        return any(one.reached for one in self.outline.handshakes if one.name == handshake)

    def select(
        self,
        tunnels: Sequence[str] = (),
        handshakes: Sequence[str] = (),
        policies: Sequence[str] = (),
        targets: Sequence[str] = (),
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
            (targets, outline.targets, "--target"),
        ):
            for name in given:
                if name not in has:
                    problem = f"the plan has no {name!r}"
                    raise ConfigError(self.where, option, problem, registry.suggest(name, has))
        changed = msgspec.structs.replace(
            outline,
            tunnels=tuple(t for t in outline.tunnels if not tunnels or t.name in tunnels),
            handshakes=tuple(
                h
                for h in outline.handshakes
                if not handshakes or {h.name, h.base} & set(handshakes)
            ),
            targets=tuple(t for t in outline.targets if not targets or t in targets),
            policies=tuple(p for p in outline.policies if not policies or p in policies),
            blocks=outline.blocks if blocks is None else blocks,
            seed=outline.seed if seed is None else seed,
        )
        if changed == outline:
            return self
        if outline.places:
            changed = _narrowed(changed)
        changed = msgspec.structs.replace(changed, hash=_rehash(changed))
        return replace(self, outline=changed)

    def _random(self, cell: Cell, block: int, what: str) -> Random:
        text = f"{self.outline.seed}/{cell}/{block}/{what}"
        return Random(hashlib.sha256(text.encode()).digest())


def server_table(given: Any) -> Mapping[str, Any]:
    """A server by its kind alone, or a table with its other fields."""
    return given if isinstance(given, Mapping) else {"kind": given}


def _content(named: Any) -> Any:
    """The digest of a file that a field names, "" for what is none; in a list or table of each."""
    if isinstance(named, Mapping):
        return {key: _content(value) for key, value in named.items()}
    if isinstance(named, list | tuple):
        return [_content(value) for value in named]
    if isinstance(named, str):
        named = named.partition(":")[2] or named  # KIND:FILE
    try:
        return hashlib.sha256(Path(named).read_bytes()).hexdigest()
    except (OSError, TypeError, ValueError):
        return ""


def _texts(value: Any) -> list[str]:
    """The texts in a field, and those of the files that they name."""
    if isinstance(value, Mapping):
        return [text for one in value.values() for text in _texts(one)]
    if isinstance(value, list | tuple):
        return [text for one in value for text in _texts(one)]
    texts = [str(value)]
    with suppress(OSError, ValueError):
        texts.append(Path(str(value).partition(":")[2] or str(value)).read_text(errors="replace"))
    return texts


def _narrowed(outline: Outline) -> Outline:
    """Without the handshakes and notes of targets that are left out."""
    called = {handshake for target, handshake in outline.places if target in outline.targets}
    return msgspec.structs.replace(
        outline,
        handshakes=tuple(one for one in outline.handshakes if one.name in called),
        notes=tuple(one for one in outline.notes if one.split(" shows: ")[0] in outline.targets),
    )


def _rehash(outline: Outline) -> str:
    return hashlib.sha256(msgspec.json.encode(outline)).hexdigest()
