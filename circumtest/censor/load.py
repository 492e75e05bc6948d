"""Policies from TOML files: by name from `configs/policies/`, or a file of one's own.

What a file says and this censor cannot carry out is refused here, by name, before anything starts;
nothing is ever run weaker than written.
"""

import re
import tomllib
from collections.abc import Iterable, Mapping
from ipaddress import ip_network
from pathlib import Path
from typing import Annotated, Any

import msgspec

from circumtest import configs
from circumtest.censor.policy import (
    FLOW_MEMORY,
    MAX_FLOWS,
    Action,
    Conditions,
    Confidence,
    Policy,
    Prefix,
    Reset,
    Rule,
    Scope,
    Signature,
    Way,
)
from circumtest.censor.signatures import ALL
from circumtest.errors import ConfigError
from circumtest.impair import by_link
from circumtest.model import Transport
from circumtest.registry import convert, suggest

MILLI = 1000
MAX_FIRST = 32
"""Packets of a flow that a rule can look at: of more nothing is kept."""
LONGEST = 86400.0
"""Seconds that a place is remembered at most."""
PLACES: dict[str, tuple[Prefix, ...]] = {
    "services": (
        ip_network("203.0.113.0/24"),
        ip_network("2001:db8:113::/64"),
        ip_network("192.0.2.8/30"),
        ip_network("2001:db8:4::/64"),
    ),
    "exit": (ip_network("198.51.100.0/30"), ip_network("2001:db8:100::/64")),
}
"""Where the lab's far ends and its tunnels' servers are: what a censor's lists of addresses become
in a world of addresses that are reserved for documentation."""
_ID = re.compile(r"[a-z][a-z0-9-]{0,63}")


class _RuleTable(msgspec.Struct, frozen=True):
    """One `[[rule]]`: see `circumtest.censor.policy.Rule`."""

    id: str
    match: tuple[str, ...]
    action: Action
    scope: Scope
    after: int = 0
    seconds: float = 0.0
    direction: Way = Way.BOTH
    to: tuple[str, ...] = ()
    ports: tuple[int | str, ...] = ()
    names: tuple[str, ...] = ()
    ja4: tuple[str, ...] = ()
    unless: tuple[str, ...] = ()
    unless_names: tuple[str, ...] = ()
    first: Annotated[int, msgspec.Meta(ge=0, le=MAX_FIRST)] = 0
    concurrent: Annotated[int, msgspec.Meta(ge=0, le=MAX_FLOWS)] = 0
    chance: Annotated[float, msgspec.Meta(gt=0, le=1)] = 1.0
    after_bytes: Annotated[int, msgspec.Meta(ge=0)] = 0
    hold: float = FLOW_MEMORY


class _PolicyTable(msgspec.Struct, frozen=True):
    """A policy's file; `include` are policies whose rules come first, in that order.

    `scale` is what its times, included ones too, are multiplied by: see `Policy.scaled`.
    """

    summary: str
    evidence: tuple[str, ...]
    confidence: Confidence
    include: tuple[str, ...] = ()
    scale: Annotated[float, msgspec.Meta(gt=0, le=1000)] = 1.0
    rule: tuple[dict[str, Any], ...] = ()
    network: tuple[Conditions, ...] = ()


def policy(name: str) -> Policy:
    """The policy of that name, or in that file.  Raises ConfigError naming file, rule and key."""
    return _load(configs.find("policies", name), ())


def _load(file: Path, above: tuple[Path, ...]) -> Policy:
    where = str(file)
    if file in above:
        raise ConfigError(where, "key `include`", "includes itself", "remove it from the circle")
    try:
        table = tomllib.loads(file.read_text(encoding="utf-8"))
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise ConfigError(where, "", f"is not TOML: {error}") from None
    except OSError as error:
        raise ConfigError(where, "", f"cannot be read: {error.strerror}") from None
    _refuse_unknown(table, _PolicyTable, where, "")
    head = convert(table, _PolicyTable, where, "")
    rules = [
        rule for other in head.include for rule in _included(other, where, (*above, file)).rules
    ]
    rules += [_rule(raw, where, f"[[rule]] {n}") for n, raw in enumerate(head.rule, 1)]
    _refuse_twice(rules, where)
    summary = " ".join(head.summary.split())
    network = head.network or tuple(
        link for other in head.include for link in _included(other, where, (*above, file)).network
    )
    try:
        by_link(network)
    except ValueError as error:
        raise ConfigError(where, "[[network]]", str(error)) from None
    whole = Policy(file.stem, summary, head.evidence, head.confidence, tuple(rules), network)
    return whole.scaled(head.scale)


