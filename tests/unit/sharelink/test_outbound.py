"""What a link's parameters mean, and which of them cannot be right."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from circumtest.errors import ConfigError
from circumtest.sharelink import Spot
from circumtest.sharelink.outbound import TRANSPORTS, VISION, Outbound, Stream, Tls, outbound

ID = "01234567-89ab-4cde-8f01-23456789abcd"
KEY = "Zv9sYkqyYWZrYWprbGFzZGZqa2xhc2RmamtsYXNkZmo"
SPOT = Spot("vless", "an example")


def made(protocol: str = "vless", secret: str = ID, **query: str) -> Outbound:
    """Of these parameters."""
    return outbound(protocol, ("h.example", 443), secret, query, SPOT)


def told(protocol: str = "vless", secret: str = ID, **query: str) -> str:
    """The message that they are refused with."""
    with pytest.raises(ConfigError) as caught:
        made(protocol, secret, **query)
    assert ID not in str(caught.value)
    return str(caught.value)


def test_without_parameters_it_is_the_usual() -> None:
    """TCP; Trojan has TLS, VLESS and VMess need not."""
    assert made().stream == Stream("tcp")
    assert made().tls is None
    assert made("vmess").cipher == "auto"
    assert made("trojan", "sesame").tls == Tls("h.example")


def test_transports_have_their_parameters() -> None:
    """Under each of their names."""
    assert made(type="ws", path="/w", host="a.example").stream == Stream(
        "ws", path="/w", hosts=("a.example",)
    )
    assert made(type="websocket").stream == Stream("ws", path="/")
    assert made(type="http", security="tls", host="a, b").stream == Stream(
        "h2", path="/", hosts=("a", "b")
    )
    assert made(type="kcp", headerType="srtp", seed="s").stream == Stream("kcp", "srtp", seed="s")
    quic = made(type="quic", security="tls", quicSecurity="aes-128-gcm", key="k", headerType="utp")
    assert quic.stream == Stream("quic", "utp", cipher="aes-128-gcm", key="k")
    grpc = made(type="grpc", serviceName="s", mode="multi", authority="a.example").stream
    assert grpc == Stream("grpc", path="s", hosts=("a.example",), mode="multi")
    assert made(type="splithttp").stream == Stream("xhttp", path="/", mode="auto")
    assert made(headerType="http", host="a.example", path="/p").stream == Stream(
        "tcp", "http", "/p", ("a.example",)
    )


def test_the_name_for_tls_is_the_one_given_or_the_host() -> None:
    """sni, or else the Host of the transport, or else the server's own name."""
    for query, name in (
        ({"sni": "s.example", "type": "ws", "host": "w.example"}, "s.example"),
        ({"peer": "s.example"}, "s.example"),
        ({"type": "ws", "host": "w.example:8443"}, "w.example"),
        ({}, "h.example"),
    ):
        tls = made(security="tls", **query).tls
        assert tls is not None
        assert tls.name == name


def test_tls_has_its_parameters() -> None:
    """Lists are lists."""
    tls = made(security="tls", alpn="h2,http/1.1", fp="chrome", pcs="ab" * 32, vcn="x.example").tls
    assert tls == Tls(
        "h.example", ("h2", "http/1.1"), "chrome", pinned="ab" * 32, names="x.example"
    )


def test_a_certificate_that_is_not_verified_is_noted() -> None:
    """It is honoured, and said."""
    for word in ("allowInsecure", "insecure"):
        asked = made(security="tls", **{word: "1"})
        assert asked.tls == Tls("h.example", insecure=True)
        assert "not verified" in asked.notes[0]
    assert made(security="tls", allowInsecure="0").notes == ()


def test_reality_has_its_key() -> None:
    """Chrome is imitated when nobody says whom."""
    asked = made(security="reality", pbk=KEY, sid="0a1b", spx="/", flow=VISION, sni="s.example")
    assert asked.tls == Tls("s.example", (), "chrome", public_key=KEY, short_id="0a1b", spider="/")
    assert asked.flow == VISION


