"""obfs4 without Tor, and Tor with and without an obfs4 bridge."""

import re
from dataclasses import replace
from functools import partial

from circumtest.lab.servers.obfs4 import Obfs4Server
from circumtest.lab.servers.tor import TorNetwork
from circumtest.model import TunnelFault
from circumtest.tunnels.obfs4 import Obfs4
from circumtest.tunnels.tor import Tor
from tests.lab.specimens import TCP, Fields, Specimen

STREAMS = {"server_without_udp": "it carries streams only: UDP is UNSUPPORTED"}
ROUNDS = 10
"""Of a tunnel that tor itself takes 2 to 3 s to bring up: it looks at its work once a second."""


def obfs4(fields: Fields) -> Obfs4:
    """As the server gave it."""
    return replace(Obfs4(**fields), patience=4.0)


def tor(fields: Fields) -> Tor:
    """Patient enough for a busy machine: it bootstraps in 2 to 3 s on an idle one."""
    authorities = tuple(fields["authorities"])
    return replace(Tor(**{**fields, "authorities": authorities}), patience=15.0)


def other_cert(fields: Fields) -> Fields:
    """The server is silent to whoever does not know its key."""
    return {**fields, "text": re.sub("(cert=)(.{8})", r"\1AAAAAAAA", fields["text"])}


def other_authorities(fields: Fields) -> Fields:
    """A client has no key of its own; the network's are the authorities', which sign it."""
    lines = [re.sub("v3ident=.{8}", "v3ident=00000000", line) for line in fields["authorities"]]
    return {**fields, "authorities": lines}


SPECIMENS = (
    Specimen(
        "obfs4",
        Obfs4Server,
        obfs4,
        carries=TCP,
        wrong_key=other_cert,
        when_wrong_key=TunnelFault.HANDSHAKE,
        cannot=STREAMS,
    ),
    Specimen(
        "tor",
        TorNetwork,
        tor,
        carries=TCP,
        wrong_key=other_authorities,
        when_wrong_key=TunnelFault.HANDSHAKE,
        rounds=ROUNDS,
        cannot=STREAMS,
    ),
    Specimen(
        "tor-obfs4",
        partial(TorNetwork, bridge=True),
        tor,
        carries=TCP,
        wrong_key=other_cert,
        when_wrong_key=TunnelFault.HANDSHAKE,
        rounds=ROUNDS,
        cannot=STREAMS,
    ),
)
