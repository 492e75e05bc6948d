"""The teeth table of the simulator: what each policy breaks, where and how.

What is not named here succeeds.  Rows are handshakes (`ROWS` of test_teeth) and flows that are none
(`tests.sim.flows`).
"""

from circumtest.model import Cause, Stage

Breaks = dict[str, tuple[Stage, Cause]]

_SILENT = (Stage.CONNECTIVITY, Cause.TIMEOUT)
_FROZEN = (Stage.SUSTAIN, Cause.FROZEN)
_SEPTEMBER: Breaks = {
    "telegram-call-turn": (Stage.BINDING, Cause.TIMEOUT),
    "telegram-call-udp": (Stage.BINDING, Cause.TIMEOUT),
    "whatsapp-call": (Stage.ALLOCATE, Cause.TIMEOUT),
    "stun-binding on 1400": (Stage.BINDING, Cause.TIMEOUT),
    "telegram's relay, and again": _SILENT,
}
BREAKS: dict[str, Breaks] = {
    "calls-and-wireguard": {
        **_SEPTEMBER,
        "wireguard": _SILENT,
    },
    "clean": {},
    "ech-2024": {
        "tls to cloudflare-ech.com with ech": _SILENT,
    },
    "gfw-fep-2023": {
        "random bytes to the exit, 30 at once": _SILENT,
    },
    "iran-protocol-whitelist": {
        "telegram-message": (Stage.SIGNALLING, Cause.TIMEOUT),
        "whatsapp-message": (Stage.SIGNALLING, Cause.TIMEOUT),
        "a stream of its own on 443": _SILENT,
        "ssh on 443": _SILENT,
    },
    "l4-25": {
        "discord-voice": _FROZEN,
        "meet-call": _FROZEN,
        "messenger-call": _FROZEN,
        "recorded": _FROZEN,
        "signal-call": _FROZEN,
        "sip": _FROZEN,
        "telegram-call-tcp": _FROZEN,
        "telegram-call-turn": _FROZEN,
        "telegram-call-udp": _FROZEN,
        "turn": _FROZEN,
        "webrtc": _FROZEN,
        "whatsapp-call": _FROZEN,
        "zoom-call": _FROZEN,
        "turn over TCP": _FROZEN,
        "turn over TLS": _FROZEN,
        "sip over TCP": _FROZEN,
        "sip over TLS": _FROZEN,
        "webrtc as pion": _FROZEN,
        "webrtc as chromium": _FROZEN,
        "meet-call as pion": _FROZEN,
        "tls to twitter.com, much": _SILENT,
        "tls, much": _SILENT,
        "datagrams": _SILENT,
    },
    "lossy-clean": {},
    "mobile-whitelist": {
        "discord-voice": (Stage.BINDING, Cause.TIMEOUT),
        "echo": _SILENT,
        "meet-call": (Stage.BINDING, Cause.TIMEOUT),
        "messenger-call": (Stage.ALLOCATE, Cause.TIMEOUT),
        "recorded": _SILENT,
        "signal-call": (Stage.ALLOCATE, Cause.TIMEOUT),
        "sip": (Stage.SIGNALLING, Cause.TIMEOUT),
        "stun-binding": (Stage.BINDING, Cause.TIMEOUT),
        "telegram-call-tcp": _SILENT,
        "telegram-call-turn": (Stage.BINDING, Cause.TIMEOUT),
        "telegram-call-udp": (Stage.BINDING, Cause.TIMEOUT),
        "signal-message": (Stage.SIGNALLING, Cause.TIMEOUT),
        "telegram-message": (Stage.SIGNALLING, Cause.TIMEOUT),
        "turn": (Stage.ALLOCATE, Cause.TIMEOUT),
        "webrtc": (Stage.SIGNALLING, Cause.TIMEOUT),
        "whatsapp-call": (Stage.ALLOCATE, Cause.TIMEOUT),
        "whatsapp-message": (Stage.SIGNALLING, Cause.TIMEOUT),
        "zoom-call": (Stage.BINDING, Cause.TIMEOUT),
        "echo over TCP": _SILENT,
        "stun-binding on 1400": (Stage.BINDING, Cause.TIMEOUT),
        "turn over TCP": (Stage.ALLOCATE, Cause.TIMEOUT),
        "turn over TLS": (Stage.ALLOCATE, Cause.TIMEOUT),
        "sip over TCP": (Stage.SIGNALLING, Cause.TIMEOUT),
        "sip over TLS": (Stage.SIGNALLING, Cause.TIMEOUT),
        "webrtc as pion": (Stage.SIGNALLING, Cause.TIMEOUT),
        "webrtc as chromium": (Stage.SIGNALLING, Cause.TIMEOUT),
        "meet-call as pion": (Stage.BINDING, Cause.TIMEOUT),
        "wireguard": _SILENT,
        "openvpn over UDP": _SILENT,
        "openvpn over TCP": _SILENT,
        "random bytes": _SILENT,
        "tls": _SILENT,
        "tls to blocked.example": _SILENT,
        "tls to blocked.example, much": _SILENT,
        "tls to twitter.com": _SILENT,
        "tls to twitter.com, much": _SILENT,
        "tls to cloudflare-ech.com": _SILENT,
        "tls to cloudflare-ech.com with ech": _SILENT,
        "tls, much": _SILENT,
        "a browser's tls": _SILENT,
        "a browser's tls, 14 at once": _SILENT,
        "openssl's tls, 14 at once": _SILENT,
        "http": _SILENT,
        "a stream of its own on 443": _SILENT,
        "ssh on 443": _SILENT,
        "ssh": _SILENT,
        "random bytes to the exit, 30 at once": _SILENT,
        "tls to the exit, 30 at once": _SILENT,
        "telegram's relay, and again": _SILENT,
        "quic": _SILENT,
        "tls within a tunnel": _SILENT,
        "datagrams": _SILENT,
    },
    "open": {},
    "quic-2022": {
        "quic": _SILENT,
    },
    "ru-calls-2025-08": {
        "telegram-call-udp": (Stage.MEDIA_UP, Cause.LOSSY),
        "whatsapp-call": (Stage.MEDIA_UP, Cause.LOSSY),
    },
    "ru-calls-2025-09": _SEPTEMBER,
    "ru-calls-2026-dest": {
        "telegram's relay, and again": _SILENT,
    },
    "ru-dtls-pion-2026": {
        "webrtc as pion": (Stage.DTLS, Cause.TIMEOUT),
        "meet-call as pion": (Stage.DTLS, Cause.TIMEOUT),
    },
    "ru-openvpn": {
        "openvpn over UDP": _SILENT,
        "openvpn over TCP": _SILENT,
    },
    "ru-wireguard-2023": {
        "wireguard": _SILENT,
    },
    "siberian": {
        "a browser's tls, 14 at once": _SILENT,
    },
    "sni-i": {
        "tls to blocked.example": (Stage.CONNECTIVITY, Cause.RESET),
        "tls to blocked.example, much": (Stage.CONNECTIVITY, Cause.RESET),
    },
    "sni-ii": {
        "tls to blocked.example, much": _SILENT,
    },
    "sni-iii": {
        "tls to blocked.example, much": _SILENT,
    },
    "sni-iv": {
        "tls to blocked.example": _SILENT,
        "tls to blocked.example, much": _SILENT,
    },
    "tls-in-tls-2024": {
        "sip over TLS": (Stage.SIGNALLING, Cause.TIMEOUT),
        "tls within a tunnel": _SILENT,
    },
    "twitter-2021": {
        "tls to twitter.com, much": _SILENT,
    },
    "uae-voip": {
        "discord-voice": (Stage.BINDING, Cause.TIMEOUT),
        "meet-call": (Stage.BINDING, Cause.TIMEOUT),
        "messenger-call": (Stage.ALLOCATE, Cause.TIMEOUT),
        "recorded": _SILENT,
        "signal-call": (Stage.ALLOCATE, Cause.TIMEOUT),
        "sip": (Stage.SIGNALLING, Cause.TIMEOUT),
        "stun-binding": (Stage.BINDING, Cause.TIMEOUT),
        "telegram-call-turn": (Stage.BINDING, Cause.TIMEOUT),
        "turn": (Stage.ALLOCATE, Cause.TIMEOUT),
        "webrtc": _SILENT,
        "whatsapp-call": (Stage.ALLOCATE, Cause.TIMEOUT),
        "zoom-call": (Stage.BINDING, Cause.TIMEOUT),
        "stun-binding on 1400": (Stage.BINDING, Cause.TIMEOUT),
        "turn over TCP": (Stage.ALLOCATE, Cause.TIMEOUT),
        "sip over TCP": (Stage.SIGNALLING, Cause.TIMEOUT),
        "webrtc as pion": _SILENT,
        "webrtc as chromium": _SILENT,
        "meet-call as pion": (Stage.BINDING, Cause.TIMEOUT),
        "telegram's relay, and again": _SILENT,
    },
    "wa-oneway": {
        "whatsapp-call": (Stage.MEDIA_DOWN, Cause.NO_DOWNLINK),
    },
}
