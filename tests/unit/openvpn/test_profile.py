"""`.ovpn` files: what is honoured, what is said of the rest, and where a mistake is."""

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from circumtest.errors import ConfigError
from circumtest.lab.pki import Authority
from circumtest.model import Transport
from circumtest.openvpn.profile import Profile, is_ovpn, parse
from circumtest.openvpn.remotes import Remote

AUTHORITY = Authority()
PAIR = AUTHORITY.client("me")
STATIC = (
    "-----BEGIN OpenVPN Static key V1-----\n"
    + "\n".join(["0123456789abcdef" * 2] * 16)
    + "\n-----END OpenVPN Static key V1-----\n"
)
PLAIN = f"""client
dev tun
proto udp
remote 192.0.2.1 1194
nobind
remote-cert-tls server
cipher AES-256-GCM
verb 4
<ca>
{AUTHORITY.certificate}</ca>
<cert>
{PAIR.certificate}</cert>
<key>
{PAIR.key}</key>
"""
SECRETS = (PAIR.key.splitlines()[1], "0123456789abcdef" * 2, "sesame")


def read(text: str, directory: Path | None = None) -> Profile:
    """The profile of a file."""
    return parse(text, "vpn.ovpn", directory)


def wrong(text: str) -> ConfigError:
    """The error that `text` is refused with; it names the file and tells no secret."""
    with pytest.raises(ConfigError) as caught:
        read(text)
    assert caught.value.where == "vpn.ovpn"
    assert not any(secret in str(caught.value) for secret in SECRETS)
    return caught.value


def test_a_usual_file_is_read() -> None:
    """Server, keys, what goes to the daemon; nothing to say."""
    profile = read(PLAIN)
    assert profile.remotes == (Remote("192.0.2.1", 1194, Transport.UDP, 0),)
    assert profile.lines == ('remote-cert-tls "server"', 'cipher "AES-256-GCM"')
    assert set(dict(profile.blocks)) == {"ca", "cert", "key"}
    assert profile.notes == ()


def test_it_is_told_from_other_files() -> None:
    """stunnel's `client = yes`, and a server's."""
    assert is_ovpn(PLAIN)
    assert is_ovpn("tls-client\r\npull\r\n<connection>\r\n")
    assert not is_ovpn("client = yes\nconnect = a:1\n")
    assert not is_ovpn("server 10.8.0.0 255.255.255.0\nport 1194\n")


@pytest.mark.parametrize("name", ["up", "down", "route-up", "plugin", "client-connect", "ipchange"])
def test_scripts_are_never_run_and_said_so(name: str) -> None:
    """With the line; the daemon never hears of them."""
    profile = read(f"script-security 2\n{name} /etc/openvpn/script.sh\n{PLAIN}")
    (note,) = profile.notes
    assert note.startswith(f"line 2: {name} is not ")
    assert not any("script" in line for line in profile.lines)


@pytest.mark.parametrize(
    "line",
    [
        "http-proxy 192.0.2.9 8080",
        "socks-proxy 192.0.2.9 1080",
        "route-gateway 10.8.0.1",
        "local 192.0.2.7",
        "scramble obfuscate sesame",
        "secret static.key",
        "config other.conf",
        "server 10.8.0.0 255.255.255.0",
        "pkcs11-id x",
        "static-challenge Code 1",
        "route 10.0.0.0 255.0.0.0 10.8.0.1",
        "dev tap",
    ],
)
def test_what_leads_packets_elsewhere_is_refused(line: str) -> None:
    """With its line, and what to do instead."""
    error = wrong(f"{PLAIN}{line}\n")
    assert error.place.startswith("line ")
    assert error.remedy


def test_an_unknown_directive_is_left_out_and_said_or_told_what_was_meant() -> None:
    """A harmless one is, one that is nearly one that matters is a mistake."""
    (note,) = read(f"wibble 7\n{PLAIN}").notes
    assert note.startswith("line 1: `wibble` is no directive")
    assert "did you mean 'remote'" in wrong(f"remte 192.0.2.1\n{PLAIN}").remedy
    assert read(f"ignore-unknown-option wibble\nwibble 7\n{PLAIN}").notes == ()
    assert read(f"setenv opt wibble 7\n{PLAIN}").notes == ()


def test_routes_are_kept_for_the_device() -> None:
    """`redirect-gateway` and `route` are honoured, inside."""
    lines = "redirect-gateway def1\nroute 10.0.0.0 255.0.0.0 vpn_gateway\nroute-nopull\n"
    profile = read(f'{lines}pull-filter ignore "dhcp-option DNS6"\n{PLAIN}')
    assert profile.local[0] == ("redirect-gateway", "def1")
    assert profile.nopull
    assert profile.filters == (("ignore", "dhcp-option DNS6"),)


def test_connections_are_tried_in_their_order() -> None:
    """Ports and protocols of their own, or those outside."""
    blocks = "<connection>\nremote a.example\nport 53\n</connection>\n"
    blocks += "<connection>\nremote b.example 443 tcp6-client\n</connection>\n"
    profile = read(PLAIN + blocks)
    assert profile.remotes[1:] == (
        Remote("a.example", 53, Transport.UDP, 0),
        Remote("b.example", 443, Transport.TCP, 6),
    )
    inner = "<connection>\nremote a\nhttp-proxy b 80\n</connection>\n"
    assert "proxy" in wrong(PLAIN + inner).problem


