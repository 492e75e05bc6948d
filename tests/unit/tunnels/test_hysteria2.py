"""The hysteria2 tunnel's configuration: a link and an authority."""

import pytest

from circumtest.errors import ConfigError
from circumtest.lab.pki import certified
from circumtest.tunnels.hysteria2 import Hysteria2

LINK = "hy2://s3cret@h.example:443"


def test_a_link_is_recognised_and_another_ones_is_not() -> None:
    """By its scheme."""
    assert Hysteria2.claims(LINK) == {"url": LINK}
    assert Hysteria2.claims("socks5://h.example:1080") is None


def test_its_secrets_are_not_shown() -> None:
    """In no message, and in no listing of its fields."""
    assert "s3cret" not in repr(Hysteria2(LINK))


def test_an_unverified_certificate_is_told_before_a_run() -> None:
    """Only when the link asks for it."""
    assert Hysteria2(LINK).notes() == ()
    assert "not verified" in Hysteria2(f"{LINK}?insecure=1").notes()[0]


def test_a_private_authority_is_taken_as_text() -> None:
    """PEM, or it is refused."""
    authority = certified(["h.example"]).authority

    assert Hysteria2(LINK, ca_text=authority).authorities == authority
    with pytest.raises(ConfigError, match="PEM"):
        Hysteria2(LINK, ca_text="nothing of the kind")


@pytest.mark.parametrize(
    ("fields", "word"),
    [
        ({"url": "hysteria2://h.example"}, "url"),
        ({"url": LINK, "patience": 0.0}, "patience"),
        ({"url": LINK, "ca": "/nowhere/ca.pem"}, "cannot be read"),
    ],
)
def test_what_cannot_be_right_is_refused_before_anything_starts(
    fields: dict[str, object], word: str
) -> None:
    """When it is made."""
    with pytest.raises(ConfigError, match=word):
        Hysteria2(**fields)  # type: ignore[arg-type]
