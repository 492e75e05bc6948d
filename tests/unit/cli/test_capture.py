"""`circumtest capture`: flows shown and imported, and every bad input in one clear message."""

import os
import pty
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

from circumtest.plan import load as load_plan
from circumtest.recording.text import load

DATA = Path(__file__).parents[2] / "data"
MAIN = "from circumtest.cli import main; main()"
BLIND = "import sys; sys.modules[{!r}] = None; " + MAIN


def said(
    *argv: str | Path, code: str = MAIN, user: int | None = None
) -> "subprocess.CompletedProcess[str]":
    """What the command prints, and its exit code, in a process of its own without a terminal."""
    return subprocess.run(
        [sys.executable, "-c", code, "capture", *map(str, argv)],
        capture_output=True,
        text=True,
        check=False,
        stdin=subprocess.DEVNULL,
        user=user,
    )


def imported(name: str, output: Path, *more: str) -> "subprocess.CompletedProcess[str]":
    """An import of one of the test's captures."""
    return said("import", DATA / f"{name}.pcap", "-o", output, *more)


def test_show_lists_flows_with_what_ndpi_calls_them() -> None:
    """Letters stand for addresses, unless one wants to see them."""
    hidden, shown = (
        said("show", DATA / "tg_turn_1400.pcap", *more) for more in ((), ("--addresses",))
    )

    assert hidden.returncode == shown.returncode == 0
    row = next(line for line in hidden.stdout.splitlines() if "udp" in line)
    assert row.split()[:8] == ["1", "udp", "A", "40643", "B", "1400", "6", "396"]
    assert "STUN.TelegramVoip" in row
    assert "STUN 2, TURN 4" in row
    assert "10." not in hidden.stdout
    assert "40643" in shown.stdout
    assert " A " not in shown.stdout


def test_show_does_without_ndpi_and_says_how_to_get_it() -> None:
    """In one line on stderr."""
    got = said("show", DATA / "fb_turn.pcap", code=BLIND.format("nfstream"))

    assert got.returncode == 0
    assert "circumtest[ndpi]" in got.stderr
    assert "40003" in got.stdout


def test_without_dpkt_nothing_can_be_read() -> None:
    """What is missing, and what to type: exit code 4."""
    got = said("show", DATA / "fb_turn.pcap", code=BLIND.format("dpkt"))

    assert got.returncode == 4
    assert "circumtest[capture]" in got.stderr


def test_an_import_is_a_recording_and_lines_for_a_plan(tmp_path: Path) -> None:
    """Which a plan takes as they are: the call, and its two controls."""
    output = tmp_path / "my-call.toml"
    got = imported("signal_turn", output)
    lines = got.stdout.partition("made from it:\n")[2]
    plan = tmp_path / "plan.toml"
    plan.write_text(f'policies = ["open"]\ntunnel = [{{kind = "none"}}]\n{lines}')

    assert (got.returncode, got.stderr) == (0, "")
    assert "6 frames, no sound; STUN 2, TURN 4 recognised" in got.stdout
    assert "kept: REALM 'signal.org'" in got.stdout
    assert load(str(output)).port == 3478
    assert [one["name"] for one in tomllib.loads(lines)["handshake"]] == [
        "my-call",
        "my-call-random",
        "my-call-inverted",
    ]
    assert [one.role for one in load_plan(str(plan)).outline.handshakes] == [
        "call",
        "control",
        "control",
    ]


def test_an_import_leaves_nothing_else_behind(tmp_path: Path) -> None:
    """Neither when it works nor when it does not."""
    output = tmp_path / "call.toml"
    assert imported("fb_turn", output).returncode == 0
    text = output.read_text()
    again = imported("plain_turn", output)
    assert again.returncode == 2
    assert "is there already" in again.stderr
    assert output.read_text() == text
    assert imported("plain_turn", output, "--force").returncode == 0
    assert output.read_text() != text
    assert [file.name for file in tmp_path.iterdir()] == ["call.toml"]


