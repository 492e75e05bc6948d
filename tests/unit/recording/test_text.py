"""Recordings as TOML: there and back, and each thing that cannot be played with file, key, cure."""

import math
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from circumtest import configs
from circumtest.errors import ConfigError
from circumtest.model import Transport
from circumtest.recording import Frame, Kind, Place, Recording
from circumtest.recording.text import MAX_TEXT, dumps, load, loads

WHOLE = """
format = 1
summary = "a binding"
transport = "udp"
port = 3478
frames = [
  {at = 0.0, from = "client", size = 20, hex = "000100002112a442", refresh = ["8:12:base64:t1"]},
  {at = 0.02, from = "server", size = 32, hex = "0101000c2112a44200000000000000000000000000200008", refresh = ["8:12:base64:t1", "24:8:mapped"]},
]
"""  # noqa: E501


def refused(text: str) -> str:
    """What is said of a text that is none."""
    with pytest.raises(ConfigError) as caught:
        loads(text, "call.toml")
    assert caught.value.where == "call.toml"
    return str(caught.value)


def test_a_recording_is_written_as_it_is_read() -> None:
    """The same value, and one frame a line."""
    recording = loads(WHOLE, "call.toml")
    text = dumps(recording)

    assert loads(text, "again") == recording
    assert recording.frames[0] == Frame(
        0.0, True, bytes.fromhex("000100002112a442") + bytes(12), (Place(8, 12, Kind.BASE64, "t1"),)
    )
    assert sum(line.startswith("  {at") for line in text.splitlines()) == 2


@pytest.mark.parametrize("name", configs.names("recordings"))
def test_every_shipped_recording_is_whole(name: str) -> None:
    """By name and as a file, and it says what it is."""
    recording = load(name)

    assert recording.summary
    assert load(str(configs.ROOT / "recordings" / f"{name}.toml")) == recording


@pytest.mark.parametrize(
    ("old", "new", "says"),
    [
        ("format = 1", "format = 2", "key `format`"),
        ("port = 3478", "port = 0", "key `port`"),
        ("port = 3478", "port = '1'", "key `port`"),
        ('"udp"', '"sctp"', "key `transport`"),
        ("port", "prot", "prot"),
        ("at = 0.02", "at = -1.0", "frame 2, key `at`"),
        ("at = 0.02", "at = inf", "frame 2, key `at`"),
        ("at = 0.02", "at = nan", "frame 2, key `at`"),
        ("at = 0.0,", "at = 0.5,", "frame 2, key `at`"),
        ('from = "client"', 'from = "me"', "frames[0]"),
        ('from = "client"', 'from = "server"', "speaks first"),
        ('from = "server"', 'from = "client"', "nothing comes back"),
        ("size = 20", "size = 4", "frame 1, key `size`"),
        ("size = 20", "size = 99999", "frame 1, key `size`"),
        ("000100002112a442", "zz", "frame 1, key `hex`"),
        ("8:12:base64:t1", "8:12", "frame 1, key `refresh`"),
        ("8:12:base64:t1", "8:13:base64:t1", "reach beyond"),
        ("8:12:base64:t1", "0:12:base64:t1", "not zero"),
        ("8:12:base64:t1", "8:12:wild:t1", "is no place"),
        ("8:12:base64:t1", "8:12:base64:T1", "is no place"),
        ("8:12:base64:t1", "8:12:base64:1t", "wrong name"),
        ('"8:12:base64:t1"]', '"8:12:base64:t1", "18:2:random"]', "overlap"),
        ('"8:12:base64:t1"]', '"8:12:random:t1"]', "another size or kind"),
        ('"8:12:base64:t1"]', '"8:12:counter:t1"]', "more than 8 bytes"),
        ('"8:12:base64:t1"]', '"8:4:counter"]', "has no name"),
        ("24:8:mapped", "24:6:mapped", "wrong size"),
        ("24:8:mapped", "24:8:mapped::9", "not inside"),
        ("24:8:mapped", "28:4:fingerprint::40", "not inside"),
        ("port = 3478", "port = 3478\nmedia = 1", "key `media`"),
        ("port = 3478", "port = 3478\nmedia = 3", "key `media`"),
        ("frames = [", "frames = []\nx = [", "x"),
        ("size = 20", "size = 20, sise = 3", "sise"),
        ("format = 1", "format = ", "is not TOML"),
    ],
)
def test_what_cannot_be_played_is_refused_with_its_place(old: str, new: str, says: str) -> None:
    """Each key of the head and of a frame."""
    assert old in WHOLE
    assert says in refused(WHOLE.replace(old, new, 1))


