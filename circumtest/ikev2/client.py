"""A client's end of IKEv2: what charon is told to do, and what its log says has come of it.

It refuses to know where the profile came from, and what becomes of the device.
"""

import ipaddress
import re
import ssl
from itertools import chain
from pathlib import Path
from typing import Any, NamedTuple

from circumtest.errors import TunnelDown
from circumtest.ikev2.charon import Charon, Message, Refused
from circumtest.ikev2.sswan import Profile
from circumtest.inside import EVERYTHING, binary
from circumtest.model import Address, TunnelFault
from circumtest.scrub import scrub

_ALIVE = "3s"
"""How often charon asks a silent server whether it is there; after 14 s in all it gives up."""
MTU = 1400
"""What kernel-libipsec gives its device."""
_ESP = (
    "aes256gcm16-aes128gcm16",
    "aes256-aes192-aes128-sha512-sha384-sha256-sha1",
)
"""What libipsec can do, the better first."""
_OURS = "ours"  # the connection's name, where no other one is

_OVER = (
    (r"giving up after \d+ retransmits", "the server does not answer any more"),
    (
        r"unable to install outbound IPsec SA",
        "charon cannot renew the keys once its device is away",
    ),
)
_BEGUN = re.compile(r"IKE_SA ours\[(\d+)\] (?:established|rekeyed)")

_NAME = re.compile(r"\"\w+=[^\"]*\"|'\w+=[^']*'")  # a distinguished name, in charon's quotes

_REFUSES = "the server refuses us, or does not go by the name that it was called by"
_MEANS = (
    ("EAP-MS-CHAPv2 failed", TunnelFault.AUTH, "the server does not accept the user or password"),
    ("EAP authentication failed", TunnelFault.AUTH, "the server does not accept the login"),
    ("sending EAP_NAK", TunnelFault.AUTH, "the server wants another kind of login"),
    ("received AUTHENTICATION_FAILED", TunnelFault.AUTH, _REFUSES),
    ("no trusted", TunnelFault.HANDSHAKE, "the server's certificate is not trusted"),
    ("no issuer certificate", TunnelFault.HANDSHAKE, "the server's certificate is not trusted"),
    ("constraint check failed", TunnelFault.HANDSHAKE, "the server is not who it should be"),
    ("does not match", TunnelFault.HANDSHAKE, "the server is not who it should be"),
    ("CHILD_SA, keeping IKE_SA", TunnelFault.NO_DATA, "it lets us in, and carries nothing"),
    ("no CHILD_SA built", TunnelFault.NO_DATA, "it lets us in, and carries nothing"),
    ("NO_PROPOSAL_CHOSEN", TunnelFault.HANDSHAKE, "the server knows none of our algorithms"),
)
"""From what charon says to what it means; the first that is found."""


class Given(NamedTuple):
    """What the server gave: addresses inside, networks that it takes."""

    addresses: tuple[str, ...]
    routes: tuple[str, ...]


class State:
    """What charon's log says of the connection."""

    def __init__(self, charon: Charon, secrets: tuple[str, ...]) -> None:
        self.charon, self._secrets = charon, secrets

    def words(self) -> str:
        """Its last ones, without the names of those who certify somebody either."""
        return scrub(_NAME.sub("<name>", self.charon.process.log), self._secrets)

    def down(self, fault: TunnelFault, detail: str) -> TunnelDown:
        return TunnelDown(fault, detail, self.words())

    def gone(self) -> TunnelDown:
        process = self.charon.process
        if process.alive:
            return self.down(TunnelFault.BINARY, "charon broke off")
        return binary(process.post_mortem(), self._secrets)

    def known(self) -> TunnelDown | None:
        """BINARY once charon is gone, NO_DATA once the server is silent or has hung up."""
        if not self.charon.process.alive:
            return self.gone()
        log = self.charon.process.log
        for sign, detail in _OVER:
            if re.search(sign, log):
                return self.down(TunnelFault.NO_DATA, detail)
        # One that has been replaced is deleted too.
        newest = max(_BEGUN.findall(log), key=int, default="1")
        if f"received DELETE for IKE_SA {_OURS}[{newest}]" in log:
            return self.down(TunnelFault.NO_DATA, "the server has ended the connection")
        return None

    def refused(self, patience: float) -> TunnelDown:
        """Why there is no connection."""
        log = self.charon.process.log
        for sign, fault, detail in _MEANS:
            if sign in log:
                return self.down(fault, detail)
        if "initiating IKE_SA" not in log:
            return self.down(TunnelFault.BINARY, "charon does not take its configuration")
        detail = f"the server does not answer within {patience:g} s"
        if "received packet" in log:
            detail = f"no connection with the server within {patience:g} s"
        return self.down(TunnelFault.HANDSHAKE, detail)


