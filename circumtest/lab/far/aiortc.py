"""aiortc as the far person of a WebRTC call: a real peer connection for every offer.

The program is `circumtest.lab.far.aiortc_peer`, started in the services' namespace: aiortc looks
for a machine's addresses itself.  It refuses nobody who offers: it is for the lab only.
"""

import sys
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from importlib.util import find_spec
from typing import Any

from circumtest.errors import EnvironmentUnfit
from circumtest.lab.far import Site
from circumtest.listening import listening
from circumtest.model import Address
from circumtest.process import daemon, private_dir
from circumtest.script import Handshake

START = 30.0
"""Seconds that it may take to listen: PyAV alone takes one or two to load."""


@dataclass(frozen=True)
class Aiortc:
    """Nothing to choose: addresses, port and secret are the handshake's."""

    @asynccontextmanager
    async def serve(
        self, lab: Site, handshake: Handshake, target: Sequence[Address]
    ) -> AsyncIterator[None]:
        """Ready when its signalling listens, which it does last."""
        if find_spec("aiortc") is None:
            raise EnvironmentUnfit("aiortc is not installed", "pip install 'circumtest[lab]'")
        own: Any = handshake
        desk = Address(target[0].host, handshake.also[0].port)
        with private_dir() as place:
            (place / "secret").write_text(own.secret)
            program = [sys.executable, "-m", "circumtest.lab.far.aiortc_peer"]
            argv = [*program, str(place / "secret"), desk.host, str(desk.port)]
            async with daemon(lab.services, argv, name="aiortc") as process:
                await listening(lab.services, desk, process, START)
                yield
