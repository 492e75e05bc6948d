"""The client of a mirror: says hello over a path.

It refuses to look names up: who gives a token with a name gives the address beside it.
"""

import os
from random import Random

from circumtest.errors import HandshakeFailed, TunnelDown
from circumtest.mirror.hello import hello as script
from circumtest.mirror.inventory import Inventory
from circumtest.mirror.token import Token
from circumtest.model import Address, Failure, Invalid, Transport, TunnelFault
from circumtest.path import Path
from circumtest.play import play

PORTS = {Transport.UDP: 3478, Transport.TCP: 443}
"""Where hello is said by default: every mirror that may have these ports has them."""


async def hello(
    path: Path,
    token: Token,
    transport: Transport = Transport.UDP,
    port: int = 0,
    host: str = "",
) -> Inventory:
    """What the mirror offers; from then on it knows the path's exit for ten minutes.

    `port` 0 is PORTS'; `host` is the mirror's address where the token has its name.  Raises
    HandshakeFailed for what the network did, TIMEOUT for silence (no mirror, another token, or
    somebody between), TunnelDown where the path is at fault.
    """
    told: list[Inventory] = []
    remote = Address(host or token.host, port or PORTS[transport])
    rng = Random(os.urandom(16))
    record = await play(script(remote, transport, token.secret, rng, told.append), path)
    match record.outcome:
        case Failure(cause=cause, detail=detail):
            raise HandshakeFailed(cause, detail)
        case Invalid(reason=reason, fault=fault, detail=detail, evidence=evidence):
            raise TunnelDown(fault or TunnelFault.WRONG_SOURCE, detail or reason, evidence)
    return told[0]
