"""The world of a live run, in a network that plain commands made, as everybody who may run it.

A visitor is started there in a mount namespace without the tests' own private world.
"""

import asyncio
import json
import os
import signal
import socket
import sys
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import dns.message
import dns.rdatatype
import dns.rrset
import pytest

from circumtest.lab.servers.microsocks import Microsocks
from circumtest.lab.servers.wireguard_go import WireguardGo
from circumtest.lab.topology import EXIT, Lab
from circumtest.live.world import world
from circumtest.netns import Netns
from circumtest.process import ProcessEnded, daemon, run
from tests.lab.exits import inhabitants
from tests.lab.town import play, until

HOME = {4: "198.18.0.2", 6: "2001:db8:18::2"}
"""The address of who runs it: nobody of the lab's."""
NAMED = f"home{os.getpid()}"
"""What `ip netns` calls it: several workers share one /run."""
_NETWORK = """
    ip netns add $0
    ip -n $0 link set lo up
    ip link add home type veth peer name eth7 netns $0
    ip address add 198.18.0.1/30 dev home
    ip address add 2001:db8:18::1/64 dev home nodad
    ip link set home up
    ip -n $0 address add 198.18.0.2/30 dev eth7
    ip -n $0 address add 2001:db8:18::2/64 dev eth7 nodad
    ip -n $0 link set eth7 up
    ip -n $0 route add default via 198.18.0.1
    ip -n $0 route add default via 2001:db8:18::1
"""
# Out of the tests' world: another /run, in which namespaces have their names as everywhere.
_OUT = """
    mkdir -p "$0/names"
    mount --rbind /run/netns "$0/names"
    mount -t tmpfs run /run
    mkdir /run/netns
    mount --rbind "$0/names" /run/netns
    umount -l "$0/names"
    mkdir -p /run/user/1000
    [ ! -e "$0/client.conf" ] || cp "$0/client.conf" /run/user/1000/
    for hidden in $1; do mount --bind /dev/null "$hidden"; done
    [ -z "$2" ] || mount --bind "$2" /etc/resolv.conf
    shift 2
    exec "$@"
"""
USER = ("unshare", "--user", "--map-user=1000", "--map-group=1000")
# The rights that making a user namespace gives are kept for one command, and given up again.
_NO_NAMESPACES = (
    *(*USER, "--keep-caps", "sh", "-c"),
    "echo 0 >/proc/sys/user/max_user_namespaces"
    ' && exec setpriv --inh-caps=-all --ambient-caps=-all "$@"',
    "sh",
)
_PASTA, _SLIRP = "/usr/bin/pasta", "/usr/bin/slirp4netns"

Who = tuple[str, ...]
_Scene = Callable[[Lab, Netns], Awaitable[None]]


def at_home(scene: _Scene) -> None:
    """Play a scene in the lab, with somebody's home connected to its backbone by plain commands."""

    async def whole(place: Lab) -> None:
        await run(place.backbone, ["sh", "-e", "-c", _NETWORK, NAMED])
        try:
            async with Netns.enter(f"/run/netns/{NAMED}", "home") as home:
                await scene(place, home)
        finally:
            await run(place.backbone, ["ip", "netns", "delete", NAMED])

    play(whole)


def started(place: Path, *argv: str, who: Who = (), hidden: str = "") -> list[str]:
    """How a visitor is started: `who` he is, with the programs `hidden` from him."""
    resolv = place / "resolv"
    start = ["unshare", "--mount", "sh", "-e", "-c", _OUT, str(place), hidden]
    start += [str(resolv) if resolv.exists() else "", *who]
    return [*start, sys.executable, "-W", "error", "-m", "tests.lab.visitor", *argv]


async def visit(
    home: Netns, place: Path, *argv: str, who: Who = (), hidden: str = ""
) -> dict[str, Any]:
    """What a visitor found."""
    said = await run(home, started(place, *argv, who=who, hidden=hidden), timeout=60)
    found: dict[str, Any] = json.loads(said.splitlines()[-1])
    return found


