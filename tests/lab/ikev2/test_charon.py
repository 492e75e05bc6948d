"""charon on its own: it takes commands, says no, and can be left alone."""

import asyncio
import os
import signal
from typing import Any

import pytest

from circumtest.errors import EnvironmentUnfit
from circumtest.ikev2 import charon as module
from circumtest.ikev2.charon import Refused, charon
from circumtest.netns import Netns


def test_it_takes_commands_and_has_a_device_of_its_own() -> None:
    """Two of them at once, one after the other's start."""

    async def scene() -> None:
        async with (
            Netns.new("client") as netns,
            charon(netns, "one", 10, client=True) as one,
            charon(netns, "two", 10, client=True) as two,
        ):
            assert {one.device, two.device} <= set(await netns.links())
            assert one.device != two.device
            version = await one.ask(lambda session: session.version())
            assert version["daemon"] == b"charon-systemd"
            assert two.resolvers() == ()

    asyncio.run(scene())


def test_what_it_refuses_is_told_apart_from_its_end() -> None:
    """By its own words, or by the connection's."""

    async def scene() -> None:
        async with Netns.new("client") as netns, charon(netns, "one", 10, client=True) as one:
            with pytest.raises(Refused, match="not found"):
                await one.ask(lambda session: list(session.initiate({"child": "nobody"})))
            os.kill(one.process.pid, signal.SIGKILL)
            await one.process.ended()
            with pytest.raises(OSError, match="refused"):
                await one.ask(lambda session: session.version())

    asyncio.run(scene())


def test_what_is_missing_is_named_with_its_package(monkeypatch: pytest.MonkeyPatch) -> None:
    """A plugin of strongSwan's that comes in another package, before anything is tried."""
    monkeypatch.setitem(module._PACKAGES, "made-up", "libmade-up-plugins")
    monkeypatch.setattr(module, "_PLUGINS", (*module._PLUGINS, "made-up"))

    async def scene() -> None:
        async with Netns.new("client") as netns:
            with pytest.raises(EnvironmentUnfit, match="made-up is not installed") as caught:
                async with charon(netns, "one", 10, client=True):
                    pass
            assert caught.value.remedy == "apt-get install libmade-up-plugins"

    asyncio.run(scene())


def test_a_question_that_nobody_waits_for_any_more_is_cut_off() -> None:
    """The thread that asks does not stay behind."""

    async def scene() -> None:
        silent = {"version": "2", "remote_addrs": ["127.0.0.9"], "children": {"c": {}}}

        def ask(session: Any) -> None:
            session.load_conn({"c": {**silent, "local": {"auth": "eap"}, "remote": {}}})
            list(session.initiate({"child": "c", "timeout": "30000"}))

        async with Netns.new("client") as netns, charon(netns, "one", 10, client=True) as one:
            with pytest.raises(TimeoutError):
                await asyncio.wait_for(one.ask(ask), 0.3)
            assert one.process.alive

    asyncio.run(asyncio.wait_for(scene(), 10))
