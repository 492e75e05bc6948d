"""kamailio as the proxy of the lab's SIP services: registrar, passwords, a way to the agent behind.

It stands at the service's address, as a provider's does: UDP and TCP, TLS where that is called.
Whoever is called lives behind it in the same namespace and sends his sound
from there himself.  It refuses to be hardened: it keeps to one uid, since a private world has no
other.
"""

from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from pathlib import Path

from circumtest import identity
from circumtest.errors import ConfigError
from circumtest.handshakes.sip import Sip
from circumtest.lab.far import Site
from circumtest.lab.topology import RESOLVER
from circumtest.listening import free_port, listening
from circumtest.model import Address, Carrier
from circumtest.process import daemon, private_dir
from circumtest.script import Handshake
from circumtest.sip import REALM, password
from circumtest.wire.sip import host_of

# One process a transport is enough for a handful of calls.  `late` keeps the offer until the ACK:
# so an agent that sends to where it is told to, and at once, does not speak before the caller has
# sent something to it.  Otherwise what it says ends at the NAT of a tunnel's exit, which then gives
# the caller's sound another port.  Providers' relays send to where the caller's sound comes from.
_KAMAILIO = """\
#!KAMAILIO
debug=0
log_stderror=yes
fork=yes
children=1
tcp_children=1
disable_tcp=no
dns=no
rev_dns=no
auto_aliases=no
server_header="Server: kamailio"
{listen}
loadmodule "pv.so"
loadmodule "tm.so"
loadmodule "sl.so"
loadmodule "rr.so"
loadmodule "maxfwd.so"
loadmodule "siputils.so"
loadmodule "textops.so"
loadmodule "textopsx.so"
loadmodule "usrloc.so"
loadmodule "registrar.so"
loadmodule "auth.so"
loadmodule "htable.so"
{tls}
modparam("usrloc", "db_mode", 0)
modparam("htable", "htable", "offers=>size=8;autoexpire=60;")
modparam("auth", "algorithm", "{algorithm}")

request_route {{
    if (!mf_process_maxfwd_header("10")) {{ sl_send_reply("483", "Too Many Hops"); exit; }}
    force_rport();
    if (has_totag()) {{
        if (loose_route()) {{
            if (is_method("ACK") && $sht(offers=>$ci) != $null) {{
                set_body("$sht(offers=>$ci)", "application/sdp");
            }}
            t_relay();
            exit;
        }}
        if (is_method("ACK")) {{ t_relay(); exit; }}
        sl_send_reply("404", "Not Here");
        exit;
    }}
    if (is_method("CANCEL")) {{
        if (t_check_trans()) {{ t_relay(); }}
        exit;
    }}
    if (is_method("ACK")) {{ exit; }}
    if (t_check_trans()) {{ exit; }}
    if (is_method("OPTIONS")) {{ sl_send_reply("200", "OK"); exit; }}
    if (is_method("REGISTER")) {{
        if ($au != "{user}" || !pv_www_authenticate("{realm}", "{password}", "0")) {{
            www_challenge("{realm}", "1");
            exit;
        }}
        if (!save("location")) {{ sl_reply_error(); }}
        exit;
    }}
    if (!is_method("INVITE") || $rU != "{callee}") {{ sl_send_reply("404", "Not Here"); exit; }}
    if ($au != "{user}" || !pv_proxy_authenticate("{realm}", "{password}", "0")) {{
        proxy_challenge("{realm}", "1");
        exit;
    }}
    consume_credentials();
    record_route();
    {late}
    $ru = "sip:{callee}@{behind};transport={carrier}";
    t_relay();
}}
"""
_LATE = """\
$sht(offers=>$ci) = $rb;
    remove_body();\
"""
_TLS = """\
loadmodule "tls.so"
modparam("tls", "config", "{place}/tls.cfg")
"""
_TLS_CONFIG = """\
[server:default]
method = TLSv1.2+
verify_certificate = no
require_certificate = no
private_key = {place}/key.pem
certificate = {place}/certificate.pem
"""


def sip_call(handshake: Handshake) -> Sip:
    """The handshake as the SIP call that it must be.  Raises ConfigError."""
    if not isinstance(handshake, Sip):
        problem = f"{type(handshake).__name__} is no SIP call"
        raise ConfigError("plan", "key `far`", problem, "leave this far end to `sip`")
    return handshake


def agent_address(lab: Site, target: Sequence[Address]) -> Address:
    """Where an agent behind the proxy may live, by what it is called at: a free port."""
    return Address(RESOLVER[target[0].version], free_port(lab.services))


@asynccontextmanager
async def proxy(
    lab: Site,
    handshake: Sip,
    target: Sequence[Address],
    behind: Address,
    *,
    carrier: Carrier = Carrier.UDP,
    algorithm: str = "",
    late: bool = False,
) -> AsyncIterator[None]:
    """kamailio at `target`, with an agent `behind` it, reached by `carrier`; ready when it listens.

    `algorithm` is of the digest: "" for MD5, or "SHA-256"; with `late` the agent learns only from
    the ACK where the caller wants the sound (RFC 3261 13.2.1: it makes the offer itself).
    """
    at = target[0]
    plain = handshake.udp_port if handshake.transport is not Carrier.UDP else at.port
    with private_dir() as place:
        file = place / "kamailio.cfg"
        way = {"behind": str(behind), "carrier": str(carrier), "algorithm": algorithm}
        way["late"] = _LATE if late else ""
        keep(file, _config(place, handshake, at._replace(port=plain), way))
        small = ["-m", "32", "-M", "4"]  # MiB: shared, and of each process
        argv = ["kamailio", "-DD", "-E", *small, "-Y", str(place), "-f", str(file)]
        async with daemon(lab.services, argv) as process:
            # All its sockets are bound before the first process takes a connection.
            await listening(lab.services, at._replace(port=plain), process)
            yield


def _config(place: Path, handshake: Sip, plain: Address, way: Mapping[str, str]) -> str:
    listen = [f"listen=udp:{plain}", f"listen=tcp:{plain}"]
    tls = ""
    if handshake.transport is Carrier.TLS:
        host = host_of(plain.host)
        listen += ["enable_tls=yes", f"listen=tls:{host}:{handshake.listen.port}"]
        tls = _TLS.format(place=place)
        made = identity.certificate(handshake.secret, REALM)
        keep(place / "key.pem", made.key.decode())
        keep(place / "certificate.pem", made.certificate.decode())
        keep(place / "tls.cfg", _TLS_CONFIG.format(place=place))
    return _KAMAILIO.format(
        listen="\n".join(listen),
        tls=tls,
        user=handshake.user,
        callee=handshake.callee,
        password=password(handshake.secret, handshake.user),
        realm=REALM,
        **way,
    )


def keep(file: Path, text: str) -> None:
    """Write what only its owner may read."""
    file.touch(0o600)
    file.write_text(text)
