"""What of an uplink's packets is worth a look: the kernel's filter, and the packets' own words.

The filter lets out what goes to one of some hosts, and what asks a resolver; everything else never
reaches this process.  Headers are RFC 791, 8200, 768 and 9293, questions RFC 1035.  It refuses to
say what a packet means.
"""

import struct
from collections.abc import Collection
from dataclasses import dataclass
from ipaddress import IPv4Address, ip_address

from circumtest.model import Address
from circumtest.netns.packets import OUTGOING, Filter

LONGEST = 2048
"""Bytes of a packet that are looked at."""
MOST = 300
"""Hosts that one filter may name: the kernel's programs have 4096 words."""

_UDP, _TCP, _DNS = 17, 6, 53
_LOOPBACK = 772  # ARPHRD_LOOPBACK
# linux/bpf_common.h: loads of what is beside a packet, of words, half words and bytes; jumps; ends
_BESIDE = -0x1000 & 0xFFFFFFFF
_PROTOCOL, _DIRECTION, _DEVICE, _HARDWARE = _BESIDE, _BESIDE + 4, _BESIDE + 8, _BESIDE + 28
_LD, _LDH, _LDB, _LDXB_MSH, _LDH_IND = 0x20, 0x28, 0x30, 0xB1, 0x48
_JA, _JEQ, _JSET, _RET = 0x05, 0x15, 0x45, 0x06
_IPV4, _IPV6 = 0x0800, 0x86DD

_Word = tuple[int, str, str, int]
"""An instruction whose jumps are labels, "" for the next one."""


@dataclass(frozen=True)
class Seen:
    """A packet that left: between whom, as what ("UDP", "TCP", "IP"), and what it asks.

    Ports are 0 where the protocol has none, or the packet is a later fragment; `question` is the
    name that a question to a resolver is about, in lower case without its last dot, "" for none.
    """

    transport: str
    source: Address
    target: Address
    question: str = ""


def program(hosts: Collection[str], without: Collection[int] = ()) -> Filter:
    """The filter: outgoing packets to `hosts`, and to port 53; for a socket of cooked packets.

    None of those that leave by a device of the numbers `without`.  Raises ValueError for what is no
    address, and for more than MOST.
    """
    if len(hosts) > MOST:
        raise ValueError(f"{len(hosts)} hosts are more than one filter can name ({MOST})")
    words: list[tuple[str, _Word]] = [
        ("", (_LD, "", "", _DIRECTION)),
        ("", (_JEQ, "", "drop", OUTGOING)),
        ("", (_LDH, "", "", _HARDWARE)),
        ("", (_JEQ, "drop", "", _LOOPBACK)),
        ("", (_LD, "", "", _DEVICE)),
        *(("", (_JEQ, "drop", "", number)) for number in without),
        ("", (_LDH, "", "", _PROTOCOL)),
        ("", (_JEQ, "four", "", _IPV4)),
        ("", (_JEQ, "six", "drop", _IPV6)),
    ]
    words += _within(hosts)
    return _assembled(words)


def _within(hosts: Collection[str]) -> list[tuple[str, _Word]]:
    addresses = [ip_address(host.partition("%")[0]) for host in hosts]
    four = [int(one) for one in addresses if isinstance(one, IPv4Address)]
    six = [one.packed for one in addresses if not isinstance(one, IPv4Address)]
    words: list[tuple[str, _Word]] = [("four", (_LD, "", "", 16))]
    words += [("", (_JEQ, "keep", "", host)) for host in four]
    words += [
        ("", (_LDB, "", "", 9)),
        ("", (_JEQ, "first", "", _UDP)),
        ("", (_JEQ, "first", "drop", _TCP)),
        ("first", (_LDH, "", "", 6)),
        ("", (_JSET, "drop", "", 0x1FFF)),
        ("", (_LDXB_MSH, "", "", 0)),
        ("", (_LDH_IND, "", "", 2)),
        ("", (_JEQ, "keep", "drop", _DNS)),
        ("six", (_LD, "", "", 24)),
    ]
    for number, host in enumerate(six):
        if number:
            words.append((f"host{number}", (_LD, "", "", 24)))
        for place, word in enumerate(struct.unpack("!4I", host)):
            if place:
                words.append(("", (_LD, "", "", 24 + 4 * place)))
            found, other = (
                ("keep", f"host{number + 1}") if place == 3 else ("", f"host{number + 1}")
            )
            words.append(("", (_JEQ, found, other, word)))
    words += [
        (f"host{len(six)}", (_LDB, "", "", 6)),
        ("", (_JEQ, "asked", "", _UDP)),
        ("", (_JEQ, "asked", "drop", _TCP)),
        ("asked", (_LDH, "", "", 42)),
        ("", (_JEQ, "keep", "drop", _DNS)),
        ("drop", (_RET, "", "", 0)),
        ("keep", (_RET, "", "", LONGEST)),
    ]
    return words


def _assembled(words: list[tuple[str, _Word]]) -> Filter:
    """With numbers for labels.  A conditional jump reaches 255 words, so it goes by a long one."""
    laid: list[tuple[str, tuple[int, int, int, int | str]]] = []
    for label, (code, yes, no, operand) in words:
        # Each label has a long jump behind the condition; "" is what follows them.
        jumps = [to for to in (yes, no) if to]
        met = 0 if yes else len(jumps)
        unmet = len(jumps) - 1 if no else len(jumps)
        conditional = code in (_JEQ, _JSET)
        laid.append((label, (code, met, unmet, operand) if conditional else (code, 0, 0, operand)))
        laid += [("", (_JA, 0, 0, to)) for to in jumps]
    places = {label: number for number, (label, _) in enumerate(laid) if label}
    return [
        (code, met, unmet, operand if isinstance(operand, int) else places[operand] - number - 1)
        for number, (_, (code, met, unmet, operand)) in enumerate(laid)
    ]


def seen(packet: bytes) -> Seen:
    """What a packet that begins with its IP header is.  Raises ValueError for what is none."""
    version = packet[0] >> 4 if packet else 0
    if version == 4 and len(packet) >= 20:
        start, protocol = (packet[0] & 15) * 4, packet[9]
        source, target = packet[12:16], packet[16:20]
        later = struct.unpack_from("!H", packet, 6)[0] & 0x1FFF != 0
    elif version == 6 and len(packet) >= 40:
        start, protocol = 40, packet[6]
        source, target = packet[8:24], packet[24:40]
        later = False
    else:
        raise ValueError("no IP packet")
    hosts = str(ip_address(source)), str(ip_address(target))
    transport = {_UDP: "UDP", _TCP: "TCP"}.get(protocol, "IP")
    if transport == "IP" or later or len(packet) < start + 8:
        return Seen(transport, Address(hosts[0], 0), Address(hosts[1], 0))
    ports = struct.unpack_from("!HH", packet, start)
    asked = _question(packet[start:], transport) if ports[1] == _DNS else ""
    return Seen(transport, Address(hosts[0], ports[0]), Address(hosts[1], ports[1]), asked)


def _question(segment: bytes, transport: str) -> str:
    """The name that is asked for, "" for what is no question."""
    message = segment[8:]
    if transport == "TCP":
        # After the header and the length; a question that is cut in two goes unread.
        message = segment[(segment[12] >> 4) * 4 + 2 :] if len(segment) > 12 else b""
    labels, place = [], 12
    while place < len(message) and (length := message[place]):
        if length > 63 or place + 1 + length > len(message):
            return ""
        labels.append(message[place + 1 : place + 1 + length])
        place += 1 + length
    if place >= len(message):
        return ""
    return b".".join(labels).decode("ascii", "replace").lower()
