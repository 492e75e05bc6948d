"""What a lab tells of itself, in words."""

import pytest

from circumtest.standing import told
from circumtest.standing.status import (
    MiddleboxStatus,
    RuleStatus,
    Service,
    Status,
    TunnelStatus,
)


def status(
    *, faults: tuple[str, ...] = (), tunnels: tuple[TunnelStatus, ...] = (), scale: float = 1.0
) -> Status:
    """A lab with one rule and some services."""
    curl = ("curl", "https://blocked.example/")
    return Status(
        "sni-i",
        "Listed names are reset.",
        "measured",
        scale,
        7,
        65.0,
        (RuleStatus("sni", "tls for blocked.example", "reset", 12),),
        ("client link: 80 ms",),
        MiddleboxStatus(40, 2),
        faults,
        tunnels,
        (
            Service("site", "tcp", ("203.0.113.9:443", "203.0.113.9:80"), curl),
            Service("call", "udp", tuple(f"203.0.113.{n}:3478" for n in (1, 2, 3))),
            Service("ssh", "tcp", (), why_not="sshd is not installed"),
        ),
    )


def test_a_status_has_rules_hits_and_what_the_middlebox_saw() -> None:
    """And where the services are."""
    said = told.now(status(scale=0.01))
    for words in (
        "a lab is up behind sni-i for 1 min 5 s (seed 7, times scaled by 0.01)\n",
        "    Listed names are reset. (measured)\n    client link: 80 ms\n",
        "sni     tls for blocked.example  reset   12",
        "the middlebox looked at 40 packets and had no room for 2",
        "203.0.113.9:443, 203.0.113.9:80",
        "203.0.113.1:3478 (and 2 more)",
        "not there: sshd is not installed",
    ):
        assert words in said, said
    assert "!" not in said


def test_a_fault_says_that_nothing_is_to_be_concluded() -> None:
    """So that a dead middlebox never reads as a censor."""
    said = told.now(status(faults=("the middlebox ended with -9",)))
    assert "! the middlebox ended with -9\n! what fails now says nothing about the policy" in said


def test_a_tunnel_that_is_down_says_why_and_in_whose_words() -> None:
    """The last lines of its daemon; one that is up says what it does not carry."""
    down = TunnelStatus("wg", "wireguard", "inside", "handshake", "no answer", "a\nb\nc\nd\ne\nf\n")
    up = TunnelStatus("socks-tcp", "socks", "inside-socks-tcp", note="it carries no UDP")
    there = status(tunnels=(down, up))
    said = told.now(there)
    assert "tunnel wg: down (handshake): no answer\n    | b\n" in said
    assert "up, and leads from the room inside-socks-tcp; it carries no UDP\n" in said
    assert there.down == {"inside": "handshake: no answer"}


def test_whoever_puts_it_up_gets_commands_to_type() -> None:
    """In the client's room, and in one that leads through a tunnel."""
    up = TunnelStatus("wireguard", "wireguard", "inside")
    said = told.beginning(status(tunnels=(up,)))
    for room in ("client", "inside"):
        assert f"    circumtest lab exec {room} -- curl https://blocked.example/\n" in said
    assert said.startswith("a lab is up behind sni-i (seed 7)\n")
    assert said.endswith("    circumtest lab down\n")


@pytest.mark.parametrize(
    ("seconds", "words"), [(0.4, "0 s"), (59.9, "59 s"), (65, "1 min 5 s"), (7380, "2 h 3 min")]
)
def test_a_duration_is_told_in_two_units_at_most(seconds: float, words: str) -> None:
    """Nobody wants 7380 s."""
    assert told.duration(seconds) == words
