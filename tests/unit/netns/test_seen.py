"""What is in a namespace already, when it goes while it is looked at."""

from typing import Any

from circumtest.netns.seen import ways_out

GONE = 0x7FFFFFFF
"""An index that no device has."""


class _Route:
    """The kernel's answer to "which way": the device `index`."""

    def __init__(self, index: int) -> None:
        self._index = index

    def route(self, _command: str, **_asked: Any) -> list[Any]:
        return [_Told(self._index)]


class _Told(dict[str, int]):
    def __init__(self, index: int) -> None:
        super().__init__(type=1)
        self._index = index

    def get_attr(self, _name: str) -> int:
        return self._index


def test_a_device_that_went_between_two_questions_is_no_way_out() -> None:
    """Its daemon was killed just then: an answer, not an exception."""
    assert ways_out(_Route(GONE)) == {}


def test_a_device_that_is_there_is_one() -> None:
    """The loopback is on every machine."""
    assert ways_out(_Route(1)) == {4: "lo", 6: "lo"}
