"""How the kernel hands packets to the middlebox and carries out its verdicts: marks, and nft text.

A packet goes through the kernel's own rules first, then gets the mark `VISIT` if some other rule
might be about it, waits in the queue, and comes out with the verdict as its mark, which is carried
out and counted behind it.  What is settled of a flow becomes its conntrack mark: from then on its
packets get that mark at once and skip the queue.  It refuses the queue's `bypass`: a packet that
nobody can judge does not pass.
"""

from collections.abc import Iterable, Sequence
from ipaddress import IPv4Network, IPv6Network, collapse_addresses

from circumtest.censor.nft import TABLE, counter_of
from circumtest.censor.packet import Verdict
from circumtest.censor.policy import Policy, Rule, Scope
from circumtest.model import Transport

QUEUE = 1
"""The queue's number in the censor's namespace."""
VISIT = 0x80000000
_QUEUED = f"meta mark {VISIT:#x} queue num {QUEUE}"
_SETTLED, _PASSES, _SHIFT = 1, 2, 2
_MARKS, _MANGLE, _VERDICTS = -155, -150, 10
"""Priorities of the chains: behind the kernel's own rules; iptables has its queue at mangle's."""
_SIDES = (("client", "daddr", "dport"), ("backbone", "saddr", "sport"))
"""By the link that a packet comes in by, where the server's address and port are."""


def others(policy: Policy) -> tuple[Rule, ...]:
    """The rules that the kernel cannot judge, in order."""
    return tuple(rule for rule in policy.rules if not rule.simple)


class Marks:
    """Verdicts as marks, for rules in order: what becomes of a packet, whose doing, if for good."""

    def __init__(self, rules: Sequence[Rule]) -> None:
        self._numbers = {rule.id: number for number, rule in enumerate(rules, 1)}

    def of(self, verdict: Verdict) -> int:
        """The mark; 0 of a packet that passes, of which there is no more to say.

        Nothing is dropped without a rule: KeyError.
        """
        number = self._numbers[verdict.rule] if verdict.rule or not verdict.passes else 0
        settled = _SETTLED if verdict.settled else 0
        passes = _PASSES if verdict.passes and (number or settled) else 0
        return number << _SHIFT | passes | settled


def ruleset(rules: Sequence[Rule], *, queue: bool) -> str:
    """What follows `nft.ruleset` in the text for `nft -f -`, in the same table.

    `queue`: the kernel has nft's own queue; otherwise `legacy` is needed as well.  A rule's
    counter, `counter_of(rule.id)`, counts the packets that met its action.
    """
    lines = [f"table inet {TABLE} {{", *(f"  {line}" for line in _body(rules, queue)), "}"]
    return "\n".join(lines) + "\n" if rules else ""


def attempt() -> str:
    """The text with which nft is asked whether it has a queue."""
    chain = "\n".join(_chain("visits", _MANGLE, [_QUEUED]))
    return f"table inet {TABLE}-attempt {{\n{chain}\n}}\n"


def legacy(*operations: str) -> str:
    """The text for `iptables-restore` and its twin for IPv6; each of `operations`: "-A" or "-D"."""
    rule = f"FORWARD -m mark --mark {VISIT:#x} -j NFQUEUE --queue-num {QUEUE}"
    return "\n".join(["*mangle", *(f"{one} {rule}" for one in operations), "COMMIT", ""])


def _body(rules: Sequence[Rule], queue: bool) -> Iterable[str]:
    yield from (f"counter {counter_of(rule.id)} {{ }}" for rule in rules)
    yield from _chain("marks", _MARKS, _marks(rules))
    if queue:
        yield from _chain("visits", _MANGLE, [_QUEUED])
    yield from _chain("verdicts", _VERDICTS, _verdicts(rules))


def _marks(rules: Sequence[Rule]) -> Iterable[str]:
    yield "meta mark set 0"
    yield "ct mark != 0 meta mark set ct mark return"
    visits = {line: None for rule in rules for line in _concerned(rule)}
    yield from (f"{line} meta mark set {VISIT:#x} return" for line in visits)


def _concerned(rule: Rule) -> Iterable[str]:
    """Expressions for every packet that the rule could be about, in either direction."""
    transports = {shape.transport for one in rule.match for shape in one.shapes}
    ports = rule.ports
    if any(signature.sees for signature in rule.match) or len(transports) != 1:
        transports = set(Transport)
    if rule.scope is Scope.ADDRESS:  # from a match on all that the server has to do with
        transports, ports = set(Transport), ()
    over = f"meta l4proto {{ {', '.join(sorted(transports))} }}"
    for link, address, port in _SIDES:
        ranges = [f" th {port} {low}-{high}" for low, high in ports] or [""]
        prefixes = [f" {there}" for there in _destinations(rule, address)] or [""]
        yield from (f'iifname "{link}" {over}{to}{at}' for to in prefixes for at in ranges)


def _destinations(rule: Rule, address: str) -> Iterable[str]:
    four = [prefix for prefix in rule.to if isinstance(prefix, IPv4Network)]
    six = [prefix for prefix in rule.to if isinstance(prefix, IPv6Network)]
    # Two prefixes that overlap are refused in a set.
    for ip, merged in (("ip", collapse_addresses(four)), ("ip6", collapse_addresses(six))):
        if there := ", ".join(map(str, merged)):
            yield f"{ip} {address} {{ {there} }}"


def _verdicts(rules: Sequence[Rule]) -> Iterable[str]:
    yield "meta mark 0 accept"
    yield f"meta mark & {_SETTLED} == {_SETTLED} ct mark set meta mark"
    for number, rule in enumerate(rules, 1):
        for settled in (0, _SETTLED):
            mark, counter = number << _SHIFT | settled, f"counter name {counter_of(rule.id)}"
            yield f"meta mark {mark:#x} {counter} drop"
            yield f"meta mark {mark | _PASSES:#x} {counter} accept"


def _chain(name: str, priority: int, lines: Iterable[str]) -> Iterable[str]:
    yield f"chain {name} {{"
    yield f"  type filter hook forward priority {priority}; policy accept;"
    yield from (f"  {line}" for line in lines)
    yield "}"
