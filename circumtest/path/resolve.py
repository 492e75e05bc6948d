"""The one place where the name of a tunnel's server becomes an address.

It refuses to resolve anything else: what is called is given by address, and inside a tunnel nothing
is resolved.  In the lab there is no resolver, and a name fails at once.
"""

import asyncio
import ipaddress
import socket

from circumtest.model import Address
from circumtest.netns import Netns


async def resolve(underlay: Netns, host: str, port: int, timeout: float) -> Address:
    """The address of `host`, asked for from `underlay`; an IP address is given back as it is.

    Raises OSError when it cannot be resolved, TimeoutError after `timeout` seconds.
    """
    try:
        return Address(str(ipaddress.ip_address(host)), port)
    except ValueError:
        pass
    async with asyncio.timeout(timeout):
        found = await underlay.acall(socket.getaddrinfo, host, port, type=socket.SOCK_DGRAM)
    return Address(str(found[0][4][0]), port)
