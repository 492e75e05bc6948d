"""ICE checks, field by field against those of a real engine."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from circumtest.wire import ice, stun

# The first check and its answer in tests/data/tg_reflector_udp_setup.pcap; keys unknown.
CHECK = bytes.fromhex(
    "0001004c2112a442457434447347346e4d345637000600094759346b3a41476f48000000c057000400030032"
    "802900080000000000000000002400046e7f030000080014115cfc18e1b14c4d95b2ce10c942ddc7558a2280"
    "80280004af5311d0"
)
ANSWER = bytes.fromhex(
    "0101002c2112a442457434447347346e4d34563700200008000123442b5fa443"
    "000800144d0dd4c7b50cb45cca51dae557435bb8dd6813a680280004bf5dd553"
)
TID, KEY = CHECK[8:20], b"k" * 24


def but_for_seals(data: bytes) -> bytes:
    """Everything before the value of MESSAGE-INTEGRITY, and FINGERPRINT's header."""
    return data[:-28] + data[-8:-4]


def test_a_check_is_the_engines_but_for_its_seals() -> None:
    """Order, user name, network, role, priority: 96 bytes."""
    ours = ice.pack_check(TID, b"GY4k:AGoH", KEY, controlling=False)

    assert but_for_seals(ours) == but_for_seals(CHECK)
    assert len(ours) == len(CHECK) == 96


def test_the_controlling_side_says_so() -> None:
    """One attribute number tells the roles apart."""
    one, other = (ice.pack_check(TID, b"a:b", KEY, controlling=role) for role in (True, False))

    assert stun.unpack(one).get(ice.ICE_CONTROLLING) == bytes(8)
    assert stun.unpack(other).get(ice.ICE_CONTROLLED) == bytes(8)


def test_an_answer_is_the_engines_but_for_its_seals() -> None:
    """The mapped address is the reflector's: 64 bytes."""
    ours = ice.pack_answer(TID, "10.77.0.1", 598, KEY)

    assert but_for_seals(ours) == but_for_seals(ANSWER)
    assert len(ours) == len(ANSWER) == 64


@pytest.mark.parametrize(
    ("kind", "tid", "key"),
    [(stun.BINDING_OK, TID, KEY), (stun.BINDING, TID[::-1], KEY), (stun.BINDING, TID, KEY[:-1])],
)
def test_another_type_transaction_or_key_is_not_authentic(
    kind: int, tid: bytes, key: bytes
) -> None:
    """All three must be what was asked for."""
    check = ice.pack_check(TID, b"a:b", KEY, controlling=True)

    assert ice.is_authentic(check, stun.BINDING, TID, KEY)
    assert not ice.is_authentic(check, kind, tid, key)


@given(st.binary(max_size=120), st.integers(0, 87))
def test_garbage_is_never_authentic(data: bytes, at: int) -> None:
    """Neither noise nor a check with one byte changed up to the end of its seal."""
    check = bytearray(ice.pack_check(TID, b"GY4k:AGoH", KEY, controlling=True))
    check[at] ^= 1

    assert not ice.is_authentic(data, stun.BINDING, TID, KEY)
    assert not ice.is_authentic(bytes(check), stun.BINDING, TID, KEY)


# ------------------------------------------------------------------ dialects

ROLE = ice.Role(True, 0x517B01F52EE612A5)


def packed(dialect: ice.Dialect, user: bytes, role: ice.Role = ROLE, *, nominate: bool) -> bytes:
    """A check, sealed."""
    return stun.pack(dialect.check(TID, user, role, nominate=nominate), KEY, fingerprint=True)


def test_tgcalls_nominates_by_a_number() -> None:
    """As in tests/data/tg_reflector_udp.pcap's second check, 48 ms behind the first: 104 bytes."""
    check = packed(ice.TGCALLS, b"AGoH:GY4k", ice.Role(True), nominate=True)
    kinds = [kind for kind, _ in stun.unpack(check).attributes]

    assert len(check) == 104
    assert kinds == [
        ice.USERNAME,
        ice.NETWORK_INFO,
        ice.ICE_CONTROLLING,
        ice.NOMINATION,
        ice.PRIORITY,
    ]


def test_chromiums_controlling_side_nominates_with_every_check() -> None:
    """100 bytes; the other side's have 96.  All but user name and seals as captured in 2026."""
    captured = bytes.fromhex("c0570004000003e7802a0008517b01f52ee612a500250000002400046e001eff")

    one = packed(ice.CHROMIUM, b"iG46:D/A2", nominate=True)
    other = packed(ice.CHROMIUM, b"D/A2:iG46", ice.Role(False, 1), nominate=False)
    assert (len(one), len(other)) == (100, 96)
    assert captured in one


def test_meets_checks_have_124_bytes_whether_they_nominate_or_not() -> None:
    """Fragments of 26 and 4 letters; 0xc059 in the first ones, 0xc001 in the one that nominates."""
    user = b"a" * 26 + b":bcde"
    first, nominating = (packed(ice.MEET, user, nominate=one) for one in (False, True))

    assert len(first) == len(nominating) == 124
    kinds = [
        [hex(kind) for kind, _ in stun.unpack(check).attributes] for check in (first, nominating)
    ]
    assert kinds == [
        ["0x6", "0xc057", "0x802a", "0x24", "0xc059"],
        ["0x6", "0xc057", "0x802a", "0xc001", "0x24"],
    ]


def test_the_plain_dialect_has_what_the_rfc_asks_for() -> None:
    """88 bytes, 92 to nominate."""
    sizes = [len(packed(ice.PLAIN, b"abcd:efgh", nominate=one)) for one in (False, True)]

    assert sizes == [88, 92]


def test_a_role_is_what_a_check_claims() -> None:
    """With its number; a check without one claims none."""
    assert ice.role_of(stun.unpack(packed(ice.PLAIN, b"a:b", nominate=False))) == ROLE
    for attributes in ((), ((ice.ICE_CONTROLLED, b"short"),)):
        with pytest.raises(ValueError, match="role"):
            ice.role_of(stun.Message(stun.BINDING, TID, attributes))


def test_a_refusal_says_why_under_the_password() -> None:
    """487, as 7.3.1.1 has it."""
    data = ice.pack_refusal(TID, 487, "Role Conflict", KEY)

    assert stun.authentic(data, KEY)
    assert stun.error_code(stun.unpack(data).get(stun.ERROR_CODE) or b"") == (487, "Role Conflict")
