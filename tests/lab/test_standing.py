"""The lab that stays up, by the commands that a person types, with programs that are not ours."""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

# Out of the tests' world: the commands are to make one of their own.
OUT = ("unshare", "-m", "sh", "-c", 'umount -l /run && exec "$@"', "sh")
CLI = (sys.executable, "-c", "from circumtest.cli import main; main()")
PATIENCE = 90.0
CURL = ("curl", "-sS", "--max-time", "10")

SNI = """
summary = "A TLS connection that names a listed server is reset; STUN is dropped."
confidence = "guessed"
evidence = ["none: for a test"]
[[rule]]
id = "stun"
match = ["stun"]
scope = "packet"
action = { do = "drop" }
[[rule]]
id = "sni"
match = ["tls"]
names = ["blocked.example", "*.listed.example"]
scope = "flow"
action = { do = "reset" }
[[network]]
delay = 0.005
"""


@dataclass(frozen=True)
class Desk:
    """Where somebody types: the directory that their lab is known in."""

    folder: Path

    def start(self, *argv: str) -> "subprocess.Popen[str]":
        """`circumtest lab ...`, begun."""
        return subprocess.Popen(
            [*OUT, *CLI, "lab", *argv],
            env={**os.environ, "XDG_RUNTIME_DIR": str(self.folder)},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            errors="replace",
            cwd=self.folder,
        )

    def lab(self, *argv: str) -> "subprocess.CompletedProcess[str]":
        """`circumtest lab ...`, done."""
        with self.start(*argv) as process:
            try:
                said, complained = process.communicate(timeout=PATIENCE)
            finally:
                process.kill()
        return subprocess.CompletedProcess(argv, process.returncode, said, complained)

    def status(self) -> dict[str, Any]:
        """What it tells programs."""
        told: dict[str, Any] = json.loads(self.lab("status", "--json").stdout)
        return told

    def holder(self) -> int:
        """The process that holds the lab."""
        known = json.loads((self.folder / "circumtest" / "lab.json").read_bytes())
        pid: int = known["holder"]["pid"]
        return pid


@contextmanager
def desk(folder: Path, *argv: str) -> Iterator[Desk]:
    """A lab is up, whatever the test does to it; `argv` are `lab up`'s."""
    (folder / "sni.toml").write_text(SNI)
    made = Desk(folder)
    try:
        done = made.lab("up", *argv)
        assert (done.returncode, done.stderr) == (0, "")
        yield made
    finally:
        made.lab("down")


@pytest.fixture(scope="module")
def there(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Desk]:
    """One lab for those that only look: behind `sni.toml`, with two tunnels."""
    folder = tmp_path_factory.mktemp("desk")
    with desk(folder, str(folder / "sni.toml"), "-t", "wireguard", "-t", "socks-tcp") as made:
        yield made


def inhabitants(world: int) -> list[int]:
    """The processes of a PID namespace, by its inode."""
    found = []
    for name in filter(str.isdigit, os.listdir("/proc")):
        try:
            if os.stat(f"/proc/{name}/ns/pid").st_ino == world:
                found.append(int(name))
        except OSError:  # it ended meanwhile
            continue
    return found


def world_of(pid: int) -> int:
    """The inode of a process's PID namespace."""
    return os.stat(f"/proc/{pid}/ns/pid").st_ino


def until_empty(world: int) -> None:
    """Wait for the last process of a PID namespace to end."""
    end = time.monotonic() + PATIENCE
    while left := inhabitants(world):
        assert time.monotonic() < end, left
        time.sleep(0.02)


def tshark(file: Path, *fields: str, wanted: str = "") -> list[list[str]]:
    """The fields of each packet that is `wanted`, as Debian's tshark reads them."""
    asked = [word for field in fields for word in ("-e", field)]
    done = subprocess.run(
        ["tshark", "-n", "-r", str(file), "-T", "fields", *asked, "-Y", wanted],
        capture_output=True,
        text=True,
        check=True,
        timeout=PATIENCE,
    )
    assert "cut short" not in done.stderr
    return [line.split("\t") for line in done.stdout.splitlines()]


# ------------------------------------------------------------------ behind the censor, and inside


