"""AmneziaWG where neither its module nor its program is: what is said, and that nothing is left.

Where one of them is, the same tests hold for the kinds that are missing.
"""

import asyncio
import shutil

import pytest

from circumtest.errors import EnvironmentUnfit
from circumtest.netns import Netns
from circumtest.tunnels.amneziawg import Amneziawg
from circumtest.wireguard.amnezia_device import DAEMON, MODULE
from tests.unit.wireguard.test_amnezia import HEADERS, JUNK, PADDING, PLAIN

TEXT = PLAIN.replace("[Peer]", f"{JUNK}{PADDING}{HEADERS}[Peer]")


async def refused(device: str) -> EnvironmentUnfit | None:
    """How this machine lacks the device; None where it has it."""
    async with Netns.new("client") as client:
        try:
            async with Amneziawg(text=TEXT, device=device, patience=0.5).up(client):  # type: ignore[arg-type]
                pass
        except EnvironmentUnfit as error:
            assert await client.links() == ("lo",)
            return error
        except Exception:  # noqa: BLE001  # it is there: whether it shakes hands is no matter here
            return None
    return None


async def has_module() -> bool:
    """Whether this kernel makes such a device."""
    async with Netns.new("probe") as netns:
        try:
            await netns.wireguard("aw0", MODULE)
        except EnvironmentUnfit:
            return False
    return True


@pytest.mark.parametrize(
    ("device", "missing", "remedy"),
    [
        ("kernel", "this kernel has no AmneziaWG", "amneziawg-linux-kernel-module"),
        ("userspace", "amneziawg-go is not installed", "amneziawg-go with Go"),
        ("auto", "neither AmneziaWG's kernel module nor amneziawg-go", "modprobe amneziawg"),
    ],
)
def test_what_is_missing_is_said_with_where_to_get_it(
    device: str, missing: str, remedy: str
) -> None:
    """Never plain WireGuard instead, and never a package that Debian does not have."""
    there = {"kernel": asyncio.run(has_module()), "userspace": bool(shutil.which(DAEMON))}
    there["auto"] = any(there.values())
    error = asyncio.run(refused(device))

    assert (error is None) == there[device]
    if error is not None:
        assert missing in error.missing
        assert remedy in error.remedy
        assert "apt-get" not in error.remedy
