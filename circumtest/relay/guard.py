"""Who may use a relay: nonces, users whose passwords the secret gives, and when they expire.

A nonce proves itself, so that strangers cost no memory.  It refuses to know allocations.
"""

import hmac
import re
from dataclasses import dataclass

from circumtest.model import Address
from circumtest.script import Flow
from circumtest.wire import stun, turn

_USER = re.compile(r"(\d{1,20})(?::[ -~]{1,64})?")
_STAMP = 8


class Refusal(Exception):
    """The answer to a request that is not granted: code, words, more attributes.

    `key` signs it, None where the server does not know who asks.
    """

    def __init__(
        self,
        code: int,
        reason: str,
        key: bytes | None = None,
        more: tuple[tuple[int, bytes], ...] = (),
    ) -> None:
        super().__init__(f"{code} {reason}")
        self.code, self.reason, self.key, self.more = code, reason, key, more


@dataclass(frozen=True, slots=True)
class Guard:
    """`nonce` is how many characters one has, `stale` after how many seconds it is refused, `no`
    what a stranger is told.
    """

    secret: str
    realm: str
    nonce: int = 16
    stale: float = 600.0
    no: str = "Unauthorized"

    def admit(
        self, flow: Flow, message: stun.Message, data: bytes, now: float
    ) -> tuple[str, bytes]:
        """The user who made a request, and his key (RFC 8489 9.2.4).  Raises Refusal."""
        if not turn.is_signed(data):
            raise Refusal(401, self.no, more=self._challenge(flow.remote, now))
        user, realm, nonce = (message.get(kind) for kind in (turn.USERNAME, turn.REALM, turn.NONCE))
        if user is None or realm is None or nonce is None:
            raise Refusal(400, "Bad Request")
        if not self._is_fresh(nonce, flow.remote, now):
            raise Refusal(438, "Stale Nonce", more=self._challenge(flow.remote, now))
        name = user.decode("ascii", "replace")
        key = turn.long_term_key(name, self.realm, turn.password(self.secret, name))
        if expiry(name) < now or realm != self.realm.encode() or not stun.authentic(data, key):
            raise Refusal(401, self.no, more=self._challenge(flow.remote, now))
        return name, key

    def _challenge(self, remote: Address, now: float) -> tuple[tuple[int, bytes], ...]:
        nonce = (turn.NONCE, self._made(f"{int(now) & 0xFFFFFFFF:08x}", remote))
        return (nonce, (turn.REALM, self.realm.encode()))

    def _made(self, stamp: str, remote: Address) -> bytes:
        proof = hmac.digest(self.secret.encode(), f"nonce {stamp} {remote}".encode(), "sha256")
        return (stamp + proof.hex())[: self.nonce].encode()

    def _is_fresh(self, nonce: bytes, remote: Address, now: float) -> bool:
        stamp = nonce[:_STAMP].decode("ascii", "replace")
        try:
            made = int(stamp, 16)
        except ValueError:
            return False
        return hmac.compare_digest(nonce, self._made(stamp, remote)) and (
            0 <= (int(now) & 0xFFFFFFFF) - made <= self.stale
        )


def expiry(user: str) -> int:
    """The Unix time until which a user name is good, 0 for one that names none.

    `<unix>:<anything>`; a bare number is its own time, of which coturn reads the low 32 bits.
    """
    found = _USER.fullmatch(user)
    return int(found[1]) & 0xFFFFFFFF if found else 0
