"""`circumtest run --live` and `run --mirror` in the network built by hand: every verdict right."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.live.network import STATE, Done, Network, circumtest, password

NEUTRAL = "tests/live/targets/neutral.toml"
WIREGUARD = "client.conf"


@pytest.fixture
def config(tmp_path: Path) -> Path:
    """The VPN's configuration where people keep them."""
    file = tmp_path / WIREGUARD
    file.write_text((STATE / WIREGUARD).read_text())
    return file


@pytest.fixture
def token(network: Network, tmp_path: Path) -> Iterator[Path]:
    """A mirror that runs abroad; its token in a file."""
    serve = circumtest("serve", "--name", "203.0.113.20", "--token", str(tmp_path / "kept"))
    mirror = network.begin("mirror", *serve)
    assert mirror.stdout is not None
    said = mirror.stdout.readline()
    while not said.startswith("203.0.113.20:"):
        assert said, "the mirror ended"
        said = mirror.stdout.readline()
    file = tmp_path / "token"
    file.write_text(said)
    yield file
    assert mirror.poll() is None, "the mirror ended by itself"


def run(network: Network, folder: Path, *words: str) -> Done:
    argv = circumtest("run", *words, f"--neutral={NEUTRAL}", "-y", "-o", str(folder))
    done = network.at("home", *argv, timeout=600)
    assert "Traceback" not in done.stderr, done.stderr
    for file in folder.iterdir():  # neither the proxy's password nor where the person is
        for secret in (password(), "198.51.100.2"):
            assert file.is_dir() or secret.encode() not in file.read_bytes(), file.name
    return done


def live(network: Network, folder: Path, *words: str) -> Done:
    return run(network, folder, "--live", "tests/live/plans/live.toml", *words)


def mirrored(network: Network, folder: Path, token: Path, *words: str) -> Done:
    return run(network, folder, "--mirror", str(token), "tests/live/plans/mirror.toml", *words)


def said(network: Network, folder: Path) -> str:
    """The comparison of a run; 3 says that nothing is conclusive."""
    done = network.at("home", *circumtest("compare", str(folder)))
    assert done.returncode in (0, 3), done.stderr
    return done.stdout


def row(told: str, name: str) -> str:
    return next(line for line in told.splitlines() if line.startswith(f"{name} "))


# ------------------------------------------------------------------ services that strangers ask


def test_what_nobody_forbids_needs_no_vpn(network: Network, tmp_path: Path, config: Path) -> None:
    assert live(network, tmp_path / "run", "--vpn", str(config)).returncode == 0
    told = said(network, tmp_path / "run")
    assert row(told, "telegram-call-turn").split()[1:] == ["works", "not-needed"]
    assert "no call was made" in told


def test_a_set_up_that_is_dropped_is_brought_back(
    network: Network, tmp_path: Path, config: Path
) -> None:
    network.rules("set-ups")
    assert live(network, tmp_path / "run", "--vpn", str(config)).returncode == 0
    told = row(said(network, tmp_path / "run"), "telegram-call-turn")
    assert "restricted at binding (silent)" in told
    assert told.endswith("bypasses")


def test_a_service_that_is_down_is_not_called_blocked(
    network: Network, tmp_path: Path, config: Path
) -> None:
    network.fault("endpoint-down")
    live(network, tmp_path / "run", "--vpn", str(config))
    told = said(network, tmp_path / "run")
    assert "restricted" not in row(told, "telegram-call-turn")
    assert row(told, "telegram-call-turn").endswith("inconclusive(endpoint)")


@pytest.mark.parametrize("place", ["allow-list", "portal", "no-network", "only-names"])
def test_where_there_is_no_network_nothing_is_tried(
    network: Network, tmp_path: Path, config: Path, place: str
) -> None:
    if place == "allow-list":
        network.rules(place)
    else:
        network.fault(place)
    done = live(network, tmp_path / "run", "--vpn", str(config))
    assert done.returncode in (3, 4)
    told = said(network, tmp_path / "run")
    assert row(told, "telegram-call-turn").endswith("inconclusive(environment)")


# ------------------------------------------------------------------ whole calls to a mirror


def test_a_call_that_is_dropped_by_its_content(
    network: Network, tmp_path: Path, config: Path, token: Path
) -> None:
    network.rules("set-ups")
    assert mirrored(network, tmp_path / "run", token, "--vpn", str(config)).returncode == 0
    told = said(network, tmp_path / "run")
    assert row(told, "whatsapp-call").endswith("bypasses")
    assert "restricted at allocate (silent)" in row(told, "whatsapp-call")
    assert row(told, "whatsapp-call~inverted").split()[1] == "works"
    assert "triggered by content" in told
    assert "never shows that the real service is not blocked" in told


def test_a_call_that_is_dropped_by_its_port(network: Network, tmp_path: Path, token: Path) -> None:
    network.rules("ports-and-wireguard")
    link = f"socks5://caller:{password()}@203.0.113.10:1080"
    assert mirrored(network, tmp_path / "run", token, "--vpn", link).returncode == 0
    told = said(network, tmp_path / "run")
    assert row(told, "whatsapp-call").endswith("bypasses")
    assert "by port" in told


def test_a_call_that_freezes(network: Network, tmp_path: Path, config: Path, token: Path) -> None:
    network.rules("freeze")
    mirrored(network, tmp_path / "run", token, "--vpn", str(config))
    told = row(said(network, tmp_path / "run"), "whatsapp-call")
    assert "frozen after" in told
    assert "bypasses" not in told.replace("does-not-bypass", "")


def test_a_wrong_token_is_nobodys_block(
    network: Network, tmp_path: Path, config: Path, token: Path
) -> None:
    token.write_text("203.0.113.20:" + "a" * 32 + "\n")
    mirrored(network, tmp_path / "run", token, "--vpn", str(config), "--blocks", "1")
    told = said(network, tmp_path / "run")
    assert "restricted at" not in told
    assert "inconclusive" in row(told, "whatsapp-call")
