"""The IKEv2 tunnel as configuration."""

import json
from pathlib import Path
from typing import Any

import pytest

from circumtest.errors import ConfigError
from circumtest.lab.pki import Authority
from circumtest.registry import TUNNELS, build
from circumtest.tunnels.ikev2 import Ikev2

CERTIFICATE, KEY = Authority().client("caller")
REMOTE = {"addr": "vpn.example"}
PROFILE = json.dumps({"uuid": "1", "name": "x", "type": "ikev2-eap", "remote": REMOTE})
LOGIN: dict[str, Any] = {"server": "vpn.example", "user": "anna", "password": "secret-1"}


def test_profiles_are_claimed() -> None:
    """By what is in them."""
    assert Ikev2.claims(PROFILE) == {"text": PROFILE}
    assert Ikev2.claims("{}") is None


def test_a_server_calls_itself_as_it_is_called() -> None:
    """Unless somebody says otherwise; a certificate is enough, and so is a login."""
    assert Ikev2(**LOGIN).profile.id == "vpn.example"
    assert Ikev2(**LOGIN, id="gateway").profile.id == "gateway"
    assert Ikev2(**LOGIN).profile.login == "eap"
    shown = Ikev2(server="vpn.example", certificate_text=CERTIFICATE, key_text=KEY)
    assert shown.profile.login == "cert"


def test_a_profile_gets_what_it_leaves_out(tmp_path: Path) -> None:
    """The password is never in it; user, certificate and authority may be missing too."""
    file = tmp_path / "work.sswan"
    file.write_text(PROFILE)
    tunnel = Ikev2(config=str(file), user="anna", password="secret-1")
    assert (tunnel.profile.server, tunnel.profile.user) == ("vpn.example", "anna")
    wants = PROFILE.replace("ikev2-eap", "ikev2-cert")
    whole = Ikev2(text=wants, certificate_text=CERTIFICATE, key_text=KEY)
    assert whole.profile.identity is not None
    with pytest.raises(ConfigError, match="the profile wants a certificate"):
        Ikev2(text=wants)


def test_a_key_that_others_can_read_is_noted(tmp_path: Path) -> None:
    """A warning: it works all the same."""
    file = tmp_path / "me.pem"
    file.write_text(CERTIFICATE + KEY)
    file.chmod(0o644)
    (note,) = Ikev2(server="vpn.example", certificate=str(file)).notes()
    assert "chmod 600" in note


def test_what_cannot_be_right_is_refused_at_once(tmp_path: Path) -> None:
    """No server or two, no login, files that are missing, algorithms that are none."""
    for fields, said in (
        ({}, "give a server"),
        ({**LOGIN, "text": PROFILE}, "give a server"),
        ({"server": "vpn.example"}, "key `user`: is missing"),
        ({"text": PROFILE, "user": "anna"}, "key `password`: is missing"),
        ({"config": str(tmp_path / "none")}, "cannot be read"),
        ({**LOGIN, "server": "https://a"}, "is no name or address"),
        ({**LOGIN, "ca": str(tmp_path / "none")}, "cannot be read"),
        ({**LOGIN, "ca_text": "nothing"}, "key `ca`: is no certificate"),
        ({**LOGIN, "key_text": KEY}, "without a certificate"),
        ({**LOGIN, "esp": "A B"}, "key `esp`: is no proposal"),
        ({**LOGIN, "user": "a\nb"}, "cannot be printed"),
        ({**LOGIN, "patience": -1}, "patience"),
    ):
        with pytest.raises(ConfigError, match=said):
            Ikev2(**fields)
    (tmp_path / "binary").write_bytes(b"\xff\xfe")
    with pytest.raises(ConfigError, match="is not text"):
        Ikev2(config=str(tmp_path / "binary"))


def test_a_plans_table_makes_one() -> None:
    """Found by entry point; a misspelt key is told."""
    table = {"kind": "ikev2", **LOGIN}
    assert build(TUNNELS, table, "plan.toml", "tunnel").profile.user == "anna"
    with pytest.raises(ConfigError, match="local_id"):
        build(TUNNELS, {**table, "lokal_id": "x"}, "plan.toml", "tunnel")