def test_sound_in_one_direction_only_is_no_sound() -> None:
    """It could not be judged."""
    lines = [
        f'  {{at = {at}.0, from = "{way}", size = 40, refresh = ["0:40:random"]}},\n'
        for at, way in enumerate(("client", "server", "client", "client"))
    ]
    text = f'format = 1\ntransport = "udp"\nport = 9\nmedia = 3\nframes = [\n{"".join(lines)}]\n'

    assert "no sound in one direction" in refused(text)


def test_frames_without_end_and_openings_without_end_are_refused() -> None:
    """What a far half would have to keep is bounded."""
    line = '{at = 0.0, from = "client", size = 16384, refresh = ["0:9:random"]},'
    last = '{at = 0.0, from = "server", size = 9}'

    def text(count: int) -> str:
        return f'format = 1\ntransport = "tcp"\nport = 9\nframes = [{line * count}{last}]'

    assert "before any answer" in refused(text(5))
    assert "1 to 4000" in refused(text(5000))


def test_files_that_are_missing_too_large_or_no_text_are_told(tmp_path: Path) -> None:
    """By name, with what there is."""
    for name, data, says in (
        ("large.toml", b"#" * (MAX_TEXT + 1), "larger than"),
        ("raw.toml", b"\xff\xfe", "is not text"),
    ):
        file = tmp_path / name
        file.write_bytes(data)
        with pytest.raises(ConfigError, match=says):
            load(str(file))
    with pytest.raises(ConfigError, match="there is no such file"):
        load(str(tmp_path / "none.toml"))
    with pytest.raises(ConfigError, match="did you mean 'turn'"):
        load("trun")


@given(st.text(max_size=200))
def test_garbage_is_refused(text: str) -> None:
    """As a ConfigError and nothing else."""
    with pytest.raises(ConfigError):
        loads(text, "garbage")


@settings(max_examples=200)
@given(st.data())
def test_a_damaged_recording_is_read_or_refused(data: st.DataObject) -> None:
    """Characters changed, taken out, put in."""
    text = WHOLE
    for _ in range(data.draw(st.integers(1, 4))):
        at = data.draw(st.integers(0, len(text)))
        text = (
            text[:at] + data.draw(st.text(max_size=2)) + text[at + data.draw(st.integers(0, 3)) :]
        )
    try:
        recording = loads(text, "damaged")
    except ConfigError:
        return
    assert loads(dumps(recording), "again").frames == recording.frames


@given(
    st.lists(
        st.tuples(st.floats(0, 1000), st.booleans(), st.binary(min_size=1, max_size=40)), max_size=9
    )
)
def test_any_frames_survive_being_written(said: list[tuple[float, bool, bytes]]) -> None:
    """Times to the microsecond, bytes exactly."""
    frames = [Frame(0.0, True, b"x"), Frame(0.0, False, b"y")]
    frames += [Frame(round(at, 6), way, data) for at, way, data in sorted(said)]
    recording = Recording(Transport.TCP, 5, tuple(frames), 'a "summary" \\ of\nit')
    again = loads(dumps(recording), "again")

    assert again.frames == recording.frames
    assert all(math.isfinite(frame.at) for frame in again.frames)
