"""The one meaning of a policy: `Censor.judge`, asked about every packet in order of time.

The simulator asks it in virtual time, the lab's middlebox about real packets; what the kernel does
by a compiled ruleset has to agree with it.  It refuses to do I/O and to know any protocol.
"""

from collections.abc import Hashable, Iterable
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from functools import lru_cache
from ipaddress import ip_address, ip_network
from random import Random

from circumtest.censor.bucket import Bucket
from circumtest.censor.memory import Memory
from circumtest.censor.packet import Answer, Packet, Resets, Unreachable, Verdict
from circumtest.censor.poison import forged_answer
from circumtest.censor.policy import (
    FLOW_MEMORY,
    PERMILLE,
    Delay,
    Drop,
    Lose,
    Poison,
    Police,
    Policy,
    Prefix,
    Reject,
    Reset,
    Rule,
    Scope,
    Way,
)
from circumtest.censor.sight import Sight
from circumtest.model import Address, Transport

Key = tuple[Transport, Address, Address]
_Crowd = tuple[str, Prefix]
"""A client, and a network in which he has flows."""

_NEIGHBOURS = {4: 24, 6: 64}
"""Widths of the network that a server's concurrent flows are counted for."""


def flow_of(packet: Packet) -> Key:
    """The same key for both directions of a flow."""
    one, other = sorted((packet.source, packet.destination))
    return packet.transport, one, other


@dataclass(slots=True)
class _Flow:
    """One flow: what was seen of it, and how many packets and bytes conntrack would count."""

    key: Key
    sight: Sight
    packets: int = 0
    bytes: int = 0
    confirmed: bool = False
    draws: dict[str, bool] = field(default_factory=dict)  # by rule: whether chance takes it
    spared: set[str] = field(default_factory=set)


class Censor:
    """A policy at work.  All chance comes from `seed`.

    `hits` is how many packets each rule has acted on.
    """

    def __init__(self, policy: Policy, seed: int) -> None:
        self.hits = {rule.id: 0 for rule in policy.rules}
        random = Random(seed)
        # The kernel's part comes before the middlebox's, wherever they are written.
        self._rules = [
            _Standing(rule, random) for rule in sorted(policy.rules, key=lambda one: not one.simple)
        ]
        self._flows: Memory[Key, _Flow] = Memory(FLOW_MEMORY)

    def judge(self, packet: Packet, now: float) -> Verdict:
        flow = self._flow(packet, now)
        flow.sight.add(packet)
        flow.packets += 1
        flow.bytes += packet.size
        for standing in self._rules:
            verdict = standing.judge(packet, flow, now)
            if verdict is not None:
                self.hits[standing.rule.id] += 1
                break
        else:
            over = all(standing.over(flow) for standing in self._rules)
            verdict = _LEFT_ALONE if over else Verdict.PASS
        if verdict.passes:
            flow.confirmed = True
        elif not flow.confirmed:
            # The kernel's count begins with the first packet that passes: a flow whose packets were
            # all dropped was never confirmed, and is a new one each time.
            flow.packets = flow.bytes = 0
        if packet.last:
            for standing in self._rules:
                standing.ended(packet, flow, now)
        return verdict

    def _flow(self, packet: Packet, now: float) -> _Flow:
        key = flow_of(packet)
        flow = self._flows.get(key, now) or _Flow(key, Sight(now))
        self._flows.put(key, flow, now)
        return flow


_LEFT_ALONE = Verdict(passes=True, settled=True)


