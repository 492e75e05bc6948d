"""Memory that is bounded and forgets in time."""

from circumtest.censor.memory import Memory


def test_a_full_memory_takes_no_more_and_keeps_the_old() -> None:
    """It has room again when something ends."""
    memory: Memory[str, int] = Memory(120.0, size=2)
    assert memory.put("a", 1, 0.0)
    assert memory.put("b", 2, 1.0)
    assert not memory.put("c", 3, 2.0)
    assert memory.put("a", 4, 3.0)
    assert memory.put("c", 3, 121.0)
    assert memory.get("b", 121.0) is None
    assert (memory.get("a", 121.0), len(memory)) == (4, 2)


def test_what_is_discarded_is_not_there() -> None:
    """Twice does no harm."""
    memory: Memory[str, int] = Memory(1.0)
    memory.put("a", 1, 0.0)
    memory.discard("a")
    memory.discard("a")
    assert memory.get("a", 0.0) is None
