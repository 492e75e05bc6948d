"""A mirror's token: where it is, and the secret that makes it answer.

It refuses to show the secret by accident: whoever wants it written asks for `str`.
"""

import os
import re
from collections.abc import Callable
from dataclasses import dataclass, field
from ipaddress import ip_address
from pathlib import Path

from circumtest.errors import ConfigError

VARIABLE = "CIRCUMTEST_MIRROR"
"""The variable of the environment that a token, or the file it is in, may be given by."""
LETTERS = "abcdefghijklmnopqrstuvwxyz234567"
SIZE = 32
"""Letters of a secret: 160 bits."""
_SECRET = re.compile(r"[a-z2-7]{26,64}")
_FORM = "HOST:SECRET, as `circumtest serve` prints it"


@dataclass(frozen=True, slots=True)
class Token:
    """`host` is an address or a name; `secret` is what both ends know."""

    host: str
    secret: str = field(repr=False)

    def __str__(self) -> str:
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"{host}:{self.secret}"

    @classmethod
    def parse(cls, text: str, where: str = "--mirror") -> "Token":
        """The token in a text.  Raises ConfigError, which never repeats the text."""
        host, colon, secret = text.strip().rpartition(":")
        if not colon or not _SECRET.fullmatch(secret):
            raise ConfigError(where, "", "this is no mirror's token", f"it is {_FORM}")
        if host.startswith("[") and host.endswith("]"):
            host = host[1:-1]
            _check(host, where)
        elif ":" in host or not _is_host(host):
            remedy = "an IPv6 address stands in brackets: [2001:db8::1]:secret"
            raise ConfigError(where, "", "the token's host is no address and no name", remedy)
        return cls(host, secret)

    @classmethod
    def load(cls, file: Path) -> "Token":
        """The token in a file.  Raises ConfigError."""
        try:
            text = file.read_text(encoding="utf-8")
        except (OSError, UnicodeDecodeError) as error:
            reason = getattr(error, "strerror", None) or "is no text"
            raise ConfigError(str(file), "", f"cannot be read: {reason}") from None
        return cls.read(text, str(file))

    @classmethod
    def read(cls, text: str, where: str) -> "Token":
        """The token in a file's text, in the first line that says one.  Raises ConfigError."""
        lines = [line.strip() for line in text.splitlines()]
        first = next((line for line in lines if line and not line.startswith("#")), "")
        return cls.parse(first, where)

    @classmethod
    def given(cls, text: str) -> "Token":
        """What a person gave: a token, the file that it is in, or "" for the environment's.

        Raises ConfigError.
        """
        text = text or os.environ.get(VARIABLE, "")
        if not text:
            remedy = f"--mirror FILE, or the variable {VARIABLE}; a token is {_FORM}"
            raise ConfigError("--mirror", "", "no mirror's token is given", remedy)
        if "/" in text or Path(text).is_file():
            return cls.load(Path(text))
        return cls.parse(text)


def draw(randbytes: Callable[[int], bytes] = os.urandom) -> str:
    """A new secret."""
    return "".join(LETTERS[byte % len(LETTERS)] for byte in randbytes(SIZE))


def is_secret(text: str) -> bool:
    """Whether a text may be a secret."""
    return bool(_SECRET.fullmatch(text))


def _check(host: str, where: str) -> None:
    try:
        ip_address(host)
    except ValueError:
        raise ConfigError(where, "", "what is in brackets is no address") from None


def _is_host(text: str) -> bool:
    return bool(re.fullmatch(r"[A-Za-z0-9_]([A-Za-z0-9_.-]{0,251}[A-Za-z0-9_])?", text))
