"""Links of Hysteria 2, TUIC and AnyTLS: what they say, and what is refused."""

from collections.abc import Callable
from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from circumtest.errors import ConfigError
from circumtest.sharelink.sing_box import (
    UNVERIFIED,
    Access,
    anytls,
    claimed,
    hysteria2,
    tuic,
)

ID = "01234567-89ab-4cde-8f01-23456789abcd"
READERS = {"hysteria2": hysteria2, "tuic": tuic, "anytls": anytls}
LINKS = {
    "hysteria2": "hysteria2://s3cret@h.example:443",
    "tuic": f"tuic://{ID}:s3cret@h.example:443",
    "anytls": "anytls://s3cret@h.example:443",
}
PIN = "de" * 32


def told(url: str, read: Callable[[str], Access]) -> str:
    """The message that it is refused with; it tells no secret."""
    with pytest.raises(ConfigError) as caught:
        read(url)
    for secret in (ID, "s3cret", "h.example"):
        assert secret not in str(caught.value)
    assert "key `url`" in str(caught.value)
    return str(caught.value)


def test_a_hysteria_link_says_everything_that_a_client_needs() -> None:
    """Both schemes, user and password as one secret, Salamander, a name, an IPv6 address."""
    read = hysteria2(
        "hy2://us%40er:s3cret@[2001:db8::1]:8443/?obfs=salamander&obfs-password=o%26p"
        "&sni=n.example&insecure=0#home"
    )

    assert read == Access(
        {
            "type": "hysteria2",
            "server": "2001:db8::1",
            "server_port": 8443,
            "password": "us@er:s3cret",
            "obfs": {"type": "salamander", "password": "o&p"},
            "tls": {"enabled": True, "server_name": "n.example", "alpn": ["h3"]},
        }
    )


def test_a_hysteria_link_without_a_port_means_443() -> None:
    """So its page says."""
    assert hysteria2("hysteria2://s3cret@h.example").outbound["server_port"] == 443


@pytest.mark.parametrize(
    "url",
    [
        "hysteria2://s3cret@h.example:443,5000-6000/?hop-interval=20",
        "hysteria2://s3cret@h.example:443?mport=443,5000-6000&mportHopInt=20s",
    ],
)
def test_a_client_hops_between_the_ports_of_a_link(url: str) -> None:
    """As its page writes several, and as others do."""
    outbound = hysteria2(url).outbound

    assert outbound["server_ports"] == ["443:443", "5000:6000"]
    assert outbound["hop_interval"] == "20s"
    assert "server_port" not in outbound


def test_a_pinned_certificate_and_speeds_are_not_honoured_and_said() -> None:
    """sing-box pins keys; how fast a line is, a link does not know."""
    notes = hysteria2(f"{LINKS['hysteria2']}?pinSHA256={PIN}&upmbps=50&down=100&fp=chrome").notes

    assert len(notes) == 4
    for word in ("fp='chrome'", "upmbps: ignored", "down: ignored", "pinSHA256: not compared"):
        assert any(word in note for note in notes), word


def test_a_tuic_link_says_how_it_is_carried() -> None:
    """With its own words, and the ones of other clients."""
    read = tuic(
        f"tuic://{ID}:s3%3Acret@h.example:8443?congestion_control=bbr&udp_relay_mode=quic"
        "&alpn=h3,spdy/3.1&allow_insecure=1&disable_sni=1&reduce_rtt=1"
    )

    assert read.outbound == {
        "type": "tuic",
        "server": "h.example",
        "server_port": 8443,
        "uuid": ID,
        "password": "s3:cret",
        "congestion_control": "bbr",
        "udp_relay_mode": "quic",
        "zero_rtt_handshake": True,
        "tls": {
            "enabled": True,
            "server_name": "h.example",
            "alpn": ["h3", "spdy/3.1"],
            "insecure": True,
            "disable_sni": True,
        },
    }
    assert read.notes == (UNVERIFIED,)


