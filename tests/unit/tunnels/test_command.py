"""Commands as people write them: what is refused before anything is started."""

from typing import Any

import pytest

from circumtest.errors import ConfigError
from circumtest.registry import TUNNELS, build
from circumtest.tunnels.command import Command

SOCKS = {"kind": "socks", "url": "socks5://me:sesame@127.0.0.1:1080"}


def test_what_it_leaves_is_a_tunnel_with_the_commands_own_patience_and_exits() -> None:
    """A table, or the words that people write."""
    command = Command(start=("x",), leaves=SOCKS, patience=3.0, exits=("192.0.2.9",))
    assert (command.left.patience, command.left.exits) == (3.0, ("192.0.2.9",))
    assert Command(start=("x",), leaves="iface:tun0").left.device == "tun0"
    assert Command(start=("x",), leaves="netns:vpn").left.netns == "vpn"


def test_it_is_made_from_a_plans_table() -> None:
    """Lists of words as TOML has them."""
    table = {"kind": "command", "start": ["a", "b c"], "stop": ["d"], "leaves": "iface:tun0"}
    command = build(TUNNELS, table, "plan.toml", "[[tunnel]] 1")
    assert command.start == ("a", "b c")
    assert command.ready == ()
    with pytest.raises(ConfigError, match=r"plan\.toml.*key `start`"):
        build(TUNNELS, {**table, "start": "a b"}, "plan.toml", "[[tunnel]] 1")


def test_nothing_that_may_be_secret_is_shown() -> None:
    """Words of commands may be, and logins are; that somebody's program is run is told."""
    command = Command(start=("/opt/vpn", "--token", "sesame"), leaves=SOCKS)
    assert "sesame" not in repr(command)
    assert command.notes() == ("runs vpn as it was told to",)


@pytest.mark.parametrize(
    ("fields", "said"),
    [
        ({"start": ()}, "names no program"),
        ({"start": ("", "x")}, "empty word"),
        ({"start": ("a\0",)}, "NUL"),
        ({"ready": ("",)}, "key `ready`"),
        ({"stop": ("x", "\0")}, "key `stop`"),
        ({"patience": float("nan")}, "patience"),
        ({"leaves": {"kind": "isolated"}}, "leaves no isolated"),
        ({"leaves": {}}, "without a kind"),
        ({"leaves": "iface:"}, "no name of a device"),
        ({"leaves": "no-such-file"}, "there is no file"),
        ({"leaves": {"kind": "socks", "url": "socks5://x"}}, "no port"),
        ({"leaves": {"kind": "socks", "address": "x"}}, "no such key"),
    ],
)
def test_what_cannot_be_right_is_refused(fields: dict[str, Any], said: str) -> None:
    """With the key, and with what would be right."""
    with pytest.raises(ConfigError, match=said):
        Command(**{"start": ("x",), "leaves": "iface:tun0", **fields})
