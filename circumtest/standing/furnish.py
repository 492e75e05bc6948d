"""Furnishing a lab that stays up: its censor and network, far halves, web sites, tunnels.

All of it lives in the process that holds the lab, as long as the lab does.  It refuses to know how
that process came to be (`circumtest.lab.session`).
"""

import time
from collections.abc import Mapping, Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass
from pathlib import Path
from random import Random

import msgspec

from circumtest.censor import words
from circumtest.censor.enforce import Enforced, enforced
from circumtest.censor.policy import Policy
from circumtest.errors import EnvironmentUnfit
from circumtest.handshakes.echo import Echo
from circumtest.lab import web
from circumtest.lab.control import Answer
from circumtest.lab.network import Network, conditions
from circumtest.lab.servers.sshd import USER, Sshd
from circumtest.lab.session import Furnished
from circumtest.lab.tap import tapped
from circumtest.lab.topology import EXIT, RESOLVER, Lab
from circumtest.model import Transport
from circumtest.names import Zone
from circumtest.plan import Plan
from circumtest.process import ProcessEnded, private_dir
from circumtest.script import Handshake
from circumtest.standing.status import MiddleboxStatus, RuleStatus, Service, Status
from circumtest.standing.tunnels import Echoes, Standing, bring_up, rooms
from circumtest.wire import dns

NAMES = ("allowed.example", "blocked.example", "twitter.com", "www.example")
"""Web sites that every lab has; the names that a policy speaks of come besides."""
EXIT_NAME = "exit.example"
STATUS, TAP = "status", "tap"
"""What can be asked of it."""
SSH_PORT = 22

_BUNDLE = "/etc/ssl/certs/ca-certificates.crt"
_RESOLV = "/etc/resolv.conf"
_SSH = """\
Host exit {name}
  HostName {host}
  Port {port}
  User {user}
  IdentityFile {place}/ssh_key
  IdentitiesOnly yes
  UserKnownHostsFile {place}/ssh_known_hosts
  GlobalKnownHostsFile none
  BatchMode yes
"""


@dataclass(frozen=True)
class Wish:
    """What the lab is to be like: `policy` unscaled, `tunnels` by their names in `plan`."""

    policy: Policy
    handshakes: Mapping[str, Handshake]
    plan: Plan
    tunnels: Sequence[str] = ()
    scale: float = 1.0
    seed: int = 0

    async def furnish(self, here: Lab, stack: AsyncExitStack) -> Furnished:
        """Raises EnvironmentUnfit for what cannot be had on this machine."""
        place = stack.enter_context(private_dir())
        policy = self.policy.scaled(self.scale)
        network = await stack.enter_async_context(conditions(here, policy.network, self.seed))
        censor = await stack.enter_async_context(enforced(here.censor, policy, self.seed))
        services = list(await self._handshakes(here))
        echoes = await _echoes(here, self.seed)
        sites = await stack.enter_async_context(web.sites(here, names(policy)))
        provider = await _names(here, sites)
        (place / "ca.pem").write_text(sites.authority)
        services += [*_web(sites), *_resolvers(provider), await _ssh(stack, here, place, sites)]
        tunnels = [
            await bring_up(stack, here, self.plan, name, room, echoes)
            for name, room in rooms(self.tunnels).items()
        ]
        standing = _Lab(self, here, censor, network, tunnels, tuple(services), time.monotonic())
        return Furnished(
            standing.reply,
            {one.room: one.inside for one in tunnels if one.inside},
            {one.room: str(one.down) for one in tunnels if one.down},
            _mounts(place, here, provider, tunnels),
            {"SSL_CERT_FILE": str(place / "ca.pem")},
        )

    async def _handshakes(self, here: Lab) -> list[Service]:
        served = []
        for kind, handshake in self.handshakes.items():
            at = [await here.serve(handshake, f"{kind} v{version}", version) for version in (4, 6)]
            places = tuple(str(address) for addresses in at for address in addresses)
            served.append(Service(kind, handshake.listen.transport, places))
        return served


def names(policy: Policy) -> tuple[str, ...]:
    """The web sites: the usual ones, and one for each pattern of the policy that can be a name."""
    spoken = [
        f"www{pattern.removeprefix('*')}" if pattern.startswith("*.") else pattern
        for rule in policy.rules
        for pattern in (*rule.names, *rule.unless_names)
    ]
    return tuple(dict.fromkeys((*NAMES, *(name for name in spoken if not set(name) & set("*?[")))))


