"""Tags: random fields whose second half only a secret's holders can have made.

Where a first packet has a field that is random anyway (a transaction id, a nonce, a tag), half of
it is drawn and the other half follows from that and the secret; to everybody else all of it looks
drawn.  It refuses to put a tag where there is no secret, or the one that everybody knows: what goes
to a real service, or to the lab, is drawn as a whole.
"""

import hmac
from base64 import b64encode

LAB = "circumtest lab"
"""The lab's secret, which is none."""
_KNOWN = ("", LAB)


def is_kept(secret: str) -> bool:
    """Whether this is a secret: not none, and not everybody's."""
    return secret not in _KNOWN


def mark(drawn: bytes, secret: str, purpose: str) -> bytes:
    """A drawn field with its tag in the second half, in place of what was drawn there."""
    if not is_kept(secret):
        return drawn
    half = drawn[: len(drawn) // 2]
    return half + _made(half, len(drawn) - len(half), secret, purpose)


def is_marked(field: bytes, secret: str, purpose: str) -> bool:
    """Whether a field has a tag for that purpose; of no secret every field has."""
    if not is_kept(secret):
        return True
    half = field[: len(field) // 2]
    made = _made(half, len(field) - len(half), secret, purpose)
    return hmac.compare_digest(field[len(half) :], made)


def mark_letters(drawn: bytes, secret: str, purpose: str) -> bytes:
    """The same for a field of letters of the base64 alphabet."""
    if not is_kept(secret):
        return drawn
    half = drawn[: len(drawn) // 2]
    return half + _letters(half, len(drawn) - len(half), secret, purpose)


def has_marked_letters(field: bytes, secret: str, purpose: str) -> bool:
    """Whether such a field has a tag for that purpose; of no secret every field has."""
    if not is_kept(secret):
        return True
    half = field[: len(field) // 2]
    made = _letters(half, len(field) - len(half), secret, purpose)
    return hmac.compare_digest(field[len(half) :], made)


def below_ff(drawn: bytes, secret: str, purpose: str) -> bytes:
    """The same for a field that must have no byte 0xff in its tag."""
    marked = mark(drawn, secret, purpose)
    if not is_kept(secret):
        return drawn
    half = len(drawn) // 2
    return marked[:half] + bytes(byte % 255 for byte in marked[half:])


def is_below_ff(field: bytes, secret: str, purpose: str) -> bool:
    """Whether such a field has a tag for that purpose; of no secret every field has."""
    return not is_kept(secret) or hmac.compare_digest(field, below_ff(field, secret, purpose))


def _made(half: bytes, size: int, secret: str, purpose: str) -> bytes:
    return hmac.digest(secret.encode(), f"tag {purpose}\0".encode() + half, "sha256")[:size]


def _letters(half: bytes, size: int, secret: str, purpose: str) -> bytes:
    return b64encode(_made(half, 32, secret, f"letters {purpose}"))[:size]
