"""The network itself, by the usual clients: what the tests of live mode stand on."""

import subprocess

import pytest

from tests.live.network import STATE, Network, password

WEB = "http://192.0.2.80/"
PROVIDER = "198.51.100.2"
SERVER = "203.0.113.10"


def curl(network: Network, *words: str) -> str:
    return network.at("home", "curl", "-sS", "--max-time", "3", *words).stdout.strip()


def stun(network: Network, host: str = "192.0.2.21", port: str = "3478") -> bool:
    """Is a Binding request answered?  coturn's own client, which waits for ever for more."""
    client = network.begin("home", "stdbuf", "-oL", "turnutils_stunclient", "-p", port, host)
    try:
        told, _ = client.communicate(timeout=2)
    except subprocess.TimeoutExpired:
        client.kill()
        told, _ = client.communicate()
    return "reflexive addr" in told


def nat(network: Network) -> str:
    """How the home router maps, by coturn's implementation of RFC 5780."""
    done = network.at(
        "home", "turnutils_natdiscovery", "-m", "-p", "3478", "192.0.2.21", timeout=20
    )
    return done.stdout + done.stderr


def by_socks(network: Network, host: str, port: int) -> str:
    done = network.at("home", "python3", "tests/live/udp_by_socks.py", host, str(port), password())
    return done.stdout + done.stderr


def test_it_is_all_there_over_both_families(network: Network) -> None:
    assert curl(network, WEB) == PROVIDER
    assert curl(network, "-k", "-6", "https://www.example/") == "2001:db8:1::2"
    assert curl(network, "-o/dev/null", "-w%{http_code}", f"{WEB}generate_204") == "204"
    assert stun(network)
    assert stun(network, "192.0.2.13", "1400")
    for resolver in ("192.168.1.1", "192.0.2.53"):
        told = network.at("home", "dig", "+short", f"@{resolver}", "turn2.example", "A").stdout
        assert told == "192.0.2.12\n"


def test_the_messengers_server_knows_its_users_and_names_its_realm(network: Network) -> None:
    knows = ("-u", "nobody", "-w", "knows", "-p", "1400", "-n", "1", "-y", "192.0.2.11")
    done = network.at("home", "turnutils_uclient", "-v", *knows)
    assert "Total lost packets 0 " in done.stdout
    log = (STATE / "messenger.log").read_text()
    assert "realm: telegram.org" in log


def test_wireguard_carries_and_leaves_by_the_servers_address(network: Network) -> None:
    with network.vpn():
        assert curl(network, WEB) == SERVER
        assert curl(network, "-k", "https://[2001:db8:c::80]/") == "2001:db8:a::10"
        assert stun(network)


def test_the_proxy_carries_streams_and_datagrams(network: Network) -> None:
    proxy = f"caller:{password()}@{SERVER}:1080"
    assert curl(network, "--socks5", proxy, WEB) == SERVER
    assert "97" not in curl(network, "--socks5", f"caller:wrong@{SERVER}:1080", WEB)
    assert by_socks(network, SERVER, 1080) == "from the relay\nanswered\n"


def test_one_proxy_carries_no_datagrams(network: Network) -> None:
    proxy = f"caller:{password()}@{SERVER}:1081"
    assert curl(network, "--socks5", proxy, WEB) == SERVER
    assert "refused with code 2" in by_socks(network, SERVER, 1081)


# ------------------------------------------------------------------ what the provider forbids


def test_set_ups_are_dropped_and_nothing_else(network: Network) -> None:
    network.rules("set-ups")
    assert not stun(network)
    assert curl(network, WEB) == PROVIDER
    assert network.counted("censor")[0] > 0
    with network.vpn():
        assert stun(network)


def test_ports_are_closed_and_wireguard_with_them(network: Network) -> None:
    network.rules("ports-and-wireguard")
    assert not stun(network)
    assert not stun(network, "192.0.2.11", "1400")
    assert curl(network, WEB) == PROVIDER
    with network.vpn():
        assert curl(network, WEB) == ""
        assert network.counted("censor")[1] > 0
    proxy = f"caller:{password()}@{SERVER}:1080"
    assert curl(network, "--socks5", proxy, WEB) == SERVER
    assert by_socks(network, SERVER, 1080) == "from the relay\nanswered\n"


