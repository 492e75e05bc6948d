"""What stunnel puts TLS around: a SOCKS proxy, and OpenVPN over TCP."""

from dataclasses import replace
from functools import partial
from pathlib import Path

from circumtest.lab.pki import Authority
from circumtest.lab.servers.stunnel import StunnelServer
from circumtest.model import TunnelFault
from circumtest.tunnels.openvpn import Openvpn
from circumtest.tunnels.stunnel import Stunnel
from tests.lab.specimens import TCP, Fields, Specimen
from tests.lab.specimens.openvpn import other_certificate


def socks(fields: Fields) -> Stunnel:
    """As the server gave it."""
    return replace(Stunnel(**fields), patience=5.0)


def openvpn(fields: Fields) -> Openvpn:
    """As the server gave it."""
    return replace(Openvpn(**fields), patience=8.0)


def stranger(fields: Fields) -> Fields:
    """A client with a certificate of an authority that the server does not know."""
    (line,) = (one for one in fields["text"].splitlines() if one.startswith("cert = "))
    file = Path(line.removeprefix("cert = ")).with_name("stranger.pem")
    pair = Authority().client("caller")
    file.touch(0o600)
    file.write_text(pair.key + pair.certificate)
    return {**fields, "text": fields["text"].replace("client.pem", "stranger.pem")}


SPECIMENS = (
    Specimen(
        "stunnel-socks",
        partial(StunnelServer, certificates=True),
        socks,
        carries=TCP,
        wrong_key=stranger,
        cannot={"server_without_udp": "TLS carries TCP only: UDP is UNSUPPORTED"},
    ),
    Specimen(
        "stunnel-openvpn",
        partial(StunnelServer, behind="openvpn"),
        openvpn,
        wrong_key=other_certificate,
        when_wrong_key=TunnelFault.HANDSHAKE,
        cannot={"server_without_udp": "it carries packets"},
    ),
)