def _included(name: str, where: str, above: tuple[Path, ...]) -> Policy:
    known = configs.names("policies")
    if name not in known:
        problem = f"no policy is called {name!r}"
        raise ConfigError(where, "key `include`", problem, suggest(name, known))
    return _load(configs.find("policies", name), above)


def _rule(raw: Mapping[str, Any], where: str, place: str) -> Rule:
    _refuse_unknown(raw, _RuleTable, where, place)
    table = convert(raw, _RuleTable, where, place)
    if not _ID.fullmatch(table.id):
        problem = f"{table.id!r} is not a rule's name"
        raise ConfigError(where, f"{place}, key `id`", problem, "a-z, 0-9 and -, a letter first")
    if not table.match:
        raise ConfigError(where, f"{place}, key `match`", "matches nothing", _known_signatures())
    if table.after < 0:
        raise ConfigError(where, f"{place}, key `after`", "is less than 0", "a number of packets")
    _refuse_times(table, where, place)
    match = tuple(_signature(name, where, f"{place}, key `match`") for name in table.match)
    if isinstance(table.action, Reset) and not any(_streams(one) for one in match):
        problem = "resets what is no TCP"
        raise ConfigError(where, f"{place}, key `action`", problem, 'do = "reject" tells by ICMP')
    return Rule(
        table.id,
        match,
        table.action,
        table.scope,
        table.after,
        table.seconds,
        table.direction,
        tuple(one for name in table.to for one in _prefixes(name, where, place)),
        tuple(_ports(text, where, place) for text in table.ports),
        table.names,
        table.ja4,
        tuple(_signature(name, where, f"{place}, key `unless`") for name in table.unless),
        table.unless_names,
        table.first,
        table.concurrent,
        table.chance,
        table.after_bytes,
        table.hold,
    )


def _refuse_times(table: _RuleTable, where: str, place: str) -> None:
    """Of a flow nothing is remembered longer than FLOW_MEMORY; of places it may be a day."""
    most = LONGEST if table.scope is Scope.ADDRESS else FLOW_MEMORY - 1
    if not 0 <= table.seconds <= most or table.seconds * MILLI % 1:
        right = f"0 to {most:.0f}, in steps of 0.001"
        raise ConfigError(where, f"{place}, key `seconds`", "is out of range", right)
    most = LONGEST if table.scope in (Scope.TRIPLE, Scope.ADDRESS) else FLOW_MEMORY
    if not 0 < table.hold <= most or table.hold * MILLI % 1:
        right = f"up to {most:.0f}, in steps of 0.001"
        raise ConfigError(where, f"{place}, key `hold`", "is out of range", right)


def _streams(signature: Signature) -> bool:
    """Whether a signature can be found in a TCP stream."""
    return signature.sees is not None or any(
        shape.transport is Transport.TCP for shape in signature.shapes
    )


def _prefixes(text: str, where: str, place: str) -> tuple[Prefix, ...]:
    try:
        return PLACES[text] if text in PLACES else (ip_network(text),)
    except ValueError as error:
        right = f"a prefix such as 192.0.2.0/24, or one of {', '.join(PLACES)}"
        raise ConfigError(where, f"{place}, key `to`", str(error), right) from None


def _ports(text: int | str, where: str, place: str) -> tuple[int, int]:
    low, _, high = str(text).partition("-")
    if low.isdecimal() and (high or low).isdecimal() and 0 < int(low) <= int(high or low) < 1 << 16:
        return int(low), int(high or low)
    problem = f"{text!r} is neither a port nor a range"
    raise ConfigError(where, f"{place}, key `ports`", problem, 'such as 443 or "596-599"')


def _signature(name: str, where: str, place: str) -> Signature:
    if name not in ALL:
        problem = f"no signature is called {name!r}"
        raise ConfigError(where, place, problem, suggest(name, ALL))
    return ALL[name]


def _known_signatures() -> str:
    return f"known: {', '.join(sorted(ALL))}"


def _refuse_unknown(table: Mapping[str, Any], cls: Any, where: str, place: str) -> None:
    known = [field.name for field in msgspec.structs.fields(cls)]
    for key in table:
        if key not in known:
            spot = f"{place}, key `{key}`".lstrip(", ")
            raise ConfigError(where, spot, "there is no such key", suggest(key, known))


def _refuse_twice(rules: Iterable[Rule], where: str) -> None:
    seen = set()
    for rule in rules:
        if rule.id in seen:
            problem = f"there are two rules called {rule.id!r}"
            raise ConfigError(where, "", problem, "rules of included policies count too")
        seen.add(rule.id)
