"""A rule in a few words, for people: what it matches, and what it does.

It refuses to be exact where a table has no room: the policy's file says everything.
"""

from collections.abc import Sequence

from circumtest.censor.policy import (
    FLOW_MEMORY,
    Action,
    Conditions,
    Delay,
    Drop,
    Lose,
    Poison,
    Police,
    Reject,
    Reset,
    Rule,
    Scope,
    Way,
)

_FEW = 3
"""Items of a list that are told; the others are counted."""

_SCOPES = {
    Scope.PACKET: "",
    Scope.FLOW: "the whole flow",
    Scope.TRIPLE: "client, server and port",
    Scope.ADDRESS: "the server's address",
}


def matched(rule: Rule) -> str:
    """What a rule recognises, and what narrows it."""
    words = [_listed([signature.name for signature in rule.match], " or ")]
    if rule.names:
        words.append(f"for {_listed(rule.names, ', ')}")
    if rule.ja4:
        words.append(f"JA4 {_listed(rule.ja4, ', ')}")
    if rule.to:
        words.append(f"to {_listed([str(prefix) for prefix in rule.to], ', ')}")
    if rule.ports:
        words.append(f"port {_listed([_ports(*one) for one in rule.ports], ', ')}")
    if rule.first:
        words.append(f"in the first {rule.first} packets")
    if rule.concurrent:
        words.append(f"more than {rule.concurrent} at once")
    if rule.chance < 1:
        words.append(f"{rule.chance:.0%} of flows")
    spared = [signature.name for signature in rule.unless]
    if spared or rule.unless_names:
        words.append(f"unless {_listed([*spared, *rule.unless_names], ', ')}")
    return " ".join(words)


def done(rule: Rule) -> str:
    """What a rule does, to what, from when on."""
    words = [of_action(rule.action)]
    if rule.direction is not Way.BOTH:
        words.append("from the client" if rule.direction is Way.UP else "towards the client")
    if scope := _SCOPES[rule.scope]:
        held = f" ({rule.hold:g} s)" if rule.hold != FLOW_MEMORY or rule.of_places else ""
        words.append(f"{scope}{held}")
    after = [f"{rule.after} packets"] if rule.after else []
    after += [f"{rule.after_bytes} bytes"] if rule.after_bytes else []
    after += [f"{rule.seconds:g} s"] if rule.seconds else []
    if after:
        words.append(f"after {' and '.join(after)}")
    return ", ".join(words)


def of_action(action: Action) -> str:
    """An action alone."""
    match action:
        case Drop():
            return "drop"
        case Lose(probability):
            return f"lose {probability:.1%} of packets"
        case Reset():
            return "reset"
        case Reject(admin):
            return "reject (prohibited)" if admin else "reject"
        case Police(rate):
            return f"at most {rate} bytes/s"
        case Delay(seconds):
            return f"delay by {seconds:g} s"
        case Poison(address):
            return f"poison with {address}" if address else "poison (no such name)"


def of_conditions(asked: Conditions) -> str:
    """What a link is like."""
    words = []
    if asked.delay:
        words.append(f"{asked.delay * 1000:g} ms")
    if asked.jitter:
        words.append(f"± {asked.jitter * 1000:g} ms")
    if asked.loss:
        words.append(f"{asked.loss:.1%} lost")
    if asked.reorder:
        words.append(f"{asked.reorder:.1%} overtaking")
    if asked.rate:
        words.append(f"{asked.rate} bytes/s")
    if asked.mtu:
        words.append(f"MTU {asked.mtu}")
    return f"{asked.link} link: {', '.join(words) or 'as it is'}"


def _listed(items: Sequence[str], between: str) -> str:
    more = [f"{len(items) - _FEW} more"] if len(items) > _FEW else []
    return between.join([*items[:_FEW], *more])


def _ports(low: int, high: int) -> str:
    return str(low) if low == high else f"{low}-{high}"
