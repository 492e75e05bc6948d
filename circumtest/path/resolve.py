"""The one place where the name of a tunnel's server becomes an address.

It refuses to resolve anything else: what is called is given by address, and inside a tunnel nothing
is resolved.  In the lab there is no resolver, and a name costs the patience of its own cell.
"""

import asyncio
import ipaddress
import socket
import threading
from concurrent.futures import Future

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
    answer: Future[str] = Future()
    # A look-up cannot be interrupted, so it gets a thread to be left behind: on the namespace's own
    # it would hold up every socket there.  Started by that one it is born in the namespace, which
    # an ordinary user may not be allowed to enter.
    looking = threading.Thread(
        target=_look_up, args=(host, answer), name=f"resolve {host}", daemon=True
    )
    await underlay.acall(looking.start)
    async with asyncio.timeout(timeout):
        return Address(await asyncio.wrap_future(answer), port)


def _look_up(host: str, answer: "Future[str]") -> None:
    answer.set_running_or_notify_cancel()
    try:
        found = socket.getaddrinfo(host, None, type=socket.SOCK_DGRAM)
    except OSError as error:
        answer.set_exception(error)
    else:
        answer.set_result(str(found[0][4][0]))
