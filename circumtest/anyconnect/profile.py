"""What openconnect is configured with: a server, and its own configuration file.

Such a file (`--config`: a long option a line) is read here, to be written anew with what may pass.
It refuses options that run programs or lead packets elsewhere.
"""

import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import NamedTuple
from urllib.parse import urlsplit

from circumtest.errors import ConfigError
from circumtest.registry import suggest

OWN = ("server", "user", "certificate", "sslkey", "key-password", "cafile", "servercert", "no-dtls")
"""Options that become fields of the tunnel."""
_PASSED = (
    *("usergroup", "authgroup", "form-entry", "os", "useragent", "version-string"),
    *("local-hostname", "token-mode", "token-secret", "no-system-trust", "disable-ipv6"),
    *("mtu", "base-mtu", "deflate", "no-deflate", "pfs", "dtls-ciphers", "gnutls-priority"),
    *("force-dpd", "reconnect-timeout", "queue-len", "passtos", "no-xmlpost"),
    *("no-http-keepalive", "allow-insecure-crypto", "no-passwd"),
)
_FLAGS = {
    *("no-dtls", "no-system-trust", "disable-ipv6", "deflate", "no-deflate", "pfs", "passtos"),
    *("no-xmlpost", "no-http-keepalive", "allow-insecure-crypto", "no-passwd"),
}
"""Options without a value."""
_NOT_RUN = ("script", "script-tun", "csd-wrapper", "csd-user", "force-trojan", "external-browser")
_OURS = (
    *("interface", "background", "pid-file", "setuid", "syslog", "verbose", "quiet", "timestamp"),
    *("dump-http-traffic", "non-inter", "passwd-on-stdin", "cert-expire-warning", "no-proxy"),
)
_ELSEWHERE = {
    "proxy": "chain the tunnels instead: a list of the two",
    "proxy-auth": "chain the tunnels instead: a list of the two",
    "libproxy": "chain the tunnels instead: a list of the two",
    "resolve": "write the address as `server`",
    "dtls-local-port": "leave it out: several tunnels may be up at once",
    "config": "name that file instead",
    "xmlconfig": "write its HostAddress as `server`",
    "cookie": "give what the cookie was got with",
    "cookie-on-stdin": "give what the cookie was got with",
    "cookieonly": "leave it out: it does not connect",
    "authenticate": "leave it out: it does not connect",
    "printcookie": "leave it out: a cookie is a secret",
    "key-password-from-fsid": "give the password as `key-password`",
    "mca-certificate": "only one certificate is supported",
    "mca-key": "only one certificate is supported",
    "mca-key-password": "only one certificate is supported",
}
"""Options that change where packets go, or that make no tunnel: with what would be right."""
_KNOWN = {*OWN, *_PASSED, *_NOT_RUN, *_OURS, *_ELSEWHERE, "protocol"}


class Server(NamedTuple):
    """Where to: `host` is a name or an address, `path` what follows the port, "/" or longer."""

    host: str
    port: int
    path: str = "/"

    def __str__(self) -> str:
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"https://{host}:{self.port}{self.path}"


class Profile(NamedTuple):
    """A configuration file: values of OWN options, lines to pass on, what is not honoured."""

    own: Mapping[str, str]
    lines: tuple[str, ...]
    notes: tuple[str, ...]

    def __repr__(self) -> str:
        return "Profile()"


def server(text: str, where: str, place: str) -> Server:
    """From `host`, `host:port` or `https://host:port/path`.  Raises ConfigError."""
    example = "write it like https://vpn.example:443"
    try:
        split = urlsplit(text if "://" in text else f"https://{text}")
        host, port = split.hostname or "", split.port
    except ValueError:
        problem = "has no port from 1 to 65535, or a malformed address"
        raise ConfigError(where, place, problem, example) from None
    if split.scheme != "https":
        raise ConfigError(where, place, "is no https server", example)
    # A name may have letters of every language; a percent sign would be a zone of one machine.
    if not re.fullmatch(r"[\w.:-]+", host) or port == 0 or "@" in split.netloc:
        raise ConfigError(where, place, "has no host, a login or a wrong port in it", example)
    if split.query or split.fragment or not re.fullmatch(r"[!-~]*", split.path):
        raise ConfigError(where, place, "has something behind the path", example)
    return Server(host, port or 443, split.path or "/")


def is_profile(text: str) -> bool:
    """Whether this is a configuration file of openconnect's: its options, a server among them."""
    options = [option for _, option, _ in _options(text)]
    return "server" in options and _KNOWN.issuperset(options)


def parse(text: str, where: str, folder: Path | None = None) -> Profile:
    """Read a configuration file; relative names of files are looked for in `folder`.

    Raises ConfigError naming the line.
    """
    own: dict[str, str] = {}
    lines, notes = [], []
    for number, option, value in _options(text):
        place = f"line {number}"
        _check(option, value, where, place)
        if option in _NOT_RUN:
            notes.append(f"{option} is not run: a test does not execute what a configuration says")
        elif option in _OURS:
            continue
        elif option in OWN:
            if option in own:
                raise ConfigError(where, place, f"`{option}` is there twice")
            own[option] = value
        elif option != "protocol":
            lines.append(f"{option}={value}" if value else option)
    for option in ("certificate", "sslkey", "cafile"):
        if option in own and folder:
            own[option] = str(folder / Path(own[option]).expanduser())
    return Profile(own, tuple(lines), tuple(dict.fromkeys(notes)))


def _options(text: str) -> Iterator[tuple[int, str, str]]:
    """Line by line: the number, the option, its value or ""."""
    for number, line in enumerate(text.removeprefix("\ufeff").splitlines(), 1):
        bare = line.strip()
        if bare and not bare.startswith("#"):
            # openconnect takes an equals sign, or blanks, and allows dashes before the option.
            option, _, value = re.sub(r"[\s=]+", "=", bare, count=1).partition("=")
            yield number, option.removeprefix("--"), value


def _check(option: str, value: str, where: str, place: str) -> None:
    if option not in _KNOWN:
        raise ConfigError(where, place, f"unknown option {option!r}", suggest(option, _KNOWN))
    if option in _ELSEWHERE:
        raise ConfigError(where, place, f"`{option}` is not supported", _ELSEWHERE[option])
    if option == "protocol" and value != "anyconnect":
        problem = f"the protocol {value!r} is not supported"
        raise ConfigError(where, place, problem, "AnyConnect is: protocol=anyconnect")
    if option in _FLAGS and value:
        raise ConfigError(where, place, f"`{option}` takes no value")
    if option in {*OWN, *_PASSED} - _FLAGS and not value:
        raise ConfigError(where, place, f"`{option}` has no value", f"{option}=...")
    if option in ("certificate", "sslkey") and value.startswith(("pkcs11:", "system:", "tpmkey:")):
        raise ConfigError(where, place, "keys in hardware are not supported", "name a file")
    if not value.isprintable():
        raise ConfigError(where, place, f"`{option}` has what cannot be printed in it")
