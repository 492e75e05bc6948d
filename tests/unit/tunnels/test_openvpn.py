"""The OpenVPN tunnel as configuration: files, texts, and a stunnel before the server."""

from pathlib import Path

import pytest

from circumtest.errors import ConfigError
from circumtest.registry import TUNNELS, build
from circumtest.tunnels.openvpn import Openvpn
from tests.unit.openvpn.test_profile import PLAIN, SECRETS

LOCAL = PLAIN.replace("proto udp", "proto tcp").replace("192.0.2.1 1194", "127.0.0.1 1195")
STUNNEL = "client = yes\n[vpn]\naccept = 127.0.0.1:1195\nconnect = vpn.example:443\n"


def test_a_file_and_its_text_are_the_same_tunnel(tmp_path: Path) -> None:
    """A person's plan names a file, the lab hands the text; a file of others' eyes is warned of."""
    file = tmp_path / "vpn.ovpn"
    file.write_text(PLAIN)
    file.chmod(0o600)
    assert Openvpn(config=str(file)).profile == Openvpn(text=PLAIN).profile
    file.chmod(0o644)
    (note,) = Openvpn(config=str(file)).notes()
    assert "chmod 600" in note


def test_keys_are_not_in_the_repr() -> None:
    """Neither given as text nor read."""
    tunnel = Openvpn(text=PLAIN)
    assert not any(secret in f"{tunnel!r} {tunnel.profile!r}" for secret in SECRETS)


def test_it_claims_what_is_a_clients_configuration() -> None:
    """And nothing else."""
    assert Openvpn.claims(PLAIN) == {"text": PLAIN}
    assert Openvpn.claims(STUNNEL) is None
    assert Openvpn.claims("[Interface]\nPrivateKey = x\n") is None


def test_a_file_that_is_not_there_or_not_text_is_a_config_error(tmp_path: Path) -> None:
    """The message names the file."""
    with pytest.raises(ConfigError, match=r"gone\.ovpn: cannot be read: No such file"):
        Openvpn(config=str(tmp_path / "gone.ovpn"))
    (tmp_path / "photo.ovpn").write_bytes(b"\xff\xd8\xff")
    with pytest.raises(ConfigError, match=r"photo\.ovpn: is not text"):
        Openvpn(config=str(tmp_path / "photo.ovpn"))


def test_one_of_file_and_text_and_a_patience_are_needed() -> None:
    """Neither, or both, is a mistake."""
    for config, text in (("", ""), ("vpn.ovpn", PLAIN)):
        with pytest.raises(ConfigError, match=r"\.ovpn"):
            Openvpn(config=config, text=text)
    with pytest.raises(ConfigError, match="patience"):
        Openvpn(text=PLAIN, patience=0)


def test_a_stunnel_before_it_is_the_one_that_its_remote_names(tmp_path: Path) -> None:
    """Chosen by its port among several; its notes are told too."""
    other = "[else]\naccept = 1196\nconnect = other.example:443\n"
    file = tmp_path / "stunnel.conf"
    file.write_text(STUNNEL + other)
    tunnel = Openvpn(text=LOCAL, stunnel=str(file))
    assert tunnel.wrapper is not None
    assert tunnel.wrapper.connect == (("vpn.example", 443),)
    (note,) = tunnel.notes()
    assert "not checked" in note


@pytest.mark.parametrize(
    ("text", "stunnel", "said"),
    [
        (PLAIN, STUNNEL, "no stunnel on this machine"),
        (LOCAL.replace("proto tcp", "proto udp"), STUNNEL, "no stunnel on this machine"),
        (LOCAL + "remote 127.0.0.1 7 tcp\n", STUNNEL, "no stunnel on this machine"),
        (LOCAL, STUNNEL.replace("1195", "1196"), "not where the .ovpn's remote is"),
        (LOCAL, "client = yes\n", "`connect` is missing"),
    ],
)
def test_a_stunnel_that_does_not_fit_is_refused(text: str, stunnel: str, said: str) -> None:
    """The remote has to be where it accepts."""
    with pytest.raises(ConfigError, match=said):
        Openvpn(text=text, stunnel_text=stunnel)


def test_a_plans_table_makes_one_and_its_mistakes_name_the_file(tmp_path: Path) -> None:
    """Found by entry point."""
    file = tmp_path / "vpn.ovpn"
    file.write_text(PLAIN + "http-proxy 192.0.2.9 80\n")
    with pytest.raises(ConfigError, match=r"vpn\.ovpn: line \d+: `http-proxy` leads packets"):
        build(TUNNELS, {"kind": "openvpn", "config": str(file)}, "plan.toml", "tunnel")
