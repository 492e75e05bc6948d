"""SOCKS5 proxies that are reached directly."""

from dataclasses import replace

from circumtest.lab.servers.dante import Dante
from circumtest.lab.servers.microsocks import Microsocks
from circumtest.tunnels.socks import Socks
from tests.lab.specimens import TCP, Fields, Specimen

NO_DAEMON = {"daemon_killed": "it has no daemon"}


def tunnel(fields: Fields) -> Socks:
    """As the server gave it."""
    return replace(Socks(**fields), patience=4.0)


def other_password(fields: Fields) -> Fields:
    """One that dante does not know."""
    return {"url": fields["url"].replace(":", ":x", 2).replace(":x//", "://", 1)}


SPECIMENS = (
    Specimen(
        "socks-dante",
        Dante,
        tunnel,
        wrong_key=other_password,
        without_udp=Microsocks,
        cannot=NO_DAEMON,
    ),
    Specimen(
        "socks-microsocks",
        Microsocks,
        tunnel,
        carries=TCP,
        cannot={
            **NO_DAEMON,
            "wrong_key": "it takes a password on its command line only",
            "server_without_udp": "it has none: tunnel-down(no-udp), as with dante's specimen",
        },
    ),
)
