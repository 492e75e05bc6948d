"""Handshakes fitted to a mirror: services of several hosts at one that may have a single address.

It refuses to change what is sent to one host: fewer of them are asked, that is all.
"""

import dataclasses
from collections.abc import Sequence
from typing import Any

from circumtest.handshakes import whatsapp_message
from circumtest.model import Address
from circumtest.script import Handshake, Relayed

COUNTS = ("relays", "reflectors", "servers")
"""Fields that say at how many hosts a call asks: each is a place of its own, at its own address."""


def fitted(
    handshake: Handshake, addresses: Sequence[str], secret: str = ""
) -> tuple[Handshake, tuple[Address, ...]]:
    """The handshake as it can be played at a mirror with these addresses, and its target.

    Those of the first one's version are used.  `secret` is the mirror's, "" for the one that it has
    already.  Raises ValueError without an address.
    """
    if not addresses:
        raise ValueError("a mirror has an address")
    version = Address(addresses[0], 0).version
    hosts = [host for host in dict.fromkeys(addresses) if Address(host, 0).version == version]
    made: Any = handshake
    fields = {field.name for field in dataclasses.fields(made)}
    changed: dict[str, Any] = {}
    if secret and "secret" in fields:
        changed["secret"] = secret
    if isinstance(made, whatsapp_message.WhatsappMessage):
        changed["root"] = whatsapp_message.root(secret or made.secret)
    for name in COUNTS:
        if name in fields:
            changed[name] = min(getattr(made, name), len(hosts))
    made = dataclasses.replace(made, **changed)
    places = [hosts[at % len(hosts)] for at in range(made.listen.hosts)]
    target = [Address(host, made.listen.port) for host in places]
    if isinstance(made, Relayed):
        # He is behind the relay, whatever he is called: any address that may be named will do.
        target.append(Address(hosts[0], made.callee_listen.port))
    return made, tuple(target)