def test_the_key_of_integrity_and_own_places_go_into_the_file(tmp_path: Path) -> None:
    """So that it can be played against who knows the key."""
    output = tmp_path / "call.toml"
    got = imported(
        "plain_turn", output, "--key", "hunter2", "--refresh", "1:8:12", "--summary", "mine"
    )
    recording = load(str(output))

    assert got.returncode == 0
    assert (recording.key, recording.summary) == ("hunter2", "mine")
    assert output.stat().st_mode & 0o077 == 0


def test_of_several_flows_one_is_chosen_or_they_are_listed(tmp_path: Path) -> None:
    """Without a terminal nobody can be asked."""
    output = tmp_path / "call.toml"
    unasked = imported("tg_mtproto", output)
    assert unasked.returncode == 2
    assert "say which: --flow N" in unasked.stderr
    assert sum("tcp" in line for line in unasked.stderr.splitlines()) == 4
    assert imported("tg_mtproto", output, "--flow", "9").returncode == 2
    assert imported("tg_mtproto", output, "--flow", "3").returncode == 0
    assert load(str(output)).frames[0].data == b"\xee" * 4


def test_on_a_terminal_it_asks(tmp_path: Path) -> None:
    """And takes the answer."""
    output = tmp_path / "call.toml"
    ours, theirs = pty.openpty()
    argv = [sys.executable, "-c", MAIN, "capture", "import", str(DATA / "tg_mtproto.pcap")]
    with subprocess.Popen(
        [*argv, "-o", str(output)], stdin=theirs, stdout=subprocess.PIPE, stderr=subprocess.PIPE
    ) as child:
        os.close(theirs)
        os.write(ours, b"2\n")
        child.communicate(timeout=60)
    os.close(ours)

    assert child.returncode == 0
    assert load(str(output)).frames[0].data == b"\xef"


@pytest.mark.parametrize(
    ("content", "says"),
    [
        (b"", "is empty"),
        (b"not a capture, though it is long enough to be one", "is no capture"),
        ((DATA / "fb_turn.pcap").read_bytes()[:30], "has no UDP or TCP flow"),
        ((DATA / "fb_turn.pcap").read_bytes()[:24], "has no UDP or TCP flow"),
    ],
)
def test_files_that_hold_no_call_get_one_clear_line(
    tmp_path: Path, content: bytes, says: str
) -> None:
    """Whatever is wrong with them; nothing is written."""
    file, output = tmp_path / "call.pcap", tmp_path / "call.toml"
    file.write_bytes(content)
    for got in (said("import", file, "-o", output), said("show", file)):
        assert got.returncode == 2
        assert says in got.stderr
        assert "Traceback" not in got.stderr
    assert not output.exists()


def test_a_truncated_capture_gives_what_it_has_and_says_so(tmp_path: Path) -> None:
    """On stderr."""
    file, output = tmp_path / "call.pcap", tmp_path / "call.toml"
    file.write_bytes((DATA / "fb_turn.pcap").read_bytes()[:-5])
    got = said("import", file, "-o", output)

    assert got.returncode == 0
    assert "cut short when it was captured (1)" in got.stderr
    assert len(load(str(output)).frames) == 5


def test_what_is_encrypted_all_through_needs_a_word(tmp_path: Path) -> None:
    """And then has its sizes and times."""
    output = tmp_path / "call.toml"
    got = imported("wg_plain", output)
    assert got.returncode == 2
    assert "encrypted all through (WireGuard): nothing to refresh" in got.stderr
    assert imported("wg_plain", output, "--opaque").returncode == 0


def test_what_cannot_be_written_is_told(tmp_path: Path) -> None:
    """A folder that there is not."""
    got = imported("fb_turn", tmp_path / "nowhere" / "call.toml")

    assert got.returncode == 2
    assert "cannot be written: No such file or directory" in got.stderr
