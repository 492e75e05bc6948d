"""A middlebox in the real kernel does to each packet what its policy says, and is missed when gone.

Real sockets of two namespaces with the censor between them, IPv4 and IPv6.
"""

import asyncio
import errno
import os
import re
import signal
import socket
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from operator import methodcaller
from pathlib import Path

import dns.message
import pytest

from circumtest.censor.enforce import Enforced, apply, check, enforced, hits
from circumtest.censor.middlebox.handover import QUEUE, attempt, ruleset
from circumtest.censor.middlebox.netlink import Queue
from circumtest.censor.policy import (
    FLOW_MEMORY,
    Action,
    Confidence,
    Delay,
    Drop,
    Lose,
    Poison,
    Policy,
    Reject,
    Reset,
    Rule,
    Scope,
)
from circumtest.censor.signatures import ALL
from circumtest.errors import EnvironmentUnfit
from circumtest.model import Invalid, Record, Success
from circumtest.netns import Netns
from circumtest.process import ProcessEnded, run
from circumtest.run import UNFIT
from circumtest.scene import unless_uncensored
from tests.lab.wire import HOSTS, row

FAMILIES = {4: socket.AF_INET, 6: socket.AF_INET6}
CLIENT, SERVER = ({version: hosts[side] for version, hosts in HOSTS.items()} for side in (0, 1))
PATIENCE = 5.0
RUN = """
import sys
from pathlib import Path
from circumtest import store
from circumtest.plan import parse
from circumtest.run import carry_out
raw = {"blocks": 1, "policies": ["open", "sni-i"], "tunnel": [{"kind": "none"}]}
plan = parse(raw | {"handshake": [{"kind": "echo"}]}, "small", "small.toml")
store.create(Path(sys.argv[1]), plan.outline)
print(carry_out(plan, Path(sys.argv[1]), 1, lambda done, total: None))
print(len(store.read(Path(sys.argv[1]))[0]))
"""
"""A small plan carried out: the exit code, and how many trials are on disk then."""
STUN = bytes.fromhex("00010000" + "2112a442" + "77" * 12)
"""What the rules here look for; behind TCP's header it is `stun-tcp`."""


@dataclass(frozen=True)
class Road:
    """Client and server with the censor between them."""

    client: Netns
    censor: Netns
    server: Netns

    def socket(
        self, version: int, kind: int, *, server: bool = False, port: int = 0
    ) -> socket.socket:
        """A bound socket of either end."""
        end, host = (self.server, SERVER) if server else (self.client, CLIENT)
        made = end.socket(FAMILIES[version], kind)
        made.bind((host[version], port))
        return made


@asynccontextmanager
async def road() -> AsyncIterator[Road]:
    """A row whose packets are as long as on a wire."""
    async with row() as (client, censor, server):
        for netns, name in (
            (client, "eth0"),
            (censor, "client"),
            (censor, "backbone"),
            (server, "eth0"),
        ):
            await netns.configure(methodcaller("offloads_off", name))
        yield Road(client, censor, server)


def rule(name: str, action: Action, signature: str = "stun", **more: object) -> Rule:
    """One that the kernel alone cannot judge."""
    made = Rule(name, (ALL[signature],), action, Scope.FLOW, **({"first": 100} | more))  # type: ignore[arg-type]
    assert not made.simple
    return made


def policy(*rules: Rule) -> Policy:
    """A policy with these rules."""
    return Policy("made", "", (), Confidence.GUESSED, rules)


def under(rules: Policy, test: Callable[[Road, Enforced], Awaitable[None]]) -> None:
    """Run a test behind a censor, bounded."""

    async def run() -> None:
        async with asyncio.timeout(60), road() as here, enforced(here.censor, rules, 1) as force:
            await test(here, force)
            assert force.fault() is None
            assert force.counters().lost == 0

    asyncio.run(run())


async def heard(sock: socket.socket) -> bytes:
    """The next datagram or bytes.  Raises OSError, or TimeoutError when none come."""
    async with asyncio.timeout(PATIENCE):
        return await asyncio.get_running_loop().sock_recv(sock, 65536)


