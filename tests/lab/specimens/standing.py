"""VPNs that are on already, and those that somebody starts with a command."""

from functools import partial

from circumtest.lab.servers.ready_made import ReadyMade
from circumtest.model import TunnelFault
from circumtest.tunnels.command import Command
from circumtest.tunnels.interface import Interface
from circumtest.tunnels.netns import NamedNetns
from tests.lab.specimens import Fields, Specimen

WIREGUARD = {
    "server_restarted": "wireguard-go started again has no keys; the kernel's never ends",
    "server_without_udp": "it carries packets",
}
ON_ALREADY = {**WIREGUARD, "wrong_key": "it is on already: its keys are not ours"}
PATIENCE = 7.0
"""Enough for WireGuard's own second attempt, after 5 s."""


def nowhere(fields: Fields) -> Fields:
    """A name that nothing there has."""
    return dict.fromkeys(fields, "nobody0")


def other_password(fields: Fields) -> Fields:
    """ss-local takes the one on its command line rather than the file's."""
    return {**fields, "start": (*fields["start"], "-k", "another")}


def no_shared_key(fields: Fields) -> Fields:
    """An empty file means none, and the server has one."""
    return {**fields, "start": (*fields["start"][:-1], "/dev/null")}


SPECIMENS = (
    Specimen(
        "interface",
        partial(ReadyMade, form="interface"),
        lambda fields: Interface(**fields, patience=PATIENCE),
        wrong_host=nowhere,
        when_wrong_host=TunnelFault.BINARY,
        when_blocked=TunnelFault.NO_DATA,
        cannot=ON_ALREADY,
    ),
    Specimen(
        "netns",
        partial(ReadyMade, form="netns"),
        lambda fields: NamedNetns(**fields, patience=PATIENCE),
        wrong_host=nowhere,
        when_wrong_host=TunnelFault.BINARY,
        when_blocked=TunnelFault.NO_DATA,
        cannot=ON_ALREADY,
    ),
    Specimen(
        "command-socks",
        partial(ReadyMade, form="command-socks"),
        lambda fields: Command(**fields, patience=4.0),
        wrong_key=other_password,
        when_wrong_key=TunnelFault.HANDSHAKE,
        without_udp=partial(ReadyMade, form="command-socks", udp=False),
    ),
    Specimen(
        "command-interface",
        partial(ReadyMade, form="command-interface"),
        lambda fields: Command(**fields, patience=PATIENCE),
        wrong_key=no_shared_key,
        when_wrong_key=TunnelFault.HANDSHAKE,
        cannot=WIREGUARD,
    ),
)
