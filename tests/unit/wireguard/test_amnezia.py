"""AmneziaWG's keys, and the packets that a client begins with, against packets of its making."""

import ipaddress
from contextlib import suppress
from pathlib import Path
from random import Random

import dpkt
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from circumtest.errors import ConfigError
from circumtest.wireguard.amnezia import (
    COOKIE,
    DATA,
    INITIATION,
    RESPONSE,
    SIZES,
    Amnezia,
    Header,
    parse,
)

DATA_DIR = Path(__file__).parents[2] / "data"
KEY = "yAnz5TF+lXXJte14tji3zlMNq+hd2rYUIgJBgB3fBmk="
PLAIN = f"""[Interface]
PrivateKey = {KEY}
Address = 10.9.0.2/32
[Peer]
PublicKey = {KEY}
Endpoint = 192.0.2.1:51820
"""
JUNK = "Jc = 5\nJmin = 40\nJmax = 70\n"
PADDING = "S1 = 37\nS2 = 81\n"
HEADERS = "H1 = 982631927\nH2 = 1372728081\nH3 = 7\nH4 = 727489187\n"
STUN = "I1 = <b 0x000100002112a442><r 12>\n"
PING = "I1 = <b 0x080100002112a442><r 12>\n"


def read(keys: str) -> Amnezia:
    """What those lines under [Interface] mean."""
    return parse(PLAIN.replace("[Peer]", f"{keys}[Peer]"), "awg.conf")[1]


def wrong(keys: str) -> ConfigError:
    """The error that they are refused with; it tells no key."""
    with pytest.raises(ConfigError) as caught:
        read(keys)
    assert KEY not in str(caught.value)
    return caught.value


def packets(file: str) -> list[tuple[bool, bytes]]:
    """The payloads of a capture, and whether it was the client who sent them."""
    found = []
    with (DATA_DIR / f"{file}.pcap").open("rb") as capture:
        for _, frame in dpkt.pcap.UniversalReader(capture):
            udp = dpkt.ethernet.Ethernet(frame).data.data
            found.append((udp.sport, bytes(udp.data)))
    return [(port == found[0][0], payload) for port, payload in found]


PLAIN_INITIATION = packets("wg_plain")[0][1]


@pytest.mark.parametrize(
    ("file", "keys"),
    [
        ("wg_plain", ""),
        ("awg_junk_only", JUNK),
        ("awg_S_only", PADDING),
        ("awg_H_only", HEADERS),
        ("awg_full", JUNK + PADDING + HEADERS),
        ("awg_full_I1_stun", JUNK + PADDING + HEADERS + STUN),
        ("awg_full_I1_wa", JUNK + PADDING + HEADERS + PING),
    ],
)
def test_the_opening_is_what_such_a_client_has_sent(file: str, keys: str) -> None:
    """As many packets, of the same sizes and fixed octets, and in them the same messages."""
    amnezia = read(keys)
    client = [payload for ours, payload in packets(file) if ours]
    begun = amnezia.opening(PLAIN_INITIATION, Random(1), 0.0)
    sent = client[: len(begun)]

    assert len(begun) == 1 + amnezia.junk + sum(one is not None for one in amnezia.specials)
    for one, theirs in zip(begun, sent, strict=True):
        assert len(one) == len(theirs) or 40 <= min(len(one), len(theirs)) <= 70
    if amnezia.specials[0]:
        assert begun[0][:8] == sent[0][:8]
    assert amnezia.plain(INITIATION, sent[-1]) == PLAIN_INITIATION
    assert amnezia.plain(INITIATION, begun[-1]) == PLAIN_INITIATION
    for payload in client[len(begun) :]:
        assert amnezia.plain(DATA, payload) is not None
    answer = next(payload for ours, payload in packets(file) if not ours)
    assert amnezia.plain(RESPONSE, answer) == packets("wg_plain")[1][1]


def test_another_configuration_does_not_read_the_same_packets() -> None:
    """Sizes and types both have to fit."""
    initiation = packets("awg_full")[5][1]
    assert read(PADDING + HEADERS).plain(INITIATION, initiation) is not None
    for keys in ("", PADDING, HEADERS, PADDING.replace("37", "38") + HEADERS):
        assert read(keys).plain(INITIATION, initiation) is None


def test_with_the_peers_key_mac1_is_made_over_the_new_type() -> None:
    """Whoever checks it does so over the message as it came, its type included."""
    peer = bytes(range(32))
    plain, headed = read(""), read(HEADERS)
    one = plain.disguised(INITIATION, PLAIN_INITIATION, Random(1), peer)
    other = headed.disguised(INITIATION, PLAIN_INITIATION, Random(1), peer)
    assert one[4:116] == other[4:116]
    assert one[116:132] != other[116:132]
    assert one[132:] == other[132:] == PLAIN_INITIATION[132:]


def test_a_range_of_types_is_used_whole() -> None:
    """Each packet has a number out of it, both ends included."""
    amnezia = read("H4 = 10-12\n")
    seen = {
        int.from_bytes(amnezia.disguised(DATA, bytes(32), Random(n))[:4], "little")
        for n in range(60)
    }
    assert seen == {10, 11, 12}
    assert str(amnezia.headers[DATA]) == "10-12"
    assert amnezia.headers[COOKIE] == Header(3, 3)


