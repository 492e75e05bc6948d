"""A token bucket: never more than its rate allows, never less than the kernel's."""

from hypothesis import given
from hypothesis import strategies as st

from circumtest.censor.bucket import Bucket

ARRIVALS = st.lists(st.tuples(st.integers(1, 1500), st.floats(0, 2)), max_size=60)


def kernel(rate: int, burst: int, arrivals: list[tuple[int, float]]) -> list[bool]:
    """nft_limit_eval of Linux, in its own nanoseconds."""
    most = 10**9 * (rate + burst) // rate
    tokens, last, passes = most, 0, []
    for size, at in arrivals:
        now = round(at * 1e9)
        tokens, last = min(most, tokens + now - last), now
        cost = 10**9 * size // rate
        passes.append(tokens >= cost)
        tokens -= cost if tokens >= cost else 0
    return passes


def at_times(steps: list[tuple[int, float]]) -> list[tuple[int, float]]:
    """Sizes with the seconds at which they come, from the seconds between them."""
    now, arrivals = 5.0, []
    for size, step in steps:
        now += step
        arrivals.append((size, now))
    return arrivals


@given(st.sampled_from([125, 1000, 16000]), st.integers(1500, 9000), ARRIVALS)
def test_a_bucket_is_the_kernel_s(rate: int, burst: int, steps: list[tuple[int, float]]) -> None:
    """To the packet, but where a byte would decide."""
    arrivals = at_times(steps)
    exact = [kernel(rate, burst + by, arrivals) for by in (-1, 0, 1)]
    bucket = Bucket(rate, burst)
    ours = [bucket.take(size, at) for size, at in arrivals]
    assert ours == exact[1] or exact[0] != exact[2]


@given(st.integers(100, 1 << 20), st.integers(1500, 1 << 16), ARRIVALS)
def test_no_window_lets_more_pass_than_the_burst_and_the_rate(
    rate: int, burst: int, steps: list[tuple[int, float]]
) -> None:
    """Between any two moments: what is kept at most, and what came in meanwhile."""
    arrivals, bucket = at_times(steps), Bucket(rate, burst)
    passed = [(size, at) for size, at in arrivals if bucket.take(size, at)]
    for first in range(len(passed)):
        total = 0
        for size, at in passed[first:]:
            total += size
            assert total <= rate + burst + rate * (at - passed[first][1]) + 1e-3


def test_a_bucket_begins_full_with_a_second_s_worth_beside_the_burst() -> None:
    """Then it gives what its rate brings."""
    bucket = Bucket(100, 1500)
    assert [bucket.take(400, 1e9) for _ in range(5)] == [True] * 4 + [False]
    assert not bucket.take(400, 1e9 + 3.9)
    assert bucket.take(400, 1e9 + 4.0)


def test_what_does_not_fit_takes_nothing() -> None:
    """A small packet may pass behind a large one that may not."""
    bucket = Bucket(100, 1500)
    assert [bucket.take(size, 0.0) for size in (1500, 1500, 100, 1)] == [True, False, True, False]
