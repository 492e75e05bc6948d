"""A mirror on real sockets, as a process that a person started."""

import asyncio
import os
import signal
import stat
from dataclasses import replace
from pathlib import Path
from random import Random

import pytest

from circumtest.errors import HandshakeFailed
from circumtest.masked import SHADES, Mask, MaskedPath
from circumtest.mirror import rooms
from circumtest.mirror.client import hello
from circumtest.mirror.fitted import fitted
from circumtest.mirror.token import Token
from circumtest.model import Level, Success, Transport
from circumtest.play import play
from circumtest.process import run
from tests.lab.mirrors import HOSTS, Town, town

KINDS = ("whatsapp-message", "whatsapp-call", "telegram-call-udp", "turn", "webrtc", "sip", "echo")


async def calls(it: Town, version: int, mask: Mask | None) -> list[str]:
    """What went wrong with a call of each kind over that version, under that mask."""
    inner = it.path
    path = inner if mask is None else MaskedPath(inner, mask, it.token.secret)

    async def call(part: rooms.Part) -> str:
        handshake, target = fitted(part.handshake, (HOSTS[version],), it.token.secret)
        quick = replace(handshake, level=Level.QUICK)  # type: ignore[type-var]
        record = await play(quick.script(target, Random(os.urandom(8))), path)
        return "" if record.outcome == Success() else f"{part.kind}: {record.outcome}"

    played = [part for part in rooms.parts(it.token.secret) if part.kind in KINDS]
    return [wrong for wrong in await asyncio.gather(*map(call, played)) if wrong]


@pytest.mark.parametrize("mask", SHADES, ids=str)
@pytest.mark.parametrize("version", [4, 6])
def test_calls_with_sound_succeed_at_a_mirror_under_every_mask(
    tmp_path: Path, version: int, mask: Mask | None
) -> None:
    """UDP, TCP and TLS, over IPv4 and IPv6, at the ports of the real services."""

    async def main() -> list[str]:
        async with town(tmp_path) as it:
            found = await hello(it.path, it.token, host=HOSTS[version])
            assert found.addresses == tuple(HOSTS.values())
            return await calls(it, version, mask)

    assert asyncio.run(main()) == []


def test_the_token_is_kept_private_and_the_process_is_nobody(tmp_path: Path) -> None:
    """It has no capability and may gain none; the file is 0600; the last line counts, nothing more.

    A stranger's hello is not answered, over UDP and TCP.
    """

    async def main() -> str:
        async with town(tmp_path) as it:
            status = Path(f"/proc/{it.process.pid}/status").read_text(encoding="ascii")
            words = dict(line.split(":", 1) for line in status.splitlines())
            assert int(words["CapEff"], 16) == int(words["CapPrm"], 16) == 0
            assert words["NoNewPrivs"].strip() == "1"
            await hello(it.path, it.token, Transport.TCP)
            for transport in Transport:
                with pytest.raises(HandshakeFailed):
                    await hello(it.path, Token(it.token.host, "b" * 32), transport)
            os.kill(it.process.pid, signal.SIGTERM)
            assert await it.process.ended() == 0
            return it.process.log

    log = asyncio.run(main())

    assert stat.S_IMODE((tmp_path / "mirror.token").stat().st_mode) == 0o600
    assert "stopped: " in log
    stopped = log[log.index("stopped: ") :]
    assert not any(host in stopped for host in ("203.0.113", "2001:db8"))


def test_another_token_is_taken_at_a_hangup(tmp_path: Path) -> None:
    """The old one is not answered any more; what is no token changes nothing."""

    async def main() -> None:
        async with town(tmp_path) as it:
            new = Token(it.token.host, "c" * 32)
            for text, wanted in (("rubbish\n", it.token), (f"{new}\n", new)):
                (tmp_path / "mirror.token").write_text(text)
                os.kill(it.process.pid, signal.SIGHUP)
                await it.process.line("the token ", 10)
                await hello(it.path, wanted, Transport.TCP)
            with pytest.raises(HandshakeFailed):
                await hello(it.path, it.token, Transport.TCP)

    asyncio.run(main())


def test_a_port_scan_learns_nothing(tmp_path: Path) -> None:
    """Open ports are all alike, and none has a service that anybody recognises."""

    async def main() -> tuple[str, str]:
        async with town(tmp_path, "--ports", "80,443,3478,5060") as it:
            host, scan = HOSTS[4], ["nmap", "-Pn", "-n", "-T4", "--host-timeout", "200s"]
            ports = "-pT:80,443,3478,5060,U:443,3478,5060"
            udp = await run(it.client, [*scan, "-sS", "-sU", ports, host], timeout=120)
            seen = [*scan, "-sT", "-sV", "--version-light", "-p443,3478", host]
            return udp, await run(it.client, seen, timeout=250)

    plain, services = asyncio.run(main())
    tcp = [line.split()[1] for line in plain.splitlines() if "/tcp" in line]
    udp = [line.split()[1] for line in plain.splitlines() if "/udp" in line]
    found = [line.split(None, 3) for line in services.splitlines() if "/tcp" in line]

    assert tcp == ["open"] * 4
    assert udp == ["open|filtered"] * 3
    assert len(found) == 2
    # A name with a question mark is the table of numbers; what was recognised has a version, too.
    assert all(row[2].endswith("?") or row[2] == "tcpwrapped" for row in found), services
    assert "SF-Port" not in services
