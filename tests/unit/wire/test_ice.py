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
