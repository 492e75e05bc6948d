"""What openconnect's words mean: a program that says them stands in for it."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest

from circumtest.anyconnect.state import State
from circumtest.model import TunnelFault
from circumtest.netns import Netns
from circumtest.process import daemon

UP = "CSTP connected. DPD 5\nEstablished DTLS connection (using GnuTLS).\nscript: connect\n"
SSL = "SSL negotiation with 192.0.2.1\n"


@asynccontextmanager
async def said(
    words: str, *, over_dtls: bool = True, certificate: bool = False, ends: bool = False
) -> AsyncIterator[State]:
    """The state after these words, of one that goes on or ends."""
    command = 'printf %s "$0"; echo said; ' + ("exit 1" if ends else "exec sleep 60")
    async with (
        Netns.new("client") as netns,
        daemon(netns, ["sh", "-c", command, words], name="openconnect") as process,
    ):
        await process.line("^said$", 5)
        if ends:
            await process.ended()
        yield State(process, ("vpn.example",), over_dtls=over_dtls, certificate=certificate)


@pytest.mark.parametrize(
    ("words", "over_dtls", "fault", "detail"),
    [
        (UP, True, None, ""),
        (f"{UP}DTLS Dead Peer Detection detected dead peer!\n", True, "handshake", "DTLS is gone"),
        (f"{UP}DTLS Dead Peer Detection detected dead peer!\n", False, None, ""),
        (f"{UP}DTLS handshake failed: again\n{UP}", True, None, ""),
        (f"{UP}script: attempt-reconnect\n", False, "no-data", "the connection to the server"),
        (f"{UP}script: attempt-reconnect\nscript: reconnect\n", False, None, ""),
        ("CSTP connected.\n", True, "handshake", "DTLS is gone"),
    ],
)
def test_a_running_one_is_judged_by_its_last_word(
    words: str, over_dtls: bool, fault: str | None, detail: str
) -> None:
    """Of TLS and of DTLS, where that is wanted."""

    async def scene() -> None:
        async with said(words, over_dtls=over_dtls) as state:
            for _ in range(2):  # what was heard is not forgotten
                down = state.known()
                assert (down and down.fault) == fault
                assert detail in (down.detail if down else "")

    asyncio.run(scene())


@pytest.mark.parametrize(
    ("words", "certificate", "fault", "detail"),
    [
        ("Login failed.\nUser input required in non-interactive mode\n", False, "auth", "password"),
        ("User input required in non-interactive mode\n", False, "auth", "more than was given"),
        ("vpn.example failed verification.\n", False, "handshake", "not trusted"),
        ("None of the 1 fingerprint(s)\n", False, "handshake", "not the pinned one"),
        (SSL, False, "handshake", "TLS with the server broke off"),
        (SSL, True, "handshake", "it may not accept our certificate"),
        ("Failed to connect\n", False, "handshake", "no connection"),
        (f"{SSL}{UP}Cookie is no longer valid\n", True, "no-data", "ended the session"),
        (f"{SSL}{UP}", True, "no-data", "is over"),
    ],
)
def test_one_that_gave_up_is_judged_by_what_it_said(
    words: str, certificate: bool, fault: str, detail: str
) -> None:
    """And its words are evidence without what identifies."""

    async def scene() -> None:
        async with said(words, certificate=certificate, ends=True) as state:
            down = state.known()
            assert down is not None
            assert (down.fault, detail in down.detail) == (TunnelFault(fault), True)
            assert "vpn.example" not in down.evidence

    asyncio.run(scene())


def test_one_that_is_late_says_how_far_it_came() -> None:
    """Let in or not."""

    async def scene() -> None:
        for words, detail in ((UP, "TLS is up, and DTLS has not"), (SSL, "has not let us in")):
            async with said(words) as state:
                assert detail in state.late(3).detail

    asyncio.run(scene())
