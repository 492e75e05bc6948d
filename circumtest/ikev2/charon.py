"""strongSwan's charon, one a namespace and for itself: its settings, and talking to it over vici.

It reads no file of the system's and writes none, encrypts in userspace (kernel-libipsec), and has a
TUN device.  It refuses to know which end of a connection it is.
"""

import asyncio
import importlib
import os
import re
import shlex
import socket
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from itertools import product
from pathlib import Path
from typing import Any, TypeVar

from circumtest.errors import EnvironmentUnfit
from circumtest.netns import Netns
from circumtest.process import Daemon, ProcessEnded, daemon, private_dir, program, run

T = TypeVar("T")
Message = Mapping[str, Any]
"""What vici takes: texts, lists of texts, and sections of the same."""

# From which Debian package a plugin comes that charon alone does not bring.
_PACKAGES = {
    "kernel-libipsec": "libcharon-extra-plugins",
    "eap-identity": "libcharon-extra-plugins",
    "eap-mschapv2": "libcharon-extauth-plugins",
    "openssl": "libstrongswan-standard-plugins",
}
_PLUGINS = (
    *("random", "nonce", "x509", "constraints", "pubkey", "pkcs1", "pkcs8", "pem", "openssl"),
    *("aes", "sha1", "sha2", "md5", "hmac", "kdf", "gmp", "curve25519", "fips-prf", "gcm"),
    *("kernel-libipsec", "kernel-netlink", "socket-default", "vici", "resolve"),
    *("eap-identity", "eap-mschapv2"),
)

# Not a word goes to the system's journal.  Retransmission: after 1 s, then 1.4 times that, and so
# on; it gives up after 11 s.
_SETTINGS = """\
charon-systemd {{
    load = {plugins}
    install_routes = no
    retransmit_timeout = 1.0
    retransmit_base = 1.4
    retransmit_tries = 4
    {client}
    journal {{
        default = -1
    }}
    filelog {{
        stderr {{
            default = 1
        }}
    }}
    plugins {{
        vici {{
            socket = unix://{place}/vici
        }}
        resolve {{
            file = {place}/resolv.conf
        }}
        kernel-netlink {{
            roam_events = no
        }}
    }}
}}
"""
# Ports are free ones: others may be running.  kernel-libipsec insists on making routes before its
# device has moved: they stand in a table that nobody has, and are looked up after all others.
_CLIENT = """\
port = 0
    port_nat_t = 0
    routing_table = {table}
    routing_table_prio = 40000"""
_FIRST_TABLE = 0x63690000

# Where there is a resolvconf, charon tells it of name servers rather than the file: then it finds
# ours in its place, which writes the file, and the machine's own never hears of them.
_RESOLVCONF = """\
#!/bin/sh
[ "$1" != -a ] || exec cat >>{file}
"""
_RUN = """\
if [ -e /sbin/resolvconf ]; then
    mount --bind "$1/resolvconf" /sbin/resolvconf || exit
fi
exec "$2"
"""


class Refused(Exception):
    """charon did not do what it was told; the message is its own."""


@dataclass(frozen=True)
class Charon:
    """A running one: its process, its TUN device in the namespace, where it leaves what it got."""

    process: Daemon
    device: str
    place: Path

    async def ask(self, work: Callable[[Any], T]) -> T:
        """Run `work(session)`, blocking calls to charon, on a thread.

        Raises Refused, OSError when charon is gone.  When cancelled, the connection is cut.
        """
        vici = _vici()
        with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as sock:
            sock.connect(str(self.place / "vici"))
            try:
                return await asyncio.to_thread(work, vici.Session(sock))
            except vici.exception.CommandException as refusal:
                raise Refused(str(refusal)) from None
            except vici.exception.SessionException as broken:
                raise OSError(str(broken)) from None
            except asyncio.CancelledError:
                sock.shutdown(socket.SHUT_RDWR)
                raise

    def resolvers(self) -> tuple[str, ...]:
        """The name servers that the other end gave."""
        try:
            text = (self.place / "resolv.conf").read_text()
        except FileNotFoundError:
            return ()
        return tuple(re.findall(r"^nameserver (\S+)", text, re.MULTILINE))


@asynccontextmanager
async def charon(netns: Netns, name: str, timeout: float, *, client: bool) -> AsyncIterator[Charon]:
    """Start charon in `netns`; yields when it takes commands.

    A `client` uses any ports that are free, else they are 500 and 4500.  Raises EnvironmentUnfit
    when it or a plugin of it is missing, ProcessEnded when it does not start, TimeoutError.
    """
    _vici()
    table = _FIRST_TABLE + os.getpid() % 0x10000
    with private_dir() as place:
        settings = _SETTINGS.format(
            plugins=" ".join(_PLUGINS),
            client=_CLIENT.format(table=table) if client else "",
            place=place,
        )
        (place / "strongswan.conf").write_text(settings)
        file = shlex.quote(str(place / "resolv.conf"))
        (place / "resolvconf").write_text(_RESOLVCONF.format(file=file))
        (place / "resolvconf").chmod(0o700)
        env = {"STRONGSWAN_CONF": str(place / "strongswan.conf")}
        argv = ["unshare", "--mount", "--propagation", "private", "sh", "-c", _RUN, "sh"]
        argv += [str(place), program("charon-systemd")]
        async with (
            _swept(netns, table if client else 0) as sweep,
            daemon(netns, argv, env=env, name=name) as process,
        ):
            sweep.append(process)
            try:
                await process.line(r"spawning \d+ worker threads", timeout)
            finally:
                _look_for_missing(process.log)
            found = re.search(r"created TUN device: (\S+)", process.log)
            if found is None:
                raise EnvironmentUnfit("charon may not make a TUN device", "see circumtest doctor")
            yield Charon(process, found[1], place)


def _look_for_missing(log: str) -> None:
    for plugin in re.findall(r"plugin '([\w-]+)': failed to load - .* no plugin file", log):
        if plugin in _PACKAGES:
            problem = f"strongSwan's plugin {plugin} is not installed"
            raise EnvironmentUnfit(problem, f"apt-get install {_PACKAGES[plugin]}")


@asynccontextmanager
async def _swept(netns: Netns, table: int) -> AsyncIterator[list[Daemon]]:
    """Take away what one that was killed could not: its rule, and the routes of its table."""
    ran: list[Daemon] = []
    try:
        yield ran
    finally:
        if table and any(process.post_mortem().code < 0 for process in ran):
            for family, what in product(("-4", "-6"), (["rule", "del"], ["route", "flush"])):
                with suppress(ProcessEnded):  # there is none
                    await run(netns, ["ip", family, *what, "table", str(table)])


def _vici() -> Any:
    try:
        return importlib.import_module("vici")
    except ModuleNotFoundError:
        raise EnvironmentUnfit(
            "the Python package vici is not installed", "pip install 'circumtest[ikev2]'"
        ) from None
