"""A call by SIP: the caller's rungs, his sound, and a far half of our own.

`line` carries messages, `caller` holds transactions and the dialog (RFC 3261), `sound` is RTP both
ways, `server` answers.  What both halves know without saying it is made from the secret here.  It
refuses to be a telephone: one call, one codec, no forking, no transfer.
"""

import hashlib
import hmac

REALM = "sip.example"
"""What the far halves of the lab call themselves: the realm, and the name in the certificate."""
CALLEE = "echo"
"""Who plays back what he hears."""


def password(secret: str, user: str) -> str:
    """The password of a user: 32 letters of base 16."""
    return _derive(secret, "password", user)[:16].hex()


def sound_key(secret: str, call_id: str) -> bytes:
    """The key under which a call's marks are made."""
    return _derive(secret, "sound", call_id)


def _derive(secret: str, purpose: str, name: str) -> bytes:
    return hmac.digest(secret.encode(), f"sip {purpose}\0{name}".encode(), hashlib.sha256)
