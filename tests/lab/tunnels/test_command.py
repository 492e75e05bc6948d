"""Commands of somebody else's: started, waited for, stopped, and nothing of them left."""

import os
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path as File

import pytest

from circumtest.errors import EnvironmentUnfit
from circumtest.lab.servers.dante import Dante
from circumtest.lab.servers.ready_made import ReadyMade
from circumtest.lab.topology import EXIT, Lab
from circumtest.model import TunnelFault
from circumtest.tunnels.command import MARK, Command
from tests.lab.exits import inhabitants
from tests.lab.town import everything_passes, fault_of, play

NOWHERE = {"kind": "socks", "url": "socks5://127.0.0.1:9"}


def marked() -> set[str]:
    """The processes that a command has started, wherever they are."""
    found = set()
    for place in File("/proc").glob("[0-9]*"):
        with suppress(OSError):
            if f"{MARK}=".encode() in (place / "environ").read_bytes():
                found.add((place / "comm").read_text().strip())
    return found


def in_town(scene: Callable[[Lab], object]) -> None:
    """Play it, and nothing that a command has started is left."""

    async def whole(place: Lab) -> None:
        await scene(place)  # type: ignore[misc]
        assert not marked()
        assert not inhabitants(place.client)

    play(whole)


def test_what_it_leaves_in_the_background_is_found_and_ended() -> None:
    """In a session of its own, with no parent: by the mark in its environment."""

    async def scene(place: Lab) -> None:
        async with ReadyMade(form="command-socks").serve(place) as fields:
            start = ("setsid", "--fork", *fields["start"])
            command = Command(start=start, leaves=fields["leaves"], exits=tuple(EXIT.values()))
            async with command.up(place.client) as path:
                await everything_passes(path, EXIT)
                assert path.exits == set(EXIT.values())
                assert path.fault() is None
                assert marked() == {"ss-local"}

    in_town(scene)


def test_a_device_in_the_background_is_brought_up_and_taken_down_by_its_own_commands() -> None:
    """`stop` is run, and the device is gone when the context ends."""

    async def scene(place: Lab) -> None:
        async with ReadyMade(form="command-interface").serve(place) as fields:
            start = ("setsid", "--fork", *fields["start"])
            async with Command(**{**fields, "start": start}).up(place.client) as path:
                await everything_passes(path, EXIT)
                assert path.mtu == 1420
            assert await place.client.links() == ("lo", "censor")

    in_town(scene)


def test_a_command_that_fails_is_told_with_its_own_words() -> None:
    """At once, whatever its patience: waiting would not mend it."""

    async def scene(place: Lab) -> None:
        begun = time.monotonic()
        start = ("sh", "-c", "echo cannot reach 198.51.100.2:443 >&2; exit 3")
        for ready in ((), ("false",)):
            command = Command(start=start, ready=ready, leaves=NOWHERE, patience=30.0)
            down = await fault_of(command.up(place.client))
            assert down.fault is TunnelFault.BINARY
            assert "sh ended with 3" in down.detail
            assert down.evidence == "cannot reach <address>"
        assert time.monotonic() - begun < 5

    in_town(scene)


@pytest.mark.parametrize(
    ("fields", "fault", "said"),
    [
        ({"ready": ("false",)}, TunnelFault.HANDSHAKE, "has not said yes in 0.5 s: it ends with 1"),
        ({"ready": ("sleep", "60")}, TunnelFault.HANDSHAKE, "it takes too long"),
        ({}, TunnelFault.BINARY, "has left nothing usable: cannot reach the proxy"),
        ({"ready": ("true",)}, TunnelFault.BINARY, "has left nothing usable"),
        ({"leaves": "iface:tun9"}, TunnelFault.BINARY, "there is no device tun9"),
        ({"leaves": "netns:vpn9"}, TunnelFault.BINARY, "there is no namespace vpn9"),
        ({"start": ("/etc/passwd",)}, None, "passwd is not installed"),
        ({"ready": ("no-such",)}, None, "no-such is not installed"),
        ({"stop": ("no-such",)}, None, "no-such is not installed"),
    ],
)
def test_each_way_of_not_being_ready_has_its_fault(
    fields: dict[str, object], fault: TunnelFault | None, said: str
) -> None:
    """In bounded time."""

    async def scene(place: Lab) -> None:
        given = {"start": ("sleep", "60"), "leaves": NOWHERE, "patience": 0.5, **fields}
        up = Command(**given).up(place.client)  # type: ignore[arg-type]
        begun = time.monotonic()
        if fault is None:
            with pytest.raises(EnvironmentUnfit, match=said):
                await up.__aenter__()
            return
        down = await fault_of(up)
        assert down.fault is fault
        assert said in down.detail
        assert time.monotonic() - begun < 4

    in_town(scene)


def test_a_wrong_login_to_the_port_that_it_leaves_is_not_waited_for() -> None:
    """Another fault than a port that is not open yet, and its words tell no password."""

    async def scene(place: Lab) -> None:
        async with Dante().serve(place) as fields:
            url = fields["url"].replace("caller:", "caller:sesame")
            start = ("sh", "-c", "echo caller and sesame; sleep 60")
            command = Command(start=start, leaves={"kind": "socks", "url": url}, patience=30.0)
            begun = time.monotonic()
            down = await fault_of(command.up(place.client))
            assert down.fault is TunnelFault.AUTH
            assert time.monotonic() - begun < 5

    in_town(scene)


def test_its_secrets_are_not_in_its_words(tmp_path: File) -> None:
    """A login that it repeats is taken out; files that it writes are its own affair."""

    async def scene(place: Lab) -> None:
        done = tmp_path / "done"
        script = f"echo the password is sesame; ss-local -c {{}}; touch {done}"
        async with ReadyMade(form="command-socks").serve(place) as fields:
            start = ("sh", "-c", script.format(" ".join(fields["start"][2:])))
            url = fields["leaves"]["url"].replace("://", "://caller:sesame@")
            leaves = {"kind": "socks", "url": url}
            async with Command(start=start, leaves=leaves).up(place.client) as path:
                assert "the password is <secret>" in path.words
        assert not os.path.exists(done)

    in_town(scene)
