"""strongSwan's profiles for Android."""

import base64
import json
from contextlib import suppress
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding
from hypothesis import given
from hypothesis import strategies as st

from circumtest.errors import ConfigError
from circumtest.ikev2.sswan import is_profile, parse
from circumtest.lab.pki import Authority

AUTHORITY = Authority()
REMOTE = {"addr": "vpn.example", "id": "gateway", "port": 4500}
PROFILE: dict[str, Any] = {
    "uuid": "8d3c7b3e-77c6-4d3f-9a0b-3e1c6a3a2b11",
    "name": "Work",
    "type": "ikev2-eap",
    "remote": REMOTE,
    "local": {"eap_id": "anna"},
    "dns-servers": "192.0.2.53, 2001:db8::53",
    "mtu": 1300,
    "split-tunneling": {"subnets": ["10.0.0.0/8"]},
}


def der(pem: str) -> str:
    """As profiles have it."""
    read = x509.load_pem_x509_certificate(pem.encode())
    return base64.b64encode(read.public_bytes(Encoding.DER)).decode()


def test_what_a_provider_hands_out_is_read() -> None:
    """Sections, lists as text, and what is usual where nothing is said."""
    profile = parse(json.dumps(PROFILE), "work.sswan")
    assert (profile.server, profile.id, profile.port) == ("vpn.example", "gateway", 4500)
    assert (profile.login, profile.user) == ("eap", "anna")
    assert profile.dns == ("192.0.2.53", "2001:db8::53")
    assert (profile.mtu, profile.routes) == (1300, ("10.0.0.0/8",))
    assert profile.notes == ()


def test_a_certificate_is_an_authority_s_or_the_server_s_own() -> None:
    """The app takes either."""
    for pem, trusted in ((AUTHORITY.certificate, True), (AUTHORITY.server("a").certificate, False)):
        remote = {**REMOTE, "cert": der(pem)}
        profile = parse(json.dumps({**PROFILE, "remote": remote}), "x")
        assert (profile.trusted, profile.pinned) == ((pem, "") if trusted else ("", pem))


def test_what_is_not_honoured_is_said() -> None:
    """Apps, and questions about the device."""
    said = {**PROFILE, "type": "ikev2-byod-eap", "apps": ["org.example"]}
    notes = parse(json.dumps(said), "x").notes
    assert notes[0].startswith("apps is not honoured")
    assert "TNC" in notes[1]


def test_what_cannot_be_right_names_its_key() -> None:
    """Missing, unknown, of another type, unsupported, malformed."""
    for change, said in (
        ({"type": "ikev2-psk"}, "the type 'ikev2-psk' is not supported"),
        ({"type": None}, "key `type`: is not a text"),
        ({"remote": {}}, "key `remote.addr`: is no name"),
        ({"remote": 7}, "key `remote`: is unknown"),
        ({"remote": {**REMOTE, "port": 0}}, "key `remote.port`"),
        ({"remote": {**REMOTE, "port": True}}, "key `remote.port`: is not a number"),
        ({"remote": {**REMOTE, "cert": "AAAA"}}, "key `remote.cert`: is no certificate"),
        ({"remote": {**REMOTE, "addr": "a b"}}, "key `remote.addr`"),
        ({"remote": {**REMOTE, "adr": "a"}}, "did you mean 'remote.addr'"),
        ({"local": {"p12": "AAAA"}}, "key `local.p12`"),
        ({"local": {"shared_secret": "x"}}, "is not supported"),
        ({"mtu": 500}, "key `mtu`"),
        ({"dns-servers": ["resolver"]}, "key `dns-servers`: is no address"),
        ({"esp-proposal": "AES; rm"}, "key `esp-proposal`: is no proposal"),
        ({"split-tunneling": {"subnets": "ten"}}, "is no network"),
        ({"split-tunneling": {"excluded": "10.0.0.0/8"}}, "stay out of the tunnel"),
    ):
        with pytest.raises(ConfigError, match=said):
            parse(json.dumps({**PROFILE, **change}), "x")
    with pytest.raises(ConfigError, match="line 2: is no JSON"):
        parse('{"type":\n nothing}', "x")
    with pytest.raises(ConfigError, match="a JSON object"):
        parse("[]", "x")
    with pytest.raises(ConfigError, match="is no JSON"):
        parse("[" * 100_000, "x")


def test_only_such_profiles_are_recognised() -> None:
    """Other JSON is somebody else's."""
    assert is_profile(json.dumps(PROFILE))
    for other in ("", "{", "7", "[" * 100_000, '{"type": "ikev2-eap"}', '{"server": "x"}'):
        assert not is_profile(other)


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=9),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=9), inner),
    max_leaves=9,
)
KEYS = st.sampled_from([*PROFILE, "esp-proposal", "apps", "proxy"])


@given(st.dictionaries(KEYS, JSON, max_size=4), st.text(max_size=50))
def test_garbage_is_read_or_refused(change: dict[str, Any], text: str) -> None:
    """Nothing but a ConfigError is raised."""
    for one in (json.dumps({**PROFILE, **change}), text):
        with suppress(ConfigError):
            parse(one, "x")
        is_profile(one)


@given(st.dictionaries(st.sampled_from(["addr", "port", "id", "cert", "certreq"]), JSON))
def test_garbage_about_the_server_is_read_or_refused(remote: dict[str, Any]) -> None:
    """Likewise one section deeper."""
    with suppress(ConfigError):
        parse(json.dumps({**PROFILE, "remote": {**REMOTE, **remote}}), "x")
