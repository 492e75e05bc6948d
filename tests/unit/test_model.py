"""Values: what is written is read back the same."""

import msgspec
import pytest

from circumtest.model import (
    Address,
    Arm,
    Cause,
    Cell,
    Direction,
    Failure,
    Invalid,
    Media,
    Outcome,
    Record,
    Stage,
    StageRecord,
    Success,
    Trial,
    TunnelFault,
    Unsupported,
)


@pytest.mark.parametrize(
    ("address", "text", "version", "octets"),
    [
        (Address("192.0.2.1", 53), "192.0.2.1:53", 4, 4),
        (Address("2001:db8::1", 53), "[2001:db8::1]:53", 6, 16),
    ],
)
def test_an_address_is_written_as_urls_write_it(
    address: Address, text: str, version: int, octets: int
) -> None:
    """IPv6 has brackets, so that the port stays readable."""
    assert (str(address), address.version, len(address.packed)) == (text, version, octets)


@pytest.mark.parametrize(
    "outcome",
    [
        Success(),
        Failure(Stage.ALLOCATE, Cause.TIMEOUT, "no answer"),
        Invalid("tunnel-down", TunnelFault.NO_UDP),
        Unsupported("no UDP"),
    ],
    ids=repr,
)
def test_a_trial_is_read_back_as_it_was_written(outcome: Outcome) -> None:
    """Every kind of outcome survives JSON, with media and stages."""
    media = Media(1.6, 50, Direction(80, 80, 0), Direction(80, None))
    stages = (StageRecord(Stage.ALLOCATE, 0.0, 0.5, True),)
    record = Record(outcome, 0.5, stages, (media,), Address("192.0.2.1", 4), 0.01)
    trial = Trial(Cell("none", "echo", "lab", "open"), 3, Arm.INSIDE, 1e9, record)

    assert msgspec.json.decode(msgspec.json.encode(trial), type=Trial) == trial


def test_a_cell_names_policy_target_handshake_and_tunnel() -> None:
    """The name is what warnings and seeds are made of."""
    assert str(Cell("wg", "echo", "lab", "open")) == "open/lab/echo/wg"
