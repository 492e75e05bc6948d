"""How sing-box is told what to do, and as whom it is run."""

import json
import os
import sys
from pathlib import Path

import pytest

from circumtest.engine.sing_box import believing, command, installed, settings, told
from circumtest.errors import EnvironmentUnfit

OUTBOUND = {
    "type": "tuic",
    "tag": "out",
    "server": "h.example",
    "password": "s3cret",
    "tls": {"server_name": "n.example"},
    "peers": [{"address": "192.0.2.1", "public_key": "k3y"}],
}


def test_what_comes_in_leaves_by_the_one_outbound_and_is_never_forgotten() -> None:
    """A silent flow to a port of STUN would be, after 10 s."""
    what = settings([{"type": "socks"}], [OUTBOUND, {"type": "wireguard", "tag": "out"}])

    assert what["route"]["final"] == "out"
    (rule,) = what["route"]["rules"]
    assert rule["inbound"] == [what["inbounds"][0]["tag"]]
    assert rule["udp_timeout"] == "1h"
    assert [one["type"] for one in what["outbounds"]] == ["tuic"]
    assert [one["type"] for one in what["endpoints"]] == ["wireguard"]


def test_what_must_not_be_seen_is_found_wherever_it_stands() -> None:
    """Passwords, keys, and who the server is."""
    assert set(told([OUTBOUND])) == {"s3cret", "h.example", "n.example", "192.0.2.1", "k3y"}


def test_a_private_authority_is_believed_instead_of_the_machines() -> None:
    """Verification is never turned off for it."""
    assert believing(OUTBOUND, "") == OUTBOUND
    tls = believing(OUTBOUND, "-----BEGIN\nxyz\n")["tls"]
    assert tls == {"server_name": "n.example", "certificate": ["-----BEGIN", "xyz"]}


def test_it_is_run_without_capabilities_environment_or_secrets_in_its_arguments(
    tmp_path: Path,
) -> None:
    """What it is told is in a file that nobody else can read."""
    argv = command(tmp_path, settings([], [OUTBOUND]))
    file = tmp_path / "sing-box.json"

    assert json.loads(file.read_text())["outbounds"] == [OUTBOUND]
    assert file.stat().st_mode & 0o077 == 0
    assert argv[0] == "setpriv"
    assert {"--no-new-privs", "--inh-caps=-all", "--ambient-caps=-all"} <= set(argv)
    assert argv[argv.index("--") :][:3] == ["--", "env", "-i"]
    assert not [word for word in argv if "s3cret" in word or "h.example" in word]
    if os.geteuid() == 0:
        assert "--bounding-set=-all" in argv


def test_the_program_is_found_in_the_wheel() -> None:
    """By its place; the package's own code is not run."""
    assert installed().name.startswith("sing-box-linux-")


def test_without_the_wheel_the_message_says_what_to_type(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is an optional extra."""
    monkeypatch.setattr(sys, "path", [str(tmp_path)])
    with pytest.raises(EnvironmentUnfit, match="not installed") as caught:
        installed()

    assert caught.value.remedy == "pip install 'circumtest[sing-box]'"
