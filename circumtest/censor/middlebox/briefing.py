"""What the middlebox is told when it starts: one line of JSON, from values and back.

A policy's rules are written as they are, but signatures by name and prefixes as text: what a
signature sees is code, which the other process has as well.  It refuses a signature that nobody
could name there.
"""

from collections.abc import Callable
from dataclasses import dataclass, fields
from ipaddress import ip_network
from typing import Any, TypeVar, get_type_hints

import msgspec

from circumtest.censor.policy import Policy, Prefix, Rule, Signature
from circumtest.censor.signatures import ALL

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Briefing:
    """A policy, the seed of its chance, and the name of the link that leads to the client."""

    policy: Policy
    seed: int
    inside: str = "client"


def dumps(briefing: Briefing) -> bytes:
    """One line without its end.  Raises ValueError for a signature that is not among `ALL`."""
    policy = {field.name: getattr(briefing.policy, field.name) for field in fields(Policy)}
    policy["rules"] = [_told(rule) for rule in briefing.policy.rules]
    return msgspec.json.encode({"policy": policy, "seed": briefing.seed, "inside": briefing.inside})


def loads(line: bytes) -> Briefing:
    """What `dumps` wrote.  Raises ValueError for anything else."""
    try:
        raw = msgspec.json.decode(line, type=dict[str, Any])
        policy = _made(Policy, raw["policy"], {"rules": _rules})
        return Briefing(policy, raw["seed"], raw["inside"])
    except (KeyError, TypeError, msgspec.DecodeError) as error:
        raise ValueError(f"no briefing: {error}") from None


def _told(rule: Rule) -> dict[str, Any]:
    told = {field.name: getattr(rule, field.name) for field in fields(Rule)}
    told |= {key: [_name(one) for one in told[key]] for key in ("match", "unless")}
    told["to"] = [str(prefix) for prefix in rule.to]
    return told


def _name(signature: Signature) -> str:
    if ALL.get(signature.name) != signature:
        raise ValueError(f"the signature {signature.name!r} is not among those that have a name")
    return signature.name


def _rules(raw: Any) -> tuple[Rule, ...]:
    return tuple(
        _made(Rule, rule, {"match": _signatures, "unless": _signatures, "to": _prefixes})
        for rule in raw
    )


def _signatures(raw: Any) -> tuple[Signature, ...]:
    return tuple(ALL[name] for name in raw)


def _prefixes(raw: Any) -> tuple[Prefix, ...]:
    return tuple(ip_network(prefix) for prefix in raw)


def _made(kind: type[T], raw: dict[str, Any], special: dict[str, Callable[[Any], Any]]) -> T:
    hints = get_type_hints(kind)
    return kind(
        **{
            key: special[key](value) if key in special else msgspec.convert(value, hints[key])
            for key, value in raw.items()
        }
    )
