"""One rule of a policy in nft's words: its counter, sets and chains.

`shape-ID` is what a match looks like, `learn-ID` remembers one, `act-ID` does the action unless it
is too early for it, `match-ID` is the whole rule.  It refuses to order rules
(`circumtest.censor.nft`).
"""

from collections.abc import Iterable
from ipaddress import IPv4Network, IPv6Network, collapse_addresses

from circumtest.censor.nftwords import (
    FAMILIES,
    KEYS,
    SIDES,
    chain,
    counter_of,
    expression,
    key_of,
    keys,
    memory,
    merged,
    milliseconds,
    range_of,
)
from circumtest.censor.policy import FLOW_MEMORY, PERMILLE, Lose, Police, Reject, Rule, Scope, Way
from circumtest.censor.sieve import shapes_of
from circumtest.model import Transport


def chains(rule: Rule) -> Iterable[str]:
    """A rule's counter, what it remembers, and its chains."""
    yield f"counter {counter_of(rule.id)} {{ }}"
    yield from _prefixes(rule)
    if isinstance(rule.action, Police):
        yield from memory(Scope.FLOW, f"pace-{rule.id}-", FLOW_MEMORY)
    yield from chain(f"act-{rule.id}", [*_early(rule), *_action(rule)])
    there = [f"{words} goto shape-{rule.id}".lstrip() for words in _servers(rule)]
    if rule.scope is Scope.PACKET:
        yield from chain(f"shape-{rule.id}", _shapes(rule, "act"))
        yield from chain(f"match-{rule.id}", there)
        return
    yield from memory(rule.scope, _own(rule), rule.hold)
    if rule.scope is Scope.FLOW:
        yield from chain(f"learn-{rule.id}", _learn(rule))
        yield from chain(f"shape-{rule.id}", _shapes(rule, "learn"))
        yield from chain(f"match-{rule.id}", [*_remembered(rule), *there])
        return
    if rule.scope is Scope.ADDRESS and rule.seconds:
        yield from memory(rule.scope, f"young-{rule.id}-", rule.seconds)
    yield from chain(f"learn-{rule.id}", _list(rule))
    yield from chain(f"shape-{rule.id}", _shapes(rule, "learn"))
    yield from chain(f"note-{rule.id}", there)
    yield from chain(f"match-{rule.id}", [f"jump note-{rule.id}", *_remembered(rule)])


def asked(rule: Rule, transport: Transport, way: Way, version: int) -> Iterable[str]:
    """How a packet of which nothing is remembered is put to the rule: a line, or none.

    Of the rule's shapes only those of the transport are asked for.
    """
    shapes = list(shapes_of(rule, transport))
    if rule.of_places or not shapes:
        yield f"jump match-{rule.id}"
    elif not rule.to or version in _to(rule):
        server = _server(rule, way, version)
        if len(shapes) == 1:
            found = "act" if rule.scope is Scope.PACKET else "learn"
            words = expression(shapes[0]).removeprefix(f"meta l4proto {transport}").lstrip()
            yield " ".join(word for word in (*server, words, f"jump {found}-{rule.id}") if word)
        else:
            yield " ".join([*server, f"jump shape-{rule.id}"])


def _prefixes(rule: Rule) -> Iterable[str]:
    for version, prefixes in _to(rule).items():
        yield f"set to-{rule.id}-{version} {{"
        yield f"  type ipv{version}_addr; flags interval; elements = {{ {prefixes} }}"
        yield "}"


def _to(rule: Rule) -> dict[int, str]:
    """The prefixes by family, without overlaps, which nft would refuse; {} for everywhere."""
    of = {
        4: collapse_addresses(p for p in rule.to if isinstance(p, IPv4Network)),
        6: collapse_addresses(p for p in rule.to if isinstance(p, IPv6Network)),
    }
    texts = {version: ", ".join(map(str, prefixes)) for version, prefixes in of.items()}
    return {version: text for version, text in texts.items() if text}


def _shapes(rule: Rule, found: str) -> Iterable[str]:
    """A place is remembered only after so much of a flow; a flow, or a packet, is acted on then."""
    late = _after(rule) if rule.of_places else []
    for signature in rule.match:
        for shape in signature.shapes:
            yield " ".join([expression(shape), *late, f"goto {found}-{rule.id}"])


