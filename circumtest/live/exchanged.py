"""What is exchanged with an endpoint of a target: a handshake's part for strangers, or a control.

Its fields come from the file's options, and from the endpoint that it is made for: port and name.
It refuses handshakes that no stranger can honestly be answered by, by name and with the reason.
"""

import dataclasses
from collections.abc import Mapping
from ipaddress import ip_address
from typing import Any

from circumtest import registry
from circumtest.errors import ConfigError
from circumtest.live.control import CONTROLS
from circumtest.live.service import Reach
from circumtest.model import Carrier, Level, Stage
from circumtest.script import Handshake, Public

REFUSED: Mapping[str, str] = {
    "whatsapp-call": "what a relay says to a token that it did not give is not known, so silence"
    " would prove nothing: play it with a mirror (`run --mirror`)",
    "telegram-call-tcp": "a reflector says nothing over TCP until a peer sends, and which of them"
    " take TCP is not known: play it with a mirror (`run --mirror`)",
    "meet-call": "Google's servers answer a name that the signalling gave: without an account only"
    " their STUN answers, which target stun has",
    "zoom-call": "no address of a zone controller with a date is known",
    "discord-voice": "a voice server answers a number that the gateway gave to an account",
    "sip": "which server would be called depends on whose customer one is",
    "webrtc": "it is no service's",
    "turn": "it is no service's",
    "recorded": "a recording's secrets are not ours to say again to a real server",
    "echo": "it is answered by one's own mirror only",
}
"""Handshakes that have no `reach`, and why."""


@dataclasses.dataclass(frozen=True)
class At:
    """Which endpoint something is made for; "" and 0 for the service as a whole."""

    where: str
    place: str
    host: str = ""
    port: int = 0


def called(kind: str, options: Mapping[str, Any], at: At) -> Handshake:
    """The handshake of a service, as it is played with an endpoint.  Raises ConfigError."""
    if kind in REFUSED:
        problem = f"{kind} cannot be played with strangers"
        raise ConfigError(at.where, "key `handshake`", problem, REFUSED[kind])
    cls = registry.load(registry.HANDSHAKES, kind, at.where, "key `handshake`")
    table = {"kind": kind, **_own(cls, at), **options}
    handshake: Handshake = registry.build(registry.HANDSHAKES, table, at.where, at.place)
    if not isinstance(handshake, Public):
        problem = f"{kind} has nothing that goes without an account"
        raise ConfigError(at.where, "key `handshake`", problem, "see docs/targets.md")
    _check_name(handshake, at)
    return handshake


def controlled(kind: str, options: Mapping[str, Any], at: At) -> Handshake:
    """A neutral exchange, as it is played with an endpoint.  Raises ConfigError."""
    if kind not in CONTROLS:
        problem = f"no control is called {kind!r}"
        cure = registry.suggest(kind, CONTROLS)
        raise ConfigError(at.where, "[control], key `handshake`", problem, cure)
    cls = CONTROLS[kind]
    names = [field.name for field in dataclasses.fields(cls)]
    for key in options:
        if key not in names:
            cure = registry.suggest(key, names)
            raise ConfigError(at.where, f"{at.place}, key `{key}`", f"{kind} has no such key", cure)
    table = {**_own(cls, at), **options}
    control: Handshake = registry.convert(table, cls, at.where, at.place)
    _check_name(control, at)
    return control


def _own(cls: type[Any], at: At) -> dict[str, Any]:
    """The fields that the endpoint gives: its port, its name, and time to answer."""
    given: dict[str, Any] = {"level": str(Level.STANDARD)}
    if at.port:
        given["port"] = at.port
    if at.host and not is_address(at.host):
        given["host"] = at.host
    names = {field.name for field in dataclasses.fields(cls)}
    return {key: value for key, value in given.items() if key in names}


def _check_name(handshake: Any, at: At) -> None:
    """TLS is with somebody by name, unless he shows a key that a secret of ours gives."""
    tls = isinstance(handshake, CONTROLS["tls"]) and not handshake.secret
    tls = tls or getattr(handshake, "carrier", Carrier.UDP) is Carrier.TLS
    if tls and at.port and not getattr(handshake, "host", ""):
        cure = "a certificate is for a name: give one, or `host` in its options"
        raise ConfigError(at.where, at.place, f"TLS with {at.host}, an address", cure)


def is_address(text: str) -> bool:
    """Whether it is an IP address, and no name."""
    try:
        ip_address(text)
    except ValueError:
        return False
    return True


def exchanged(handshake: Handshake) -> tuple[tuple[Stage, ...], Reach]:
    """The stages that are reached there, and the script that reaches them."""
    if isinstance(handshake, Public):
        return handshake.reached, handshake.reach
    return handshake.stages, handshake.script
