"""stunnel's configuration files: one client's service, what is honoured of it and what is not."""

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from circumtest.errors import ConfigError
from circumtest.lab.pki import Authority
from circumtest.stunnel.conf import Service, is_stunnel, parse

AUTHORITY = Authority()
PLAIN = """; a comment
pid = /run/stunnel.pid
client = yes
[socks]
accept = 127.0.0.1:1080
connect = proxy.example:443
verifyChain = yes
checkHost = proxy.example
CAfile = ca.pem
ciphers = HIGH
"""


@pytest.fixture(name="place")
def _place(tmp_path: Path) -> Path:
    """A directory with the files that the configurations here name."""
    (tmp_path / "ca.pem").write_text(AUTHORITY.certificate)
    pair = AUTHORITY.client("me")
    (tmp_path / "me.pem").write_text(pair.key + pair.certificate)
    (tmp_path / "me.pem").chmod(0o600)
    (tmp_path / "psk").write_text("me:0123456789abcdef0123\n")
    (tmp_path / "psk").chmod(0o600)
    return tmp_path


def read(text: str, place: Path, **more: object) -> Service:
    """The service of a file."""
    return parse(text, "stunnel.conf", place, **more)  # type: ignore[arg-type]


def test_a_usual_file_is_read(place: Path) -> None:
    """Where it leads, by what the server is known, under which name it is asked for."""
    service = read(PLAIN, place)
    assert service.accept == ("127.0.0.1", 1080)
    assert service.connect == (("proxy.example", 443),)
    assert set(service.lines) == {
        "ciphers = HIGH",
        "sni = proxy.example",
        "verifyChain = yes",
        "checkHost = proxy.example",
    }
    assert service.files == (("CAfile", AUTHORITY.certificate),)
    assert service.notes == ()


def test_it_is_told_from_other_files() -> None:
    """OpenVPN's `client` has no `=`."""
    assert is_stunnel(PLAIN)
    assert not is_stunnel("client\nremote a 1194\n")
    assert not is_stunnel("[https]\naccept = 443\nconnect = 80\n")


def test_certificates_and_shared_keys_are_taken_from_their_files(place: Path) -> None:
    """The key may be in the certificate's file."""
    service = read(f"{PLAIN}cert = me.pem\nPSKsecrets = psk\nPSKidentity = me\n", place)
    files = dict(service.files)
    assert {"cert", "key", "PSKsecrets"} <= files.keys()
    assert "PRIVATE KEY" not in repr(service)
    assert "0123456789abcdef0123" in service.secrets
    (place / "me.pem").chmod(0o644)
    (note,) = read(f"{PLAIN}cert = me.pem\n", place).notes
    assert "chmod 600" in note


def test_one_of_several_services_is_chosen_by_name_or_port(place: Path) -> None:
    """Servers among them are none; without a choice they are named."""
    text = f"{PLAIN}[vpn]\naccept = 1194\nconnect = 192.0.2.1:1194\n[www]\nclient = no\n"
    assert read(text, place, wanted="vpn").connect == (("192.0.2.1", 1194),)
    assert read(text, place, port=1194).connect == (("192.0.2.1", 1194),)
    with pytest.raises(ConfigError, match=r"several client's services: \[socks\], \[vpn\]"):
        read(text, place)
    with pytest.raises(ConfigError, match=r"one of: \[socks\], \[vpn\]"):
        read(text, place, wanted="www")


@pytest.mark.parametrize("older", ["verify = 2", "verify = 3", "VERIFYCHAIN = YES"])
def test_keys_are_taken_in_any_case_and_in_their_older_form(place: Path, older: str) -> None:
    """`verify = 2` is verifyChain."""
    assert "verifyChain = yes" in read(PLAIN.replace("verifyChain = yes", older), place).lines


def test_a_server_that_is_not_checked_is_said(place: Path) -> None:
    """Many configurations check nothing."""
    text = "client = yes\nconnect = 192.0.2.1:443\n"
    (note,) = read(text, place).notes
    assert "not checked" in note


def test_what_is_not_run_is_said(place: Path) -> None:
    """With the line; a key that is unknown is left out, one nearly known is a mistake."""
    (note,) = read(f"{PLAIN}exec = /bin/sh\n", place).notes
    assert note.startswith("line 11: exec is not run")
    (note,) = read(f"{PLAIN}wibble = 7\n", place).notes
    assert "left out" in note
    with pytest.raises(ConfigError, match="did you mean 'checkhost'"):
        read(f"{PLAIN}chekHost = a\n", place)


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ("ciphers = HIGH", "protocol = connect", "before TLS"),
        ("ciphers = HIGH", "include = /etc/stunnel/conf.d", "other files"),
        ("ciphers = HIGH", "local = 192.0.2.7", "leave from"),
        ("ciphers = HIGH", "socket = r:SO_BINDTODEVICE=eth1", "where packets go"),
        ("ciphers = HIGH", "verifyPeer = maybe", "yes or no"),
        ("ciphers = HIGH", "verify = 7", "from 0 to 4"),
        ("ciphers = HIGH", "checkIP = here", "no IP address"),
        ("ciphers = HIGH", "ciphers", "neither"),
        ("ciphers = HIGH", "ciphers = A\x07B", "control character"),
        ("ciphers = HIGH", "[socks]", "second"),
        ("ciphers = HIGH", "PSKsecrets = ca.pem", "no shared key"),
        ("verifyChain = yes\n", "", "alone checks nothing"),
        ("CAfile = ca.pem\n", "", "nothing is there"),
        ("ca.pem", "gone.pem", "No such file"),
        ("ca.pem", "psk", "no certificate in PEM"),
        ("client = yes\n", "", "no client's service"),
        ("connect = proxy.example:443\n", "", "`connect` is missing"),
        ("proxy.example:443", "proxy.example", "not HOST:PORT"),
        ("proxy.example:443", "proxy.example:70000", "not HOST:PORT"),
        (PLAIN, "", "no client's service"),
    ],
)
def test_what_cannot_be_right_is_refused(place: Path, old: str, new: str, said: str) -> None:
    """Each mistake gets its own words, with the file."""
    with pytest.raises(ConfigError, match=said):
        read(PLAIN.replace(old, new), place)


@given(st.text(max_size=60), st.integers(0, len(PLAIN)), st.integers(0, 60))
def test_a_mangled_file_is_a_config_error_or_a_service(text: str, place: int, cut: int) -> None:
    """Nothing but ConfigError ever comes out of a broken file."""
    try:
        parse(PLAIN[:place] + text + PLAIN[place + cut :], "stunnel.conf")
    except ConfigError:
        return
