"""`circumtest check` in the network built by hand: what it says under each ruleset and fault."""

from collections.abc import Sequence

import pytest

from tests.live.network import STATE, Done, Network, as_user, become_user, circumtest, password

NEUTRAL = "tests/live/targets/neutral.toml"
SERVICES = [f"--target=tests/live/targets/{name}.toml" for name in ("calls", "chat", "stun")]
WIREGUARD = str(STATE / "client.conf")
WORKED = "Telegram calls: the first steps worked once"
FAILED = "Telegram calls: failed 3 of 3 (binding: generic_timeout_error) while a neutral place"


def check(network: Network, *words: str, user: Sequence[str] = ()) -> Done:
    argv = [*user, *circumtest("check"), "-y", f"--neutral={NEUTRAL}", *SERVICES, *words]
    done = network.at("home", *argv, timeout=90)
    told = done.stdout + done.stderr
    assert password() not in told
    assert "Traceback" not in told, told
    return done


def proxy(port: int, host: str = "203.0.113.10") -> str:
    return f"socks5://caller:{password()}@{host}:{port}"


def vpn(done: Done, name: str) -> str:
    """What was said of one VPN."""
    return done.stdout.partition(f"\nWith {name}\n")[2].partition("\n\n")[0]


# ------------------------------------------------------------------ rulesets


def test_where_nothing_is_forbidden_everything_works_and_no_vpn_is_needed(network: Network) -> None:
    done = check(network, "--vpn", WIREGUARD)
    assert done.returncode == 0
    assert WORKED in vpn(done, "client.conf")
    assert "you do not need it for that" in done.stdout


def test_an_ordinary_user_learns_the_same(network: Network) -> None:
    become_user(network)
    done = check(network, "--vpn", WIREGUARD, user=as_user())
    assert done.returncode == 0, done.stderr
    assert WORKED in vpn(done, "client.conf")


def test_set_ups_that_are_dropped_are_brought_back_by_both_vpns(network: Network) -> None:
    network.rules("set-ups")
    done = check(network, "--vpn", WIREGUARD, "--vpn", proxy(1080))
    assert FAILED in done.stdout
    assert "Telegram calls: restricted as you are." in done.stdout
    for name in ("client.conf", "your socks link"):
        assert WORKED in vpn(done, name)
        assert f"{name} brings back what Telegram calls begin with" in done.stdout


def test_a_vpn_that_is_blocked_as_well_does_not_help_and_the_proxy_does(network: Network) -> None:
    network.rules("ports-and-wireguard")
    done = check(network, "--vpn", WIREGUARD, "--vpn", proxy(1080))
    assert FAILED in done.stdout
    assert "is down, unreachable or blocked" in vpn(done, "client.conf")
    assert "your socks link brings back what Telegram calls begin with" in done.stdout


def test_a_freeze_is_beyond_what_first_steps_show(network: Network) -> None:
    network.rules("freeze")
    done = check(network)
    assert WORKED in done.stdout
    assert "restricted" not in done.stdout
    assert "Whether sound gets through is shown by your own mirror" in done.stdout


def test_an_allow_list_is_named_and_no_vpn_is_blamed(network: Network) -> None:
    network.rules("allow-list")
    done = check(network, "--vpn", WIREGUARD)
    assert "This network is an allow-list" in done.stdout
    assert "No VPN is to blame" in done.stdout
    assert "restricted as you are" not in done.stdout


# ------------------------------------------------------------------ faults of the network


@pytest.mark.parametrize(
    ("fault", "sentence", "code"),
    [
        ("portal", "A sign-in page stands in between", 4),
        ("no-network", "This machine has no network", 4),
        ("only-names", "Only names are answered here", 3),
    ],
)
def test_a_network_that_is_none_is_named(
    network: Network, fault: str, sentence: str, code: int
) -> None:
    network.fault(fault)
    done = check(network)
    assert sentence in done.stdout
    assert "restricted" not in done.stdout
    assert done.returncode == code


def test_a_service_that_is_down_is_suspected_only(network: Network) -> None:
    network.fault("endpoint-down")
    done = check(network, "--vpn", WIREGUARD)
    assert "restricted as you are" not in done.stdout
    assert "nobody can tell from here whether the service is up" in done.stdout


# ------------------------------------------------------------------ faults of tunnels


def test_a_key_that_the_server_does_not_know(network: Network) -> None:
    done = check(network, "--vpn", str(STATE / "stranger.conf"))
    assert "or does not know us" in vpn(done, "stranger.conf")


def test_a_password_that_is_wrong(network: Network) -> None:
    done = check(network, "--vpn", "socks5://caller:wrong@203.0.113.10:1080")
    assert "the proxy refuses the user or the password" in vpn(done, "your socks link")


def test_a_server_that_is_down(network: Network) -> None:
    network.fault("server-down")
    done = check(network, "--vpn", WIREGUARD)
    assert "is down, unreachable or blocked" in vpn(done, "client.conf")
    assert WORKED in done.stdout


def test_a_handshake_without_data(network: Network) -> None:
    network.fault("no-data")
    done = check(network, "--vpn", WIREGUARD)
    assert "The VPN says that it is up, and nothing comes through" in vpn(done, "client.conf")


def test_a_proxy_without_udp(network: Network) -> None:
    done = check(network, "--vpn", proxy(1081))
    told = vpn(done, "your socks link")
    assert "The VPN carries no UDP" in told
    assert "Signal messages: worked once" in told
    assert "your socks link carries no UDP: calls cannot use it" in done.stdout


def test_datagrams_that_come_back_from_elsewhere(network: Network) -> None:
    link = proxy(1082, "[2001:db8:a::10]")
    assert WORKED in vpn(check(network, "--vpn", link), "your socks link")
    network.fault("elsewhere")
    done = check(network, "--vpn", link)
    assert "Answers come back from another address" in vpn(done, "your socks link")


def test_a_vpn_behind_a_symmetric_nat(network: Network) -> None:
    assert "symmetric NAT" not in check(network, "--vpn", WIREGUARD).stdout
    network.fault("symmetric-vpn")
    done = check(network, "--vpn", WIREGUARD)
    assert "A symmetric NAT stands in between" in vpn(done, "client.conf")


def test_names_that_are_asked_for_beside_a_vpn_that_is_on(network: Network) -> None:
    with network.vpn():
        done = check(network, "--vpn", "iface:wg1")
    told = vpn(done, "wg1")
    assert "reached by eth0, not by wg1" in told
    assert WORKED in told