def _servers(rule: Rule) -> Iterable[str]:
    """Packets of the servers that a rule is about, in both directions; "" for all."""
    if not (rule.to or rule.ports):
        yield ""
        return
    for way, side in SIDES.items():
        for version in _to(rule) if rule.to else (4,):
            yield " ".join([f'iifname "{side}"', *_server(rule, way, version)])


def _server(rule: Rule, way: Way, version: int) -> list[str]:
    """To the servers upwards, from them downwards."""
    end = "d" if way is Way.UP else "s"
    ports = ", ".join(range_of(*ports) for ports in merged(rule.ports))
    words = [f"th {end}port {{ {ports} }}"] if ports else []
    if rule.to:
        words.append(f"{FAMILIES[version]} {end}addr @to-{rule.id}-{version}")
    return words


def _learn(rule: Rule) -> Iterable[str]:
    """A flow is remembered from a match on, and acted on if there was room for it."""
    yield f"jump keep-{KEYS[rule.scope][0]}"
    for version, side, key in keys(rule.scope):
        yield f"{side} update @{_own(rule)}{version} {{ {key} }} goto act-{rule.id}"


def _list(rule: Rule) -> Iterable[str]:
    """A place is remembered; of an address that is not yet, the time of its youth begins."""
    yield f"jump keep-{KEYS[rule.scope][0]}"
    young = f"@young-{rule.id}-"
    for version, side, key in keys(rule.scope):
        own = f"@{_own(rule)}{version}"
        renewed = f"update {own} {{ {key} }}"
        if rule.scope is Scope.ADDRESS and rule.seconds:
            yield f"{side} {key} {own} {renewed} return"
            yield f"{side} {renewed} update {young}{version} {{ {key} }} return"
        else:
            yield f"{side} {renewed} return"


def _remembered(rule: Rule) -> Iterable[str]:
    """What belongs to a match is acted on; a flow is remembered anew by each of its packets."""
    for version, side, key in keys(rule.scope):
        own = f"@{_own(rule)}{version}"
        renewed = f"update {own} {{ {key} }} " if rule.scope is Scope.FLOW else ""
        yield f"{side} {key} {own} {renewed}goto act-{rule.id}"


def _own(rule: Rule) -> str:
    return f"{KEYS[rule.scope][0]}-{rule.id}-"


def _early(rule: Rule) -> Iterable[str]:
    """What ends the action before it begins: a flow, or a listing, that is still young.

    A flow whose beginning found no room to be remembered stays young for ever.
    """
    if not rule.seconds:
        return
    if rule.scope is Scope.ADDRESS:
        for version, side, key in keys(rule.scope):
            yield f"{side} {key} @young-{rule.id}-{version} return"
        return
    for version, side, key in keys(Scope.FLOW):
        yield f"{side} {key} @young{milliseconds(rule.seconds)}-{version} return"
        yield f"{side} {key} != @begun{version} return"


def _action(rule: Rule) -> Iterable[str]:
    """The last lines of `act-ID`: for what and to whom, the counter, and what becomes of it."""
    parts = []
    if rule.direction in SIDES:
        parts.append(f'iifname "{SIDES[rule.direction]}"')
    if not rule.of_places:
        parts += _after(rule)
    chances, end = [""], "drop"
    match rule.action:
        case Lose() as lose:
            chances = [f"numgen random mod {PERMILLE} < {lose.permille}"]
        case Reject(admin):
            end = f"reject with icmpx {'admin-prohibited' if admin else 'port-unreachable'}"
        case Police() as police:
            chances = list(_pace(rule, police))
    for chance in chances:
        words = [*parts, chance, f"counter name {counter_of(rule.id)}", end]
        yield " ".join(word for word in words if word)


def _after(rule: Rule) -> list[str]:
    packets = [f"ct packets > {rule.after}"] if rule.after else []
    return [*packets, *([f"ct bytes > {rule.after_bytes}"] if rule.after_bytes else [])]


def _pace(rule: Rule, police: Police) -> Iterable[str]:
    """What is over the rate, of each direction of a flow by itself."""
    limit = f"limit rate over {police.rate} bytes/second burst {police.burst} bytes"
    for version in FAMILIES:
        key = key_of(Scope.FLOW, version, Way.UP)
        yield f"update @pace-{rule.id}-{version} {{ {key} {limit} }}"