def test_an_anytls_link_needs_little() -> None:
    """A password, a host; what other clients add is checked."""
    read = anytls("anytls://s3cret@h.example/?sni=n.example&security=tls&type=tcp&remarks=x")

    assert read.outbound == {
        "type": "anytls",
        "server": "h.example",
        "server_port": 443,
        "password": "s3cret",
        "tls": {"enabled": True, "server_name": "n.example"},
    }
    assert read.notes == ("parameter remarks: ignored",)


@pytest.mark.parametrize("kind", sorted(LINKS))
def test_a_certificate_is_verified_unless_the_link_says_otherwise(kind: str) -> None:
    """And then a run says so."""
    read = READERS[kind]

    assert "insecure" not in read(LINKS[kind]).outbound["tls"]
    assert read(LINKS[kind]).notes == ()
    for word in ("insecure", "allowInsecure", "allow_insecure", "skip-cert-verify"):
        unsafe = read(f"{LINKS[kind]}?{word}=1")
        assert unsafe.outbound["tls"]["insecure"] is True
        assert unsafe.notes == (UNVERIFIED,)


@pytest.mark.parametrize("kind", sorted(LINKS))
@pytest.mark.parametrize(
    ("change", "word"),
    [
        (("s3cret", ""), "password"),
        (("h.example", ""), "host"),
        (("443", "0"), "port"),
        (("443", "https"), "port"),
        (("443", "443/x"), "behind the port"),
        (("443", "443?sin=n"), "sni"),
        (("443", "443?insecure=maybe"), "insecure"),
        (("443", "443?alpn=a%20b"), "alpn"),
        (("443", "443?sni=a&peer=b"), "two things"),
        (("443", "443?sni=a&sni=b"), "twice"),
        (("://", ":/"), "no share link"),
        (("h.example", "h.example h"), "blank"),
    ],
)
def test_what_cannot_be_right_is_refused(kind: str, change: tuple[str, str], word: str) -> None:
    """With a word that helps."""
    assert word in told(LINKS[kind].replace(*change), READERS[kind])


@pytest.mark.parametrize(
    ("url", "word"),
    [
        (LINKS["hysteria2"] + "?obfs=gecko", "salamander"),
        (LINKS["hysteria2"] + "?obfs=salamander", "without its password"),
        (LINKS["hysteria2"] + "?obfs-password=x", "without obfs"),
        (LINKS["hysteria2"] + "?pinSHA256=abc", "SHA-256"),
        (LINKS["hysteria2"] + "?mport=2000-1000", "backwards"),
        (LINKS["hysteria2"] + "?mport=1-2&hop-interval=soon", "hop-interval"),
        ("tuic://s3cret@h.example:443", "TUIC 4"),
        ("tuic://me:s3cret@h.example:443", "UUID"),
        (LINKS["tuic"] + "?congestion_control=reno", "new_reno"),
        (LINKS["tuic"] + "?udp_relay_mode=stream", "native"),
        (LINKS["anytls"] + "?security=reality", "REALITY"),
        (LINKS["anytls"] + "?type=ws", "transport"),
    ],
)
def test_what_is_not_spoken_is_refused(url: str, word: str) -> None:
    """Playing something else instead would mislead."""
    assert word in told(url, READERS[url.partition(":")[0]])


def test_links_are_told_apart_by_their_schemes() -> None:
    """Whatever case they are written in; two lines are no link."""
    assert claimed("HY2://x@h", "hysteria2")
    assert claimed(LINKS["tuic"], "tuic")
    assert not claimed(LINKS["tuic"], "anytls")
    assert not claimed("hysteria://x@h", "hysteria2")
    assert not claimed("tuic://x@h\ntuic://y@h", "tuic")


@given(st.sampled_from(sorted(LINKS)), st.text(max_size=80))
def test_garbage_is_refused_and_nothing_else_is_raised(kind: str, text: str) -> None:
    """A link or a ConfigError."""
    for url in (text, f"{kind}://{text}", f"{LINKS[kind]}?{text}"):
        with suppress(ConfigError):
            assert READERS[kind](url).outbound["type"] == kind
