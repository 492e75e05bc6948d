"""OpenVPN over UDP and TCP, plain and with what is put around its control channel."""

from dataclasses import replace
from functools import partial

from circumtest.lab.pki import Authority
from circumtest.lab.servers.openvpn import USER, OpenvpnServer
from circumtest.model import TunnelFault
from circumtest.tunnels.openvpn import Openvpn
from tests.lab.specimens import Fields, Specimen

CANNOT = {"server_without_udp": "it carries packets"}


def tunnel(fields: Fields) -> Openvpn:
    """As the server gave it."""
    return replace(Openvpn(**fields), patience=6.0)


def block(text: str, tag: str, inside: str) -> str:
    """`text` with something else between the tags."""
    head, _, rest = text.partition(f"<{tag}>")
    return f"{head}<{tag}>\n{inside}{rest[rest.index(f'</{tag}>') :]}"


def other_certificate(fields: Fields) -> Fields:
    """One of an authority that the server does not know: OpenVPN 2.6 falls silent then."""
    pair = Authority().client(USER)
    text = block(block(fields["text"], "cert", pair.certificate), "key", pair.key)
    return {**fields, "text": text}


def other_password(fields: Fields) -> Fields:
    """One that the server does not know."""
    return {**fields, "text": block(fields["text"], "auth-user-pass", f"{USER}\nx\n")}


def other_static_key(fields: Fields) -> Fields:
    """Behind tls-auth and tls-crypt a stranger is met with silence."""
    head, mark, rest = fields["text"].partition("Static key V1-----")
    digits, end, tail = rest.partition("-----END")
    other = digits.translate(str.maketrans("0123456789abcdef", "123456789abcdef0"))
    return {**fields, "text": head + mark + other + end + tail}


def other_wrapped_key(fields: Fields) -> Fields:
    """Of tls-crypt-v2: not the key that is in what only the server can open."""
    head, mark, rest = fields["text"].partition("tls-crypt-v2 client key-----\n")
    first, _, tail = rest.partition("\n")
    return {**fields, "text": f"{head}{mark}{first[::-1]}\n{tail}"}


SPECIMENS = (
    Specimen(
        "openvpn-udp",
        OpenvpnServer,
        tunnel,
        wrong_key=other_certificate,
        when_wrong_key=TunnelFault.HANDSHAKE,
        cannot=CANNOT,
    ),
    Specimen(
        "openvpn-tcp",
        partial(OpenvpnServer, proto="tcp"),
        tunnel,
        wrong_key=other_certificate,
        when_wrong_key=TunnelFault.HANDSHAKE,
        cannot=CANNOT,
    ),
    Specimen(
        "openvpn-login",
        partial(OpenvpnServer, login=True),
        tunnel,
        wrong_key=other_password,
        cannot=CANNOT,
    ),
    Specimen(
        "openvpn-tls-auth",
        partial(OpenvpnServer, wrap="tls-auth"),
        tunnel,
        wrong_key=other_static_key,
        when_wrong_key=TunnelFault.HANDSHAKE,
        cannot=CANNOT,
    ),
    Specimen(
        "openvpn-tls-crypt",
        partial(OpenvpnServer, wrap="tls-crypt"),
        tunnel,
        wrong_key=other_static_key,
        when_wrong_key=TunnelFault.HANDSHAKE,
        cannot=CANNOT,
    ),
    Specimen(
        "openvpn-tls-crypt-v2",
        partial(OpenvpnServer, wrap="tls-crypt-v2"),
        tunnel,
        wrong_key=other_wrapped_key,
        when_wrong_key=TunnelFault.HANDSHAKE,
        cannot=CANNOT,
    ),
)
