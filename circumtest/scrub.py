"""A daemon's own words without what must not be kept: addresses, keys, names of hosts, secrets.

What is left is evidence that can be published.  It refuses to be clever about what a word means: a
word that looks like a key is one, and what it was given as a secret is one wherever it stands.
"""

import re
from collections.abc import Iterable

LIMIT = 1000
"""Characters that are kept: the last ones."""

_PEER = re.compile(r"peer\([^)]*\)")  # wireguard-go's name for a key
_UUID = re.compile(r"\b[0-9A-Fa-f]{8}(?:-[0-9A-Fa-f]{4}){3}-[0-9A-Fa-f]{12}\b")
_ADDRESS = re.compile(
    r"\[?(?<![\w.:])(?:\d{1,3}(?:\.\d{1,3}){3}|[0-9A-Fa-f]*:[0-9A-Fa-f]*:[0-9A-Fa-f:.]*)"
    r"(?:%\w+)?(?:/\d{1,3})?\]?(?:[:#]\d{1,5})?"
)
_CLOCK = re.compile(r"\d{1,2}:\d{2}:\d{2}(?:\.\d+)?")  # a time of day is no IPv6 address
_KEY = re.compile(r"(?<![\w/+-])(?=[\w/+-]*\d)(?=[\w/+-]*[A-Za-z])[\w/+-]{32,}={0,2}(?![\w/+-])")
_HOST = re.compile(r"\b(?:[A-Za-z0-9-]+\.)+(?:example|onion|invalid|test|[a-z]{2,6})(?=:\d)")
_COLOUR = re.compile(r"\x1b\[[0-9;]*m")


def scrub(words: str, secrets: Iterable[str] = ()) -> str:
    """`words` with everything that identifies replaced, at most LIMIT characters of it.

    `secrets` are texts that must not be left in it in any case; those shorter than four characters
    would only make the rest unreadable, and are nobody's secret.
    """
    words = _COLOUR.sub("", words)
    for secret in sorted(filter(lambda one: len(one) >= 4, secrets), key=len, reverse=True):
        words = words.replace(secret, "<secret>")
    words = _PEER.sub("peer", words)
    words = _UUID.sub("<id>", words)
    words = _KEY.sub("<key>", words)
    words = _HOST.sub("<host>", words)
    words = _ADDRESS.sub(_unless_clock, words)
    return words.strip()[-LIMIT:]


def _unless_clock(found: re.Match[str]) -> str:
    return found[0] if _CLOCK.fullmatch(found[0]) else "<address>"
