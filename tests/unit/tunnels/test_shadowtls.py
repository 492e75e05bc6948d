"""The shadowtls tunnel's configuration: one link, or a link and two keys."""

import pytest

from circumtest.errors import ConfigError
from circumtest.model import Transport
from circumtest.tunnels.shadowsocks import Shadowsocks
from circumtest.tunnels.shadowtls import Shadowtls

BARE = "ss://chacha20-ietf-poly1305:s3cret@h.example:443"
LINK = f"{BARE}/?plugin=shadow-tls%3Bhost%3Dn.example%3Bpassword%3Dt0ken%3Bversion%3D3"


def test_its_links_are_its_own_and_not_those_of_shadowsocks() -> None:
    """And the other way round."""
    assert Shadowtls.claims(LINK) == {"url": LINK}
    assert Shadowsocks.claims(LINK) is None
    assert Shadowtls.claims(BARE) is None
    assert Shadowsocks.claims(BARE) == {"url": BARE}


def test_a_link_and_two_keys_say_the_same_as_one_link() -> None:
    """No page defines the one link."""
    assert Shadowtls(BARE, name="n.example", password="t0ken").parts == Shadowtls(LINK).parts


def test_only_tcp_is_carried_unless_a_stream_takes_datagrams_along() -> None:
    """They would go around the disguise; that is told."""
    plain = Shadowtls(LINK)

    assert plain.carries == {Transport.TCP}
    assert "UDP would go around" in plain.notes()[0]
    for both in (Shadowtls(LINK, over_tcp=True), Shadowtls(f"{LINK}&uot=1")):
        assert both.carries == set(Transport)
        assert both.notes() == ()


def test_its_secrets_are_not_shown() -> None:
    """In no listing of its fields."""
    shown = repr(Shadowtls(BARE, name="n.example", password="t0ken"))

    assert not [secret for secret in ("s3cret", "t0ken", "example") if secret in shown]


@pytest.mark.parametrize(
    ("fields", "word"),
    [
        ({"url": BARE}, "no password"),
        ({"url": BARE, "password": "t0ken"}, "whom it claims"),
        ({"url": LINK, "name": "m.example"}, "already"),
        ({"url": LINK, "patience": -1.0}, "patience"),
        ({"url": LINK, "ca_text": "no certificate"}, "PEM"),
        ({"url": LINK.replace("chacha20-ietf-poly1305", "rc4-md5")}, "stream cipher"),
        ({"url": f"{BARE}/?plugin=obfs-local%3Bobfs%3Dtls", "password": "t0ken"}, "plugin"),
        ({"url": "vmess://x"}, "Shadowsocks"),
    ],
)
def test_what_cannot_be_right_is_refused_before_anything_starts(
    fields: dict[str, object], word: str
) -> None:
    """When it is made; no message tells a secret."""
    with pytest.raises(ConfigError, match=word) as caught:
        Shadowtls(**fields)  # type: ignore[arg-type]

    assert not [
        secret for secret in ("s3cret", "t0ken", "h.example") if secret in str(caught.value)
    ]