@asynccontextmanager
async def resolver(netns: Netns, host: str, answer: str) -> AsyncIterator[None]:
    """Over UDP and TCP, a resolver that knows one address of every name, IPv4 only."""
    loop = asyncio.get_running_loop()

    def said(wire: bytes) -> bytes:
        query = dns.message.from_wire(wire)
        reply = dns.message.make_response(query)
        (question,) = query.question
        if question.rdtype == dns.rdatatype.A:
            reply.answer.append(dns.rrset.from_text(question.name, 0, "IN", "A", answer))
        return reply.to_wire()

    def heard(udp: socket.socket) -> None:
        data, source = udp.recvfrom(4096)
        udp.sendto(said(data), source)

    async def called(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        length = int.from_bytes(await reader.readexactly(2), "big")
        answer = said(await reader.readexactly(length))
        writer.write(len(answer).to_bytes(2, "big") + answer)
        writer.close()

    with (
        netns.socket(socket.AF_INET, socket.SOCK_DGRAM) as udp,
        netns.socket(socket.AF_INET, socket.SOCK_STREAM) as tcp,
    ):
        udp.bind((host, 53))
        tcp.bind((host, 53))
        loop.add_reader(udp, heard, udp)
        server = await asyncio.start_server(called, sock=tcp)
        try:
            yield
        finally:
            loop.remove_reader(udp)
            server.close()


def test_root_stands_at_home_and_its_own_thread_nowhere(tmp_path: Path) -> None:
    """Tunnels leave from the machine's own network; what is careless finds none."""

    async def scene(_: Lab, home: Netns) -> None:
        found = await visit(home, tmp_path, "look")
        assert (found["uplink"], found["left_out"]) == ("home", [])
        assert found["underlay"] == [4, 6]
        assert found["at home"] == ["eth7", "lo"]
        assert found["unwatched"] is None
        assert [found[careless] for careless in ("main", "executor", "child")] == [["lo"]] * 3
        assert found["private"]

    at_home(scene)


@pytest.mark.parametrize(("uplink", "hidden"), [("pasta", ""), ("slirp4netns", _PASTA)])
def test_an_ordinary_user_has_a_namespace_with_a_way_out(
    uplink: str, hidden: str, tmp_path: Path
) -> None:
    """By pasta, and without it by slirp4netns; the machine's own uplink he may not watch."""

    async def scene(_: Lab, home: Netns) -> None:
        found = await visit(home, tmp_path, "look", who=USER, hidden=hidden)
        assert (found["uplink"], found["left_out"]) == (uplink, [])
        assert found["underlay"] == [4, 6]
        assert "as root" in found["unwatched"]
        assert [found[careless] for careless in ("main", "executor", "child")] == [["lo"]] * 3

    at_home(scene)


@pytest.mark.parametrize(
    ("who", "hidden"), [((), ""), (USER, ""), (USER, _PASTA)], ids=["root", "pasta", "slirp4netns"]
)
def test_wireguard_comes_up_and_carries_from_everybodys_underlay(
    who: Who, hidden: str, tmp_path: Path
) -> None:
    """UDP and TCP, IPv4 and IPv6: the far end sees home's addresses outside, the exit's inside.

    Its file may lie where people keep such things, in their own directory of /run.
    """

    async def scene(place: Lab, home: Netns) -> None:
        async with WireguardGo().serve(place) as fields:
            (tmp_path / "client.conf").write_text(fields["text"])
            config = "/run/user/1000/client.conf"
            found = await visit(home, tmp_path, "tunnel", config, who=who, hidden=hidden)
        assert found == {
            f"{room} {transport} {version}": address
            for room, addresses in (("home", HOME), ("underlay", HOME), ("inside", EXIT))
            for transport in ("udp", "tcp")
            for version, address in addresses.items()
        }

    at_home(scene)


@pytest.mark.parametrize(
    ("who", "hidden"), [((), ""), (USER, ""), (USER, _PASTA)], ids=["root", "pasta", "slirp4netns"]
)
@pytest.mark.parametrize("host", ["127.0.0.53", "192.0.2.77"])
def test_names_are_resolved_in_every_room(who: Who, hidden: str, host: str, tmp_path: Path) -> None:
    """By a resolver on the machine's own loopback as by one of the provider's."""

    async def scene(place: Lab, home: Netns) -> None:
        at = home if host.startswith("127.") else place.services
        (tmp_path / "resolv").write_text(f"nameserver {host}\n")
        if at is place.services:
            await run(at, ["ip", "address", "add", f"{host}/32", "dev", "lo"])
            await run(place.backbone, ["ip", "route", "add", host, "via", "192.0.2.10"])
        async with resolver(at, host, "192.0.2.99"):
            found = await visit(home, tmp_path, "names", who=who, hidden=hidden)
        assert found == {"home": "192.0.2.99", "underlay": "192.0.2.99"}

    at_home(scene)


def test_without_pasta_and_slirp4netns_proxies_are_left(tmp_path: Path) -> None:
    """It says what cannot be tried and what to type; a proxy works from home."""

    async def scene(place: Lab, home: Netns) -> None:
        hidden = f"{_PASTA} {_SLIRP}"
        found = await visit(home, tmp_path, "look", who=USER, hidden=hidden)
        assert (found["uplink"], found["underlay"]) == ("", None)
        (said,) = found["left_out"]
        assert "WireGuard" in said
        assert "apt-get install passt" in said
        async with Microsocks().serve(place) as fields:
            found = await visit(home, tmp_path, "proxy", fields["url"], who=USER, hidden=hidden)
        assert found == {"inside": EXIT[4], "underlay": None}

    at_home(scene)


def test_without_user_namespaces_proxies_are_left(tmp_path: Path) -> None:
    """There is no private world either: everything is the machine's, and it says what to type."""

    async def scene(place: Lab, home: Netns) -> None:
        found = await visit(home, tmp_path, "look", who=_NO_NAMESPACES)
        assert (found["uplink"], found["underlay"], found["private"]) == ("", None, False)
        (said,) = found["left_out"]
        assert "sysctl -w user.max_user_namespaces" in said
        assert found["main"] == ["lo", "eth7"]
        async with Microsocks().serve(place) as fields:
            found = await visit(home, tmp_path, "proxy", fields["url"], who=_NO_NAMESPACES)
        assert found == {"inside": EXIT[4], "underlay": None}

    at_home(scene)


def test_without_a_network_there_is_a_world_all_the_same(tmp_path: Path) -> None:
    """Nothing waits for a way out that nobody has."""

    async def scene(_: Lab, home: Netns) -> None:
        await run(home, ["ip", "link", "set", "eth7", "down"])
        found = await visit(home, tmp_path, "look", who=USER)
        assert found["uplink"] == ""
        assert "no route" in found["left_out"][0]

    at_home(scene)


def test_a_namespace_by_its_name_is_still_there(tmp_path: Path) -> None:
    """For root, who may enter it; a user is told to be root."""

    async def scene(place: Lab, home: Netns) -> None:
        found = await visit(home, tmp_path, "entered", NAMED)
        assert found == {"inside": HOME[4]}
        with pytest.raises(ProcessEnded, match="run it as root"):
            await visit(home, tmp_path, "entered", NAMED, who=USER)

    at_home(scene)


@pytest.mark.parametrize(("uplink", "hidden"), [("pasta", ""), ("slirp4netns", _PASTA)])
def test_nothing_is_left_of_a_world_that_was_killed(
    uplink: str, hidden: str, tmp_path: Path
) -> None:
    """kill -9 of who supervises it: the program that carried the packets is gone as well."""

    async def scene(_: Lab, home: Netns) -> None:
        def carriers() -> set[int]:
            names = {pid: _read(Path(f"/proc/{pid}/comm")) for pid in inhabitants(home)}
            kinds = ("pasta", "passt", "slirp4netns")
            return {pid for pid, name in names.items() if name.startswith(kinds)}

        argv = started(tmp_path, "stay", who=USER, hidden=hidden)
        async with daemon(home, argv) as running:
            assert await running.line("^(pasta|slirp4netns)$", 30) == uplink
            assert carriers()
            os.kill(running.pid, signal.SIGKILL)
            assert await running.ended() == -signal.SIGKILL
            async with asyncio.timeout(10):
                await until(lambda: not carriers())

    at_home(scene)


def test_without_a_private_world_a_daemon_ends_with_us_all_the_same(tmp_path: Path) -> None:
    """kill -9 of the one process that there is: the kernel was told."""
    seconds = "10101"

    def sleeping() -> bool:
        commands = (_read(file) for file in Path("/proc").glob("[0-9]*/cmdline"))
        return any(command.endswith(f"/sleep\0{seconds}\0") for command in commands)

    async def scene(_: Lab, home: Netns) -> None:
        argv = started(tmp_path, "start", seconds, who=_NO_NAMESPACES)
        async with daemon(home, argv) as running:
            await running.line("^started", 30)
            async with asyncio.timeout(10):
                await until(sleeping)
            os.kill(running.pid, signal.SIGKILL)
            async with asyncio.timeout(10):
                await until(lambda: not sleeping())

    at_home(scene)


def test_who_rules_the_network_goes_back_to_it() -> None:
    """The thread is nowhere while the block lasts, and where it was afterwards."""

    def place() -> str:
        return str(Path("/proc/thread-self/ns/net").readlink())

    async def scene() -> None:
        before = place()
        for _ in range(2):
            async with world() as here:
                assert place() != before
                assert await here.home.acall(place) == before
                assert here.underlay is here.home
            assert place() == before

    asyncio.run(scene())


def _read(file: Path) -> str:
    try:
        return file.read_text()
    except OSError:  # it ended meanwhile
        return ""
