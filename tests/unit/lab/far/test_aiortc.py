"""aiortc's far end: what is said where it cannot be."""

import asyncio
from typing import Any

import pytest

from circumtest.errors import EnvironmentUnfit
from circumtest.handshakes.webrtc import Webrtc
from circumtest.lab.far.aiortc import Aiortc
from circumtest.model import Address


def test_a_machine_without_aiortc_is_told_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    """Before anything is started."""
    monkeypatch.setattr("circumtest.lab.far.aiortc.find_spec", lambda name: None)
    nowhere: Any = None

    async def scene() -> None:
        async with Aiortc().serve(nowhere, Webrtc(), [Address("203.0.113.10", 40000)]):
            raise AssertionError

    with pytest.raises(EnvironmentUnfit, match="aiortc") as caught:
        asyncio.run(scene())
    assert "pip install" in caught.value.remedy
