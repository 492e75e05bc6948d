"""ICE for one pair (RFC 8445): checks both ways, roles, nomination, and consent (RFC 7675).

`Agent` is one end, without I/O; a caller's `Session` runs it over a pipe, and is the pipe of what
comes behind ICE.  Candidates are as if signalled: there is one pair, which works or does not.  What
is not sealed with the passwords of this call is as if it had never come.  It refuses to gather
candidates, to prune and to trickle.
"""

import hmac
from base64 import b64encode
from collections.abc import Iterable
from random import Random
from typing import NamedTuple

from circumtest.errors import HandshakeFailed
from circumtest.media import Beat, Leg, media
from circumtest.model import Address, Cause, Transport
from circumtest.pipe import Pipe
from circumtest.script import Arrival, Script, Send, now, post, recv
from circumtest.wire import ice, stun
from circumtest.wire.ice import Dialect, Role

FRAGMENT = 4
"""Letters of a user name's fragment (RFC 8839 5.4: at least 4), as libwebrtc draws it."""
EXPIRY = 30.0
"""Seconds without an answered check after which nothing more may be sent (RFC 7675 5.1)."""
MAX_OPEN = 64
"""Checks of which an answer is still known; libwebrtc remembers as many seconds' worth."""
MAX_EARLY = 512
"""Arrivals kept that came before somebody asked for them."""
_TICK = 0.1
_NOMINATING = 0.05


class Credentials(NamedTuple):
    """One end's name and password, in letters of ICE."""

    fragment: bytes
    password: bytes


class Ends(NamedTuple):
    """The credentials of both ends of a call."""

    caller: Credentials
    callee: Credentials


def draw(rng: Random, count: int = FRAGMENT) -> bytes:
    """Letters that a caller draws for himself."""
    return bytes(rng.choices(ice.LETTERS, k=count))


def ends(secret: str, fragment: bytes, size: int = FRAGMENT) -> Ends:
    """The credentials of the call in which the caller calls himself `fragment`, as if signalled.

    `size` is how many letters the callee calls himself by.
    """
    made = [
        b64encode(hmac.digest(secret.encode(), purpose + b"\0" + fragment, "sha512"))
        for purpose in (b"ice caller", b"ice callee")
    ]
    caller, callee = (letters[: ice.PASSWORD] for letters in made)
    return Ends(Credentials(fragment, caller), Credentials(made[1][-size - 2 : -2], callee))


def call_of(secret: str, username: bytes) -> Ends | None:
    """The call that a check's USERNAME ("callee:caller") is of, None for what is no call's."""
    callee, colon, caller = username.partition(b":")
    if not colon or not 1 <= len(caller) <= 32 or not FRAGMENT <= len(callee) <= 32:
        return None
    known = ends(secret, caller, len(callee))
    return known if hmac.compare_digest(known.callee.fragment, callee) else None


