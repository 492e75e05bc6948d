"""The far person of a call: answers ICE, is DTLS's server, speaks, and counts what he hears.

Whoever knows the secret may call him; the name that a caller draws for himself says which passwords
are the call's, so that nothing need be signalled.  Sound begins when the caller has proved that he
is where he says: by his end of DTLS, or, without it, by answering a check.  State is bounded, and
what is not authentic is not answered.  He refuses to hang up when consent expires (RFC 7675): a far
end that gave up would look like a censor of the way down.
"""

import hashlib
from collections.abc import Iterable
from dataclasses import dataclass
from heapq import heappop, heappush
from itertools import count
from random import Random

from circumtest import dtls, identity, srtp
from circumtest.dtls.endpoint import Endpoint, SrtpKeys
from circumtest.errors import HandshakeFailed
from circumtest.ice import Agent, Ends, call_of
from circumtest.model import Transport
from circumtest.script import Emit, Flow
from circumtest.srtp import OPUS, Sound
from circumtest.talker import QUIET, Talker, Turns
from circumtest.wire import ice, stun
from circumtest.wire.ice import Dialect, Role

MAX_CALLS = 512
"""Calls that he remembers; the oldest is forgotten first."""
NAME = "callee"
"""What his certificate is said to be for; callers look at its key."""
_LARGEST = (1 << 64) - 1
_TRIES = 64
_NOMINATING = 0.05


@dataclass(slots=True)
class _Call:
    """One caller.  `check` is when the next check is due, None for never; `due` what is queued;
    `heard` when something authentic last came."""

    ends: Ends
    agent: Agent
    rng: Random
    heard: float
    endpoint: Endpoint | None = None
    sealer: srtp.Sealer | None = None
    opener: srtp.Opener | None = None
    check: float | None = None
    checks: int = 0
    due: float | None = None


