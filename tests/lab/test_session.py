"""A lab in the background: put up, entered, ended, by programs that end in between."""

import os
import signal
import subprocess
import sys
import textwrap
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from circumtest.errors import EnvironmentUnfit
from circumtest.lab.session import Process, load

OUT = ("unshare", "-m", "sh", "-c", 'umount -l /run && exec "$@"', "sh")
PATIENCE = 20.0

PREAMBLE = """
import sys
from circumtest.errors import ConfigError, EnvironmentUnfit
from circumtest.lab import control, session
async def reply(question):
    return control.Answer(question.encode() * 2)
"""
UP = """
async def furnish(lab, stack):
    await lab.services.address("lo", "203.0.113.200/32")
    return session.Furnished(reply)
session.up("open", furnish)
"""
EXECUTE = """
sys.exit(session.execute(session.load(), sys.argv[1], sys.argv[2:]))
"""


def program(folder: Path, text: str, *arguments: str) -> "subprocess.CompletedProcess[str]":
    """Run some Python outside of any world, its session's file being in `folder`."""
    return subprocess.run(
        [*OUT, sys.executable, "-W", "error", "-c", PREAMBLE + textwrap.dedent(text), *arguments],
        env={**os.environ, "XDG_RUNTIME_DIR": str(folder)},
        capture_output=True,
        stdin=subprocess.DEVNULL,
        text=True,
        timeout=PATIENCE,
        check=False,
    )


@contextmanager
def background(folder: Path) -> Iterator[None]:
    """A lab is up, whatever the test does to it."""
    done = program(folder, UP)
    assert (done.returncode, done.stderr) == (0, "")
    try:
        yield
    finally:
        program(folder, "session.down()")


def test_commands_run_in_the_rooms(tmp_path: Path) -> None:
    """They see the room's links, the caller's directory, and end with their own code."""
    with background(tmp_path):
        done = program(tmp_path, EXECUTE, "client", "sh", "-c", "ls /run; pwd; exit 9")
        assert (done.returncode, done.stderr) == (9, "")
        assert done.stdout == f"circumtest-world\n{Path.cwd()}\n"
        for room, address in (("client", "192.0.2.2/30"), ("exit", "198.51.100.2/30")):
            assert address in program(tmp_path, EXECUTE, room, "ip", "addr").stdout
        assert "203.0.113.200" in program(tmp_path, EXECUTE, "services", "ip", "addr").stdout
        assert program(tmp_path, EXECUTE, "exit", "sh", "-c", "kill -9 $$").returncode == 137


def test_down_leaves_nothing(tmp_path: Path) -> None:
    """Both processes are gone when it returns, and a second time there is nothing to end."""
    with background(tmp_path):
        who = program(tmp_path, "s = session.load(); print(s.supervisor.pid, s.holder.pid)").stdout
        supervisor, holder = map(int, who.split())
        done = program(tmp_path, "print(session.down(), session.load(), session.down())")
        assert (done.stdout, done.stderr) == ("True None False\n", "")
        for pid in (supervisor, holder):
            assert not Path(f"/proc/{pid}").exists()


def test_only_one_is_up_at_a_time(tmp_path: Path) -> None:
    """The second attempt says how to end the first."""
    with background(tmp_path):
        done = program(tmp_path, UP)
        assert "ConfigError: lab: one is up already (open)\n  end it with: circumtest lab down" in (
            done.stderr
        )


def test_a_killed_lab_is_not_up(tmp_path: Path) -> None:
    """After kill -9 of its supervisor it is forgotten, and another can be put up."""
    with background(tmp_path):
        pid = int(program(tmp_path, "print(session.load().supervisor.pid)").stdout)
        os.kill(pid, signal.SIGKILL)
        assert program(tmp_path, "print(session.load())").stdout == "None\n"
        assert program(tmp_path, UP).returncode == 0


def test_a_lab_that_cannot_be_furnished_says_why(tmp_path: Path) -> None:
    """EnvironmentUnfit crosses from the background; nothing stays up."""
    done = program(
        tmp_path,
        """
        async def furnish(lab, stack):
            raise EnvironmentUnfit("no such thing", "type this")
        try:
            session.up("open", furnish)
        except EnvironmentUnfit as unfit:
            print(unfit.missing, unfit.remedy, session.load())
        """,
    )
    assert (done.stdout, done.stderr) == ("no such thing type this None\n", "")


