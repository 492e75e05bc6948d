"""These tests make namespaces: they run in the private world only."""

import pytest

from circumtest import sandbox


def pytest_sessionstart() -> None:
    """Say in one sentence how to run them, instead of failing in many."""
    if not sandbox.inside():
        pytest.exit(
            "tests/lab makes network namespaces: run it with scripts/lab-test", returncode=2
        )
