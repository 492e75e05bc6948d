"""The guard: until somebody has proved himself he is sent no more than came from him."""

from collections import Counter

from hypothesis import given
from hypothesis import strategies as st

from circumtest.mirror.guard import HEAD, Guard, Limits, Ruling, source_of
from circumtest.model import Address

SMALL = Limits(strangers=4, known=2, proof=5.0, stranger_rate=3.0, all_rate=5.0, known_rate=9.0)
HOSTS = ("192.0.2.1", "192.0.2.2", "192.0.2.3", "2001:db8::1", "2001:db8::2", "2001:db8:1::1")
events = st.lists(
    st.tuples(
        st.sampled_from(("in", "out", "later")),
        st.sampled_from(HOSTS),
        st.integers(0, 65535),
        st.integers(0, 1500),
    ),
    max_size=200,
)


@given(events)
def test_to_no_unproven_source_more_bytes_leave_than_came(
    happened: list[tuple[str, str, int, int]],
) -> None:
    """For any sequence of packets, with and without what IP and UDP put around them."""
    guard, now = Guard(SMALL), 1000.0
    came: Counter[bytes] = Counter()
    whole: Counter[bytes] = Counter()
    for what, host, port, size in happened:
        remote = Address(host, port)
        key = source_of(remote)
        if what == "in":
            guard.hear(remote, size, now)
            came[key] += size
            whole[key] += size + HEAD[remote.version]
        elif what == "later":
            now += size / 1000
        elif guard.may_send(remote, size, now):
            came[key] -= size
            whole[key] -= size + HEAD[remote.version]
        assert min([*came.values(), *whole.values()], default=0) >= 0
        assert len(guard) <= SMALL.strangers + SMALL.known


def test_who_has_proved_himself_is_sent_what_he_asks_for_until_it_is_too_long_ago() -> None:
    """Another address of his IPv6 network counts as he."""
    guard = Guard(SMALL)
    guard.prove(Address("2001:db8::1", 1), 0.0)

    assert guard.may_send(Address("2001:db8::ffff", 9), 10**6, 4.9)
    assert not guard.may_send(Address("2001:db8:0:1::1", 9), 1, 4.9)
    assert not guard.may_send(Address("2001:db8::1", 1), 1, 5.1)


def test_strangers_push_out_strangers_and_nobody_who_is_known() -> None:
    """However many there are."""
    guard = Guard(SMALL)
    guard.prove(Address("192.0.2.1", 1), 0.0)
    for number in range(1000):
        guard.hear(Address(f"10.0.{number // 256}.{number % 256}", 1), 100, 1.0)

    assert guard.knows(Address("192.0.2.1", 7), 1.0)
    assert len(guard) == 1 + SMALL.strangers


def test_when_strangers_are_loud_only_hellos_are_looked_at_and_known_sources_go_on() -> None:
    """One loud source is not looked at at all."""
    guard = Guard(SMALL)
    guard.prove(Address("192.0.2.1", 1), 0.0)
    many = [guard.hear(Address(f"10.0.0.{number}", 1), 9, 0.0) for number in range(20)]
    loud = [guard.hear(Address("10.9.9.9", 1), 9, 0.0) for _ in range(20)]

    assert many.count(Ruling.TAKE) == 10
    assert many.count(Ruling.GREET) == 10
    assert loud[-1] is Ruling.DROP
    assert guard.hear(Address("192.0.2.1", 1), 9, 0.0) is Ruling.TAKE