async def until(force: Enforced, name: str, number: int) -> None:
    """Wait until a rule has acted on so many packets."""
    async with asyncio.timeout(PATIENCE):
        while (await force.hits())[name] < number:
            pass


@pytest.mark.parametrize("version", [4, 6])
def test_what_is_dropped_is_counted_and_the_rest_passes(version: int) -> None:
    """A flow from the first STUN packet on, both ways; another flow is not touched."""

    async def test(here: Road, force: Enforced) -> None:
        with (
            here.socket(version, socket.SOCK_DGRAM) as bad,
            here.socket(version, socket.SOCK_DGRAM) as good,
            here.socket(version, socket.SOCK_DGRAM, server=True, port=3478) as server,
        ):
            there = server.getsockname()
            bad.sendto(b"hello", there)
            assert await heard(server) == b"hello"
            for payload in (STUN, b"more"):
                bad.sendto(payload, there)
            server.sendto(b"answer", bad.getsockname())
            good.sendto(b"other", there)
            assert await heard(server) == b"other"
            await until(force, "drop", 3)
            assert await force.hits() == {"drop": 3}

    under(policy(rule("drop", Drop())), test)


@asynccontextmanager
async def connection(
    here: Road, version: int, port: int = 3478
) -> AsyncIterator[tuple[socket.socket, socket.socket]]:
    """A TCP connection's two ends: the client's, the server's."""
    loop = asyncio.get_running_loop()
    with (
        here.socket(version, socket.SOCK_STREAM, server=True, port=port) as listening,
        here.socket(version, socket.SOCK_STREAM) as ours,
    ):
        listening.listen()
        async with asyncio.timeout(PATIENCE):
            await loop.sock_connect(ours, listening.getsockname())
            theirs, _ = await loop.sock_accept(listening)
        with theirs:
            yield ours, theirs


@pytest.mark.parametrize("version", [4, 6])
def test_a_reset_is_seen_by_both_ends(version: int) -> None:
    """After an exchange that passes, what is recognised never arrives: both ends are reset."""

    async def test(here: Road, force: Enforced) -> None:
        loop = asyncio.get_running_loop()
        async with connection(here, version) as (ours, theirs):
            await loop.sock_sendall(ours, b"hello")
            assert await heard(theirs) == b"hello"
            await loop.sock_sendall(theirs, b"welcome")
            assert await heard(ours) == b"welcome"
            await loop.sock_sendall(ours, STUN)
            for end in (ours, theirs):
                with pytest.raises(ConnectionResetError):
                    await heard(end)
            assert (await force.hits())["reset"] >= 1

    under(policy(rule("reset", Reset(), "stun-tcp")), test)


@pytest.mark.parametrize("version", [4, 6])
def test_a_connection_that_is_reset_at_its_beginning_is_refused(version: int) -> None:
    """A reset in answer to a SYN acknowledges it; the server never hears of it."""

    async def test(here: Road, force: Enforced) -> None:
        with here.socket(version, socket.SOCK_STREAM, server=True, port=3478) as listening:
            listening.listen()
            with here.socket(version, socket.SOCK_STREAM) as ours:
                async with asyncio.timeout(PATIENCE):
                    with pytest.raises(ConnectionRefusedError):
                        await asyncio.get_running_loop().sock_connect(ours, listening.getsockname())
            with pytest.raises(BlockingIOError):
                listening.accept()
        assert await force.hits() == {"reset": 1}

    under(policy(rule("reset", Reset(), "any", first=0, chance=0.999)), test)


@pytest.mark.parametrize(("admin", "error"), [(False, ConnectionRefusedError), (True, OSError)])
@pytest.mark.parametrize("version", [4, 6])
def test_a_rejected_datagram_comes_back_as_an_error(
    version: int, admin: bool, error: type[OSError]
) -> None:
    """Port unreachable: refused.  Prohibited: no route (IPv4), or no permission (IPv6)."""

    async def test(here: Road, _: Enforced) -> None:
        with here.socket(version, socket.SOCK_DGRAM) as ours:
            ours.connect((SERVER[version], 3478))
            ours.send(STUN)
            with pytest.raises(error) as caught:
                await heard(ours)
            if admin:
                assert caught.value.errno in (errno.EHOSTUNREACH, errno.EACCES)

    under(policy(rule("reject", Reject(admin))), test)


