"""What OpenSSH's users have: `ssh://` links, private keys, known_hosts.  Checked, not used.

It refuses keys that ask for a passphrase and passwords in links: nobody is there to be asked.
"""

import base64
import binascii
import ipaddress
import re
from pathlib import Path
from typing import NamedTuple
from urllib.parse import unquote, urlsplit

from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.serialization import load_pem_private_key, load_ssh_private_key

from circumtest.errors import ConfigError

_EXAMPLE = "write it like ssh://user@host:22"
_USER = re.compile(r"""(?!-)[^\s\x00-\x1f\x7f'"`$\\;&<>|(){}]{1,64}""")
"""What ssh itself takes for a user (OpenSSH 9.6, ssh.c, valid_ruser)."""


class Server(NamedTuple):
    """Where to log in, and as whom."""

    host: str
    port: int
    user: str

    @property
    def alias(self) -> str:
        """Its name in known_hosts (sshd(8)): with the port where that is not 22."""
        host = self.host.lower()
        return host if self.port == 22 else f"[{host}]:{self.port}"


def server(url: str, host: str, port: int, user: str) -> Server:
    """From a link, or from its parts, of which only one is given.  Raises ConfigError."""
    if bool(url) == bool(host):
        raise ConfigError("ssh", "key `url`", "give a link, or host and user", _EXAMPLE)
    if url:
        if user or port != 22:
            raise _wrong("is given, and user or port beside it", _EXAMPLE)
        host, port, user = _taken_apart(url)
    place = "url" if url else "host"
    if ":" in host:
        try:
            host = str(ipaddress.IPv6Address(host))
        except ValueError:
            raise _wrong("has a malformed IPv6 address", _EXAMPLE, place) from None
    elif not re.fullmatch(r"[0-9A-Za-z_]([0-9A-Za-z._-]{0,251}[0-9A-Za-z.])?", host):
        raise _wrong("has no host", _EXAMPLE, place)
    if not 0 < port < 65536:
        raise _wrong("has no port from 1 to 65535", _EXAMPLE, "url" if url else "port")
    if not _USER.fullmatch(user):
        raise _wrong("names no user that can log in", _EXAMPLE, "url" if url else "user")
    return Server(host, port, user)


def _taken_apart(url: str) -> tuple[str, int, str]:
    try:
        split = urlsplit(url)
        port = split.port
    except ValueError:
        raise _wrong("has no port from 1 to 65535, or a malformed address", _EXAMPLE) from None
    if split.scheme != "ssh" or not split.netloc:
        raise _wrong("is no SSH link", _EXAMPLE)
    if split.password is not None:
        raise _wrong("holds a password, and only keys can be used", "ssh-copy-id installs a key")
    if split.path not in ("", "/") or split.query or split.fragment:
        raise _wrong("has something behind the port", _EXAMPLE)
    return split.hostname or "", 22 if port is None else port, unquote(split.username or "")


def check_private_key(text: str, where: str) -> None:
    """Raises ConfigError for what is no private key, or one that asks for a passphrase."""
    first = text.lstrip().partition("\n")[0]
    if first.startswith("PuTTY-User-Key-File"):
        remedy = "puttygen KEY -O private-openssh -o KEY.openssh"
        raise ConfigError(where, "", "is a key in PuTTY's format", remedy)
    if re.match(r"(ssh|ecdsa|sk)-\S+ ", first):
        raise ConfigError(where, "", "is the public half of a key", "name the file without .pub")
    load = load_ssh_private_key if "OPENSSH PRIVATE KEY" in first else load_pem_private_key
    try:
        load(text.encode(), None)
    except UnsupportedAlgorithm:  # of a kind that ssh may know all the same
        return
    except TypeError:
        remedy = "add it to ssh-agent and leave `key` out, or make one without a passphrase"
        raise ConfigError(where, "", "asks for a passphrase", remedy) from None
    except ValueError:
        remedy = "the file that ssh-keygen wrote"
        raise ConfigError(where, "", "is no private key", remedy) from None


def check_known_hosts(text: str, where: str) -> None:
    """Raises ConfigError naming the line of what is no entry, or that there is none."""
    entries = 0
    for number, line in enumerate(text.splitlines(), 1):
        words = line.split()
        if not words or words[0].startswith("#"):
            continue
        if words[0] in ("@cert-authority", "@revoked"):
            del words[0]
        try:
            _, _, key, *_ = words
            base64.b64decode(key, validate=True)
        except (ValueError, binascii.Error):
            remedy = "host, type and key, as ssh-keyscan prints them"
            raise ConfigError(where, f"line {number}", "is no known host", remedy) from None
        entries += 1
    if not entries:
        raise ConfigError(where, "", "holds no host", "ssh-keyscan -p PORT HOST prints its keys")


def open_to_others(file: Path) -> bool:
    """Whether others than its owner can read it: ssh does not take such a key."""
    try:
        return bool(file.stat().st_mode & 0o077)
    except OSError:
        return False


def _wrong(problem: str, remedy: str, key: str = "url") -> ConfigError:
    return ConfigError("ssh", f"key `{key}`", problem, remedy)