def test_curl_is_stopped_and_let_through_as_the_policy_says(there: Desk) -> None:
    """By name, over real TLS with a certificate that is checked; the rule's hit is told."""
    before = {one["id"]: one["hits"] for one in there.status()["rules"]}
    blocked = there.lab("exec", "client", "--", *CURL, "https://blocked.example/")
    allowed = there.lab("exec", "client", "--", *CURL, "https://allowed.example/")
    plain = there.lab("exec", "client", "--", *CURL, "http://blocked.example/")
    assert (blocked.returncode, "reset by peer" in blocked.stderr) == (35, True)
    assert (allowed.returncode, allowed.stderr) == (0, "")
    assert allowed.stdout == "allowed.example/ over TLS; you come from 192.0.2.2\n"
    assert plain.stdout == "blocked.example/ over TCP; you come from 192.0.2.2\n"
    after = {one["id"]: one["hits"] for one in there.status()["rules"]}
    assert after["sni"] > before["sni"]


@pytest.mark.parametrize("room", ["inside", "inside-socks-tcp"])
def test_through_a_tunnel_the_same_command_gets_through(there: Desk, room: str) -> None:
    """Of a device, and of a proxy by a gateway: names too are resolved beyond."""
    done = there.lab("exec", room, "--", *CURL, "https://blocked.example/")
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout == "blocked.example/ over TLS; you come from 198.51.100.2\n"


def test_a_name_that_the_policy_speaks_of_is_served(there: Desk) -> None:
    """A pattern stands for one of its names."""
    done = there.lab("exec", "client", "--", *CURL, "https://www.listed.example/")
    assert done.returncode == 35
    done = there.lab("exec", "exit", "--", *CURL, "-o", "/dev/null", "-w", "%{size_download}",
                     "https://www.listed.example/bytes/300000")  # fmt: skip
    assert (done.returncode, done.stdout) == (0, "300000")


def test_openssl_and_ssh_have_something_to_talk_to(there: Desk) -> None:
    """The lab's authority is one that the room trusts; ssh is let in and forwards."""
    openssl = ("openssl", "s_client", "-verify_return_error", "-brief", "-servername")
    done = there.lab(
        "exec", "client", "--", *openssl, "allowed.example", "-connect", "allowed.example:443"
    )
    assert "Verification: OK" in done.stderr
    (service,) = [one for one in there.status()["services"] if one["name"] == "ssh exit.example"]
    typed = " ".join(service["example"])
    asked = f"printf 'GET /x HTTP/1.0\\r\\nHost: here\\r\\n\\r\\n' | {typed}"
    done = there.lab("exec", "client", "--", "sh", "-c", asked)
    assert done.stdout.endswith("here/x over TCP; you come from 198.51.100.2\n")


def test_status_says_in_words_what_is_up(there: Desk) -> None:
    """Rules, what they do, the network, the middlebox, tunnels, services."""
    done = there.lab("status")
    assert (done.returncode, done.stderr) == (0, "")
    for words in (
        "a lab is up behind sni for ",
        "client link: 5 ms",
        "tls for blocked.example, *.listed.example",
        "reset, the whole flow",
        "the middlebox looked at ",
        "tunnel wireguard: up, and leads from the room inside\n",
        "tunnel socks-tcp: up, and leads from the room inside-socks-tcp; TCP passes",
        "https://blocked.example/",
        "whatsapp-call",
    ):
        assert words in done.stdout, done.stdout


def test_status_is_told_again_until_somebody_ends_it(there: Desk) -> None:
    """Each second; Ctrl-C is how it is meant to end."""
    with there.start("status", "--watch", "--json") as watching:
        assert watching.stdout is not None
        first, second = (json.loads(watching.stdout.readline()) for _ in range(2))
        assert first["seconds"] < second["seconds"]
        stop_inside(watching)
        _, complained = watching.communicate(timeout=PATIENCE)
    assert (watching.returncode, complained) == (0, "")