class _Standing:
    """One rule at work: what it remembers, and what it does."""

    def __init__(self, rule: Rule, random: Random) -> None:
        self.rule, self._random = rule, random
        self._matched: Memory[Hashable, float] = Memory(rule.hold)
        self._crowds: Memory[_Crowd, Memory[Key, None]] = Memory(FLOW_MEMORY)
        self._buckets: Memory[tuple[Key, bool], Bucket] = Memory(FLOW_MEMORY)
        self._dropped = Verdict(passes=False, rule=rule.id)
        for_good = rule.scope is Scope.FLOW and rule.direction is Way.BOTH
        self._settled = Verdict(
            passes=False, rule=rule.id, settled=for_good and rule.hold >= FLOW_MEMORY
        )

    def judge(self, packet: Packet, flow: _Flow, now: float) -> Verdict | None:
        """What the rule does to a packet, None for nothing."""
        rule = self.rule
        since = self._since(packet, flow, now)
        if since is None or not rule.direction.includes(packet):
            return None
        begun = since if rule.scope is Scope.ADDRESS else flow.sight.begun
        if now - begun < rule.seconds or not (rule.of_places or self._got_far(flow)):
            return None
        return self._act(packet, flow, now)

    def over(self, flow: _Flow) -> bool:
        """Whether nothing that may still come of a flow can concern the rule."""
        rule = self.rule
        if rule.of_places or flow.draws.get(rule.id):
            return False
        looked = 0 < rule.first <= flow.sight.payloads
        return looked or rule.id in flow.spared or rule.id in flow.draws

    def ended(self, packet: Packet, flow: _Flow, now: float) -> None:
        """A flow has ended: it is not one of many at the same time any more."""
        if self.rule.concurrent and (flows := self._crowds.get(_crowd_of(packet), now)):
            flows.discard(flow.key)

    # -------------------------------------------------------------- whom it concerns

    def _since(self, packet: Packet, flow: _Flow, now: float) -> float | None:
        """Since when the rule has concerned what this packet belongs to; None when it does not."""
        scope, matches = self.rule.scope, self._matches(packet, flow, now)
        if scope is Scope.PACKET:
            return now if matches else None
        key = _key(scope, packet, flow)
        since = self._matched.get(key, now)
        if since is None:
            since = now if matches else None
        # A flow is remembered since its last packet, the others since the last match.
        if (matches or (since is not None and scope is Scope.FLOW)) and since is not None:
            return since if self._matched.put(key, since, now) else None
        return since

    def _matches(self, packet: Packet, flow: _Flow, now: float) -> bool:
        rule, sight = self.rule, flow.sight
        if not self._addressed(packet) or self._spares(packet, flow):
            return False
        if rule.of_places and not self._got_far(flow):
            return False
        if rule.first and (sight.payloads > rule.first or not packet.payload):
            return False
        if not any(signature.matches(packet, sight) for signature in rule.match):
            return False
        if (rule.names or rule.ja4) and not self._greets(sight):
            return False
        if rule.concurrent and not self._crowded(packet, flow, now):
            return False
        return self._taken(flow)

    def _got_far(self, flow: _Flow) -> bool:
        return flow.packets > self.rule.after and flow.bytes > (self.rule.after_bytes or -1)

    def _spares(self, packet: Packet, flow: _Flow) -> bool:
        """Whether a flow is left alone: for good, or until it has shown what it is."""
        rule, sight = self.rule, flow.sight
        if not (rule.unless or rule.unless_names):
            return False
        if rule.id in flow.spared:
            return True
        named = sight.hello is not None and _one_of(sight.hello.name, rule.unless_names)
        if named or any(signature.matches(packet, sight) for signature in rule.unless):
            flow.spared.add(rule.id)
            return True
        unsaid = bool(rule.unless_names) and sight.hello is None and sight.greeting
        return unsaid or not packet.payload

    def _addressed(self, packet: Packet) -> bool:
        rule, server = self.rule, packet.server
        if rule.ports and not any(low <= server.port <= high for low, high in rule.ports):
            return False
        return not rule.to or _within(server.host, rule.to)

    def _greets(self, sight: Sight) -> bool:
        """Whether the ClientHello has a name and a JA4 that are wanted."""
        hello, rule = sight.hello, self.rule
        if hello is None:
            return False
        named = not rule.names or _one_of(hello.name, rule.names)
        return named and (not rule.ja4 or _one_of(hello.ja4, rule.ja4))

    def _crowded(self, packet: Packet, flow: _Flow, now: float) -> bool:
        """Whether more such flows of the client to the server's network are open than may be."""
        crowd = _crowd_of(packet)
        flows = self._crowds.get(crowd, now) or Memory(FLOW_MEMORY)
        self._crowds.put(crowd, flows, now)
        flows.put(flow.key, None, now)
        return len(flows) > self.rule.concurrent

    def _taken(self, flow: _Flow) -> bool:
        """Whether chance takes the flow; asked once, for whoever comes again comes as before."""
        if self.rule.id not in flow.draws:
            flow.draws[self.rule.id] = (
                self.rule.chance == 1.0 or self._random.random() < self.rule.chance
            )
        return flow.draws[self.rule.id]

    # -------------------------------------------------------------- what it does

    def _act(self, packet: Packet, flow: _Flow, now: float) -> Verdict | None:
        match self.rule.action:
            case Drop():
                return self._settled
            case Lose() as lose:
                return self._dropped if self._random.randrange(PERMILLE) < lose.permille else None
            case Reset():
                resets = Resets() if packet.transport is Transport.TCP else None
                return Verdict(passes=False, forged=resets, rule=self.rule.id)
            case Reject(admin):
                return Verdict(passes=False, forged=Unreachable(admin), rule=self.rule.id)
            case Police() as police:
                return None if self._bucket(police, packet, flow, now) else self._dropped
            case Delay(seconds):
                return Verdict(passes=True, delay=seconds, rule=self.rule.id)
            case Poison(address):
                return self._poisoned(packet, address)

    def _bucket(self, police: Police, packet: Packet, flow: _Flow, now: float) -> bool:
        key = (flow.key, packet.upwards)
        bucket = self._buckets.get(key, now) or Bucket(police.rate, police.burst)
        self._buckets.put(key, bucket, now)
        return bucket.take(packet.size, now)

    def _poisoned(self, packet: Packet, address: str) -> Verdict | None:
        if packet.transport is not Transport.UDP or not packet.upwards:
            return None
        answer = forged_answer(packet.payload, address)
        if answer is None:
            return None
        return Verdict(passes=True, forged=Answer(answer), rule=self.rule.id)


def _key(scope: Scope, packet: Packet, flow: _Flow) -> Hashable:
    server = packet.server
    if scope is Scope.TRIPLE:
        return packet.transport, packet.client.host, server
    return server.host if scope is Scope.ADDRESS else flow.key


def _crowd_of(packet: Packet) -> _Crowd:
    return packet.client.host, _network(packet.server.host, packet.server.version)


@lru_cache(4096)
def _network(host: str, version: int) -> Prefix:
    return ip_network(f"{host}/{_NEIGHBOURS[version]}", strict=False)


def _one_of(text: str, patterns: Iterable[str]) -> bool:
    return any(fnmatchcase(text, pattern) for pattern in patterns)


@lru_cache(4096)
def _within(host: str, prefixes: tuple[Prefix, ...]) -> bool:
    address = ip_address(host)
    return any(address in prefix for prefix in prefixes)
