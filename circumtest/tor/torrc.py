"""What people have for tor: a piece of torrc with bridges, or bridge lines and nothing else.

What says which relays are used is honoured; what concerns only the program's own affairs (its
ports, files, logs) is left out and said; what would send packets another way is refused.  It
refuses to run the programs that a file names: a transport's program is ours.
"""

import re
from dataclasses import dataclass

from circumtest.errors import ConfigError
from circumtest.registry import suggest
from circumtest.tor import bridge
from circumtest.tor.bridge import Bridge, OtherTransport

_HONOURED = (
    "EntryNodes",
    "MiddleNodes",
    "ExitNodes",
    "ExcludeNodes",
    "ExcludeExitNodes",
    "StrictNodes",
    "ClientUseIPv4",
    "ClientUseIPv6",
    "ClientPreferIPv6ORPort",
    "ReachableAddresses",
    "FascistFirewall",
    "FirewallPorts",
    "ConnectionPadding",
    "ReducedConnectionPadding",
)
_OWN_AFFAIRS = (
    "AutomapHostsOnResolve",
    "AvoidDiskWrites",
    "CacheDirectory",
    "ClientOnionAuthDir",
    "ClientOnly",
    "ControlPort",
    "ControlSocket",
    "CookieAuthFile",
    "CookieAuthentication",
    "DataDirectory",
    "DisableNetwork",
    "DNSPort",
    "GeoIPFile",
    "GeoIPv6File",
    "HardwareAccel",
    "HashedControlPassword",
    "HiddenServiceDir",
    "HiddenServicePort",
    "HiddenServiceVersion",
    "HTTPTunnelPort",
    "Log",
    "PidFile",
    "RunAsDaemon",
    "SafeLogging",
    "Sandbox",
    "SocksPolicy",
    "SocksPort",
    "TransPort",
    "User",
    "VirtualAddrNetworkIPv4",
    "VirtualAddrNetworkIPv6",
)
_BY_ANOTHER_WAY = (
    "HTTPProxy",
    "HTTPProxyAuthenticator",
    "HTTPSProxy",
    "HTTPSProxyAuthenticator",
    "OutboundBindAddress",
    "Socks4Proxy",
    "Socks5Proxy",
    "Socks5ProxyPassword",
    "Socks5ProxyUsername",
    "TCPProxy",
)
_ANOTHER_NETWORK = ("AlternateDirAuthority", "DirAuthority", "FallbackDir", "TestingTorNetwork")
_RELAYS = ("BridgeRelay", "DirPort", "ExitPolicy", "ExitRelay", "ORPort", "ServerTransportPlugin")
_OURS = ("Bridge", "UseBridges", "ClientTransportPlugin")

_KNOWN = {
    name.lower(): name
    for names in (_HONOURED, _OWN_AFFAIRS, _BY_ANOTHER_WAY, _ANOTHER_NETWORK, _RELAYS, _OURS)
    for name in names
}
_VALUE = re.compile(r"[A-Za-z0-9 ,.:;*/!${}~=?_\[\]-]+")
_TELLING = re.compile(r"\s*(?:Bridge|UseBridges|ClientTransportPlugin)\s", re.IGNORECASE)


@dataclass(frozen=True)
class Torrc:
    """The bridges to use, the other options as they are honoured, and what is left out."""

    bridges: tuple[Bridge, ...] = ()
    options: tuple[tuple[str, str], ...] = ()
    notes: tuple[str, ...] = ()


def is_torrc(text: str) -> bool:
    """Whether it is for tor: a keyword that nothing else has, or nothing but bridge lines."""
    lines = [line for line in map(str.strip, text.splitlines()) if line and line[0] != "#"]
    return bool(lines) and (
        any(_TELLING.match(line) for line in lines)
        # An address and a port alone may be anything's.
        or all(bridge.is_bridge(line) and " " in line for line in lines)
    )


def parse(text: str, where: str) -> Torrc:
    """Read it.  Raises ConfigError naming `where`, the line and what would be right."""
    bridges: list[Bridge] = []
    options: dict[str, str] = {}
    notes: dict[str, None] = {}
    unspoken: set[str] = set()
    use = True
    for number, line in enumerate(text.splitlines(), 1):
        place = f"line {number}"
        bare = line.partition("#")[0].strip()
        if not bare:
            continue
        if bridge.is_bridge(bare):
            bare = f"Bridge {bare}"
        word, _, value = bare.replace("\t", " ").partition(" ")
        name, value = _named(word, where, place), value.strip()
        if name == "Bridge":
            try:
                bridges.append(bridge.parse(value, where, f"{place}, Bridge"))
            except OtherTransport as other:
                unspoken.add(str(other))
        elif name == "UseBridges":
            if value not in ("0", "1"):
                raise ConfigError(where, f"{place}, UseBridges", "is neither 0 nor 1")
            use = value == "1"
        elif name in _HONOURED:
            options[name] = _value(value, where, f"{place}, {name}")
        else:
            notes[_note(name)] = None
    return _whole(bridges, options, notes, unspoken, use, where)


def _whole(
    bridges: list[Bridge],
    options: dict[str, str],
    notes: dict[str, None],
    unspoken: set[str],
    use: bool,
    where: str,
) -> Torrc:
    left_out = ", ".join(sorted(unspoken))
    if unspoken and not bridges:
        remedy = "bridges with obfs4, or without a transport, are"
        raise ConfigError(where, "", f"bridges with {left_out} are not spoken here", remedy)
    if unspoken:
        notes[f"bridges with {left_out} are left out: only obfs4 is spoken"] = None
    if bridges and not use:
        notes["the bridges are not used: UseBridges is 0"] = None
        bridges = []
    return Torrc(tuple(bridges), tuple(options.items()), tuple(notes))


def _named(word: str, where: str, place: str) -> str:
    name = _KNOWN.get(word.lower())
    if name is None:
        if word.startswith("%"):
            raise ConfigError(where, place, "other files are not read", "write it into this one")
        # A word that looks like no option may be a piece of a secret.
        shown = repr(word) if re.fullmatch(r"[A-Za-z0-9]{1,40}", word) else "the line"
        remedy = suggest(word[:40], _KNOWN.values())
        raise ConfigError(where, place, f"{shown} is no option that is known here", remedy)
    if name in _BY_ANOTHER_WAY:
        problem = f"{name} sends tor's packets another way"
        raise ConfigError(where, place, problem, "chain the proxy before it instead")
    if name in _ANOTHER_NETWORK:
        problem = f"{name} makes it another network than Tor's"
        raise ConfigError(where, place, problem, "give it in the key `authorities` if it is meant")
    if name in _RELAYS:
        raise ConfigError(where, place, f"{name} is a relay's", "a client's torrc has none")
    return name


def _value(value: str, where: str, place: str) -> str:
    if not _VALUE.fullmatch(value):
        raise ConfigError(where, place, "has a value that torrc does not have there")
    return value


def _note(name: str) -> str:
    if name == "ClientTransportPlugin":
        return "ClientTransportPlugin is not run: obfs4 is spoken by the system's obfs4proxy"
    return f"{name} is ignored: ports, files and logs are circumtest's own"
