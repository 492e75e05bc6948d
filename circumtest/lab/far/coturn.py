"""coturn as the far half of every handshake that goes through TURN: UDP, TCP or TLS, either IP.

It gives passwords by the secret that the handshake's caller draws them from, and shows the
certificate that the secret makes.  It refuses to be hardened: it lives in a lab, and keeps to one
uid, since a private world has no other.
"""

import sqlite3
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager, closing
from dataclasses import dataclass
from pathlib import Path

from circumtest import identity
from circumtest.errors import ConfigError
from circumtest.lab.far import Site
from circumtest.listening import START
from circumtest.model import Address, Carrier
from circumtest.process import Daemon, daemon, private_dir
from circumtest.script import Handshake
from circumtest.turn import Service

# One relay thread: it is for a handful of calls.  The second addresses of RFC 5780 would be
# further listeners, and further attributes in the answers.  libwebrtc asks for no address family
# and is to be relayed by the one it came by, which RFC 8656 leaves to no server: hence "keep".
_CONFIG = """\
{hosts}
listening-port={port}
tls-listening-port={tls_port}
{transports}
fingerprint
use-auth-secret
static-auth-secret={secret}
realm={realm}
max-allocate-lifetime={longest}
allocation-default-address-family=keep
no-dtls
cert={place}/certificate.pem
pkey={place}/key.pem
no-rfc5780
no-stun-backward-compatibility
response-origin-only-with-rfc5780
no-multicast-peers
no-dynamic-ip-list
no-dynamic-realms
no-auth-pings
no-cli
relay-threads=1
userdb={place}/turndb
pidfile={place}/pid
log-file=stdout
simple-log
verbose
{more}
"""
# Its threads make these in a new database when the first user comes, and refuse him while they do.
_TABLES = {
    "turnusers_lt": "realm, name, hmackey",
    "turn_secret": "realm, value",
    "allowed_peer_ip": "realm, ip_range",
    "denied_peer_ip": "realm, ip_range",
    "turn_origin_to_realm": "origin, realm",
    "turn_realm_option": "realm, opt, value",
    "oauth_key": "kid, ikm_key, timestamp, lifetime, as_rs_alg, realm",
    "admin_user": "name, realm, password",
}
_OTHERS = {
    Carrier.UDP: "no-tcp\nno-tls",
    Carrier.TCP: "no-udp\nno-tls",
    Carrier.TLS: "no-udp\nno-tcp",
}
_HOST = "listening-ip={host}\nrelay-ip={host}"


@dataclass(frozen=True)
class Coturn:
    """`quota` is how many allocations one user may have, 0 for any number; `stale` after how many
    seconds a nonce is refused, 0 for never.
    """

    quota: int = 0
    stale: int = 0

    @asynccontextmanager
    async def serve(
        self, lab: Site, handshake: Handshake, target: Sequence[Address]
    ) -> AsyncIterator[None]:
        """Ready when it says that it listens at every address of the service.

        Raises ConfigError for a handshake that calls no TURN server.
        """
        if not isinstance(handshake, Service):
            problem = f"{type(handshake).__name__} calls no TURN server"
            raise ConfigError("plan", "key `far`", problem, "leave coturn to calls through TURN")
        at = target[: handshake.listen.hosts]
        with private_dir() as place:
            self._write(place, handshake, at)
            argv = ["turnserver", "-c", str(place / "turnserver.conf")]
            async with daemon(lab.services, argv) as process:
                for address in at:
                    await _listens(process, handshake.carrier, address)
                yield

    def _write(self, place: Path, service: Service, at: Sequence[Address]) -> None:
        made = identity.certificate(service.secret, service.realm)
        key, certificate = place / "key.pem", place / "certificate.pem"
        key.touch(0o600)
        key.write_bytes(made.key)
        certificate.write_bytes(made.certificate)
        with closing(sqlite3.connect(place / "turndb")) as database:
            for table, columns in _TABLES.items():
                database.execute(f"CREATE TABLE {table} ({columns})")
        port = at[0].port
        secured = service.carrier is Carrier.TLS
        more = [f"user-quota={self.quota}"] * bool(self.quota)
        more += [f"stale-nonce={self.stale}"] * bool(self.stale)
        config = _CONFIG.format(
            hosts="\n".join(_HOST.format(host=address.host) for address in at),
            port=port + 1 if secured else port,
            tls_port=port if secured else port + 1,
            transports=_OTHERS[service.carrier],
            secret=service.secret,
            realm=service.realm,
            longest=service.longest,
            place=place,
            more="\n".join(more),
        )
        file = place / "turnserver.conf"
        file.touch(0o600)
        file.write_text(config)


async def _listens(process: Daemon, carrier: Carrier, at: Address) -> None:
    """Wait until it says so.  Raises ProcessEnded, or TimeoutError after START seconds."""
    kind = "UDP" if carrier is Carrier.UDP else r"T\S+"
    host = at.host.replace(".", r"\.")
    await process.line(rf"{kind} listener opened on ?: \[?{host}\]?:{at.port}$", START)