class Callee:
    """`ice` is the dialect of his own checks, None for an ICE-lite end, which makes none.

    Without `dtls` the keys of sound are as if signalled, too (`srtp.signalled`).
    """

    def __init__(
        self,
        secret: str,
        *,
        ice: Dialect | None = ice.TGCALLS,
        dtls: bool = True,
        sound: Sound = OPUS,
    ) -> None:
        self._secret, self._dialect, self._dtls, self._sound = secret, ice, dtls, sound
        self._calls: dict[Flow, _Call] = {}
        self._turns: Turns[Flow] = Turns()
        self._chores: list[tuple[float, int, Flow]] = []
        self._order = count()

    def receive(self, flow: Flow, data: bytes, now: float) -> Iterable[Emit]:
        if flow.transport is not Transport.UDP or not data:
            return ()
        if data[0] < 4:
            return self._checked(flow, data, now)
        if (call := self._calls.get(flow)) is None:
            return ()
        if srtp.is_dtls(data):
            return self._shaken(flow, call, data, now)
        if data[0] >= 128 and call.opener and (talker := self._turns.get(flow)):
            try:
                talker.hear(call.opener.unpack(data), now)
            except ValueError:
                return ()
            call.heard = now
        return ()

    def timer(self) -> float | None:
        due = [at for at in (self._turns.timer(), self._chore()) if at is not None]
        return min(due, default=None)

    def tick(self, now: float) -> Iterable[Emit]:
        for flow, frame in self._turns.speak(now):
            if (call := self._calls.get(flow)) and call.sealer:
                yield Emit(flow, call.sealer.pack(frame))
        while (due := self._chore()) is not None and due <= now:
            _, _, flow = heappop(self._chores)
            call = self._calls[flow]
            call.due = None
            yield from self._work(flow, call, now)

    # -------------------------------------------------------------- checks

    def _checked(self, flow: Flow, data: bytes, now: float) -> Iterable[Emit]:
        if (call := self._caller(flow, data, now)) is None:
            return
        agent, answered, consents = call.agent, call.agent.answered, call.agent.consents
        try:
            reply = agent.hear(data, flow.remote)
        except HandshakeFailed:  # the caller refuses: his own end says so
            return
        if reply is not None:
            yield Emit(flow, reply)
        elif agent.consents == consents:
            return
        call.heard = now
        if talker := self._turns.get(flow):
            talker.touch(now)
        if self._dialect and (call.check is None or agent.answered != answered):
            # A triggered check (RFC 8445 7.3.1.4), and the one that nominates.
            call.check = now + _NOMINATING if agent.answered else now
        if agent.nominated and not self._dtls:
            self._speak(flow, call, srtp.signalled(self._secret, call.ends.caller.fragment), now)
        yield from self._work(flow, call, now)

    def _caller(self, flow: Flow, data: bytes, now: float) -> _Call | None:
        """Whose STUN message it is; a check that is sealed for a call begins it."""
        try:
            message = stun.unpack(data)
        except ValueError:
            return None
        if message.type == stun.BINDING:
            ends = call_of(self._secret, message.get(ice.USERNAME) or b"")
            if ends is None or not stun.authentic(data, ends.callee.password):
                return None
            self._admit(flow, ends, now)
        return self._calls.get(flow)

    def _admit(self, flow: Flow, ends: Ends, now: float) -> None:
        """The call on that flow; another name makes it a new one, for ports are used again."""
        call = self._calls.get(flow)
        if call is not None and call.ends == ends:
            return
        self._forget(flow)
        if len(self._calls) >= MAX_CALLS:
            self._forget(next(iter(self._calls)))
        seed = hashlib.sha256(self._secret.encode() + b"\0" + ends.caller.fragment).digest()
        rng = Random(seed)
        # His number is the largest: he yields to who controls, and controls where nobody would.
        role = Role(controlling=False, tie_breaker=_LARGEST)
        agent = Agent(ends.callee, ends.caller, rng, self._dialect or ice.PLAIN, role)
        self._calls[flow] = _Call(ends, agent, rng, now)

    def _forget(self, flow: Flow) -> None:
        self._calls.pop(flow, None)
        self._turns.discard(flow)

    # -------------------------------------------------------------- keys and sound

    def _shaken(self, flow: Flow, call: _Call, data: bytes, now: float) -> Iterable[Emit]:
        if not self._dtls:
            return ()
        out: list[bytes] = []
        try:
            if call.endpoint is None:
                own = identity.certificate(self._secret, NAME)
                call.endpoint = dtls.server(own, rng=call.rng)
                out += call.endpoint.start(now)
            out += call.endpoint.receive(data, now)
        except HandshakeFailed:
            self._forget(flow)
            return ()
        if call.endpoint.established and call.endpoint.keys and call.sealer is None:
            self._speak(flow, call, call.endpoint.keys, now)
        self._queue(flow, call)
        return [Emit(flow, datagram) for datagram in out]

    def _speak(self, flow: Flow, call: _Call, keys: SrtpKeys, now: float) -> None:
        if call.sealer is None:
            call.sealer = srtp.Sealer(
                keys.server_key + keys.server_salt, keys.profile, self._sound, call.rng
            )
            call.opener = srtp.Opener(keys.client_key + keys.client_salt, keys.profile)
            self._turns.add(flow, Talker(now))

    # -------------------------------------------------------------- what is due

    def _work(self, flow: Flow, call: _Call, now: float) -> Iterable[Emit]:
        """Whatever of a call is due: a check, a flight of DTLS."""
        agent, endpoint = call.agent, call.endpoint
        if call.check is not None and call.check <= now:
            yield Emit(flow, agent.check())
            call.checks += 1
            call.check = now + self._interval(call)
            if not agent.answered and call.checks > _TRIES:
                call.check = None  # nobody is there
        if endpoint is not None and (due := endpoint.timer()) is not None and due <= now:
            try:
                flight = endpoint.tick(now)
            except HandshakeFailed:
                self._forget(flow)
                return
            for datagram in flight:
                yield Emit(flow, datagram)
        talker = self._turns.get(flow)
        if now - call.heard > QUIET or (talker is not None and talker.due is None):
            self._forget(flow)
            return
        self._queue(flow, call)

    def _interval(self, call: _Call) -> float:
        dialect = call.agent.dialect
        return call.rng.uniform(*dialect.consent) if call.agent.nominated else dialect.interval

    def _queue(self, flow: Flow, call: _Call) -> None:
        flight = call.endpoint.timer() if call.endpoint else None
        due = min((at for at in (call.check, flight) if at is not None), default=None)
        if due is not None and due != call.due:
            heappush(self._chores, (due, next(self._order), flow))
        call.due = due

    def _chore(self) -> float | None:
        """When the next chore is due; those that were put off, or of calls forgotten, are none."""
        while self._chores:
            due, _, flow = self._chores[0]
            if (call := self._calls.get(flow)) and call.due == due:
                return due
            heappop(self._chores)
        return None