@pytest.mark.parametrize("version", [4, 6])
def test_what_is_delayed_comes_later_and_in_order(version: int) -> None:
    """Ten packets at once arrive as they were sent, none before its time; others overtake them."""
    seconds = 0.2

    async def test(here: Road, force: Enforced) -> None:
        with (
            here.socket(version, socket.SOCK_DGRAM) as slow,
            here.socket(version, socket.SOCK_DGRAM) as quick,
            here.socket(version, socket.SOCK_DGRAM, server=True, port=3478) as server,
        ):
            began = time.monotonic()
            for number in range(10):
                slow.sendto(STUN + bytes([number]), server.getsockname())
            quick.sendto(b"quick", server.getsockname())
            assert await heard(server) == b"quick"
            for number in range(10):
                assert await heard(server) == STUN + bytes([number])
                assert time.monotonic() - began >= seconds
        assert await force.hits() == {"delay": 10}

    under(policy(rule("delay", Delay(seconds))), test)


@pytest.mark.parametrize("version", [4, 6])
def test_a_poisoned_question_gets_the_forged_answer_first(version: int) -> None:
    """The question arrives all the same, and its true answer comes second."""

    async def test(here: Road, force: Enforced) -> None:
        question = dns.message.make_query("calls.example", "A")
        with (
            here.socket(version, socket.SOCK_DGRAM) as ours,
            here.socket(version, socket.SOCK_DGRAM, server=True, port=53) as server,
        ):
            ours.connect(server.getsockname())
            ours.send(question.to_wire())
            forged = dns.message.from_wire(await heard(ours))
            assert forged.id == question.id
            assert str(forged.answer[0][0]) == "192.0.2.99"
            assert await heard(server) == question.to_wire()
            server.sendto(b"the truth", ours.getsockname())
            assert await heard(ours) == b"the truth"
        assert await force.hits() == {"poison": 1}

    under(policy(rule("poison", Poison("192.0.2.99"), "udp", ports=((53, 53),))), test)


def test_loss_comes_from_the_seed() -> None:
    """Under the same seed the same packets of two hundred are lost, about half of them."""

    async def sample(here: Road) -> list[bytes]:
        with (
            here.socket(4, socket.SOCK_DGRAM) as ours,
            here.socket(4, socket.SOCK_DGRAM, server=True, port=3478) as server,
        ):
            async with enforced(here.censor, policy(rule("lose", Lose(0.5), first=1)), 7) as force:
                for number in range(200):
                    ours.sendto(STUN + bytes([number]), server.getsockname())
                await until_seen(force, 200)
                lost = (await force.hits())["lose"]
                return [await heard(server) for _ in range(200 - lost)]

    async def test() -> None:
        async with asyncio.timeout(60), road() as here:
            one, other = await sample(here), await sample(here)
            assert one == other
            assert 60 < len(one) < 140

    asyncio.run(test())


async def until_seen(force: Enforced, number: int) -> None:
    """Wait until the middlebox has been given so many packets, and has decided."""
    async with asyncio.timeout(PATIENCE):
        while force.counters().seen < number or force.counters().waiting:  # noqa: ASYNC110
            await asyncio.sleep(0.001)


@pytest.mark.parametrize("version", [4, 6])
def test_of_a_bulk_flow_only_the_first_packets_are_looked_at(version: int) -> None:
    """What no rule can be about any more skips the queue: of megabytes some packets visit it."""
    megabytes = 8

    async def test(here: Road, force: Enforced) -> None:
        loop = asyncio.get_running_loop()
        async with connection(here, version) as (ours, theirs):
            sending = asyncio.create_task(loop.sock_sendall(ours, bytes(megabytes << 20)))
            got = 0
            while got < megabytes << 20:
                got += len(await heard(theirs))
            await sending
        assert 3 < force.counters().seen < 400
        assert await force.hits() == {"reset": 0}

    under(policy(rule("reset", Reset(), "stun-tcp", first=3)), test)


