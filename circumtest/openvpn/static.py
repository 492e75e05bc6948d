"""The keys that OpenVPN's ends share beforehand: of tls-auth, tls-crypt and tls-crypt-v2.

It refuses to tell anything of what is in them.
"""

import binascii
import re

from circumtest.material import Given

_STATIC = re.compile(
    r"-----BEGIN OpenVPN Static key V1-----\s+((?:[0-9A-Fa-f]+\s+)+)"
    r"-----END OpenVPN Static key V1-----"
)
_V2 = re.compile(
    r"-----BEGIN OpenVPN tls-crypt-v2 client key-----\s([A-Za-z0-9+/=\s]+)"
    r"-----END OpenVPN tls-crypt-v2 client key-----"
)
_STATIC_DIGITS, _V2_LEAST = 512, 256 + 34


def static_key(given: Given) -> str:
    """A key of `tls-auth` or `tls-crypt`: 2048 bits in hexadecimal.  Raises ConfigError."""
    found = _STATIC.search(given.text + "\n")
    if found is None or len("".join(found[1].split())) != _STATIC_DIGITS:
        remedy = "512 hexadecimal digits between -----BEGIN OpenVPN Static key V1----- and its end"
        raise given.wrong("is no static key of OpenVPN", remedy)
    return found[0].rstrip() + "\n"


def wrapped_key(given: Given) -> str:
    """A client's key of `tls-crypt-v2`.  Raises ConfigError."""
    if (found := _V2.search(given.text)) is not None:
        try:
            if len(binascii.a2b_base64("".join(found[1].split()), strict_mode=True)) >= _V2_LEAST:
                return found[0] + "\n"
        except binascii.Error:
            pass
    remedy = "the lines from -----BEGIN OpenVPN tls-crypt-v2 client key----- to its end"
    raise given.wrong("is no client's key of tls-crypt-v2", remedy)
