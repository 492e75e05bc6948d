"""SIP003: the plugins that shadowsocks-libev puts before itself, and the options they are given.

It refuses plugins that are not known, and options that a client has no use for or that would
change where packets go.
"""

import re

from circumtest.errors import ConfigError
from circumtest.registry import suggest

OBFS, V2RAY = "obfs-local", "v2ray-plugin"
_PLUGINS = {
    "obfs-local": OBFS,
    "simple-obfs": OBFS,
    "obfs": OBFS,
    "v2ray-plugin": V2RAY,
    "ss-v2ray-plugin": V2RAY,
}
_OPTIONS = {
    OBFS: ("obfs", "obfs-host"),
    V2RAY: ("tls", "host", "path", "mode", "mux", "cert", "certRaw"),
}
"""The options of a client that say what goes over the wire, and to whom."""
_TUNING = ("fast-open", "fastOpen", "loglevel", "t", "mptcp")


def plugin_of(
    plugin: str, options: str, where: str, place: str
) -> tuple[str, str, tuple[str, ...]]:
    """OBFS, V2RAY or "", the options that it is given, and what of them is left out.

    Raises ConfigError naming `where` and `place`.
    """
    if not plugin:
        if options:
            raise ConfigError(where, place, "has options for a plugin, and no plugin")
        return "", "", ()
    if plugin not in _PLUGINS:
        known = f"known are {', '.join(_PLUGINS)}; without it another protocol would be tested"
        raise ConfigError(where, place, "its plugin is not known", known)
    known_as = _PLUGINS[plugin]
    kept, left = [], []
    for option in re.findall(r"(?:\\.|[^;\\])+", options):
        key, _, value = option.partition("=")
        if key in _TUNING:
            left.append(f"plugin option {key}: ignored")
        elif key not in _OPTIONS[known_as]:
            problem = f"{plugin} has no option {key[:20]!r} for a client"
            raise ConfigError(where, place, problem, suggest(key, _OPTIONS[known_as]))
        else:
            _check_option(known_as, key, value, where, place)
            kept.append(option)
    if known_as == OBFS and not any(option.startswith("obfs=") for option in kept):
        raise ConfigError(where, place, "does not say which obfs", "obfs=http or obfs=tls")
    return known_as, ";".join(kept), tuple(left)


def _check_option(plugin: str, key: str, value: str, where: str, place: str) -> None:
    allowed = {
        (OBFS, "obfs"): ("http", "tls"),
        (V2RAY, "mode"): ("websocket", "quic"),
    }.get((plugin, key))
    if allowed and value not in allowed:
        problem = f"plugin option {key} is neither {' nor '.join(allowed)}"
        raise ConfigError(where, place, problem)
