"""The WireGuard tunnel as configuration: what a plan and the lab's server make it from."""

import base64
from pathlib import Path

import pytest

from circumtest.errors import ConfigError
from circumtest.registry import TUNNELS, build
from circumtest.tunnels.wireguard import Wireguard

KEY, PEER = (base64.b64encode(bytes([n]) * 32).decode() for n in (1, 2))
TEXT = f"""[Interface]
PrivateKey = {KEY}
Address = 10.9.0.2/32
PostUp = iptables -A FORWARD -j ACCEPT
[Peer]
PublicKey = {PEER}
AllowedIPs = 0.0.0.0/0
Endpoint = 192.0.2.1:51820
"""


def test_a_file_and_its_text_are_the_same_tunnel(tmp_path: Path) -> None:
    """A person's plan names a file, the lab hands the text."""
    file = tmp_path / "vpn.conf"
    file.write_text(TEXT)
    assert Wireguard(config=str(file)).quick == Wireguard(text=TEXT).quick


def test_what_is_not_honoured_is_in_the_notes() -> None:
    """PostUp is not run, and said so."""
    (note,) = Wireguard(text=TEXT).notes()
    assert note.startswith("PostUp is not run")


def test_keys_are_not_in_the_repr() -> None:
    """Neither given as text nor read."""
    assert KEY not in repr(Wireguard(text=TEXT))


def test_a_file_that_is_not_there_or_not_text_is_a_config_error(tmp_path: Path) -> None:
    """The message names the file."""
    with pytest.raises(ConfigError, match=r"gone\.conf: cannot be read: No such file"):
        Wireguard(config=str(tmp_path / "gone.conf"))
    with pytest.raises(ConfigError, match="cannot be read"):
        Wireguard(config=str(tmp_path))
    (tmp_path / "photo.conf").write_bytes(b"\xff\xd8\xff")
    with pytest.raises(ConfigError, match=r"photo\.conf: is not text"):
        Wireguard(config=str(tmp_path / "photo.conf"))


def test_one_of_file_and_text_is_needed() -> None:
    """Neither, or both, is a mistake."""
    for config, text in (("", ""), ("vpn.conf", TEXT)):
        with pytest.raises(ConfigError, match="wg-quick"):
            Wireguard(config=config, text=text)


def test_a_plans_table_makes_one_and_its_mistakes_name_the_file(tmp_path: Path) -> None:
    """Found by entry point; a wrong device is told with its key."""
    file = tmp_path / "vpn.conf"
    file.write_text(TEXT.replace("AllowedIPs", "AlowedIPs"))
    table = {"kind": "wireguard", "config": str(file)}
    with pytest.raises(ConfigError, match=r"vpn\.conf: line 7, .*AlowedIPs"):
        build(TUNNELS, table, "plan.toml", "tunnel")
    with pytest.raises(ConfigError, match="device"):
        build(TUNNELS, {**table, "device": "hardware"}, "plan.toml", "tunnel")
