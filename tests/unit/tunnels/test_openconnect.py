"""The openconnect tunnel as configuration."""

from pathlib import Path

import pytest

from circumtest.errors import ConfigError
from circumtest.lab.pki import Authority
from circumtest.registry import TUNNELS, build
from circumtest.tunnels.openconnect import Openconnect

SERVER = "https://vpn.example"
CERTIFICATE, KEY = Authority().client("caller")


def test_its_own_configuration_files_are_claimed() -> None:
    """By their options; a link is nobody's in particular."""
    text = "server=vpn.example\nuser=anna\n"
    assert Openconnect.claims(text) == {"text": text}
    assert Openconnect.claims(SERVER) is None


def test_fields_come_before_the_file(tmp_path: Path) -> None:
    """Names of files in it are relative to it, and what it says of DTLS counts."""
    (tmp_path / "me.pem").write_text(CERTIFICATE + KEY)
    (tmp_path / "me.pem").chmod(0o600)
    file = tmp_path / "vpn.conf"
    file.write_text("server=vpn.example\ncertificate=me.pem\nno-dtls\nscript=/bin/true\n")
    tunnel = Openconnect(config=str(file))
    assert tunnel.identity is not None
    assert tunnel.identity.name == "caller"
    assert not tunnel.over_dtls
    assert len(tunnel.notes()) == 1
    (tmp_path / "me.pem").chmod(0o644)
    assert "chmod 600" in tunnel.notes()[1]
    other = Authority().client("other")
    tunnel = Openconnect(config=str(file), certificate_text=other[0], key_text=other[1])
    assert tunnel.identity is not None
    assert tunnel.identity.name == "other"


def test_what_cannot_be_right_is_refused_at_once(tmp_path: Path) -> None:
    """No server or two, files that are missing, keys without a certificate."""
    for fields, said in (
        ({}, "give a server"),
        ({"server": SERVER, "text": "server=a\n"}, "give a server"),
        ({"text": "user=a\n"}, "option `server`: has no host"),
        ({"config": str(tmp_path / "none")}, "cannot be read"),
        ({"server": "ftp://a"}, "is no https server"),
        ({"server": SERVER, "ca": str(tmp_path / "none")}, "cannot be read"),
        ({"server": SERVER, "ca_text": "nothing"}, "key `ca`: is no certificate"),
        ({"server": SERVER, "key_text": KEY}, "without a certificate"),
        ({"server": SERVER, "certificate_text": CERTIFICATE}, "is no private key"),
        ({"server": SERVER, "password": "a\nb"}, "cannot be printed"),
        ({"server": SERVER, "patience": 0}, "patience"),
    ):
        with pytest.raises(ConfigError, match=said):
            Openconnect(**fields)
    (tmp_path / "binary").write_bytes(b"\xff\xfe")
    with pytest.raises(ConfigError, match="is not text"):
        Openconnect(config=str(tmp_path / "binary"))


def test_an_expired_certificate_is_refused_with_its_date() -> None:
    """Before anything starts."""
    certificate, key = Authority(over=True).client("caller")
    with pytest.raises(ConfigError, match="expired on 20"):
        Openconnect(server=SERVER, certificate_text=certificate, key_text=key)


def test_nothing_of_a_person_is_shown() -> None:
    """repr tells neither server nor login."""
    shown = repr(Openconnect(server=SERVER, user="anna", password="secret-1"))
    assert not any(one in shown for one in ("vpn.example", "anna", "secret-1"))


def test_a_plans_table_makes_one() -> None:
    """Found by entry point; a misspelt key is told."""
    table = {"kind": "openconnect", "server": SERVER, "user": "anna", "dtls": False}
    assert build(TUNNELS, table, "plan.toml", "tunnel").to.host == "vpn.example"
    with pytest.raises(ConfigError, match="servercert"):
        build(TUNNELS, {**table, "servercrt": "x"}, "plan.toml", "tunnel")
