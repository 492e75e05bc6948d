"""ocserv at the exit: AnyConnect over TLS, and DTLS beside it; a certificate or a login.

IPv4 and IPv6 inside; what comes out is masqueraded, so the far end sees the exit's addresses.  Its
workers insist on giving up their groups, which a private world forbids, unless the group that they
run as is -1: so it runs in a mount namespace whose /etc/group has one of that number.  It never
drops privileges: it is for the lab only.  Certificates and password are new each time.
"""

import secrets
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from circumtest.lab.pki import Authority, Certified, certified
from circumtest.lab.servers import Site, address_of
from circumtest.lab.topology import RESOLVER
from circumtest.listening import listening
from circumtest.model import Address
from circumtest.netns import Links
from circumtest.process import daemon, private_dir, program, run

USER = "caller"

# dpd: either end learns within some 10 s that the other is gone.  rate-limit-ms and max-ban-score:
# a lab's clients come often, and with wrong passwords.  cert-user-oid is the common name's.
_CONFIG = """\
auth = "{auth}"
listen-host = {host}
tcp-port = {port}
{udp}
socket-file = {place}/socket
run-as-group = nobody-at-all
isolate-workers = false
max-clients = 0
max-same-clients = 0
rate-limit-ms = 0
max-ban-score = 0
server-cert = {place}/certificate.pem
server-key = {place}/key.pem
ca-cert = {place}/clients.pem
cert-user-oid = 2.5.4.3
use-occtl = false
device = ocs
ipv4-network = 10.96.0.0
ipv4-netmask = 255.255.0.0
ipv6-network = fd00:96::/64
ipv6-subnet-prefix = 128
{resolvers}
route = default
ping-leases = false
keepalive = 300
dpd = 5
try-mtu-discovery = true
compression = false
log-level = 1
"""

# ocserv writes over its own command line, from which a server may be started again: the shell's
# stays.
_RUN = 'mount --bind "$1/group" /etc/group && "$2" -f -c "$1/ocserv.conf"; exit $?'

_MASQUERADE = b"""\
table inet circumtest-ocserv {
    chain out {
        type nat hook postrouting priority srcnat
        iifname "ocs*" masquerade
    }
}
"""


@dataclass(frozen=True)
class Ocserv:
    """`port` is where it listens, TCP and UDP; without `dtls` TCP only.

    With `login` it wants a user and a password, else a certificate.
    """

    port: int = 443
    dtls: bool = True
    login: bool = False

    @asynccontextmanager
    async def serve(self, lab: Site) -> AsyncIterator[dict[str, Any]]:
        """Ready when it listens; it opens UDP before TCP takes anybody in."""
        host, password = address_of(lab, 4), secrets.token_urlsafe(12)
        own, clients = certified([host]), Authority()
        with private_dir() as place:
            self._write(place, host, own, clients.certificate)
            if self.login:
                twice = f"{password}\n" * 2
                argv = ["ocpasswd", "-c", str(place / "passwd"), USER]
                await run(lab.exit, argv, input=twice.encode())
            await lab.exit.configure(Links.forward)
            await run(lab.exit, ["nft", "-f", "-"], input=_MASQUERADE)
            try:
                run_it = ["sh", "-c", _RUN, "sh", str(place), program("ocserv")]
                argv = ["unshare", "--mount", "--propagation", "private", *run_it]
                async with daemon(lab.exit, argv, name="ocserv") as process:
                    await listening(lab.exit, Address(host, self.port), process)
                    table: dict[str, Any] = {"server": f"https://{host}:{self.port}"}
                    table |= {"ca_text": own.authority, "dtls": self.dtls}
                    if self.login:
                        yield {**table, "user": USER, "password": password}
                    else:
                        certificate, key = clients.client(USER)
                        yield {**table, "certificate_text": certificate, "key_text": key}
            finally:
                await run(lab.exit, ["nft", "delete table inet circumtest-ocserv"])

    def _write(self, place: Path, host: str, own: Certified, clients: str) -> None:
        config = _CONFIG.format(
            auth=f"plain[passwd={place}/passwd]" if self.login else "certificate",
            host=host,
            port=self.port,
            udp=f"udp-port = {self.port}" if self.dtls else "",
            place=place,
            resolvers="\n".join(f"dns = {one}" for one in RESOLVER.values()),
        )
        (place / "ocserv.conf").write_text(config)
        (place / "group").write_text(f"root:x:0:\nnobody-at-all:x:{2**32 - 1}:\n")
        (place / "clients.pem").write_text(clients)
        (place / "certificate.pem").write_text(own.certificate)
        (place / "key.pem").touch(0o600)
        (place / "key.pem").write_text(own.key)