@pytest.mark.parametrize(
    ("query", "problem"),
    [
        ({"type": "wss"}, "unknown transport 'wss'"),
        ({"type": "meek9"}, "unknown transport (not shown here)"),
        ({"security": "xtls"}, "no longer spoken"),
        ({"security": "ssl"}, "unknown security 'ssl'"),
        ({"security": "reality"}, "without the server's public key"),
        ({"security": "reality", "pbk": "short"}, "pbk is no public key"),
        ({"security": "reality", "pbk": KEY, "sid": "abc"}, "sid is no short id"),
        ({"security": "reality", "pbk": KEY, "type": "ws"}, "does not go over ws"),
        ({"security": "reality", "pbk": KEY, "spx": "x"}, "spx is no path"),
        ({"flow": VISION}, "needs type=tcp"),
        ({"flow": "xtls-rprx-direct", "security": "tls"}, "no longer spoken"),
        ({"flow": "xtls-rprx-visoin", "security": "tls"}, "did you mean 'xtls-rprx-vision'"),
        ({"type": "http"}, "no HTTP/2 here without TLS"),
        ({"type": "quic"}, "no QUIC here without TLS"),
        ({"type": "kcp", "headerType": "video"}, "unknown headerType 'video'"),
        ({"headerType": "srtp"}, "unknown headerType 'srtp'"),
        ({"type": "quic", "security": "tls", "quicSecurity": "aes"}, "unknown quicSecurity"),
        ({"encryption": "aes-128-gcm"}, "encryption is not one of this protocol"),
        ({"security": "tls", "sni": "a b"}, "has no host"),
        ({"security": "tls", "fp": "chrom"}, "did you mean 'chrome'"),
        ({"security": "tls", "alpn": "h 2"}, "alpn is no list"),
        ({"security": "tls", "pcs": "xyz"}, "pcs is no SHA-256"),
        ({"security": "tls", "allowInsecure": "maybe"}, "neither yes nor no"),
        ({"aid": "4"}, "VMess's alone"),
        ({"fingerprint": "chrome"}, "is not known, and may change what is sent"),
    ],
)
def test_what_cannot_be_right_is_refused(query: dict[str, str], problem: str) -> None:
    """With the parameter's name and what it would have to be."""
    assert problem in told(**query)


@pytest.mark.parametrize("secret", ["", "01234567", ID[:-1], ID + "0", "g" + ID[1:], "٣" * 32])
def test_a_user_id_is_a_uuid(secret: str) -> None:
    """With hyphens or without."""
    assert "user id" in told(secret=secret)
    assert made(secret=ID.replace("-", "").upper()).secret == ID


def test_trojan_has_a_password_and_no_flow() -> None:
    """Any password."""
    assert made("trojan", "p:a@s").secret == "p:a@s"
    assert "has no password" in told("trojan", "")
    assert "VLESS's alone" in told("trojan", "x", flow=VISION)


def test_no_representation_tells_a_secret() -> None:
    """Nor where the server is."""
    asked = made(type="ws", path="/sesame", host="w.example", security="tls", sni="s.example")
    for secret in (ID, "sesame", "h.example", "w.example", "s.example"):
        assert secret not in repr(asked)
        assert any(secret in one for one in asked.secrets)


@given(
    st.dictionaries(
        st.sampled_from(
            ["type", "security", "path", "host", "sni", "headerType", "flow", "pbk", "sid", "aid"]
        ),
        st.one_of(st.text(max_size=20), st.sampled_from([*TRANSPORTS, "tls", "reality", KEY])),
    ),
    st.sampled_from(["vmess", "vless", "trojan"]),
)
def test_garbage_is_refused_and_never_a_crash(query: dict[str, str], protocol: str) -> None:
    """Whatever the parameters."""
    try:
        asked = outbound(protocol, ("h.example", 443), ID, query, SPOT)
    except ConfigError:
        return
    assert asked.stream.kind in TRANSPORTS.values()
