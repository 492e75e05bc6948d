"""The SSH tunnel's configuration."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from circumtest.errors import ConfigError
from circumtest.registry import TUNNELS, build
from circumtest.tunnels.ssh import Ssh

URL = "ssh://me@192.0.2.1:2222"
KEY = (
    Ed25519PrivateKey.generate()
    .private_bytes(Encoding.PEM, PrivateFormat.OpenSSH, NoEncryption())
    .decode()
)


def test_only_its_own_links_are_claimed() -> None:
    """One line with the scheme ssh."""
    assert Ssh.claims(URL) == {"url": URL}
    for other in ("sftp://me@192.0.2.1", "ssh", f"{URL}\n{URL}"):
        assert Ssh.claims(other) is None


def test_a_key_that_others_can_read_is_noted(tmp_path: Path) -> None:
    """A warning: it works all the same, from a private copy."""
    file = tmp_path / "id"
    file.write_text(KEY)
    file.chmod(0o644)
    (note,) = Ssh(url=URL, key=str(file)).notes()
    assert "chmod 600" in note
    file.chmod(0o600)
    assert Ssh(url=URL, key=str(file)).notes() == ()
    assert Ssh(url=URL, key_text=KEY).notes() == ()


def test_files_that_cannot_be_are_refused_at_once(tmp_path: Path) -> None:
    """Missing, not text, not a key, given twice."""
    mistakes: tuple[tuple[dict[str, Any], str], ...] = (
        ({"key": str(tmp_path / "none")}, "cannot be read"),
        ({"known_hosts": str(tmp_path)}, "cannot be read"),
        ({"key_text": "nothing"}, "no private key"),
        ({"known_hosts_text": "nothing"}, "line 1"),
        ({"key": "a", "key_text": KEY}, "twice"),
    )
    for fields, said in mistakes:
        with pytest.raises(ConfigError, match=said):
            replace(Ssh(url=URL), **fields)
    (tmp_path / "binary").write_bytes(b"\xff\xfe")
    with pytest.raises(ConfigError, match="is not text"):
        Ssh(url=URL, key=str(tmp_path / "binary"))


def test_nothing_of_a_person_is_shown() -> None:
    """repr tells neither server nor key."""
    shown = repr(Ssh(url=URL, key_text=KEY))
    assert "192.0.2.1" not in shown
    assert "PRIVATE" not in shown


def test_a_plans_table_makes_one() -> None:
    """Found by entry point; by link or by its parts."""
    table = {"kind": "ssh", "host": "192.0.2.1", "port": 2222, "user": "me"}
    tunnel = build(TUNNELS, table, "p", "t")
    assert tunnel.server == Ssh(url=URL).server
    with pytest.raises(ConfigError, match="patience"):
        Ssh(url=URL, patience=0)
