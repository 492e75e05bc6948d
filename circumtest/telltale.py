"""What in a text tells who somebody is, or opens something: addresses, keys, names, places.

Two use it: what is written is rid of it (`replaced`), what is shared is searched for it (`tales`).
It knows shapes only, so it finds what nobody named; what looks like none of them has to be named as
a secret (`secrets_in` names those of a configuration).  It refuses to judge whether an address is
dangerous to have in a file: who asks says which ones may stay.
"""

import base64
import ipaddress
import re
from collections.abc import Callable, Iterable, Iterator
from typing import NamedTuple
from urllib.parse import quote, unquote

SHORTEST = 4
"""Characters below which a secret is not looked for: it would be found in every other word."""


class Tale(NamedTuple):
    """One place that tells: of what kind, and where in the text.  `words` are not for printing."""

    kind: str
    start: int
    end: int
    words: str


_LINK = (
    r"\b(?:ss|ssr|vless|vmess|trojan|hysteria2?|hy2|tuic|anytls|socks5h?|wireguard)://[^\s\"'<>]+"
)
_NAME = r"(?<![\w.@-])(?:[A-Za-z0-9_](?:[\w-]*[A-Za-z0-9])?\.)+[A-Za-z]{2,}(?![\w-])"
_SHAPES = (
    ("pem", r"-----BEGIN [A-Z0-9 ]+-----(?:.*?-----END [A-Z0-9 ]+-----|.*)"),
    ("link", _LINK),
    ("login", r"\b[A-Za-z][\w+.-]*://[^\s/@\"'<>]+@[^\s\"'<>]+"),
    ("mail", r"(?<![\w.+-])[\w.+-]+@[\w-]+(?:\.[\w-]+)*\.[A-Za-z]{2,}"),
    ("id", r"(?<![0-9A-Fa-f-])[0-9A-Fa-f]{8}(?:-[0-9A-Fa-f]{4}){3}-[0-9A-Fa-f]{12}(?![0-9A-Fa-f])"),
    ("mac", r"(?<![0-9A-Fa-f])[0-9A-Fa-f]{2}(?:[:-][0-9A-Fa-f]{2}){5}(?![\w:])"),
    ("home", r"(?:/home|/Users|\\Users)[/\\][^\s/\\:\"'<>,;)]+|(?<![\w/])/root(?![\w-])"),
    ("key", r"(?<![\w/+=-])(?:[0-9A-Fa-f]{32,}|(?:[0-9A-F]{4} ){9}[0-9A-F]{4})(?![\w/+-])"),
    ("key", r"(?<![\w/+-])(?=[\w/+-]*\d)(?=[\w/+-]*[A-Za-z])[\w/+-]{32,}={0,2}(?![\w/+-])"),
    ("key", r"(?<![\w/+-])[\w/+-]{42,}={1,2}(?![\w/+-])|(?<![\w/+-])[\w/+-]{22}==(?![\w=])"),
    ("address", r"(?<!\d)(?<!\d\.)\d{1,3}(?:\.\d{1,3}){3}(?!\d)"),
    ("address", r"(?<![\w.:])\w*:[0-9A-Fa-f:.]*:[0-9A-Fa-f:.]*(?:%\w+)?"),
    ("host", _NAME),
)
_ALL = re.compile("|".join(f"(?P<s{at}>{shape})" for at, (_, shape) in enumerate(_SHAPES)), re.S)
_CLOCK = re.compile(r"\d{1,2}:\d{2}:\d{2}(?:\.\d+)?")


def tales(text: str) -> Iterator[Tale]:
    """Every place in `text` that has one of the shapes, in order; of nested ones the outer."""
    at = 0
    while (found := _ALL.search(text, at)) is not None:
        kind = _SHAPES[int((found.lastgroup or "s0")[1:])][0]
        start, end = found.span()
        if kind == "address":
            first, last = _address(found[0])
            start, end = start + first, start + last
        if start < end:
            yield Tale(kind, start, end, text[start:end])
            at = end
        else:
            at = found.start() + 1


def _address(words: str) -> tuple[int, int]:
    """From where to where it is an address, perhaps behind a label; (0, 0): a time, or nothing."""
    if _CLOCK.fullmatch(words):
        return 0, 0
    for first in (0, *(at + 1 for at, letter in enumerate(words) if letter == ":")):
        for part in (words[first:], words[first:].rstrip(".:"), words[first:].rstrip(".")):
            if _parsed(part) is not None:
                return first, first + len(part)
    return 0, 0


def _parsed(address: str) -> ipaddress.IPv4Address | ipaddress.IPv6Address | None:
    """The address, zeros in front of a number forgiven; None where it is none."""
    parts = address.split(".")
    if len(parts) == 4 and all(map(str.isdecimal, parts)):
        address = ".".join(str(int(part)) for part in parts)
    try:
        return ipaddress.ip_address(address)
    except ValueError:
        return None


