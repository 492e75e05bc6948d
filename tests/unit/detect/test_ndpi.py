"""nDPI, the real one, packet by packet."""

import sys
from collections.abc import Iterator

import pytest

from circumtest.appearance import Named
from circumtest.detect import ndpi
from circumtest.detect.frames import Frame, frame
from circumtest.errors import EnvironmentUnfit
from tests.unit.packets import capture


def frames(name: str) -> Iterator[Frame]:
    """A capture's."""
    return (frame(at, raw) for at, raw in capture(name))


def named(name: str, *, heuristics: bool = False) -> Named:
    """What a fresh engine calls the first flow of a capture."""
    with ndpi.engine(heuristics=heuristics) as asked:
        seen = list(frames(name))
        for one in seen:
            asked.see(one)
        return asked.named(seen[0].flow)


@pytest.mark.parametrize("heuristics", [False, True])
def test_wireguard_is_known_from_the_response_on(heuristics: bool) -> None:
    """An initiation alone could be anything of that length."""
    assert named("wg_plain", heuristics=heuristics) == Named("WireGuard", 2, "DPI")


def test_a_label_may_become_more_precise_and_keeps_its_first_packet() -> None:
    """Telegram's realm comes with the relay's answer, STUN is known at once."""
    found = named("tg_turn_1400")

    assert (found.label, found.packet) == ("STUN.TelegramVoip", 1)


def test_what_is_guessed_at_the_end_has_no_packet() -> None:
    """By the port, and nDPI says so: those bytes are not TLS."""
    found = named("wa_noise_xx_443")

    assert (found.label, found.packet, found.confidence) == ("TLS", 0, "Match by port")


def test_a_flow_that_was_never_shown_has_no_name() -> None:
    """And neither does one of which nothing is known."""
    with ndpi.engine() as asked:
        assert asked.named(next(frames("wg_plain")).flow) == Named()


def test_a_fresh_engine_remembers_nothing() -> None:
    """What was called Telegram's in one is nobody's in the next."""
    first = [named("tg_turn_1400"), named("signal_turn")]

    assert first == [named("tg_turn_1400"), named("signal_turn")]


def test_without_the_library_or_with_another_version_it_is_told(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """By one sentence with its cure, not by a crash."""
    assert ndpi.version().startswith(ndpi.KNOWN)
    with monkeypatch.context() as other:
        other.setattr(ndpi, "KNOWN", "4.")
        with pytest.raises(EnvironmentUnfit, match="not the one known here"):
            ndpi.version()
    monkeypatch.setitem(sys.modules, "_lib_engine", None)
    with pytest.raises(EnvironmentUnfit, match="not installed") as caught, ndpi.engine():
        pass
    assert "circumtest[ndpi]" in caught.value.remedy
