"""ICE connectivity checks as libwebrtc writes them: which attributes, in which order.

It refuses to run ICE: pairs, nomination and timers are not bytes.
Source: RFC 8445 section 7, and captures of tgcalls v2 calls (2026-11).
"""

from circumtest.wire import stun

USERNAME = 0x0006
PRIORITY = 0x0024
ICE_CONTROLLED = 0x8029
ICE_CONTROLLING = 0x802A
NETWORK_INFO = 0xC057
_NETWORK = bytes.fromhex("00030032")
_PRIORITY = bytes.fromhex("6e7f0300")


def pack_check(tid: bytes, username: bytes, key: bytes, *, controlling: bool) -> bytes:
    """A Binding request: 96 bytes for the 9-byte user name of two 4-letter fragments.

    `key` is the password of the peer that is asked.
    """
    attributes = (
        (USERNAME, username),
        (NETWORK_INFO, _NETWORK),
        (ICE_CONTROLLING if controlling else ICE_CONTROLLED, bytes(8)),
        (PRIORITY, _PRIORITY),
    )
    return stun.pack(stun.Message(stun.BINDING, tid, attributes), key, fingerprint=True)


def pack_answer(tid: bytes, host: str, port: int, key: bytes) -> bytes:
    """The success response: 64 bytes over IPv4, 76 over IPv6."""
    mapped = (stun.XOR_MAPPED_ADDRESS, stun.xor_address(host, port, tid))
    return stun.pack(stun.Message(stun.BINDING_OK, tid, (mapped,)), key, fingerprint=True)


def is_authentic(data: bytes, kind: int, tid: bytes, key: bytes) -> bool:
    """Whether it is a message of that type and transaction, sealed with `key`."""
    try:
        message = stun.unpack(data)
        return message.type == kind and message.tid == tid and stun.authentic(data, key)
    except ValueError:
        return False