def test_a_flow_that_is_dropped_for_good_is_dropped_by_the_kernel() -> None:
    """Once its entry stands, the kernel drops and counts what follows, both ways."""

    async def test(here: Road, force: Enforced) -> None:
        with (
            here.socket(4, socket.SOCK_DGRAM) as ours,
            here.socket(4, socket.SOCK_DGRAM, server=True, port=3478) as server,
        ):
            ours.sendto(b"hello", server.getsockname())
            assert await heard(server) == b"hello"
            ours.sendto(STUN, server.getsockname())
            await until(force, "drop", 1)
            seen = force.counters().seen
            for _ in range(50):
                ours.sendto(b"more", server.getsockname())
                server.sendto(b"more", ours.getsockname())
            await until(force, "drop", 101)
            assert force.counters().seen == seen
            remembered = Path("/proc/sys/net/netfilter/nf_conntrack_udp_timeout")
            assert here.censor.call(remembered.read_text) == f"{FLOW_MEMORY:.0f}\n"

    under(policy(rule("drop", Drop())), test)


def test_simple_rules_come_first_whatever_their_order() -> None:
    """What the kernel drops never reaches the middlebox, and both kinds are counted."""
    simple = Rule("sip", (ALL["sip"],), Drop(), Scope.PACKET)

    async def test(here: Road, force: Enforced) -> None:
        with (
            here.socket(4, socket.SOCK_DGRAM) as ours,
            here.socket(4, socket.SOCK_DGRAM, server=True, port=5060) as server,
        ):
            ours.sendto(b"REGISTER sip:example SIP/2.0", server.getsockname())
            await until(force, "sip", 1)
            assert force.counters().seen == 0
            ours.sendto(b"other", server.getsockname())
            await until(force, "rest", 1)
            assert await force.hits() == {"rest": 1, "sip": 1}

    under(policy(rule("rest", Drop(), "udp"), simple), test)


def test_a_middlebox_that_is_killed_is_missed_and_nothing_passes() -> None:
    """`fault` says how it ended; what it should have judged is dropped, the rest goes its way."""

    async def test() -> None:
        rules = policy(rule("drop", Drop(), ports=((3478, 3478),)))
        async with road() as here, enforced(here.censor, rules) as force:
            with (
                here.socket(4, socket.SOCK_DGRAM) as ours,
                here.socket(4, socket.SOCK_DGRAM, server=True, port=3478) as judged,
                here.socket(4, socket.SOCK_DGRAM, server=True, port=9) as other,
            ):
                ours.sendto(b"one", judged.getsockname())
                assert await heard(judged) == b"one"
                assert force.fault() is None
                assert force.middlebox is not None
                os.kill(force.middlebox.pid, signal.SIGKILL)
                assert await force.middlebox.ended() == -signal.SIGKILL
                assert "made: middlebox ended with -9" in str(force.fault())
                outcome = unless_uncensored(Record(Success(), 1.0), force, 0).outcome
                assert outcome == Invalid("censor-down", detail=str(force.fault()))
                ours.sendto(b"two", judged.getsockname())
                ours.sendto(b"three", other.getsockname())
                assert await heard(other) == b"three"
                with pytest.raises(BlockingIOError):
                    judged.recv(100)

    asyncio.run(asyncio.wait_for(test(), 60))


