"""Policies from TOML files: by name from `configs/policies/`, or a file of one's own.

What a file says and this censor cannot carry out is refused here, by name, before anything starts;
nothing is ever run weaker than written.
"""

import re
import tomllib
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import msgspec

from circumtest import configs
from circumtest.censor.policy import (
    FLOW_MEMORY,
    Action,
    Confidence,
    Policy,
    Rule,
    Scope,
    Signature,
    Way,
)
from circumtest.censor.signatures import ALL
from circumtest.errors import ConfigError
from circumtest.registry import convert, suggest

MILLI = 1000
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


class _PolicyTable(msgspec.Struct, frozen=True):
    """A policy's file; `include` are policies whose rules come first, in that order."""

    summary: str
    evidence: tuple[str, ...]
    confidence: Confidence
    include: tuple[str, ...] = ()
    rule: tuple[dict[str, Any], ...] = ()


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
    rules = [rule for other in head.include for rule in _included(other, where, (*above, file))]
    rules += [_rule(raw, where, f"[[rule]] {n}") for n, raw in enumerate(head.rule, 1)]
    _refuse_twice(rules, where)
    summary = " ".join(head.summary.split())
    return Policy(file.stem, summary, head.evidence, head.confidence, tuple(rules))


def _included(name: str, where: str, above: tuple[Path, ...]) -> tuple[Rule, ...]:
    known = configs.names("policies")
    if name not in known:
        problem = f"no policy is called {name!r}"
        raise ConfigError(where, "key `include`", problem, suggest(name, known))
    return _load(configs.find("policies", name), above).rules


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
    if not 0 <= table.seconds < FLOW_MEMORY or table.seconds * MILLI % 1:
        right = f"0 to {FLOW_MEMORY - 1:.0f}, in steps of 0.001"
        raise ConfigError(where, f"{place}, key `seconds`", "is out of range", right)
    match = tuple(_signature(name, where, place) for name in table.match)
    rest = (table.after, table.seconds, table.direction)
    return Rule(table.id, match, table.action, table.scope, *rest)


def _signature(name: str, where: str, place: str) -> Signature:
    if name not in ALL:
        problem = f"no signature is called {name!r}"
        raise ConfigError(where, f"{place}, key `match`", problem, suggest(name, ALL))
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