class Agent:
    """One end of one pair.

    `answered`: a check of ours was.  `nominated`: the controlling end has chosen the pair.
    `consents` counts answers, `seen` is where the peer saw us.
    """

    def __init__(
        self,
        own: Credentials,
        peer: Credentials,
        rng: Random,
        dialect: Dialect,
        role: Role,
    ) -> None:
        self.role, self.dialect = role, dialect
        self.answered = self.nominated = False
        self.consents = 0
        self.seen: Address | None = None
        self._own, self._peer, self._rng = own, peer, rng
        self._chosen = False
        self._open: dict[bytes, tuple[Role, bool]] = {}

    def check(self) -> bytes:
        """The next check; the controlling end nominates with it when it is time to."""
        tid = draw(self._rng, 12) if self.dialect.letters else self._rng.randbytes(12)
        nominate = self.role.controlling and (
            self.dialect.aggressive or (self.answered and not self.nominated)
        )
        self._open[tid] = (self.role, nominate)
        if len(self._open) > MAX_OPEN:
            del self._open[next(iter(self._open))]
        username = self._peer.fragment + b":" + self._own.fragment
        message = self.dialect.check(tid, username, self.role, nominate=nominate)
        return stun.pack(message, self._peer.password, fingerprint=True)

    def hear(self, data: bytes, source: Address) -> bytes | None:
        """What to answer to a STUN message from `source`, None where nothing is to be said.

        Raises HandshakeFailed MALFORMED for an authentic answer that is none, ERROR_REPLY for an
        authentic refusal.
        """
        try:
            message = stun.unpack(data)
            if message.type == stun.BINDING:
                return self._asked(message, data, source)
            ours = message.type in (stun.BINDING_OK, stun.BINDING_ERROR)
            if not ours or not stun.authentic(data, self._peer.password):
                return None
        except ValueError:
            return None
        if (asked := self._open.pop(message.tid, None)) is not None:
            self._told(message, *asked)
        return None

    def _asked(self, check: stun.Message, data: bytes, source: Address) -> bytes | None:
        """7.3: who asks under our password is answered, unless both would choose the pair."""
        username = self._own.fragment + b":" + self._peer.fragment
        if check.get(ice.USERNAME) != username or not stun.authentic(data, self._own.password):
            return None
        role = ice.role_of(check)
        if role.controlling == self.role.controlling:
            # 7.3.1.1: the larger number controls.
            if (self.role.tie_breaker >= role.tie_breaker) == self.role.controlling:
                reason = "Role Conflict"
                return ice.pack_refusal(check.tid, ice.ROLE_CONFLICT, reason, self._own.password)
            self._switch(not role.controlling)
        if ice.nominates(check) and not self.role.controlling:
            self._chosen = True
            self.nominated = self.answered
        return ice.pack_answer(check.tid, *source, self._own.password)

    def _told(self, answer: stun.Message, role: Role, nominating: bool) -> None:
        if answer.type == stun.BINDING_ERROR:
            try:
                code, reason = stun.error_code(answer.get(stun.ERROR_CODE) or b"")
            except ValueError as error:
                raise HandshakeFailed(Cause.MALFORMED, str(error)) from None
            if code != ice.ROLE_CONFLICT:
                raise HandshakeFailed(Cause.ERROR_REPLY, f"{code} {reason}".strip())
            self._switch(not role.controlling)
            return
        try:
            value = answer.get(stun.XOR_MAPPED_ADDRESS) or b""
            self.seen = Address(*stun.parse_xor_address(value, answer.tid))
        except ValueError as error:
            raise HandshakeFailed(Cause.MALFORMED, str(error)) from None
        self.answered = True
        self.consents += 1
        self.nominated = self.nominated or self._chosen or (nominating and role == self.role)

    def _switch(self, controlling: bool) -> None:
        self.role = Role(controlling, self.role.tie_breaker)


# ------------------------------------------------------------------ the caller's end


