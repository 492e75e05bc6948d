"""Which tunnels are meant by what somebody types."""

import pytest

from circumtest.errors import ConfigError
from circumtest.plan import load
from circumtest.standing.tunnels import PLAN, chosen, known, rooms

ALL = load(PLAN)


def test_a_tunnel_is_meant_by_its_name_or_its_kind() -> None:
    """Of a kind the first one; nobody wants the same twice."""
    assert chosen(ALL, ["wireguard", "openvpn", "openvpn-udp", "socks-tcp"]) == (
        "wireguard",
        "openvpn-udp",
        "socks-tcp",
    )


@pytest.mark.parametrize(
    ("asked", "words"),
    [
        ("wiregard", "there is no such tunnel\n  did you mean 'wireguard'"),
        ("none", "has no server in the lab"),
        ("amneziawg", "has no server in the lab"),
    ],
)
def test_what_is_none_of_the_labs_is_refused(asked: str, words: str) -> None:
    """With what was probably meant."""
    with pytest.raises(ConfigError, match="--tunnel") as caught:
        chosen(ALL, [asked])
    assert words in str(caught.value)


def test_the_first_room_is_called_inside_and_the_others_after_their_tunnel() -> None:
    """So that most people never need to know."""
    assert rooms(["a", "b"]) == {"a": "inside", "b": "inside-b"}


def test_every_tunnel_of_the_plan_but_the_controls_has_a_server() -> None:
    """They can all be stood up."""
    assert set(known(ALL)) >= {"wireguard", "openvpn-udp", "tor", "vless-reality", "chain"}
    assert "isolated" not in known(ALL)
