"""Which engine speaks a link, whom a certificate has to come from, what an engine's words mean."""

from pathlib import Path

import pytest

from circumtest.engine.by_link import Engine, authorities, explain, told, which
from circumtest.errors import ConfigError
from circumtest.lab.pki import certified
from circumtest.model import TunnelFault
from circumtest.sharelink.links import read
from circumtest.sharelink.outbound import Outbound

ID = "01234567-89ab-4cde-8f01-23456789abcd"
KEY = "Zv9sYkqyYWZrYWprbGFzZGZqa2xhc2RmamtsYXNkZmo"


def vless(query: str) -> Outbound:
    """A link with these parameters."""
    return read(f"vless://{ID}@h.example:443?{query}", "vless")


@pytest.mark.parametrize(
    ("query", "asked", "engine"),
    [
        ("", "auto", "v2ray"),
        ("", "xray", "xray"),
        ("type=quic&security=tls", "auto", "v2ray"),
        ("security=tls&fp=chrome", "auto", "xray"),
        ("security=tls&fp=chrome", "v2ray", "v2ray"),
        (f"security=reality&pbk={KEY}", "auto", "xray"),
        ("security=tls&allowInsecure=1", "auto", "v2ray"),
        ("security=tls&allowInsecure=1&fp=chrome", "v2ray", "v2ray"),
    ],
)
def test_the_engine_is_one_that_does_all_that_the_link_says(
    query: str, asked: Engine, engine: str
) -> None:
    """V2Ray where it can."""
    assert which(vless(query), asked, "vless") == engine


@pytest.mark.parametrize(
    ("query", "asked", "problem"),
    [
        ("type=quic&security=tls", "xray", "xray has no type=quic"),
        (f"security=reality&pbk={KEY}", "v2ray", "v2ray has no security=reality"),
        (
            "security=tls&flow=xtls-rprx-vision&allowInsecure=1",
            "auto",
            "v2ray has no flow=xtls-rprx-vision; xray has no allowInsecure",
        ),
        ("security=tls&allowInsecure=1&fp=chrome", "auto", 'with engine = "v2ray"'),
    ],
)
def test_a_link_that_no_engine_speaks_is_refused(query: str, asked: Engine, problem: str) -> None:
    """With what each lacks."""
    with pytest.raises(ConfigError) as caught:
        which(vless(query), asked, "vless")
    assert problem in str(caught.value)


def test_a_browser_that_is_not_imitated_is_told() -> None:
    """A censor may see the difference."""
    assert told(vless("security=tls&fp=chrome"), "auto", "") == ()
    assert "fp=chrome" in told(vless("security=tls&fp=chrome"), "v2ray", "")[0]


def test_an_authority_that_is_over_is_told() -> None:
    """With its date; one that is not is not."""
    assert told(vless("security=tls"), "auto", certified(["h.example"]).authority) == ()
    over = certified(["h.example"], over=True).certificate
    (note,) = told(vless("security=tls"), "auto", over)
    assert "is over since" in note


def test_authorities_are_named_or_given(tmp_path: Path) -> None:
    """In PEM; not both."""
    made = certified(["h.example"]).authority
    file = tmp_path / "ca.pem"
    file.write_text(made)
    assert authorities("vless", "", "") == ""
    assert authorities("vless", str(file), "") == authorities("vless", "", made) == made
    with pytest.raises(ConfigError, match="given twice"):
        authorities("vless", str(file), made)
    with pytest.raises(ConfigError, match="cannot be read"):
        authorities("vless", str(tmp_path / "none"), "")
    for wrong in (b"", b"no certificate", b"\xff\xfe", b"-----BEGIN CERTIFICATE-----\nx\n"):
        file.write_bytes(wrong)
        with pytest.raises(ConfigError, match="holds no certificate"):
            authorities("vless", str(file), "")


@pytest.mark.parametrize(
    ("words", "meaning"),
    [
        ("x509: certificate signed by unknown authority", "not to be trusted"),
        ("dial tcp 192.0.2.1:443: connect: connection refused", "refuses connections"),
        ("dial tcp 192.0.2.1:443: connect: no route to host", "is unreachable"),
        ("dial tcp 192.0.2.1:443: i/o timeout", "does not answer"),
        ("websocket: bad handshake", "speaks another transport"),
    ],
)
def test_what_an_engine_says_of_its_server_is_a_handshake(words: str, meaning: str) -> None:
    """Nothing of it is a refusal of us: that no engine knows."""
    said = explain(f"[Warning] failed to process outbound traffic > {words}", reality=False)
    assert said is not None
    assert said[0] is TunnelFault.HANDSHAKE
    assert meaning in said[1]


@pytest.mark.parametrize(
    "words",
    [
        "[Warning] v2ray.com/core: V2Ray 4.34.0 started",
        "connection ends > v2ray.com/core/proxy/vless/encoding: failed to read response version"
        " > EOF",
    ],
)
def test_other_words_mean_nothing(words: str) -> None:
    """A server that hangs up may not have reached the target."""
    assert explain(words, reality=False) is None


def test_the_borrowed_sites_certificate_means_that_reality_does_not_know_us() -> None:
    """Or that somebody else answers."""
    said = explain("[x509: certificate signed by unknown authority]", reality=True)
    assert said == (
        TunnelFault.HANDSHAKE,
        "what answers is not the REALITY server, or does not know our keys",
    )
