"""wg-quick files: what is honoured, what is said of the rest, and where a mistake is."""

import base64

import pytest
from hypothesis import given
from hypothesis import strategies as st

from circumtest.errors import ConfigError
from circumtest.wireguard.quick import DEFAULT_MTU, parse

KEY, PEER, SHARED = (base64.b64encode(bytes([n]) * 32).decode() for n in (1, 2, 3))
PLAIN = f"""[Interface]
PrivateKey = {KEY}
Address = 10.9.0.2/32, fd00:9::2/128
[Peer]
PublicKey = {PEER}
AllowedIPs = 0.0.0.0/0, ::/0
Endpoint = 192.0.2.1:51820
"""


def wrong(text: str) -> ConfigError:
    """The error that `text` is refused with; it names the file and tells no key."""
    with pytest.raises(ConfigError) as caught:
        parse(text, "vpn.conf")
    assert caught.value.where == "vpn.conf"
    assert KEY not in str(caught.value)
    return caught.value


def test_everything_that_is_honoured_is_read() -> None:
    """Keys, addresses, DNS, MTU, port, preshared key, keepalive, networks, an IPv6 endpoint."""
    text = PLAIN.replace("192.0.2.1:51820", "[2001:db8::1]:4500")
    text = text.replace(
        "[Peer]", "ListenPort = 7\nDNS = 10.9.0.1, corp.example\nMTU = 1300\n[Peer]"
    )
    text += f"PresharedKey = {SHARED}\nPersistentKeepalive = 25\n"
    quick = parse(text, "vpn.conf")
    assert quick.private_key == b"\1" * 32
    assert quick.addresses == ("10.9.0.2/32", "fd00:9::2/128")
    assert (quick.mtu, quick.listen_port) == (1300, 7)
    assert (quick.dns, quick.search) == (("10.9.0.1",), ("corp.example",))
    (peer,) = quick.peers
    assert (peer.public_key, peer.preshared_key) == (b"\2" * 32, b"\3" * 32)
    assert peer.endpoint == ("2001:db8::1", 4500)
    assert (peer.allowed_ips, peer.keepalive) == (("0.0.0.0/0", "::/0"), 25)
    assert quick.notes == ()


def test_what_the_library_would_skip_in_silence_is_read_all_the_same() -> None:
    """Indented lines, comments behind values, carriage returns, a byte order mark, any case."""
    text = "\ufeff" + PLAIN.replace("\n", "  # a comment\r\n").replace("Address", "  ADDRESS")
    assert parse(text, "vpn.conf") == parse(PLAIN, "vpn.conf")


def test_defaults_are_those_of_wireguard() -> None:
    """No MTU, no keepalive, no port: 1420, none, any."""
    quick = parse(PLAIN, "vpn.conf")
    assert (quick.mtu, quick.listen_port, quick.peers[0].keepalive) == (DEFAULT_MTU, 0, 0)


def test_secrets_are_not_in_the_repr() -> None:
    """A traceback or a log line must not tell a key."""
    text = repr(parse(PLAIN + f"PresharedKey = {SHARED}\n", "vpn.conf"))
    assert repr(b"\1" * 32) not in text
    assert repr(b"\3" * 32) not in text


@pytest.mark.parametrize("key", ["PreUp", "PostUp", "PreDown", "PostDown", "SaveConfig", "Table"])
def test_what_is_not_honoured_is_said(key: str) -> None:
    """Commands are never run, and the person is told so once."""
    (note,) = parse(PLAIN.replace("[Peer]", f"{key} = x\n{key} = y\n[Peer]"), "vpn.conf").notes
    assert key in note
    assert "not" in note


def test_a_misspelt_key_is_named_with_what_was_meant() -> None:
    """Line, section, key, and the nearest known key."""
    error = wrong(PLAIN.replace("AllowedIPs", "AllowedIP"))
    assert error.place == "line 6, [Peer], key `AllowedIP`"
    assert "did you mean 'AllowedIPs'" in error.remedy


def test_a_key_in_the_wrong_section_is_told_where_it_belongs() -> None:
    """`MTU` under [Peer] is a common slip."""
    assert "MTU belongs under [Interface]" in wrong(PLAIN + "MTU = 1280\n").remedy


@pytest.mark.parametrize("key", ["Jc", "Jmin", "S1", "H4", "I1"])
def test_amneziawg_is_told_its_own_kind(key: str) -> None:
    """Its keys change the bytes on the wire: playing plain WireGuard instead would mislead."""
    error = wrong(PLAIN.replace("[Peer]", f"{key} = 4\n[Peer]"))
    assert "AmneziaWG" in error.problem
    assert "kind amneziawg" in error.remedy


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        (KEY, KEY[:-1], "not a WireGuard key"),
        (KEY, "01" * 32, "not a WireGuard key"),
        (PEER, "_" + PEER[1:], "not a WireGuard key"),
        ("10.9.0.2/32", "10.9.0.2/33", "'10.9.0.2/33'"),
        ("0.0.0.0/0", "everything", "'everything'"),
        ("192.0.2.1:51820", "192.0.2.1", "not host:port"),
        ("192.0.2.1:51820", "192.0.2.1:0", "port 0"),
        ("192.0.2.1:51820", "192.0.2.1:65536", "port 65536"),
        ("192.0.2.1:51820", "2001:db8::1:51820", "[IPv6 address]:port"),
        ("192.0.2.1:51820", "192.0.2.256:1", "not an IP address"),
        ("[Peer]", "MTU = 90000\n[Peer]", "from 576 to 65535"),
        ("[Peer]", "MTU = 1279\n[Peer]", "less than IPv6's 1280"),
        ("[Peer]", "ListenPort = -1\n[Peer]", "'-1'"),
        ("[Peer]", "DNS = a b\n[Peer]", "search domain"),
        ("[Peer]", "[Pear]", "unknown section"),
        ("[Peer]", "what\n[Peer]", "neither a section nor"),
        (f"PrivateKey = {KEY}", "", "`PrivateKey` is missing"),
        (f"PublicKey = {PEER}", "", "`PublicKey`"),
        ("Endpoint = 192.0.2.1:51820", "", "`Endpoint` is missing"),
        ("Address = 10.9.0.2/32, fd00:9::2/128", "", "`Address` is missing"),
        ("[Peer]", f"PrivateKey = {KEY}\n[Peer]", "given twice"),
        ("[Interface]", "", "before any section"),
        (PLAIN, PLAIN + PLAIN, "comes first, and once"),
        (PLAIN, "", "`PrivateKey` is missing"),
    ],
)
def test_what_cannot_be_right_is_refused(old: str, new: str, said: str) -> None:
    """Each mistake gets its own words."""
    assert said in str(wrong(PLAIN.replace(old, new)))


@given(st.text(max_size=60), st.integers(0, len(PLAIN)), st.integers(0, 40))
def test_a_mangled_file_is_a_config_error_or_a_configuration(
    text: str, place: int, cut: int
) -> None:
    """Nothing but ConfigError ever comes out of a broken file."""
    try:
        parse(PLAIN[:place] + text + PLAIN[place + cut :], "vpn.conf")
    except ConfigError:
        return
