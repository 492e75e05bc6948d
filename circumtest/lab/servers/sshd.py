"""OpenSSH's sshd at the exit: one user, let in by a key, for forwarding TCP and nothing else.

sshd as root wants to become other users, which a private world does not have: it runs as an
ordinary user in a user namespace of its own, in a mount namespace whose /etc/passwd names that
user.  Sessions outlive the sshd that let them in, so all of it lives in a PID namespace and ends
with it.
"""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
)

from circumtest.lab.servers import Site, address_of
from circumtest.listening import listening
from circumtest.model import Address
from circumtest.openssh import Server
from circumtest.process import daemon, private_dir, program

USER = "caller"
_UID = 1000

_CONFIG = """\
{listen}
HostKey {place}/host_key
AuthorizedKeysFile {place}/authorized_keys
PidFile none
StrictModes no
UsePAM no
PasswordAuthentication no
KbdInteractiveAuthentication no
AllowTcpForwarding {forwarding}
GatewayPorts no
X11Forwarding no
AllowAgentForwarding no
PermitTTY no
PermitUserRC no
ForceCommand /bin/false
MaxStartups 100
UseDNS no
"""

_MOUNT = 'mount --bind "$1/passwd" /etc/passwd && shift && exec "$@"'


class _Pair(NamedTuple):
    """A key as OpenSSH writes it: the private file, the public line."""

    private: str
    public: str


@dataclass(frozen=True)
class Sshd:
    """`port` is where it listens, over IPv4 and IPv6; without `forwarding` it lets in, no more."""

    port: int = 2222
    forwarding: bool = True

    @asynccontextmanager
    async def serve(self, lab: Site) -> AsyncIterator[dict[str, Any]]:
        """Ready when it listens; its key and the user's are new each time."""
        host, server, user = address_of(lab, 4), _pair(), _pair()
        with private_dir() as place:
            listen = "\n".join(
                f"ListenAddress {f'[{one}]' if ':' in one else one}:{self.port}"
                for one in sorted(lab.exit_addresses)
            )
            _secret(place / "host_key", server.private)
            forwarding = "local" if self.forwarding else "no"
            config = _CONFIG.format(listen=listen, place=place, forwarding=forwarding)
            (place / "sshd_config").write_text(config)
            (place / "authorized_keys").write_text(user.public)
            (place / "passwd").write_text(
                f"root:x:0:0:root:/:/bin/false\n{USER}:x:{_UID}:{_UID}::/:/bin/false\n"
            )
            async with daemon(lab.exit, _argv(place), name="sshd") as process:
                await listening(lab.exit, Address(host, self.port), process)
                at = Server(host, self.port, USER)
                yield {
                    "url": f"ssh://{USER}@{host}:{self.port}",
                    "key_text": user.private,
                    "known_hosts_text": f"{at.alias} {server.public}",
                }


def _argv(place: Path) -> list[str]:
    ordinary = ["unshare", "--user", f"--map-user={_UID}", f"--map-group={_UID}"]
    ordinary += ["--pid", "--fork", "--kill-child"]
    sshd = [program("sshd"), "-D", "-e", "-f", f"{place}/sshd_config"]
    mounts = ["unshare", "--mount", "--propagation", "private"]
    return [*mounts, "sh", "-c", _MOUNT, "sh", str(place), *ordinary, *sshd]


def _pair() -> _Pair:
    key = Ed25519PrivateKey.generate()
    private = key.private_bytes(Encoding.PEM, PrivateFormat.OpenSSH, NoEncryption())
    public = key.public_key().public_bytes(Encoding.OpenSSH, PublicFormat.OpenSSH)
    return _Pair(private.decode(), public.decode() + "\n")


def _secret(file: Path, text: str) -> None:
    file.touch(0o600)
    file.write_text(text)
