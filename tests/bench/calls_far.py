"""The far end of many calls, in a process of its own: `-m tests.bench.calls_far CORE PORT HOST...`.

The answerer of the handshake on the lab's own sockets, at each of the hosts.  It says "ready" and
serves until it is killed.
"""

import asyncio
import gc
import os
import socket
import sys
from typing import cast

from circumtest import punctual
from circumtest.handshakes.whatsapp_call import WhatsappCall
from circumtest.lab.services import Services
from circumtest.model import Address, Transport
from circumtest.netns import Netns


class Here:
    """The namespace in which this process lives, as far as `Services` needs one."""

    def socket(self, family: socket.AddressFamily, kind: socket.SocketKind) -> socket.socket:
        """A socket that does not block."""
        sock = socket.socket(family, kind)
        sock.setblocking(False)
        return sock


async def main(hosts: list[str], port: int) -> None:
    """Answer at all of them."""
    with Services(cast(Netns, Here())) as services:
        at = [Address(host, port) for host in hosts]
        services.add(Transport.UDP, at, WhatsappCall().answerer())
        gc.freeze()
        print("ready", flush=True)
        await asyncio.Event().wait()


if __name__ == "__main__":
    os.sched_setaffinity(0, {int(sys.argv[1])})
    punctual.run(main(sys.argv[3:], int(sys.argv[2])))