def test_a_login_is_taken_from_a_block_a_file_or_what_is_named_beside(tmp_path: Path) -> None:
    """Others' eyes on the file are warned of; nobody is there to be asked."""
    inline = read(f"{PLAIN}<auth-user-pass>\nme\nsesame\n</auth-user-pass>\n")
    assert inline.login == ("me", "sesame")
    assert "auth-user-pass" in inline.lines
    assert "sesame" not in repr(inline)
    login = tmp_path / "login"
    login.write_text("me\nsesame\n")
    login.chmod(0o644)
    config = tmp_path / "vpn.ovpn"
    config.write_text(PLAIN)
    config.chmod(0o600)
    named = parse(f"{PLAIN}auth-user-pass login\n", str(config), tmp_path)
    assert named.login == inline.login
    (note,) = named.notes
    assert "chmod 600" in note
    assert parse(f"{PLAIN}auth-user-pass\n", "vpn.ovpn", login=str(login)).login == inline.login
    assert "asks a person" in wrong(f"{PLAIN}auth-user-pass\n").problem


def test_files_stand_beside_the_configuration(tmp_path: Path) -> None:
    """A key that others can read is warned of; so is a configuration with a key in it."""
    for name, text in (("ca.crt", AUTHORITY.certificate), ("me.crt", PAIR.certificate)):
        (tmp_path / name).write_text(text)
    key = tmp_path / "me.key"
    key.write_text(PAIR.key)
    key.chmod(0o640)
    text = "client\ndev tun\nremote a.example\nca ca.crt\ncert me.crt\nkey me.key\n"
    profile = read(text, tmp_path)
    assert dict(profile.blocks)["key"] == PAIR.key
    assert profile.notes == (f"others can read {key}, which holds a secret: chmod 600 {key}",)
    key.unlink()
    with pytest.raises(ConfigError, match=r"line 6: key: .*me\.key cannot be read") as caught:
        read(text, tmp_path)
    assert caught.value.where == "vpn.ovpn"


def test_static_keys_are_read_with_their_direction() -> None:
    """Of the directive, or of the words behind `[inline]`."""
    block = f"<tls-auth>\n# a comment\n{STATIC}</tls-auth>\n"
    for said in ("key-direction 1\n", "tls-auth [inline] 1\n"):
        profile = read(PLAIN + said + block)
        assert dict(profile.blocks)["tls-auth"] == STATIC
        assert "key-direction 1" in profile.lines
    assert "512" in wrong(PLAIN + block.replace("0123", "012", 1)).remedy


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ("client\n", "", "no client's"),
        ("dev tun\n", "", "`dev` is missing"),
        ("remote 192.0.2.1 1194\n", "", "`remote` is missing"),
        ("192.0.2.1 1194", "192.0.2.1 0", "from 1 to 65535"),
        ("192.0.2.1 1194", "192.0.2.1 1194 sctp", "unknown protocol 'sctp'"),
        ("192.0.2.1 1194", "", "no host"),
        ("proto udp", "proto quic", "unknown protocol 'quic'"),
        ("<ca>", "<extra-certs>", "never closed"),
        (f"<ca>\n{AUTHORITY.certificate}</ca>\n", "", "`ca` is missing"),
        (f"<key>\n{PAIR.key}</key>\n", "", "`key` is missing"),
        (f"<cert>\n{PAIR.certificate}</cert>\n", "", "`cert` is missing"),
        (PAIR.certificate, Authority(over=True).client("me").certificate, "over since"),
        (AUTHORITY.certificate, Authority(over=True).certificate, "over, since"),
        (PAIR.key, AUTHORITY.client("you").key, "does not belong"),
        (AUTHORITY.certificate, "oops\n", "no certificate in PEM"),
        ("verb 4", "route here.example", "names of networks"),
        ("verb 4", "topology star", "subnet, net30 or p2p"),
        ("verb 4", "tun-mtu 5", "from 576"),
        ("verb 4", "key-direction 2", "is 0 or 1"),
        ("verb 4", "pull-filter drop x", "no filter"),
        ("verb 4", "ca ca.crt", "none that it stands beside"),
        ("verb 4", "<cipher>\nx\n</cipher>", "no block"),
        (PLAIN, "", "no client's"),
    ],
)
def test_what_cannot_be_right_is_refused(old: str, new: str, said: str) -> None:
    """Each mistake gets its own words."""
    text = PLAIN.replace(old, new) if said != "none that it stands beside" else PLAIN + new
    assert said in str(wrong(text))


def test_without_a_way_to_log_in_it_is_refused() -> None:
    """Neither a certificate nor a password."""
    text = PLAIN.replace(f"<cert>\n{PAIR.certificate}</cert>\n", "")
    text = text.replace(f"<key>\n{PAIR.key}</key>\n", "")
    assert "neither a certificate" in wrong(text).problem


@given(st.text(max_size=60), st.integers(0, len(PLAIN)), st.integers(0, 80))
def test_a_mangled_file_is_a_config_error_or_a_profile(text: str, place: int, cut: int) -> None:
    """Nothing but ConfigError ever comes out of a broken file."""
    try:
        read(PLAIN[:place] + text + PLAIN[place + cut :])
    except ConfigError:
        return
