"""Who may register at a far half of ours and call it: digest under the secret, without memory.

A nonce is a time and a seal on it and on the address that it was told to, so whoever answers one
gets what is sent there.  It refuses to count uses: an answer may be used again, from the same
address, until its nonce is old.
"""

import hmac

from circumtest.sip import REALM, password
from circumtest.wire import digest, sip
from circumtest.wire.sip import Request

FRESH = 300.0
"""Seconds for which a nonce is good."""


class Gate:
    """Challenges, and their answers checked."""

    def __init__(self, secret: str) -> None:
        self._secret = secret

    def challenge(self, request: Request, given: str, host: str, now: float) -> str:
        """The challenge that `request` from `host` gets, "" when `given` lets it in.

        `given` is what it has to say for itself: the value of a header, or "".
        """
        stale = False
        if given:
            try:
                nonce = digest.nonce_of(given)
            except ValueError:
                nonce = ""
            user = sip.uri_in(request.get("From")).removeprefix("sip:").partition("@")[0]
            proof = digest.Challenge(REALM, nonce)
            known = digest.verify(given, proof, user, password(self._secret, user), request.method)
            if known and self._is_fresh(nonce, host, now):
                return ""
            stale = known
        stamp = f"{int(now):x}"
        nonce = f"{stamp}.{self._seal(stamp, host)}"
        return digest.Challenge(REALM, nonce, stale=stale).pack()

    def tag(self, call_id: str) -> str:
        """The To tag of what belongs to a call: only who was answered knows it."""
        return self._seal("tag", call_id)

    def _is_fresh(self, nonce: str, host: str, now: float) -> bool:
        """Made here, for that address, and not long ago."""
        stamp, _, seal = nonce.partition(".")
        if not hmac.compare_digest(self._seal(stamp, host).encode(), seal.encode()):
            return False
        return -1 < now - int(stamp, 16) < FRESH

    def _seal(self, what: str, whose: str) -> str:
        return hmac.digest(self._secret.encode(), f"{what}\0{whose}".encode(), "sha256")[:8].hex()
