"""Digest access authentication as SIP uses it: RFC 2617 with MD5, RFC 7616 with SHA-256 (RFC 8760).

Challenges and answers are the values of headers.  It refuses to keep nonces, and knows neither
`auth-int` nor the session variants: a challenge that wants those is a ValueError.
"""

import hashlib
import hmac
import re
from collections.abc import Mapping
from dataclasses import dataclass

_HASHES = {"MD5": "md5", "SHA-256": "sha256"}
_PAIR = re.compile(r'\s*([A-Za-z0-9_-]+)\s*=\s*(?:"((?:[^"\\]|\\.)*)"|([^\s",;]*))\s*(?:,|\Z)')
_MAX_PAIRS = 32
_FIRST = "00000001"


@dataclass(frozen=True, slots=True)
class Challenge:
    """What a far end wants answered.  `qop` is whether it offered `auth` (RFC 2617 3.2.1)."""

    realm: str
    nonce: str
    algorithm: str = "MD5"
    qop: bool = True
    opaque: str = ""
    stale: bool = False

    def pack(self) -> str:
        """The value of a WWW-Authenticate or Proxy-Authenticate header."""
        words = [f'Digest realm="{self.realm}", nonce="{self.nonce}"']
        words += [f'opaque="{self.opaque}"'] if self.opaque else []
        words += ["stale=true"] if self.stale else []
        words += [f"algorithm={self.algorithm}"]
        words += ['qop="auth"'] if self.qop else []
        return ", ".join(words)


def parse_challenge(value: str) -> Challenge:
    """The challenge in such a header.  Raises ValueError for none that can be answered."""
    given = _pairs(value)
    algorithm = given.get("algorithm", "MD5").upper()
    offered = [word.strip().lower() for word in given.get("qop", "").split(",") if word.strip()]
    if algorithm not in _HASHES or (offered and "auth" not in offered):
        raise ValueError("a digest that is not known here")
    if not given.get("realm") or not given.get("nonce"):
        raise ValueError("a challenge without realm or nonce")
    stale = given.get("stale", "").lower() == "true"
    opaque = given.get("opaque", "")
    return Challenge(given["realm"], given["nonce"], algorithm, bool(offered), opaque, stale)


def answer(
    challenge: Challenge, user: str, password: str, method: str, uri: str, cnonce: str
) -> str:
    """The value of the Authorization (or Proxy-Authorization) header that answers `challenge`."""
    words = [f'Digest username="{user}", realm="{challenge.realm}", nonce="{challenge.nonce}"']
    words += [f'uri="{uri}"']
    given = {"nonce": challenge.nonce}
    if challenge.qop:
        given |= {"qop": "auth", "nc": _FIRST, "cnonce": cnonce}
    secret = (user, challenge.realm, password)
    words += [f'response="{_response(challenge.algorithm, secret, method, uri, given)}"']
    words += [f"algorithm={challenge.algorithm}"]
    if challenge.qop:
        words += [f'cnonce="{cnonce}"', "qop=auth", f"nc={_FIRST}"]
    words += [f'opaque="{challenge.opaque}"'] if challenge.opaque else []
    return ", ".join(words)


def nonce_of(value: str) -> str:
    """The nonce that an answer was made for, "" where it says none.  Raises ValueError."""
    return _pairs(value).get("nonce", "")


def verify(value: str, challenge: Challenge, user: str, password: str, method: str) -> bool:
    """Whether an answer's value was made by `user` with `password`, for `challenge`.

    Never raises: what is no answer is a wrong one.
    """
    try:
        given = _pairs(value)
    except ValueError:
        return False
    same = (given.get("username"), given.get("realm"), given.get("nonce")) == (
        user,
        challenge.realm,
        challenge.nonce,
    )
    if not same or given.get("algorithm", "MD5").upper() != challenge.algorithm:
        return False
    if challenge.qop and not all(given.get(name) for name in ("qop", "nc", "cnonce")):
        return False
    secret = (user, challenge.realm, password)
    made = _response(challenge.algorithm, secret, method, given.get("uri", ""), given)
    return hmac.compare_digest(made.encode(), given.get("response", "").lower().encode())


def _response(
    algorithm: str, secret: tuple[str, str, str], method: str, uri: str, given: Mapping[str, str]
) -> str:
    """RFC 2617 3.2.2.1: KD of HA1, what was drawn, and HA2."""
    first, second = _hash(algorithm, *secret), _hash(algorithm, method, uri)
    if not given.get("qop"):
        return _hash(algorithm, first, given.get("nonce", ""), second)
    drawn = [given.get(name, "") for name in ("nonce", "nc", "cnonce", "qop")]
    return _hash(algorithm, first, *drawn, second)


def _hash(algorithm: str, *words: str) -> str:
    return hashlib.new(
        _HASHES[algorithm], ":".join(words).encode(), usedforsecurity=False
    ).hexdigest()


def _pairs(value: str) -> dict[str, str]:
    """The name=value behind `Digest`, names in lower case.  Raises ValueError for anything else."""
    scheme, _, rest = value.strip().partition(" ")
    if scheme.lower() != "digest":
        raise ValueError("not a digest")
    found: dict[str, str] = {}
    at = 0
    while at < len(rest):
        pair = _PAIR.match(rest, at)
        if pair is None or len(found) >= _MAX_PAIRS or pair[1].lower() in found:
            raise ValueError("not a digest's parameters")
        quoted = pair[2] is not None
        found[pair[1].lower()] = re.sub(r"\\(.)", r"\1", pair[2]) if quoted else pair[3]
        at = pair.end()
    return found
