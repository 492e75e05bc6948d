"""`recorded` as a plan has it: its fields, and what it says of itself."""

import msgspec
import pytest

from circumtest import registry
from circumtest.errors import ConfigError
from circumtest.handshakes.recorded import DEFAULT, Recorded
from circumtest.model import Role, Transport
from circumtest.recording.session import Variant
from circumtest.recording.text import load


def built(**fields: object) -> Recorded:
    """One from a plan's table."""
    made: Recorded = registry.build(
        registry.HANDSHAKES, {"kind": "recorded", **fields}, "plan.toml", "[[handshake]] 1"
    )
    return made


def test_without_a_file_the_shipped_call_is_played() -> None:
    """On its recorded port."""
    made = built()

    assert made.recording == load(DEFAULT)
    assert (made.listen.transport, made.listen.port) == (Transport.UDP, 43972)
    assert made.opening == 88
    assert built(port=3478).listen.port == 3478


def test_nothing_is_claimed_of_its_controls() -> None:
    """They are there to compare with."""
    roles = {str(variant): built(variant=str(variant)).role for variant in Variant}

    assert roles == {
        "as-recorded": Role.CALL,
        "random": Role.CONTROL,
        "inverted": Role.CONTROL,
    }
    assert Recorded.role is Role.CALL


@pytest.mark.parametrize(
    ("fields", "says"),
    [
        ({"file": "nothing.toml"}, "there is no such file"),
        ({"file": "webrtc-cal"}, "did you mean 'webrtc-call'"),
        ({"text": "format = 1", "file": DEFAULT}, "beside `file`"),
        ({"text": "format = 9"}, "key `format`"),
        ({"variant": "sideways"}, "key `variant`"),
        ({"idle": -1.0}, "key `idle`"),
        ({"port": 70000}, "key `port`"),
    ],
)
def test_what_a_plan_may_not_say_is_refused_when_it_is_read(
    fields: dict[str, object], says: str
) -> None:
    """Before anything starts."""
    with pytest.raises(ConfigError, match=says):
        built(**fields)


def test_a_first_frame_of_any_size_has_a_neutral_control() -> None:
    """As near to it as the control can come."""
    for size, opening in ((1, 20), (500, 500), (9000, 1400)):
        text = (
            'format = 1\ntransport = "udp"\nport = 9\nframes = ['
            f'{{at = 0.0, from = "client", size = {size}}}, '
            '{at = 0.1, from = "server", size = 9}]'
        )
        assert msgspec.convert({"text": text}, Recorded).opening == opening
