"""SSH's dynamic forwarding, with OpenSSH at both ends."""

from dataclasses import replace

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from circumtest.lab.servers.sshd import Sshd
from circumtest.tunnels.ssh import Ssh
from tests.lab.specimens import TCP, Fields, Specimen


def tunnel(fields: Fields) -> Ssh:
    """As the server gave it."""
    return replace(Ssh(**fields), patience=4.0)


def other_key(fields: Fields) -> Fields:
    """One that the server has never seen."""
    key = Ed25519PrivateKey.generate()
    text = key.private_bytes(Encoding.PEM, PrivateFormat.OpenSSH, NoEncryption()).decode()
    return {**fields, "key_text": text}


SPECIMENS = (
    Specimen(
        "ssh",
        Sshd,
        tunnel,
        carries=TCP,
        wrong_key=other_key,
        cannot={"server_without_udp": "it forwards TCP only: UDP is UNSUPPORTED"},
    ),
)
