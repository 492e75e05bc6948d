"""Commands in a room of somebody's: what they see, and what others go on seeing."""

import asyncio
import os
import sys
from pathlib import Path

import pytest

from circumtest.lab.enter import Place, execute
from circumtest.netns import Netns


def said(capfd: pytest.CaptureFixture[str], place: Place, *argv: str) -> tuple[int, str, str]:
    """The command's code, and what it wrote to this process's stdout and stderr."""
    code = execute(place, argv)
    out, err = capfd.readouterr()
    return code, out, err


def test_a_command_sees_the_rooms_files_and_nobody_else_does(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    """Through links, too; a file that cannot be put there is told, and the command runs."""
    seen, shown, link = tmp_path / "seen", tmp_path / "shown", tmp_path / "link"
    seen.write_text("the machine's")
    shown.write_text("the room's")
    link.symlink_to(seen)
    absent = str(tmp_path / "absent")

    async def main() -> None:
        async with Netns.new("room") as room:
            mounts = {str(link): str(shown), absent: str(shown)}
            place = Place(os.getpid(), room.fd, mounts, {"TOLD": "something"})
            code, out, err = said(capfd, place, "sh", "-c", f"cat {seen}; echo $TOLD; ls -l {link}")
            assert (code, out.startswith("the room'ssomething\n")) == (0, True)
            assert err == f"{absent} is not the lab's: No such file or directory\n"
            links = said(capfd, Place(os.getpid(), room.fd), "cat", "/proc/net/dev")[1]
            assert "lo:" in links
            assert "eth0" not in links

    asyncio.run(main())
    assert seen.read_text() == "the machine's"
    assert "TOLD" not in os.environ


def test_the_end_of_a_command_is_its_own(capfd: pytest.CaptureFixture[str]) -> None:
    """Its code, its signal, and 127 when there is none such."""

    async def main() -> None:
        async with Netns.new("room") as room:
            place = Place(os.getpid(), room.fd)
            assert said(capfd, place, sys.executable, "-c", "exit(9)")[0] == 9
            assert said(capfd, place, "sh", "-c", "kill -15 $$")[0] == 143
            code, _, err = said(capfd, place, "no-such-command")
            assert (code, err) == (127, "no-such-command: No such file or directory\n")

    asyncio.run(main())


def test_a_lab_that_is_gone_cannot_be_entered(capfd: pytest.CaptureFixture[str]) -> None:
    """That is told, and ends with the code of what should not happen."""
    code, _, err = said(capfd, Place(2**22 + 1, 0), "true")
    assert (code, err.startswith("cannot enter the lab: ")) == (70, True)