def test_commands_end_with_their_own_code_or_a_documented_one(there: Desk) -> None:
    """127 for no such command, 2 for no such room, with those that there are."""
    assert there.lab("exec", "client", "--", "sh", "-c", "exit 9").returncode == 9
    assert there.lab("exec", "client", "--", "no-such-command").returncode == 127
    done = there.lab("exec", "kitchen", "--", "true")
    assert done.returncode == 2
    assert "backbone, services, exit, inside, inside-socks-tcp" in done.stderr


def test_what_is_mistyped_is_refused_with_a_guess(tmp_path: Path) -> None:
    """Before anything starts."""
    made = Desk(tmp_path)
    for argv, guess in (
        (("up", "ru-calls-2025-9"), "did you mean 'ru-calls-2025-09'?"),
        (("up", "open", "--tunnel", "wiregard"), "did you mean 'wireguard'?"),
        (("up", "open", "--tunnel", "amneziawg"), "has no server in the lab"),
        (("up", "open", "--scale", "0"), "is out of range"),
        (("exec", "client", "--", "true"), "none is up"),
        (("status",), "none is up"),
        (("capture",), "none is up"),
    ):
        done = made.lab(*argv)
        assert (done.returncode, done.stdout) == (2, ""), argv
        assert guess in done.stderr
    assert made.lab("down").stdout == "no lab was up\n"
    assert not (tmp_path / "circumtest" / "lab.json").exists()


# ------------------------------------------------------------------ capturing


def test_both_sides_at_once_show_what_was_dropped(there: Desk) -> None:
    """The listed ClientHello is on the client's side only; whatever passed is on both."""
    file = there.folder / "both.pcapng"
    with there.start("capture", "--link", "both", "-o", str(file)) as capturing:
        assert capturing.stderr is not None
        assert capturing.stderr.readline().startswith("capturing (client, backbone)")
        for name in ("blocked.example", "allowed.example"):
            there.lab("exec", "client", "--", *CURL, f"https://{name}/")
        assert not file.exists()
        stop_inside(capturing)
        _, complained = capturing.communicate(timeout=PATIENCE)
    assert capturing.returncode == 0
    packets = tshark(file, "frame.interface_name")
    assert f"{file}: {len(packets)} packets (backbone " in complained
    sides = {}
    for name in ("blocked.example", "allowed.example"):
        # Not by TLS: what is there twice is a retransmission to tshark, and taken apart once.
        hello = f'tcp.dstport == 443 && frame contains "{name}"'
        sides[name] = [link for (link,) in tshark(file, "frame.interface_name", wanted=hello)]
    assert sides == {"blocked.example": ["client"], "allowed.example": ["client", "backbone"]}


def stop_inside(capturing: "subprocess.Popen[str]") -> None:
    """Ctrl-C: `unshare` and `sh` have become the command."""
    os.kill(capturing.pid, signal.SIGINT)


def test_a_capture_ends_by_itself_and_never_writes_over_a_file(there: Desk) -> None:
    """After so many packets, or so long; to stdout, too."""
    file = there.folder / "few.pcapng"
    with there.start("capture", "--count", "5", "-o", str(file)) as capturing:
        assert capturing.stderr is not None
        capturing.stderr.readline()
        there.lab("exec", "client", "--", *CURL, "https://allowed.example/")
        capturing.communicate(timeout=PATIENCE)
    assert len(tshark(file, "frame.number")) == 5
    done = there.lab("capture", "--count", "5", "-o", str(file))
    assert (done.returncode, "is there already" in done.stderr) == (2, True)
    assert there.lab("capture", "--seconds", "0.1", "-o", "/nowhere/at/all").returncode == 2
    done = there.lab("capture", "--seconds", "0.1", "--link", "backbone", "-o", "-")
    assert (done.returncode, "stdout: " in done.stderr) == (0, True)


def test_a_killed_capture_leaves_no_file_of_that_name(there: Desk) -> None:
    """Half a file would be taken for a whole one."""
    file = there.folder / "killed.pcapng"
    with there.start("capture", "-o", str(file)) as capturing:
        assert capturing.stderr is not None
        capturing.stderr.readline()
        capturing.kill()
    assert not file.exists()


# ------------------------------------------------------------------ what goes wrong