def connect(session: Any, profile: Profile, password: str, to: Address, patience: float) -> Given:
    """Have charon connect, blocking for up to `patience` seconds; what the server then gave.

    Raises Refused.
    """
    for authority in _each(profile.trusted or ("" if profile.pinned else _system())):
        session.load_cert({"type": "X509", "flag": "CA", "data": authority})
    if profile.identity and profile.login == "cert":
        session.load_key({"type": "any", "data": profile.identity.key})
        for one in _each(profile.identity.chain):
            session.load_cert({"type": "X509", "flag": "CA", "data": one})
    else:
        session.load_shared({"type": "eap", "owners": [profile.user], "data": password})
    session.load_conn({_OURS: connection(profile, to)})
    for _ in session.initiate({"child": _OURS, "timeout": str(int(patience * 1000))}):
        pass  # its words are in the log as well
    return _given(session)


def connection(profile: Profile, to: Address) -> Message:
    """A connection as vici takes it."""
    identity = profile.identity if profile.login == "cert" else None
    local: dict[str, Any] = {"auth": "pubkey" if identity else "eap-mschapv2"}
    if identity:
        local["certs"] = [identity.certificate]
    else:
        local["eap_id"] = profile.user
    if profile.local_id or not identity:
        local["id"] = profile.local_id or profile.user
    remote: dict[str, Any] = {"auth": "pubkey", "id": profile.id}
    if profile.pinned:
        remote["certs"] = [profile.pinned]
    # Keys are not renewed by us: charon would look for the device, which has moved.
    child = {"remote_ts": list(EVERYTHING), "rekey_time": "0s"}
    child |= {"esp_proposals": _listed(profile.esp) or list(_ESP)}
    connection: dict[str, Any] = {
        "version": "2",
        "remote_addrs": [to.host],
        "remote_port": str(to.port),
        "mobike": "no",
        "encap": "yes",
        "vips": ["0.0.0.0", "::"],  # noqa: S104  # whichever the server gives
        "unique": "never",  # or the server would cut off whoever else has our name
        "dpd_delay": _ALIVE,
        "keyingtries": "1",
        "local": local,
        "remote": remote,
        "children": {_OURS: child},
    }
    if profile.ike:
        connection["proposals"] = _listed(profile.ike)
    return connection


def _listed(proposals: str) -> list[str]:
    return [one for one in proposals.split(",") if one]


def _given(session: Any) -> Given:
    """What is installed.  Raises Refused when nothing is, whatever else was agreed on."""
    for found in session.list_sas():
        for sa in found.values():
            for child in sa["child-sas"].values():
                if child["state"] == b"INSTALLED":
                    addresses = [one.decode() for one in sa.get("local-vips", ())]
                    lengths = (f"{one}/{128 if ':' in one else 32}" for one in addresses)
                    routes = chain.from_iterable(
                        networks(one.decode()) for one in child["remote-ts"]
                    )
                    return Given(tuple(lengths), tuple(routes))
    raise Refused("no CHILD_SA")


def networks(selector: str) -> tuple[str, ...]:
    """The networks of a traffic selector as charon writes it, without protocol and ports.

    `10.0.0.0/8`, `10.0.0.1..10.0.0.9`, either with `[udp/53]` behind it.
    """
    first, _, last = selector.partition("[")[0].partition("..")
    if not last:
        return (first,)
    ends = ipaddress.ip_address(first), ipaddress.ip_address(last)
    return tuple(map(str, ipaddress.summarize_address_range(*ends)))


def _each(pem: str) -> list[str]:
    """One text a certificate."""
    return re.findall(r"-----BEGIN CERTIFICATE-----.+?-----END CERTIFICATE-----\n?", pem, re.DOTALL)


def _system() -> str:
    """The authorities that this machine trusts, as PEM."""
    file = ssl.get_default_verify_paths().cafile
    return Path(file).read_text(encoding="ascii", errors="ignore") if file else ""
