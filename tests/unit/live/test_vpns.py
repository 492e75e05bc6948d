"""VPNs as they are named on a command line: called by what tells nothing, refused with a cure."""

from pathlib import Path

import pytest

from circumtest.errors import ConfigError
from circumtest.live.vpns import read

WIREGUARD = """\
[Interface]
PrivateKey = yAnz5TF+lXXJte14tji3zlMNq+hd2rYUIgJBgB3fBmk=
Address = 10.0.0.2/32
[Peer]
PublicKey = xTIBA5rboUvnH4htodjb6e697QjLERt1NAB4mZqp8Dg=
AllowedIPs = 0.0.0.0/0
Endpoint = vpn.example:51820
"""


def test_each_vpn_is_called_by_what_its_owner_calls_it(tmp_path: Path) -> None:
    """A file by its name, a device and a namespace by theirs, a link by its kind."""
    file = tmp_path / "client.conf"
    file.write_text(WIREGUARD)
    file.chmod(0o600)
    given = [
        str(file),
        "iface:wg0",
        "interface:tun0",
        "netns:work",
        "socks5://me:hidden-word@127.0.0.1:1080",
    ]

    found = read(given)

    assert [one.name for one in found] == ["client.conf", "wg0", "tun0", "work", "your socks link"]
    assert [one.kind for one in found][:2] == ["wireguard", "interface"]
    assert [one.device for one in found] == ["", "wg0", "tun0", "", ""]


def test_two_of_one_name_are_numbered(tmp_path: Path) -> None:
    """So that each has lines of its own."""
    found = read(["socks5://127.0.0.1:1080", "socks5://127.0.0.1:1081"])

    assert [one.name for one in found] == ["your socks link", "your socks link (2)"]


def test_what_is_shown_of_a_vpn_holds_no_secret(tmp_path: Path) -> None:
    """Neither its name nor its repr."""
    (one,) = read(["socks5://me:hidden-word@127.0.0.1:1080"])

    assert "hidden-word" not in repr(one) + one.name


def test_what_is_no_vpn_is_refused_with_its_number() -> None:
    """A file that is not there, for one."""
    with pytest.raises(ConfigError, match="number 2"):
        read(["iface:wg0", "no-such.conf"])
