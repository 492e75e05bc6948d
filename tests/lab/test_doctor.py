"""The doctor on real machines: this one, and this one with something taken away."""

import subprocess
import sys

from circumtest.doctor import Finding, examine, render
from circumtest.doctor.findings import State

_DOCTOR = "from circumtest.doctor import *; print(render(examine()))"


def without(directory: str) -> str:
    """What the doctor says of this machine when `directory` is empty."""
    hide = f'mount -t tmpfs none {directory} && exec "$@"'
    argv = ["unshare", "--mount", "sh", "-c", hide, "sh", sys.executable, "-c", _DOCTOR]
    done = subprocess.run(argv, capture_output=True, text=True, timeout=60, check=True)
    return done.stdout


def test_a_machine_that_runs_the_lab_is_found_fit_for_it() -> None:
    """What the other tests here rely on is found by the doctor, too."""
    found = {finding.what: finding for finding in examine()}

    for what in ("private world", "network namespaces", "veth", "nftables, all shipped policies"):
        assert found[what] == Finding(what, State.OK)


def test_a_missing_program_is_named_with_what_to_type() -> None:
    """dante is in /usr/sbin on Debian: without it the doctor names the package."""
    text = without("/usr/sbin")

    assert "danted is not installed" in text
    assert "-> apt-get install dante-server" in text
    assert "danted" in text.splitlines()[-1]


def test_a_machine_without_tun_is_told_how_to_get_it() -> None:
    """wireguard-go cannot run without /dev/net/tun."""
    text = without("/dev/net")

    assert "there is no /dev/net/tun" in text
    assert "-> as root: modprobe tun" in text


def test_looking_leaves_nothing_behind() -> None:
    """The probes' devices vanish with the world that they were made in."""
    links = ["ip", "-brief", "link"]
    before = subprocess.check_output(links, text=True)
    text = render(examine())
    after = subprocess.check_output(links, text=True)

    assert text
    assert before == after
