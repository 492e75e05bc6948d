"""ICE connectivity checks as values: which attributes, in which order, in which dialect.

It refuses to run ICE: pairs, nomination and timers are not bytes.
Source: RFC 8445 section 7, and captures: tgcalls v2 (2026-11), Chromium 156 (2026-11), aioice 0.13
(2026-11), Google Meet (2022).
"""

from dataclasses import dataclass

from circumtest.wire import stun

USERNAME = 0x0006
PRIORITY = 0x0024
USE_CANDIDATE = 0x0025
ICE_CONTROLLED = 0x8029
ICE_CONTROLLING = 0x802A
NOMINATION = 0xC001
"""libwebrtc's renomination: a number that grows, in place of USE-CANDIDATE."""
NETWORK_INFO = 0xC057
MISC_INFO = 0xC059
"""What libwebrtc says that it can do: version 1 of its short ping."""
ROLE_CONFLICT = 487

LETTERS = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/"
"""ice-char (RFC 8839 5.4); libwebrtc draws its transaction ids from them, too."""
PASSWORD = 24
"""Letters of a password, as libwebrtc draws them; 22 is the least (RFC 8839 5.4)."""


@dataclass(frozen=True, slots=True)
class Dialect:
    """How one implementation writes its checks, and when.

    `network` is NETWORK-INFO's value, none where empty; `misc` says MISC-INFO in checks that do not
    nominate.  `renominate` nominates by NOMINATION instead of USE-CANDIDATE; `aggressive` nominates
    with every check, otherwise one check does that follows an answered one (8.1.1).  `letters`: ids
    are base64 letters.  `blank`: the tie-breaker is 0.  Unanswered, checks are made again, with ids
    of their own, after `interval` seconds; consent is renewed every `consent` seconds.
    """

    network: bytes
    priority: int
    misc: bool
    renominate: bool
    aggressive: bool
    letters: bool
    blank: bool
    interval: float
    consent: tuple[float, float]

    def check(
        self, tid: bytes, username: bytes, role: "Role", *, nominate: bool = False
    ) -> stun.Message:
        """A Binding request in this dialect."""
        nomination: tuple[tuple[int, bytes], ...] = ()
        if nominate:
            one = (NOMINATION, b"\0\0\0\1") if self.renominate else (USE_CANDIDATE, b"")
            nomination = (one,)
        network = ((NETWORK_INFO, self.network),) if self.network else ()
        misc = ((MISC_INFO, b"\0\1"),) if self.misc and not nominate else ()
        priority = (PRIORITY, self.priority.to_bytes(4))
        said: tuple[tuple[int, bytes], ...] = (role.attribute, *nomination, priority, *misc)
        return stun.Message(stun.BINDING, tid, ((USERNAME, username), *network, *said))


@dataclass(frozen=True, slots=True)
class Role:
    """Who chooses the pair, and the number that settles it when both would (RFC 8445 5.2)."""

    controlling: bool
    tie_breaker: int = 0

    @property
    def attribute(self) -> tuple[int, bytes]:
        kind = ICE_CONTROLLING if self.controlling else ICE_CONTROLLED
        return kind, self.tie_breaker.to_bytes(8)


# Unanswered, libwebrtc asks every 48 ms; its consent is the 2.5 s ping of a stable connection.
TGCALLS = Dialect(
    bytes.fromhex("00030032"), 0x6E7F0300, False, True, False, True, True, 0.048, (2.5, 2.5)
)
"""libwebrtc as Telegram's calls have it: 96 bytes for two 4-letter fragments, 104 to nominate."""
CHROMIUM = Dialect(
    bytes.fromhex("000003e7"), 0x6E001EFF, False, False, True, True, False, 0.048, (2.5, 2.5)
)
"""Chromium 156: 100 bytes from the controlling side, all of which nominate; 96 from the other."""
MEET = Dialect(
    bytes.fromhex("0003000a"), 0x6E7F1EFF, True, True, False, True, False, 0.048, (2.5, 2.5)
)
"""Chromium towards Google Meet's relay: 124 bytes for fragments of 26 and 4 letters."""
PLAIN = Dialect(b"", 0x6EFFFFFF, False, False, False, False, False, 0.5, (4.0, 6.0))
"""RFC 8445 and RFC 7675 and nothing else: 88 bytes for two 4-letter fragments."""


def pack_check(tid: bytes, username: bytes, key: bytes, *, controlling: bool) -> bytes:
    """A Binding request: 96 bytes for the 9-byte user name of two 4-letter fragments.

    `key` is the password of the peer that is asked.
    """
    return stun.pack(TGCALLS.check(tid, username, Role(controlling)), key, fingerprint=True)


def pack_answer(tid: bytes, host: str, port: int, key: bytes) -> bytes:
    """The success response: 64 bytes over IPv4, 76 over IPv6."""
    mapped = (stun.XOR_MAPPED_ADDRESS, stun.xor_address(host, port, tid))
    return stun.pack(stun.Message(stun.BINDING_OK, tid, (mapped,)), key, fingerprint=True)


def pack_refusal(tid: bytes, code: int, reason: str, key: bytes) -> bytes:
    """An error response, sealed: the refusal of a check that was authentic (RFC 8445 7.3.1.1)."""
    error = (stun.ERROR_CODE, stun.pack_error(code, reason))
    return stun.pack(stun.Message(stun.BINDING_ERROR, tid, (error,)), key, fingerprint=True)


def role_of(check: stun.Message) -> Role:
    """The role that a check claims.  Raises ValueError where it claims none, or no proper one."""
    for kind, controlling in ((ICE_CONTROLLING, True), (ICE_CONTROLLED, False)):
        if (value := check.get(kind)) is not None and len(value) == 8:
            return Role(controlling, int.from_bytes(value))
    raise ValueError("a check without a role")


def nominates(check: stun.Message) -> bool:
    """Whether a check chooses the pair."""
    return check.get(USE_CANDIDATE) is not None or check.get(NOMINATION) is not None


def is_authentic(data: bytes, kind: int, tid: bytes, key: bytes) -> bool:
    """Whether it is a message of that type and transaction, sealed with `key`."""
    try:
        message = stun.unpack(data)
        return message.type == kind and message.tid == tid and stun.authentic(data, key)
    except ValueError:
        return False