def test_the_words_say_what_it_begins_with() -> None:
    """For whoever compares it with a capture of their own."""
    assert read("").words() == "an initiation of 148 octets and type 1"
    assert read(JUNK + PADDING + STUN).words() == (
        "I1 (20 octets), 5 packets of 40 to 70 random octets,"
        " an initiation of 185 octets and type 1"
    )


def test_wireguards_part_and_the_keys_are_told_apart() -> None:
    """Lines keep their numbers for WireGuard's own messages; every key is there to be handed on."""
    text = PLAIN.replace("[Peer]", f"MTU = 1300\n{JUNK}PostUp = reboot\n[Peer]")
    quick, amnezia, notes = parse(text + "AdvancedSecurity = on\n", "awg.conf")
    assert quick.mtu == 1300
    assert amnezia.given == (("Jc", "5"), ("Jmin", "40"), ("Jmax", "70"))
    assert len(notes) == 2
    assert "PostUp is not run" in notes[0]
    assert "AdvancedSecurity" in notes[1]
    with pytest.raises(ConfigError) as caught:
        parse(text + "AllowedIP = 0.0.0.0/0\n", "awg.conf")
    assert caught.value.place == "line 12, [Peer], key `AllowedIP`"


def test_custom_packets_without_the_first_are_told_of() -> None:
    """Some versions send none of them then."""
    text = PLAIN.replace("[Peer]", "I2 = <r 10>\n[Peer]")
    assert "I2 to I5" in parse(text, "awg.conf")[2][0]


@pytest.mark.parametrize(
    ("keys", "place", "said"),
    [
        ("Jc = many\n", "line 4, [Interface], key `Jc`", "0 to 128"),
        ("Jc = 129\n", "line 4, [Interface], key `Jc`", "0 to 128"),
        ("Jmax = 1281\n", "line 4, [Interface], key `Jmax`", "0 to 1280"),
        ("S1 = -1\n", "line 4, [Interface], key `S1`", "0 to 1280"),
        ("S4 =\n", "line 4, [Interface], key `S4`", "0 to 1280"),
        ("Jc = 3\n", "[Interface]", "Jc without Jmax"),
        ("Jc = 3\nJmin = 50\nJmax = 40\n", "[Interface]", "more than Jmax"),
        ("S1 = 10\nS2 = 66\n", "[Interface]", "the same length"),
        ("H1 = 4294967296\n", "line 4, [Interface], key `H1`", "below 2^32"),
        ("H1 = 9-5\n", "line 4, [Interface], key `H1`", "range"),
        ("H1 = 0x10\n", "line 4, [Interface], key `H1`", "below 2^32"),
        ("H1 = 2\n", "[Interface]", "H1 (2) and H2 (2)"),
        ("H1 = 5-9\nH3 = 9-20\n", "[Interface]", "H1 (5-9) and H3 (9-20)"),
        ("I1 = <r>\n", "line 4, [Interface], key `I1`", "a number of octets"),
        ("I5 = hello\n", "line 4, [Interface], key `I5`", "not made of tags"),
        ("J1 = <r 5>\n", "line 4, [Interface], key `J1`", "withdrawn"),
        ("Itime = 60\n", "line 4, [Interface], key `Itime`", "withdrawn"),
        ("Jc = 1\nJC = 1\n", "line 5, [Interface], key `JC`", "given twice"),
        ("[Peer]\nJc = 1\n", "line 5, [Peer], key `Jc`", "unknown there"),
    ],
)
def test_each_mistake_is_told_with_its_line_and_key(keys: str, place: str, said: str) -> None:
    """And with what would be right."""
    error = wrong(keys)
    assert error.where == "awg.conf"
    assert error.place == place
    assert said in f"{error.problem} {error.remedy}"


@settings(max_examples=200)
@given(
    st.lists(
        st.tuples(
            st.sampled_from(["Jc", "Jmin", "Jmax", "S1", "S2", "S4", "H1", "H2", "I1", "I3", "x"]),
            st.text(alphabet="0123456789-<>rbtx #=\n[]", max_size=12),
        ),
        max_size=6,
    )
)
def test_garbage_is_a_configuration_error_or_a_configuration(
    lines: list[tuple[str, str]],
) -> None:
    """What is taken makes packets of the sizes that it says."""
    with suppress(ConfigError):
        amnezia = read("".join(f"{key} = {value}\n" for key, value in lines))
        *begun, last = amnezia.opening(bytes(148), Random(0), 0.0)
        assert len(last) == SIZES[INITIATION] + amnezia.padding[INITIATION]
        assert len(begun) == amnezia.junk + sum(one is not None for one in amnezia.specials)


def test_the_captures_hold_nobodys_addresses() -> None:
    """Private ones only: the packets were made from byte tables."""
    for file in ("awg_H_only", "awg_S_only", "awg_junk_only"):
        with (DATA_DIR / f"{file}.pcap").open("rb") as capture:
            for _, frame in dpkt.pcap.UniversalReader(capture):
                ip = dpkt.ethernet.Ethernet(frame).data
                assert ipaddress.ip_address(ip.src).is_private
                assert ipaddress.ip_address(ip.dst).is_private
