"""AnyConnect, with openconnect and ocserv: a certificate over DTLS, a login over TLS."""

from dataclasses import replace
from functools import partial

from circumtest.lab.pki import Authority
from circumtest.lab.servers.ocserv import Ocserv
from circumtest.model import TunnelFault
from circumtest.tunnels.openconnect import Openconnect
from tests.lab.specimens import Fields, Specimen


def tunnel(fields: Fields) -> Openconnect:
    """As the server gave it."""
    return replace(Openconnect(**fields), patience=6.0)


def strangers(fields: Fields) -> Fields:
    """A certificate of an authority that the server does not know."""
    certificate, key = Authority().client("caller")
    return {**fields, "certificate_text": certificate, "key_text": key}


def other_password(fields: Fields) -> Fields:
    """One that the server does not know."""
    return {**fields, "password": f"x{fields['password']}"}


CANNOT = {"server_without_udp": "it carries packets"}

SPECIMENS = (
    Specimen(
        "openconnect-dtls",
        Ocserv,
        tunnel,
        wrong_key=strangers,
        when_wrong_key=TunnelFault.HANDSHAKE,  # ocserv hangs up without a word
        cannot=CANNOT,
    ),
    Specimen(
        "openconnect-tls",
        partial(Ocserv, dtls=False, login=True),
        tunnel,
        wrong_key=other_password,
        cannot=CANNOT,
    ),
)