def test_packets_that_the_middlebox_had_no_room_for_make_a_trial_invalid() -> None:
    """It is stopped while a flood comes: some is lost, nothing passes, and it is told."""

    async def test() -> None:
        rules, record = policy(rule("drop", Drop())), Record(Success(), 1.0)
        async with road() as here, enforced(here.censor, rules) as force:
            assert unless_uncensored(record, force, 0) is record
            assert force.middlebox is not None
            os.kill(force.middlebox.pid, signal.SIGSTOP)
            with (
                here.socket(4, socket.SOCK_DGRAM) as ours,
                here.socket(4, socket.SOCK_DGRAM, server=True, port=3478) as server,
            ):
                while not force.counters().lost:
                    for _ in range(1000):
                        with suppress(BlockingIOError):
                            ours.sendto(bytes(1000), server.getsockname())
                with pytest.raises(BlockingIOError):
                    server.recv(100)
            outcome = unless_uncensored(record, force, 0).outcome
            assert isinstance(outcome, Invalid)
            assert outcome.reason == "overloaded"
            os.kill(force.middlebox.pid, signal.SIGKILL)

    asyncio.run(asyncio.wait_for(test(), 60))


def test_nothing_is_in_force_afterwards() -> None:
    """Rules, queue and process are gone, and the next policy begins anew."""

    async def test() -> None:
        async with road() as here:
            for rules in (policy(rule("drop", Drop())), policy()):
                async with enforced(here.censor, rules) as force:
                    assert set(await force.hits()) == {rule.id for rule in rules.rules}
                with pytest.raises(ProcessEnded):
                    await hits(here.censor)
                assert force.middlebox is None or not force.middlebox.alive
            with (
                here.socket(4, socket.SOCK_DGRAM) as ours,
                here.socket(4, socket.SOCK_DGRAM, server=True, port=3478) as server,
            ):
                ours.sendto(STUN, server.getsockname())
                assert await heard(server) == STUN

    asyncio.run(asyncio.wait_for(test(), 60))


def test_a_policy_is_checked_without_beginning_anything() -> None:
    """What can be carried out passes; nothing is left, and no process is started."""

    async def test() -> None:
        async with Netns.new("censor") as censor:
            await check(censor, policy(rule("drop", Drop())))
            with pytest.raises(ProcessEnded):
                await hits(censor)

    asyncio.run(test())


@pytest.mark.parametrize("text", [attempt(), ruleset([rule("drop", Drop())], queue=True)])
def test_a_kernel_without_nft_queues_refuses_nothing_but_them(text: str) -> None:
    """Otherwise a mistake in the text would pass for a kernel that lacks them."""

    async def test() -> None:
        async with Netns.new("censor") as censor:
            try:
                await run(censor, ["nft", "-c", "-f", "-"], input=text.encode())
            except ProcessEnded as error:
                assert "No such file or directory" in error.words  # noqa: PT017
                assert len(re.findall("Error", error.words)) == 1  # noqa: PT017
                assert "^^^^^" in error.words.partition("queue num 1")[2]  # noqa: PT017

    asyncio.run(test())


def test_a_run_that_a_machine_cannot_carry_out_is_refused_before_its_first_trial(
    tmp_path: Path,
) -> None:
    """Without nft and iptables not even the policy that has no rules is played."""
    hide = 'mount -t tmpfs none /usr/sbin && exec "$@"'
    argv = ["unshare", "--mount", "sh", "-c", hide, "sh", sys.executable, "-c", RUN, str(tmp_path)]
    done = subprocess.run(argv, capture_output=True, text=True, timeout=60, check=True)

    assert done.stdout.split() == [str(UNFIT), "0"]
    assert done.stderr.startswith("circumtest: nft is not installed")


def test_a_policy_that_needs_a_middlebox_is_not_simply_applied() -> None:
    """That would run it weaker than written: it is the caller's mistake."""

    async def test() -> None:
        async with Netns.new("censor") as censor:
            with pytest.raises(ValueError, match="the rule drop of the policy made"):
                await apply(censor, policy(rule("drop", Drop())))

    asyncio.run(test())


def test_a_queue_that_somebody_has_is_refused_by_the_policy_s_name() -> None:
    """Which rules need it is said, too, and what the kernel said."""

    async def test() -> None:
        async with Netns.new("censor") as censor:
            taken = await censor.acall(lambda: Queue([QUEUE]))
            with taken, pytest.raises(EnvironmentUnfit, match="policy made needs for: drop"):
                await check(censor, policy(rule("drop", Drop())))

    asyncio.run(test())