def tells_where(address: str) -> bool:
    """Whether it is an address of the open Internet; one that is private or an example is not."""
    parsed = _parsed(address.partition("%")[0])
    if isinstance(parsed, ipaddress.IPv6Address):
        # Addresses that carry an IPv4 one tell it.
        inner = parsed.ipv4_mapped or parsed.sixtofour or (parsed.teredo or (None, None))[1]
        if inner is not None:
            parsed = inner
    return parsed is not None and parsed.is_global and not parsed.is_multicast


def replaced(text: str, instead: Callable[[Tale], str]) -> str:
    """`text` with each tale replaced by what `instead` says of it."""
    parts, at = [], 0
    for tale in tales(text):
        parts += [text[at : tale.start], instead(tale)]
        at = tale.end
    return "".join((*parts, text[at:]))


# ------------------------------------------------------------------ secrets by name


def any_of(secrets: Iterable[str]) -> re.Pattern[str] | None:
    """A pattern that finds each of `secrets` in any case, as it is and as URLs and JSON write it.

    The longest first, so that of a password which holds another one nothing is left.  None where
    there is nothing to look for.
    """
    spellings = {one for secret in secrets for one in _spellings(secret)}
    wanted = sorted((one for one in spellings if len(one) >= SHORTEST), key=len, reverse=True)
    return re.compile("|".join(map(re.escape, wanted)), re.IGNORECASE) if wanted else None


def _spellings(secret: str) -> tuple[str, ...]:
    secret = secret.strip()
    written = secret.encode("unicode_escape").decode()
    in_json = secret.replace("\\", "\\\\").replace('"', '\\"')
    return secret, quote(secret), quote(secret, safe=""), unquote(secret), written, in_json


_FIELD = re.compile(
    r"[\"']?(?P<key>[A-Za-z][\w .-]*?)[\"']?\s*[=:]\s*"
    r"(?P<value>\"[^\"\n]*\"|'[^'\n]*'|[^\s,#;][^\n,#;]*)"
)
_HIDDEN = re.compile(
    r"pass|secret|key|token|user|auth|psk|uuid|id$|login|cookie|email|fingerprint|bridge", re.I
)
_WORD = re.compile(r"[^\s\"'<>,;(){}\[\]|]+")
_REMOTE = re.compile(r"^\s*(?:remote|http-proxy|socks-proxy)\s+(\S+)", re.M)
_BLOCK = re.compile(
    r"<(?P<tag>auth-user-pass|key|tls-auth|tls-crypt|tls-crypt-v2|cert|secret)>(.*?)</(?P=tag)>",
    re.S,
)
_COMMON = frozenset(
    (
        *("true", "false", "none", "null", "auto", "default", "yes", "no", "any"),
        *("udp", "tcp", "tls", "client", "server", "localhost"),
        *("chacha20-ietf-poly1305", "aes-128-gcm", "aes-256-gcm"),
        *("2022-blake3-aes-128-gcm", "2022-blake3-aes-256-gcm"),
    )
)
"""Values that stand in everybody's configurations."""


def secrets_in(text: str) -> frozenset[str]:
    """What a configuration, a link or a file of credentials holds that must not be published.

    Values of keys that sound like it, everything of a telling shape, hosts, and what stands in
    links.  It takes too much rather than too little.  Any text is taken.
    """
    found = {tale.words for tale in tales(text) if tale.kind != "pem"}
    found |= {one for tale in tales(text) if tale.kind == "pem" for one in tale.words.split("\n")}
    for link in [tale.words for tale in tales(text) if tale.kind in ("link", "login")]:
        parts = re.split(r"[/?#@&,;]+", link.partition("://")[2])
        found |= {unquote(piece) for part in parts for piece in (part, *re.split("[:=]", part))}
        found |= {piece for part in parts for piece in _decoded(unquote(part))}
    for field in _FIELD.finditer(text):
        if _HIDDEN.search(field["key"]):
            value = field["value"].strip().strip("\"'")
            found |= {value, *_WORD.findall(value), value.rpartition(":")[0]}
    found |= set(_REMOTE.findall(text))
    for block in _BLOCK.finditer(text):
        found |= {line.strip() for line in block[2].split("\n")}
    if len(text) <= 1024 and len(words := text.split()) <= 2:
        found |= set(words)  # a file of nothing but a secret, or of a user and a password
    return frozenset(one for one in map(str.strip, found) if _worth(one))


def _decoded(part: str) -> Iterable[str]:
    """What base64 in a link says, as a whole and by its fields; nothing where it is none."""
    try:
        words = base64.urlsafe_b64decode(part.replace("+", "-").replace("/", "_") + "==").decode()
    except ValueError:
        return ()
    return (words, words.partition(":")[2], *_WORD.findall(words.replace(":", " ")))


def _worth(word: str) -> bool:
    """Whether a word can be looked for without finding it in everything."""
    ordinary = word.lower() in _COMMON or word.startswith("-----")
    return len(word) >= SHORTEST and not ordinary and any(map(str.isalnum, word))


def hosts_in(text: str) -> frozenset[str]:
    """Host names and addresses in a text, such as a file of targets."""
    return frozenset(one.words for one in tales(text) if one.kind in ("address", "host"))
