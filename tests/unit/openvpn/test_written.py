"""The configuration that the daemon is given: nothing but what was honoured."""

from pathlib import Path

from circumtest.model import Address, Transport
from circumtest.openvpn.profile import parse
from circumtest.openvpn.words import directives
from circumtest.openvpn.written import Server, written
from tests.unit.openvpn.test_profile import PLAIN, STATIC


def names(text: str) -> list[str]:
    """The directives of a written configuration."""
    return [one.name for one in directives(text, "client.conf")]


def test_no_script_no_file_and_no_route_is_in_it() -> None:
    """Whatever the person's file said; every key stands in it."""
    lines = "up /bin/x\nlog /tmp/x\nroute 10.0.0.0 255.0.0.0\nmanagement 0.0.0.0 7\nuser nobody\n"
    profile = parse(f"{lines}{PLAIN}<tls-crypt>\n{STATIC}</tls-crypt>\n", "vpn.ovpn")
    server = Server(Address("2001:db8::1", 1194), Transport.UDP)
    text = written(profile, [server], "ovp1-0", Path("/run/x/management"), 10)
    found = names(text)
    assert not {"up", "log", "route", "user"} & set(found)
    assert [one.args for one in directives(text, "") if one.name == "management"] == [
        ("/run/x/management", "unix")
    ]
    assert "remote 2001:db8::1 1194 udp6" in text
    assert ("script-security", ("0",)) in [(one.name, one.args) for one in directives(text, "")]
    assert {"ca", "cert", "key", "tls-crypt", "route-noexec", "ifconfig-noexec"} <= set(found)


def test_patience_is_shared_among_the_servers() -> None:
    """OpenVPN would wait two minutes for each."""
    profile = parse(PLAIN, "vpn.ovpn")
    servers = [Server(Address("192.0.2.1", port), Transport.TCP) for port in (1, 2, 3)]
    text = written(profile, servers, "ovp1-0", Path("/run/x"), 10)
    assert "connect-timeout 4\n" in text
    assert "remote 192.0.2.1 3 tcp4-client" in text
    assert "socket-flags TCP_NODELAY" in text
