"""dante at the exit: SOCKS5 with user, password and UDP ASSOCIATE, over IPv4 and IPv6; SOCKS4.

dante checks passwords against the system's own, so it runs in a mount namespace whose /etc/passwd
and /etc/shadow hold one user made for this lab.  It keeps to one uid (a private world has no other)
and so never drops privileges: it is for the lab only.
"""

import ctypes
import secrets
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from circumtest.errors import EnvironmentUnfit
from circumtest.lab.servers import Site, address_of
from circumtest.listening import listening
from circumtest.model import Address
from circumtest.process import daemon, private_dir, program

USER = "caller"

# One keyword a line: danted takes two for a syntax error.  udp.connectdst: by default a relay
# talks only to the first address that it was sent to, and a call asks several.
_CONFIG = """\
logoutput: stderr
{internal}
{external}
external.rotation: route
socksmethod: {method}
clientmethod: none
user.privileged: root
user.unprivileged: root
udp.connectdst: no
client pass {{
    from: 0/0 to: 0/0
}}
socks pass {{
    from: 0/0 to: 0/0
    command: connect udpassociate
    protocol: tcp udp
}}
socks pass {{
    from: 0/0 to: 0/0
    command: udpreply
    protocol: udp
}}
"""

_MOUNT_AND_RUN = 'mount --bind "$1/passwd" /etc/passwd && mount --bind "$1/shadow" /etc/shadow &&'
_MOUNT_AND_RUN += ' exec "$2" -N 1 -f "$1/danted.conf"'


@dataclass(frozen=True)
class Dante:
    """`port` is where it listens; without `login` it wants no password, and speaks SOCKS4 too."""

    port: int = 1080
    login: bool = True

    @asynccontextmanager
    async def serve(self, lab: Site) -> AsyncIterator[dict[str, Any]]:
        """Ready when it listens; the password is new each time."""
        password = secrets.token_urlsafe(12)
        hosts = sorted(lab.exit_addresses)
        with private_dir() as place:
            _write(place, password if self.login else None, hosts, self.port)
            inner = ["sh", "-c", _MOUNT_AND_RUN, "sh", str(place), program("danted")]
            argv = ["unshare", "--mount", "--propagation", "private", *inner]
            async with daemon(lab.exit, argv, name="danted") as process:
                host = address_of(lab, 4)
                await listening(lab.exit, Address(host, self.port), process)
                login = f"{USER}:{password}@" if self.login else ""
                yield {"url": f"socks5://{login}{host}:{self.port}"}


def _write(place: Path, password: str | None, hosts: list[str], port: int) -> None:
    config = _CONFIG.format(
        internal="\n".join(f"internal: {host} port = {port}" for host in hosts),
        external="\n".join(f"external: {host}" for host in hosts),
        method="username" if password else "none",
    )
    (place / "danted.conf").write_text(config)
    (place / "passwd").write_text(f"root:x:0:0:root:/:/bin/false\n{USER}:x:0:0::/:/bin/false\n")
    hashed = _crypt(password) if password else "*"
    (place / "shadow").write_text(f"root:*:1::::::\n{USER}:{hashed}:1::::::\n")


def _crypt(password: str) -> str:
    """crypt(3) with SHA-512: the `crypt` module left the standard library with Python 3.13."""
    try:
        library = ctypes.CDLL("libcrypt.so.1")
    except OSError:
        raise EnvironmentUnfit("libcrypt is not installed", "apt-get install libcrypt1") from None
    library.crypt.restype = ctypes.c_char_p
    hashed: bytes | None = library.crypt(password.encode(), f"$6${secrets.token_hex(8)}".encode())
    if hashed is None:
        raise EnvironmentUnfit("libcrypt does not know SHA-512", "apt-get install libcrypt1")
    return hashed.decode()
