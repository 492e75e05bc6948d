"""These tests need the network of `network.sh`, and the world of `scripts/live-test`."""

from collections.abc import Iterator

import pytest

from tests.live.network import WORLD, Network


def pytest_sessionstart() -> None:
    """Say in one sentence how to run them, instead of failing in many."""
    if not WORLD.exists():
        pytest.exit(
            "tests/live builds a network by hand: run it with scripts/live-test", returncode=2
        )


@pytest.fixture(scope="session")
def _built() -> Iterator[Network]:
    network = Network()
    network.sh("up")
    yield network
    network.sh("down")


@pytest.fixture
def network(_built: Network) -> Iterator[Network]:
    """The network, open and whole, whatever the test before did to it."""
    _built.sh("mend")
    _built.sh("rules", "open")
    yield _built
    _built.end()
