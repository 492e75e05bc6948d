"""The wireguard-userspace tunnel: a wg-quick file, and what the stack inside says of targets."""

import errno

import pytest

from circumtest.errors import ConfigError
from circumtest.tunnels.wireguard_userspace import WireguardUserspace, of_target

KEY = "A" * 43 + "="
TEXT = f"""[Interface]
PrivateKey = {KEY}
Address = 10.0.0.2/32
PostUp = rm -rf /
[Peer]
PublicKey = {KEY}
AllowedIPs = 0.0.0.0/0
Endpoint = 192.0.2.1:51820
"""


def test_hooks_are_not_run_and_that_is_said() -> None:
    """As with WireGuard on a device."""
    assert "PostUp" in WireguardUserspace(text=TEXT).notes()[0]


@pytest.mark.parametrize(
    ("fields", "word"),
    [
        ({}, "config"),
        ({"config": "a.conf", "text": TEXT}, "config"),
        ({"config": "/nowhere/a.conf"}, "cannot be read"),
        ({"text": TEXT, "patience": 0.0}, "patience"),
        ({"text": TEXT.replace("[Peer]", "[Pear]")}, "Pear"),
        ({"text": TEXT.replace("PostUp = rm -rf /", "Jc = 4")}, "AmneziaWG"),
    ],
)
def test_what_cannot_be_right_is_refused_before_anything_starts(
    fields: dict[str, object], word: str
) -> None:
    """When it is made; no message tells a key."""
    with pytest.raises(ConfigError, match=word) as caught:
        WireguardUserspace(**fields)  # type: ignore[arg-type]

    assert KEY not in str(caught.value)


@pytest.mark.parametrize(
    ("why", "number"),
    [
        ("connect tcp 192.0.2.10:9: connection was refused", errno.ECONNREFUSED),
        ("connect tcp 192.0.2.10:9: no route to host", errno.EHOSTUNREACH),
        ("connect tcp 192.0.2.10:9: network is unreachable", errno.ENETUNREACH),
    ],
)
def test_a_refusal_is_the_word_of_the_target(why: str, number: int) -> None:
    """It is asked through the tunnel: here SOCKS does not speak of the server."""
    said = of_target(why)

    assert isinstance(said, OSError)
    assert said.errno == number


def test_silence_is_the_targets_too_and_a_new_word_is_left_to_socks() -> None:
    """Neither is guessed at."""
    assert isinstance(of_target("connect tcp 192.0.2.10:9: operation timed out"), TimeoutError)
    assert of_target("") is None
