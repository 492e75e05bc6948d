"""Words of nft: what is said twice is said once, and both ways of a flow have one key."""

from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from circumtest.censor.load import policy
from circumtest.censor.nft import TABLE, ruleset
from circumtest.censor.nftwords import key_of, keys, memory, merged, parts, range_of
from circumtest.censor.policy import Scope, Way

PORTS = st.tuples(st.integers(0, 50), st.integers(0, 50)).map(lambda pair: tuple(sorted(pair)))


@given(st.lists(PORTS))
def test_merged_ranges_hold_the_same_numbers_and_do_not_touch(
    ranges: list[tuple[int, int]],
) -> None:
    """nft refuses an anonymous set whose ranges overlap."""
    found = list(merged(ranges))
    assert {n for low, high in found for n in range(low, high + 1)} == {
        n for low, high in ranges for n in range(low, high + 1)
    }
    assert all(one[1] + 1 < other[0] for one, other in pairwise(found))


def test_a_key_names_the_client_first_whichever_way_a_packet_goes() -> None:
    """So that one look is enough."""
    assert key_of(Scope.TRIPLE, 4, Way.UP) == "ip saddr . ip daddr . th dport . meta l4proto"
    assert key_of(Scope.TRIPLE, 4, Way.DOWN) == "ip daddr . ip saddr . th sport . meta l4proto"
    assert key_of(Scope.ADDRESS, 6, Way.DOWN) == "ip6 saddr"
    assert [side for _, side, _ in keys(Scope.FLOW)] == [
        'iifname "client"',
        'iifname "backbone"',
    ] * 2


def test_a_number_is_no_range() -> None:
    """As a person would write it."""
    assert (range_of(5, 5), range_of(5, 16, hexadecimal=True)) == ("5", "0x5-0x10")


def test_a_ruleset_in_parts_says_the_same_in_the_same_order() -> None:
    """Blocks stay whole, each part is a text of its own, and the first one alone begins anew."""
    whole = ruleset(policy("calls-and-wireguard"))
    cut = list(parts(whole, 2000))
    head = [f"table inet {TABLE} {{", "}"]
    lines = [line for part in cut for line in part.splitlines() if line not in head]
    assert lines == [line for line in whole.splitlines() if line not in head]
    assert len(cut) > 3
    assert all(part.count("{") == part.count("}") for part in cut)
    assert all(part.startswith(f"table inet {TABLE} {{\n  ") for part in cut[1:])
    assert "type filter hook" in cut[-1]
    assert list(parts(whole, 10**6)) == [whole]


def test_a_memory_is_a_set_for_each_family() -> None:
    """With its time in the kernel's grain."""
    four, six = memory(Scope.ADDRESS, "hosts-x-", 0.0015)
    assert four.startswith("set hosts-x-4 { type ipv4_addr; flags dynamic,timeout; timeout 2ms;")
    assert "set hosts-x-6 { type ipv6_addr;" in six