@dataclass(frozen=True)
class _Lab:
    """The lab that is up, for whoever asks."""

    wish: Wish
    here: Lab
    censor: Enforced
    network: Network
    tunnels: Sequence[Standing]
    services: tuple[Service, ...]
    since: float

    async def reply(self, question: str) -> Answer:
        """STATUS: a `Status` in JSON.  TAP: a socket with all that passes the censor's links."""
        if question == TAP:
            return Answer(b"here", tapped(self.here.censor))
        return Answer(msgspec.json.encode(await self._status()))

    async def _status(self) -> Status:
        policy = self.wish.policy.scaled(self.wish.scale)
        faults = [fault for fault in (self.censor.fault(), self.network.fault()) if fault]
        hits, looked = {}, None
        try:
            hits = await self.censor.hits()
            if self.censor.middlebox is not None:
                told = self.censor.counters()
                looked = MiddleboxStatus(told.seen, told.lost)
        except (ProcessEnded, TimeoutError, OSError) as error:
            faults.append(f"the censor does not tell what it has done: {error}")
        return Status(
            policy.name,
            policy.summary,
            str(policy.confidence),
            self.wish.scale,
            self.wish.seed,
            time.monotonic() - self.since,
            tuple(
                RuleStatus(rule.id, words.matched(rule), words.done(rule), hits.get(rule.id, 0))
                for rule in policy.rules
            ),
            tuple(words.of_conditions(asked) for asked in policy.network),
            looked,
            tuple(faults),
            tuple(one.status() for one in self.tunnels),
            self.services,
        )


# ------------------------------------------------------------------ what is there to talk to


async def _echoes(here: Lab, seed: int) -> Echoes:
    places = {
        transport: await here.serve(Echo(transport), f"proof over {transport}")
        for transport in Transport
    }
    return Echoes(places, Random(seed))


async def _names(here: Lab, sites: web.Sites) -> str:
    """Resolvers that know the sites: the provider's, behind the censor, and the tunnels'."""
    known: dict[str, tuple[str, ...]] = {name: (host,) for name, host in sites.names.items()}
    known[EXIT_NAME] = tuple(EXIT.values())
    (provider,) = await here.addresses(1, dns.PORT, 4)
    web.resolve(here, (provider.host, *RESOLVER.values()), Zone(known))
    return provider.host


def _web(sites: web.Sites) -> list[Service]:
    tried = ("blocked.example", "allowed.example")
    return [
        Service(
            f"https://{name}/",
            "tcp",
            (f"{host}:{web.TLS}", f"{host}:{web.PLAIN}"),
            ("curl", "--max-time", "8", f"https://{name}/") if name in tried else (),
        )
        for name, host in sites.names.items()
    ]


def _resolvers(provider: str) -> list[Service]:
    return [
        Service("DNS, the provider's", "udp, tcp", (f"{provider}:{dns.PORT}",)),
        Service("DNS, the tunnels'", "udp, tcp", (f"{RESOLVER[4]}:{dns.PORT}",)),
    ]


async def _ssh(stack: AsyncExitStack, here: Lab, place: Path, sites: web.Sites) -> Service:
    """A server at the exit that lets in and forwards, and what `ssh -F` needs for it."""
    name, at = f"ssh {EXIT_NAME}", (f"{EXIT[4]}:{SSH_PORT}",)
    # It runs as an ordinary user, in a user namespace that this network is not of.
    await here.exit.sysctl("net.ipv4.ip_unprivileged_port_start", SSH_PORT)
    try:
        fields = await stack.enter_async_context(Sshd(SSH_PORT).serve(here))
    except (EnvironmentUnfit, ProcessEnded, TimeoutError) as error:
        return Service(name, "tcp", (), why_not=" ".join(str(error).split()))
    known = fields["known_hosts_text"].partition(" ")[2]
    files = {
        "ssh_key": fields["key_text"],
        "ssh_known_hosts": f"{EXIT[4]} {known}",
        "ssh_config": _SSH.format(
            name=EXIT_NAME, host=EXIT[4], port=SSH_PORT, user=USER, place=place
        ),
    }
    for file, text in files.items():
        (place / file).touch(0o600)
        (place / file).write_text(text)
    through = f"{sites.names[NAMES[0]]}:{web.PLAIN}"
    example = ("ssh", "-F", str(place / "ssh_config"), "-W", through, "exit")
    return Service(name, "tcp", at, example)


def _mounts(
    place: Path, here: Lab, provider: str, tunnels: Sequence[Standing]
) -> dict[str, dict[str, str]]:
    """For each room the resolver that a system there would ask, and the lab's authority."""
    asked = {room: [RESOLVER[4]] for room in here.rooms}
    asked["client"] = asked["censor"] = [provider]
    options = {}
    for one in tunnels:
        if one.path is None:
            continue
        asked[one.room] = [host for host in one.resolvers if ":" not in host] or [provider]
        # Two questions at once are one too many for some tunnels' datagrams (trojan's, for one).
        options[one.room] = " single-request"
        if Transport.UDP not in one.path.transports or one.note:
            options[one.room] = " use-vc"
    made = {}
    for room, hosts in asked.items():
        file = place / f"resolv-{room}.conf"
        lines = [f"nameserver {host}" for host in hosts]
        lines.append(f"options timeout:3 attempts:2{options.get(room, '')}")
        file.write_text("\n".join([*lines, ""]))
        made[room] = {_RESOLV: str(file)}
        if Path(_BUNDLE).exists():
            made[room][_BUNDLE] = str(place / "ca.pem")
    return made