def test_a_lab_that_breaks_while_it_comes_up_says_its_last_word(tmp_path: Path) -> None:
    """What nobody expected is in the log, and its last line is told."""
    done = program(
        tmp_path,
        """
        async def furnish(lab, stack):
            raise RuntimeError("quite unexpected")
        try:
            session.up("open", furnish)
        except EnvironmentUnfit as unfit:
            print(unfit.missing, session.load())
        """,
    )
    said = "the lab did not come up: RuntimeError: quite unexpected None\n"
    assert (done.stdout, done.stderr) == (said, "")
    assert "Traceback" in (tmp_path / "circumtest" / "lab.log").read_text()


def test_a_room_that_is_not_there_is_named(tmp_path: Path) -> None:
    """With the rooms that there are."""
    with background(tmp_path):
        done = program(tmp_path, EXECUTE, "kitchen", "true")
        assert "ConfigError: lab: kitchen: no such room" in done.stderr
        assert "client, censor, backbone, services, exit" in done.stderr


def test_the_lab_answers_as_long_as_it_is_up(tmp_path: Path) -> None:
    """Whoever waits on the connection learns of its end; a lab that is down is a ConfigError."""
    with background(tmp_path):
        done = program(
            tmp_path,
            """
            with session.connected() as lab:
                print(control.ask(lab, "well").words, control.ask(lab, "so").words)
                session.down()
                print(lab.recv(9))
            try:
                with session.connected():
                    pass
            except ConfigError as error:
                print(error)
            """,
        )
        assert done.stdout == (
            "b'wellwell' b'soso'\nb''\nlab: none is up\n  circumtest lab up POLICY\n"
        )


def test_a_room_sees_files_of_its_own(tmp_path: Path) -> None:
    """And is told what it is to know, while others see the machine's files."""
    seen, shown = tmp_path / "seen", tmp_path / "shown"
    seen.write_text("the machine's")
    shown.write_text("the lab's")
    furnish = f"""
    async def furnish(lab, stack):
        mounts = {{"client": {{{str(seen)!r}: {str(shown)!r}, "/run/far/off": {str(shown)!r}}}}}
        return session.Furnished(reply, mounts=mounts, environment={{"TOLD": "yes"}})
    session.up("open", furnish)
    """
    try:
        assert program(tmp_path, furnish).returncode == 0
        for room, told in (("client", "the lab'sthe lab'syes\n"), ("exit", "the machine'syes\n")):
            command = f"cat {seen}; cat /run/far/off 2>/dev/null; echo $TOLD"
            assert program(tmp_path, EXECUTE, room, "sh", "-c", command).stdout == told
    finally:
        program(tmp_path, "session.down()")


def test_an_absent_room_says_why(tmp_path: Path) -> None:
    """It was wanted, and could not be made."""
    furnish = """
    async def furnish(lab, stack):
        return session.Furnished(reply, absent={"inside": "nothing came back"})
    session.up("open", furnish)
    """
    try:
        assert program(tmp_path, furnish).returncode == 0
        done = program(tmp_path, EXECUTE, "inside", "true")
        assert "EnvironmentUnfit: there is no inside: nothing came back" in done.stderr
    finally:
        program(tmp_path, "session.down()")


def test_a_reused_process_id_is_not_the_lab(tmp_path: Path) -> None:
    """The start time tells; so does a process that is not there."""
    me = os.getpid()
    started = int(Path("/proc/self/stat").read_text().rpartition(")")[2].split()[19])
    assert Process(me, started).alive
    assert not Process(me, started + 1).alive
    assert not Process(2**22 + 1, started).alive


def test_a_directory_that_others_can_write_to_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its files say whom to send signals to."""
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(tmp_path))
    assert load() is None
    (tmp_path / "circumtest").chmod(0o777)
    with pytest.raises(EnvironmentUnfit, match="not a private directory"):
        load()


def test_a_damaged_file_is_no_lab(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """It is as if there were none."""
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(tmp_path))
    assert load() is None
    (tmp_path / "circumtest" / "lab.json").write_text('{"title": 1')
    assert load() is None