def test_a_tunnel_that_does_not_come_up_is_told_and_the_lab_stays(tmp_path: Path) -> None:
    """That is what somebody wanted to see; the room says why it is none, and ends with 3."""
    with desk(tmp_path, "calls-and-wireguard", "--tunnel", "wireguard") as made:
        told = made.status()
        (tunnel,) = told["tunnels"]
        assert (tunnel["kind"], tunnel["fault"]) == ("wireguard", "handshake")
        assert any(one["hits"] for one in told["rules"] if "wireguard" in one["matches"])
        said = made.lab("status")
        assert "tunnel wireguard: down (handshake): no handshake in 6 s" in said.stdout
        assert said.returncode == 0
        done = made.lab("exec", "inside", "--", "true")
        assert done.returncode == 3
        assert "inside leads nowhere: handshake: no handshake" in done.stderr
        assert made.lab("exec", "client", "--", "true").returncode == 0


def test_a_dead_middlebox_is_said_wherever_something_is_tried(tmp_path: Path) -> None:
    """What fails then is not the policy's doing."""
    kill = 'for one in /proc/[0-9]*; do grep -qs "censor.middlebox" $one/cmdline && ' \
        "[ ${one#/proc/} != $$ ] && kill -9 ${one#/proc/}; done; true"  # fmt: skip
    (tmp_path / "sni.toml").write_text(SNI)
    with desk(tmp_path, str(tmp_path / "sni.toml")) as made:
        done = made.lab("exec", "censor", "--", "sh", "-c", kill)
        assert done.returncode == 0
        for argv, code in ((("status",), 3), (("exec", "client", "--", "true"), 0)):
            done = made.lab(*argv)
            assert done.returncode == code
            said = done.stdout + done.stderr
            assert "middlebox ended with -9" in said
            assert "says nothing about the policy" in said


def test_a_lab_that_is_given_up_while_it_comes_up_leaves_nothing(tmp_path: Path) -> None:
    """Ctrl-C: it lives in a session of its own, and would stay."""
    made, place = Desk(tmp_path), tmp_path / "circumtest"
    with made.start("up", "calls-and-wireguard", "--tunnel", "wireguard") as coming:
        end = time.monotonic() + PATIENCE
        while not (place / "lab.log").exists():
            assert time.monotonic() < end
            time.sleep(0.02)
        stop_inside(coming)
        said, _ = coming.communicate(timeout=PATIENCE)
    assert (coming.returncode, said) == (130, "")
    assert sorted(os.listdir(place)) == ["lab.log"]
    assert made.lab("status").returncode == 2


def test_down_leaves_nothing_and_ends_captures(tmp_path: Path) -> None:
    """No process, no namespace, no file but the log; a capture's file is whole."""
    (tmp_path / "sni.toml").write_text(SNI)
    file = tmp_path / "until-down.pcapng"
    with desk(tmp_path, str(tmp_path / "sni.toml"), "-t", "shadowsocks") as made:
        world = world_of(made.holder())
        assert len(inhabitants(world)) > 3
        with made.start("capture", "-o", str(file)) as capturing:
            assert capturing.stderr is not None
            capturing.stderr.readline()
            made.lab("exec", "client", "--", *CURL, "https://allowed.example/")
            assert made.lab("down").stdout == "the lab is down\n"
            capturing.communicate(timeout=PATIENCE)
        assert capturing.returncode == 0
        assert inhabitants(world) == []
        assert sorted(os.listdir(tmp_path / "circumtest")) == ["lab.log"]
        assert len(tshark(file, "frame.number")) > 10


def test_a_killed_lab_leaves_nothing_and_another_can_be_put_up(tmp_path: Path) -> None:
    """kill -9 of its supervisor takes everything along."""
    with desk(tmp_path, "open") as made:
        known = json.loads((tmp_path / "circumtest" / "lab.json").read_bytes())
        world = world_of(made.holder())
        os.kill(known["supervisor"]["pid"], signal.SIGKILL)
        until_empty(world)
        assert made.lab("status").returncode == 2
        assert made.lab("up", "open", "--seed", "7", "--scale", "0.5").returncode == 0
        told = made.status()
        assert (told["seed"], told["scale"], told["middlebox"]) == (7, 0.5, None)
