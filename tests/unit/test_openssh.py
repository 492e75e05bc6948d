"""What users of OpenSSH have: taken as it is, or refused with what would be right."""

import base64
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric import ec, ed25519
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
)
from hypothesis import given
from hypothesis import strategies as st

from circumtest.errors import ConfigError
from circumtest.openssh import (
    Server,
    check_known_hosts,
    check_private_key,
    open_to_others,
    server,
)

KEY = ed25519.Ed25519PrivateKey.generate()
OPENSSH = KEY.private_bytes(Encoding.PEM, PrivateFormat.OpenSSH, NoEncryption()).decode()
PUBLIC = KEY.public_key().public_bytes(Encoding.OpenSSH, PublicFormat.OpenSSH).decode()
CURVE = ec.generate_private_key(ec.SECP256R1())
TRADITIONAL = CURVE.private_bytes(
    Encoding.PEM, PrivateFormat.TraditionalOpenSSL, NoEncryption()
).decode()
LOCK = BestAvailableEncryption(b"sesame")


def locked() -> str:
    """A key behind a passphrase, in OpenSSH's own format (PROTOCOL.key)."""

    def framed(*parts: bytes) -> bytes:
        return b"".join(len(part).to_bytes(4, "big") + part for part in parts)

    rounds = framed(bytes(16)) + (16).to_bytes(4, "big")
    public = base64.b64decode(PUBLIC.split()[1])
    body = b"openssh-key-v1\0" + framed(b"aes256-ctr", b"bcrypt", rounds)
    body += (1).to_bytes(4, "big") + framed(public, bytes(160))
    inner = base64.encodebytes(body).decode()
    return f"-----BEGIN OPENSSH PRIVATE KEY-----\n{inner}-----END OPENSSH PRIVATE KEY-----\n"


def test_a_link_is_taken_apart() -> None:
    """With and without a port; IPv6; known_hosts' name for it."""
    assert server("ssh://me@vpn.example.com", "", 22, "") == Server("vpn.example.com", 22, "me")
    assert server("ssh://me@[2001:DB8::1]:2222/", "", 22, "").alias == "[2001:db8::1]:2222"
    assert server("", "VPN.example.com", 22, "me").alias == "vpn.example.com"


@pytest.mark.parametrize(
    ("url", "said"),
    [
        ("", "give a link"),
        ("sftp://me@h.example", "no SSH link"),
        ("ssh:me@h.example", "no SSH link"),
        ("ssh://me:sesame@h.example", "holds a password"),
        ("ssh://me@h.example/path", "behind the port"),
        ("ssh://me@h.example?x", "behind the port"),
        ("ssh://me@", "no host"),
        ("ssh://me@-oProxyCommand=x", "no host"),
        ("ssh://me@h.example:0", "no port"),
        ("ssh://me@h.example:70000", "no port"),
        ("ssh://h.example", "no user"),
        ("ssh://-oProxyCommand@h.example", "no user"),
        ("ssh://a%20b@h.example", "no user"),
        ("ssh://a%60b@h.example", "no user"),
    ],
)
def test_what_is_no_link_is_refused(url: str, said: str) -> None:
    """Also what ssh could take for an option; a password is not repeated."""
    with pytest.raises(ConfigError, match=said) as caught:
        server(url, "", 22, "")
    assert "sesame" not in str(caught.value)


def test_a_link_or_its_parts_are_given() -> None:
    """Not both."""
    for given_ in (
        ("ssh://a@h", "h", 22, ""),
        ("ssh://a@h", "", 22, "b"),
        ("ssh://a@h", "", 2, ""),
    ):
        with pytest.raises(ConfigError, match="url"):
            server(*given_)
    with pytest.raises(ConfigError, match="`user`"):
        server("", "h.example", 22, "")
    with pytest.raises(ConfigError, match="`port`"):
        server("", "h.example", 0, "me")


def test_keys_of_both_formats_are_taken() -> None:
    """OpenSSH's own, and PEM."""
    check_private_key(OPENSSH, "id")
    check_private_key(TRADITIONAL, "id")


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (PUBLIC, "public half"),
        ("PuTTY-User-Key-File-3: ssh-ed25519\n", "PuTTY"),
        ("", "no private key"),
        (OPENSSH[:200], "no private key"),
        (KEY.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, LOCK).decode(), "passphrase"),
        (locked(), "passphrase"),
    ],
    ids=["public", "putty", "empty", "cut", "locked-pkcs8", "locked-openssh"],
)
def test_what_is_no_usable_key_is_refused(text: str, said: str) -> None:
    """With what would help; the file is named."""
    with pytest.raises(ConfigError, match=said) as caught:
        check_private_key(text, "my_id")
    assert "my_id" in str(caught.value)


def test_known_hosts_are_looked_through() -> None:
    """Comments, markers, hashed names; the line of what is none is told."""
    entry = f"h.example {PUBLIC}"
    check_known_hosts(f"# mine\n\n{entry}\n|1|x=|y= {PUBLIC}\n@cert-authority *.h {PUBLIC}", "kh")
    with pytest.raises(ConfigError, match="line 2"):
        check_known_hosts(f"{entry}\nh.example ssh-ed25519", "kh")
    with pytest.raises(ConfigError, match="line 1"):
        check_known_hosts("h.example ssh-ed25519 !!!!", "kh")
    with pytest.raises(ConfigError, match="holds no host"):
        check_known_hosts("# none\n", "kh")


def test_a_key_that_others_can_read_is_seen(tmp_path: Path) -> None:
    """A file that is not there is nobody's to read."""
    file = tmp_path / "id"
    assert not open_to_others(file)
    file.touch(0o600)
    assert not open_to_others(file)
    file.chmod(0o640)
    assert open_to_others(file)


@given(st.text(max_size=60))
def test_garbage_is_a_config_error_and_nothing_else(text: str) -> None:
    """Links, keys, known hosts."""
    for check in (
        lambda: server(text, "", 22, ""),
        lambda: server("ssh://" + text, "", 22, ""),
        lambda: server("", text, 22, text),
        lambda: check_private_key(text, "id"),
        lambda: check_private_key(f"-----BEGIN OPENSSH PRIVATE KEY-----\n{text}", "id"),
        lambda: check_known_hosts(text, "kh"),
    ):
        try:
            check()
        except ConfigError:
            continue
