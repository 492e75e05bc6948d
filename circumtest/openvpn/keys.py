"""The certificates, keys and logins that a configuration gives, inline or in files, gathered.

What is gathered is checked and written anew by `material`.  It refuses a server that nothing could
tell from somebody else.
"""

from collections.abc import Mapping, Sequence
from datetime import datetime
from pathlib import Path

from circumtest import material
from circumtest.errors import ConfigError
from circumtest.openvpn.files import Files
from circumtest.openvpn.static import static_key, wrapped_key
from circumtest.openvpn.words import Directive

_STATIC = ("tls-auth", "tls-crypt", "tls-crypt-v2")
BLOCKS = (*_STATIC, "ca", "cert", "key", "extra-certs", "crl-verify", "pkcs12")
SECRET = frozenset({*_STATIC, "key", "pkcs12", "auth-user-pass", "askpass"})

_Last = Mapping[str, Directive]
"""The last directive of each name."""


class Keys:
    """What a client shows, and by what it knows the server.

    `blocks` are what stands between tags, by tag; `lines` what goes with them; `names` the common
    names of the client's certificate.
    """

    def __init__(self, files: Files, passphrase: str | None, now: datetime) -> None:
        self.blocks: dict[str, str] = {}
        self.lines: list[str] = []
        self.names: tuple[str, ...] = ()
        self.notes: tuple[str, ...] = ()
        self._files, self._passphrase, self._now = files, passphrase, now

    def gather(self, own: Sequence[Directive], last: _Last, *, authority: bool) -> None:
        """Read and check everything.  Raises ConfigError; without `authority` no `ca` is needed."""
        self._identity(last)
        if "ca" in last:
            given = self._files.given(last["ca"])
            self.blocks["ca"], self.notes = material.authorities(given, self._now)
        elif authority and "ca" not in self.blocks:
            problem = "`ca` is missing: nothing could tell the server from somebody else"
            raise ConfigError(self._files.where, "", problem, "<ca> … </ca>")
        if "extra-certs" in last:
            given = self._files.given(last["extra-certs"])
            self.blocks["extra-certs"] = material.authorities(given, self._now)[0]
        if "crl-verify" in last:
            self.blocks["crl-verify"] = material.revoked(self._files.given(last["crl-verify"]))
        self._static(own, last)

    def _identity(self, last: _Last) -> None:
        if "pkcs12" in last:
            found = self._bundle(last)
        elif {"cert", "key"} & last.keys():
            for name, other in (("cert", "key"), ("key", "cert")):
                if name not in last:
                    place = f"line {last[other].number}"
                    problem = f"there is a `{other}`, and `{name}` is missing"
                    raise ConfigError(self._files.where, place, problem, f"<{name}> … </{name}>")
            certificate = self._files.given(last["cert"])
            key = self._files.given(last["key"], secret=True)
            found = material.identity(certificate, key, self._passphrase, self._now)
        else:
            return
        self.blocks |= {"cert": found.certificate, "key": found.key}
        self.names = found.names

    def _bundle(self, last: _Last) -> material.Identity:
        line = last["pkcs12"]
        given = material.Given("", self._files.where, f"line {line.number}, pkcs12")
        if line.inline is not None:
            raw = material.base64_of(given._replace(text=line.inline))
        else:
            name = self._files.named(line)
            raw = self._files.raw(name, f"line {line.number}", line.name, secret=True)
        found, others = material.bundle(given, raw, self._passphrase, self._now)
        if others and "ca" not in last:
            read = material.authorities(given._replace(text=others), self._now)
            self.blocks["ca"], self.notes = read
        return found

    def _static(self, own: Sequence[Directive], last: _Last) -> None:
        for name in filter(last.__contains__, _STATIC):
            given = self._files.given(last[name], secret=True)
            make = wrapped_key if name == "tls-crypt-v2" else static_key
            self.blocks[name] = make(given)
        direction = ""
        for line in own:  # "tls-auth [inline] 1" says it too, "key-direction 1" has the last word
            if line.name == "tls-auth" and len(line.args) > 1:
                direction = line.args[1]
        if "key-direction" in last:
            direction = "".join(last["key-direction"].args[:1])
        if direction:
            if direction not in ("0", "1"):
                raise ConfigError(self._files.where, "`key-direction`", "is 0 or 1")
            self.lines.append(f"key-direction {direction}")


def user_and_password(files: Files, last: _Last, login: str) -> tuple[str, str] | None:
    """Of the file `login`, of the block, or of the file that is named.  Raises ConfigError."""
    if login:
        line = Directive(0, "auth", (str(Path(login).expanduser().absolute()),))
    elif "auth-user-pass" not in last:
        return None
    else:
        line = last["auth-user-pass"]
    if line.inline is None and not line.args:
        problem = "auth-user-pass asks a person for user and password"
        remedy = "auth-user-pass FILE with each on a line, or name that file as `auth`"
        raise ConfigError(files.where, f"line {line.number}", problem, remedy)
    given = files.given(line, secret=True)
    words = given.text.strip("\r\n").split("\n")
    if len(words) < 2 or not words[0].strip() or not words[1].strip("\r"):
        raise given.wrong("holds no user and password", "two lines: the user, the password")
    user, password = words[0].strip(), words[1].strip("\r")
    if any(ord(one) < 32 or ord(one) == 127 for one in user + password):
        raise given.wrong("user or password has a control character")
    return user, password


def first_line(files: Files, line: Directive) -> str:
    """A passphrase.  Raises ConfigError."""
    given = files.given(line, secret=True)
    if not (words := given.text.splitlines()) or not words[0]:
        raise given.wrong("holds no passphrase", "the passphrase on its first line")
    return words[0]
