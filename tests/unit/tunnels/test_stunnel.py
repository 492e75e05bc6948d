"""The stunnel tunnel as configuration."""

from pathlib import Path

import pytest

from circumtest.errors import ConfigError
from circumtest.registry import TUNNELS, build
from circumtest.tunnels.stunnel import Stunnel

TEXT = "client = yes\n[socks]\naccept = 1080\nconnect = proxy.example:443\n"


def test_a_file_and_its_text_are_the_same_tunnel(tmp_path: Path) -> None:
    """A person's plan names a file, the lab hands the text."""
    file = tmp_path / "stunnel.conf"
    file.write_text(TEXT)
    assert Stunnel(config=str(file)).wrapper == Stunnel(text=TEXT).wrapper
    table = {"kind": "stunnel", "config": str(file)}
    assert build(TUNNELS, table, "plan.toml", "tunnel") == Stunnel(config=str(file))


def test_it_claims_what_is_a_clients_configuration() -> None:
    """A server's is none."""
    assert Stunnel.claims(TEXT) == {"text": TEXT}
    assert Stunnel.claims("[https]\naccept = 443\nconnect = 80\ncert = x.pem\n") is None


def test_a_login_is_never_shown() -> None:
    """The proxy behind it may want one."""
    assert "sesame" not in repr(Stunnel(text=TEXT, user="me", password="sesame"))


@pytest.mark.parametrize(
    ("fields", "said"),
    [
        ({}, "name a stunnel.conf"),
        ({"text": TEXT, "config": "stunnel.conf"}, "name a stunnel.conf"),
        ({"text": TEXT, "patience": 0}, "patience"),
        ({"text": TEXT, "user": "me"}, "go together"),
        ({"text": TEXT, "user": "me", "password": "\u00e9"}, "ASCII"),
        ({"text": TEXT, "user": "me", "password": "x" * 256}, "up to 255"),
        ({"text": TEXT, "service": "pop3"}, r"\[pop3\]"),
        ({"config": "/nowhere/stunnel.conf"}, "cannot be read"),
    ],
)
def test_what_cannot_be_right_is_refused(fields: dict[str, object], said: str) -> None:
    """Each mistake in its own words."""
    with pytest.raises(ConfigError, match=said):
        Stunnel(**fields)  # type: ignore[arg-type]
