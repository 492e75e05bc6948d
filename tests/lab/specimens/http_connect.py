"""HTTP proxies: Tinyproxy, with a login, and behind TLS."""

from dataclasses import replace
from functools import partial

from circumtest.lab.servers.tinyproxy import USER, Tinyproxy
from circumtest.tunnels.http_connect import HttpConnect
from tests.lab.specimens import TCP, Fields, Specimen

CANNOT = {
    "daemon_killed": "it has no daemon",
    "server_without_udp": "CONNECT carries TCP only: UDP is UNSUPPORTED",
}
NO_LOGIN = {**CANNOT, "wrong_key": "it wants no login; http-connect-login does"}


def tunnel(fields: Fields) -> HttpConnect:
    """As the server gave it."""
    return replace(HttpConnect(**fields), patience=4.0)


def other_password(fields: Fields) -> Fields:
    """One that Tinyproxy does not know."""
    return {**fields, "url": fields["url"].replace(f"{USER}:", f"{USER}:x")}


SPECIMENS = (
    Specimen("http-connect", Tinyproxy, tunnel, carries=TCP, cannot=NO_LOGIN),
    Specimen(
        "http-connect-login",
        partial(Tinyproxy, login=True),
        tunnel,
        carries=TCP,
        wrong_key=other_password,
        cannot=CANNOT,
    ),
    Specimen(
        "http-connect-tls",
        partial(Tinyproxy, login=True, tls=True),
        tunnel,
        carries=TCP,
        wrong_key=other_password,
        cannot=CANNOT,
    ),
)
