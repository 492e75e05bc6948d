"""What a plan for a real network has that one for the lab has not: services, spacing, variants.

Such a plan names no policies: its cells have the policy "live", whatever the network does.  It
either calls services, each by the handshake that its target file names, or one's own mirror.  It
refuses to know endpoints: who reads target files is given to it.
"""

import hashlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Annotated, Any, Protocol

import msgspec

from circumtest import configs
from circumtest.errors import ConfigError
from circumtest.finding import LIVE, MIRROR, HandshakeOutline
from circumtest.model import Level, Role, Stage
from circumtest.script import Handshake

Seconds = Annotated[float, msgspec.Meta(ge=0, le=86400)]


class Variant(StrEnum):
    """In what a row at a mirror differs from the call: its bits, all its content, its port."""

    INVERTED = "inverted"
    RANDOM = "random"
    PORT = "port"


class LiveTable(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The table [live] of a plan.  Seconds; without `spacing` each target's own counts."""

    spacing: Seconds | None = None
    after_freeze: Seconds = 600.0
    variants: tuple[Variant, ...] = tuple(Variant)


class Described(Protocol):
    """What a plan has to know of a service: `circumtest.live.service.Service` is one."""

    @property
    def name(self) -> str: ...
    @property
    def kind(self) -> str: ...
    @property
    def handshake(self) -> Handshake: ...
    @property
    def stages(self) -> tuple[Stage, ...]: ...
    @property
    def shows(self) -> str: ...
    @property
    def does_not_show(self) -> str: ...


Describe = Callable[[str], Described]
"""Reads a target by name or file.  Raises ConfigError."""


@dataclass(frozen=True)
class Live:
    """How a plan is carried out on a real network; `services` by the targets' names."""

    table: LiveTable
    services: Mapping[str, Any] = field(default_factory=dict)
    """Described ones, as whoever described them made them."""
    digests: Mapping[str, str] = field(default_factory=dict)

    @property
    def mirror(self) -> bool:
        """Whether it asks one's own mirror, and no service."""
        return not self.services


def read(
    targets: Sequence[str], table: LiveTable | None, where: str, describe: Describe | None
) -> Live:
    """What the targets of a plan without policies are.  Raises ConfigError."""
    table = table or LiveTable()
    if MIRROR in targets:
        if len(targets) > 1:
            problem = "the mirror stands beside services"
            raise ConfigError(where, "key `targets`", problem, "make two plans of it")
        return Live(table)
    if describe is None:
        problem = "names no policies, so that it is one for a real network"
        raise ConfigError(where, "", problem, "`run --live`, or `policies = [...]` for the lab")
    services: dict[str, Described] = {}
    digests = {}
    for target in targets:
        service = describe(target)
        if service.name in services:
            problem = f"two targets are called {service.name!r}"
            raise ConfigError(where, "key `targets`", problem, "rename one of the files")
        services[service.name] = service
        content = configs.find("targets", target).read_bytes()
        digests[service.name] = hashlib.sha256(content).hexdigest()
    return Live(table, services, digests)


def of_services(live: Live, level: Level) -> tuple[dict[str, Handshake], tuple[Any, ...]]:
    """The handshakes by kind, and an outline for each: what strangers reach of them."""
    handshakes: dict[str, Handshake] = {}
    outlines = []
    for service in live.services.values():
        if service.kind in handshakes:
            continue
        one = handshakes[service.kind] = service.handshake
        outline = HandshakeOutline(
            name=service.kind,
            kind=service.kind,
            role=one.role,
            transport=one.listen.transport,
            level=level,
            messaging=one.messaging,
            app=one.app,
            reached=service.stages,
        )
        outlines.append(outline)
    return handshakes, tuple(outlines)


def places(live: Live) -> tuple[tuple[str, str], ...]:
    """Which handshake goes to which target; () at a mirror, where all go."""
    return tuple((name, service.kind) for name, service in live.services.items())


def notes(live: Live) -> tuple[str, ...]:
    """What the targets say of themselves."""
    return tuple(
        f"{name} shows: {one.shows} It does not show: {one.does_not_show}"
        for name, one in live.services.items()
    )


def with_variants(outlines: Sequence[HandshakeOutline], live: Live) -> tuple[HandshakeOutline, ...]:
    """The handshakes, each call's variants behind it: rows of their own, and controls.

    One that is handed off is itself a question about the block, and has none.
    """
    rows = []
    for one in outlines:
        rows.append(one)
        if not one.claimed:
            continue
        for variant in live.table.variants:
            changed = msgspec.structs.replace(
                one,
                name=f"{one.name}~{variant}",
                role=Role.CONTROL,
                messaging="",
                app="",
                base=one.name,
                variant=str(variant),
            )
            rows.append(changed)
    return tuple(rows)


def check(raw: Mapping[str, Any], live: Live, where: str) -> None:
    """What only the lab has is refused.  Raises ConfigError."""
    for number, tunnel in enumerate(raw.get("tunnel", ()), 1):
        if isinstance(tunnel, Mapping) and "server" in tunnel:
            problem = "only the lab starts servers"
            cure = "name the tunnel's own configuration (`vpn = FILE`)"
            raise ConfigError(where, f"[[tunnel]] {number}, key `server`", problem, cure)
    for number, handshake in enumerate(raw.get("handshake", ()), 1):
        for key in ("far", "resolve"):
            if handshake.get(key):
                place = f"[[handshake]] {number}, key `{key}`"
                raise ConfigError(where, place, "only the lab has it", "leave it out")
    if live.services and raw.get("handshake"):
        problem = "is given, and each target has its own"
        raise ConfigError(where, "key `handshake`", problem, "leave it out")
    if live.mirror and not raw.get("handshake"):
        raise ConfigError(where, "key `handshake`", "is empty: the plan has no cells", "name one")


POLICIES = (LIVE,)