def test_flows_freeze_after_25_packets(network: Network) -> None:
    network.rules("freeze")
    assert curl(network, WEB) == PROVIDER
    size = int(curl(network, "-o/dev/null", "-w%{size_download}", f"{WEB}large"))
    assert size < 1_000_000
    assert network.counted("censor")[0] > 0


def test_the_allow_list_passes_what_is_on_it_and_names(network: Network) -> None:
    network.rules("allow-list")
    assert curl(network, WEB) == PROVIDER
    assert curl(network, "http://192.0.2.81/") == ""
    assert not stun(network)
    told = network.at("home", "dig", "+short", "turn2.example", "A").stdout
    assert told == "192.0.2.12\n"


# ------------------------------------------------------------------ what breaks


def test_a_key_that_the_server_does_not_know_gets_no_answer(network: Network) -> None:
    with network.vpn("stranger.conf"):
        assert curl(network, WEB) == ""
        shaken = network.at("home", "wg", "show", "wg1", "latest-handshakes").stdout
        assert shaken.split()[-1] == "0"


def test_a_handshake_without_data(network: Network) -> None:
    network.fault("no-data")
    with network.vpn():
        assert curl(network, WEB) == ""
        shaken = network.at("home", "wg", "show", "wg1", "latest-handshakes").stdout
        assert shaken.split()[-1] != "0"


@pytest.mark.parametrize("fault", ["server-down", "no-network", "only-names"])
def test_a_vpn_without_its_server(network: Network, fault: str) -> None:
    with network.vpn():
        network.fault(fault)
        assert curl(network, WEB) == ""


def test_only_names_are_names(network: Network) -> None:
    network.fault("only-names")
    assert curl(network, "https://www.example/") == ""
    assert network.at("home", "dig", "+short", "www.example", "A").stdout == "192.0.2.80\n"


def test_datagrams_come_back_from_elsewhere(network: Network) -> None:
    assert by_socks(network, "2001:db8:a::10", 1082) == "from the relay\nanswered\n"
    network.fault("elsewhere")
    told = by_socks(network, "2001:db8:a::10", 1082)
    assert told == "from elsewhere: 2001:db8:a::11\nanswered\n"


def test_small_packets_pass_the_black_hole_and_large_ones_do_not(network: Network) -> None:
    network.fault("black-hole")
    with network.vpn():
        assert curl(network, WEB) == SERVER
        size = curl(network, "-o/dev/null", "-w%{size_download}", f"{WEB}large")
        assert int(size) < 1_000_000
        network.at("home", "ip", "link", "set", "wg1", "mtu", "1248")
        size = curl(network, "-o/dev/null", "-w%{size_download}", f"{WEB}large")
        assert int(size) == 1_000_000


def test_the_router_maps_by_destination_only_when_that_is_its_fault(network: Network) -> None:
    assert "NAT with Endpoint Independent Mapping" in nat(network)
    network.fault("symmetric-nat")
    assert "NAT with Address and Port Dependent Mapping" in nat(network)


def test_the_hotel_answers_for_everybody(network: Network) -> None:
    network.fault("portal")
    told = network.at("home", "dig", "+short", "turn2.example", "A").stdout
    assert told == "192.168.1.1\n"
    code = curl(network, "-o/dev/null", "-w%{http_code}", f"{WEB}generate_204")
    assert code == "302"
    assert not stun(network)


def test_the_messengers_servers_stop(network: Network) -> None:
    network.fault("endpoint-down")
    assert not stun(network, "192.0.2.11", "1400")
    assert stun(network)
    network.sh("mend")
    assert stun(network, "192.0.2.11", "1400")


def test_down_leaves_nothing_and_up_works_again(network: Network) -> None:
    network.sh("down")
    assert not STATE.exists()
    assert network.at("home", "true").returncode != 0
    network.sh("up")
    network.sh("up")
    assert curl(network, WEB) == PROVIDER