class Session:
    """An agent at work over a pipe; what is not ICE's passes through it both ways.

    `remote` is where the peer is, as his checks are answered with it.  `lost` is whether consent
    has expired: nothing may be sent then.
    """

    def __init__(self, agent: Agent, pipe: Pipe, remote: Address, rng: Random) -> None:
        self.agent, self.lost = agent, False
        self._pipe, self._remote, self._rng = pipe, remote, rng
        self._waiting: list[tuple[Arrival, list[bytes]]] = []
        self._quiet = self._next = 0.0
        self._consents = 0
        self.due = 0.0

    # -------------------------------------------------------------- until there is a pair

    def connect(self, patience: float, *, nominated: bool = True) -> Script[Address]:
        """Check until one is answered and, if `nominated`, the pair is chosen; where we were seen.

        Raises HandshakeFailed with what an ICMP error said, else TIMEOUT, after `patience` seconds;
        ERROR_REPLY and MALFORMED like `Agent.hear`; at once when a stream ends.
        """
        start = yield from now()
        agent, cause, detail = self.agent, Cause.TIMEOUT, f"no answer in {patience:g} s"
        self.due = start
        while (at := (yield from now())) < start + patience:
            for item in self.tick(at):
                yield from post(item)
            arrival = yield from recv(min(self.due, start + patience))
            if arrival is None:
                continue
            if isinstance(arrival.data, Cause):
                cause, detail = arrival.data, str(arrival.source)
                if arrival.channel.transport is Transport.TCP:
                    break
            for item in self.answer(arrival):
                yield from post(item)
            if agent.seen and agent.answered and (agent.nominated or not nominated):
                return agent.seen
        if agent.answered and cause is Cause.TIMEOUT:
            detail = f"no pair was chosen in {patience:g} s"
        raise HandshakeFailed(cause, detail)

    def tick(self, at: float) -> Iterable[Send]:
        """A check, where it is time for one; the next is due at `due`."""
        if at < self.due:
            return ()
        self.due = max(self.due, at) + self._interval()
        return (self._pipe.encode(self.agent.check()),)

    # -------------------------------------------------------------- while there is one

    def answer(self, arrival: Arrival) -> Iterable[Send]:
        """What ICE says to an arrival at once; what else was in it waits for `decode`."""
        if any(waiting is arrival for waiting, _ in self._waiting):
            return ()
        replies, kept = [], []
        for payload in self._pipe.decode(arrival):
            if not payload[:1] < b"\x04":
                kept.append(payload)
                continue
            answered = self.agent.answered
            if reply := self.agent.hear(payload, self._remote):
                replies.append(self._pipe.encode(reply))
            if self.agent.answered and not answered:
                self.due = min(self.due, arrival.at + _NOMINATING)
        self.keep(arrival, kept)
        return replies

    def encode(self, data: bytes) -> Send:
        """How bytes are sent to the peer."""
        return self._pipe.encode(data)

    def decode(self, arrival: Arrival) -> Iterable[bytes]:
        """The payloads of an arrival that are not ICE's; give it to `answer` first."""
        for at in reversed(range(len(self._waiting))):
            if self._waiting[at][0] is arrival:
                return self._waiting.pop(at)[1]
        return ()

    def early(self) -> list[Arrival]:
        """The arrivals that wait for `decode`, in order."""
        return [arrival for arrival, _ in self._waiting]

    def keep(self, arrival: Arrival, payloads: list[bytes]) -> None:
        """Let what nobody wants yet wait, up to a bound."""
        if payloads and len(self._waiting) < MAX_EARLY:
            self._waiting.append((arrival, payloads))

    def beat(self) -> Beat:
        """Consent, for a media stage: a check every 4 to 6 s, each time drawn anew (RFC 7675 5.1),
        or as often as the dialect has it."""
        self._quiet, self._next = 0.0, self._interval()
        self._consents = self.agent.consents
        return Beat(_TICK, self._renew)

    def _renew(self) -> Iterable[Send]:
        if self.agent.consents != self._consents:
            self._consents, self._quiet = self.agent.consents, 0.0
        self._quiet += _TICK
        self._next -= _TICK
        self.lost = self.lost or self._quiet >= EXPIRY
        if self.lost or self._next > 0:
            return ()
        self._next += self._interval()
        return (self._pipe.encode(self.agent.check()),)

    def _interval(self) -> float:
        dialect = self.agent.dialect
        return self._rng.uniform(*dialect.consent) if self.agent.nominated else dialect.interval


class Consented:
    """A leg that falls silent when consent has expired, as it must (RFC 7675 5.1)."""

    def __init__(self, leg: Leg, session: Session) -> None:
        self._leg, self._session = leg, session
        self.decode = leg.decode

    def encode(self, seq: int, at: float) -> Send | None:
        return None if self._session.lost else self._leg.encode(seq, at)


def converse(session: Session, leg: Leg, seconds: float) -> Script[None]:
    """Media over a session, whose consent is renewed meanwhile.  Raises like `media`."""
    yield from media(
        Consented(leg, session),
        None,
        seconds=seconds,
        beats=(session.beat(),),
        early=session.early(),
        answer=session.answer,
    )
