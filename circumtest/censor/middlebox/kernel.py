"""The kernel's queue for packets, asked for and opened: nft's own, or the one of iptables.

Stock kernels have both; which one is used is found by trying.  It refuses to guess by versions and
by names of modules.
"""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from circumtest.censor.middlebox.handover import QUEUE, attempt, legacy
from circumtest.censor.middlebox.netlink import Queue
from circumtest.errors import EnvironmentUnfit
from circumtest.netns import Netns
from circumtest.process import ProcessEnded, run

REMEDY = (
    "needs nfnetlink_queue, and nft_queue or iptables with xt_NFQUEUE; as root:"
    " modprobe -a nfnetlink_queue nft_queue"
)
_RESTORERS = ("iptables-restore", "ip6tables-restore")


async def nft_has_queues(netns: Netns) -> bool:
    """True: rules of nft can queue; False: those of iptables can, in both families.

    Nothing is left of the trying.  Raises EnvironmentUnfit with what the kernel said.
    """
    try:
        await netns.acall(lambda: Queue([QUEUE]).close())
    except OSError as error:
        raise EnvironmentUnfit(f"nfnetlink_queue: {error.strerror}", REMEDY) from None
    try:
        await run(netns, ["nft", "-c", "-f", "-"], input=attempt().encode())
    except ProcessEnded as error:
        refused = f"nft: {_telling(error)}"
    else:
        return True
    try:
        await _restore(netns, "-A", "-D")
    except ProcessEnded as error:
        raise EnvironmentUnfit(f"{refused}; {_telling(error)}", REMEDY) from None
    except EnvironmentUnfit as error:
        raise EnvironmentUnfit(f"{refused}; {error.missing}", REMEDY) from None
    return False


@asynccontextmanager
async def opened(netns: Netns, *, nft: bool) -> AsyncIterator[None]:
    """Have iptables queue what is marked, unless `nft` does; on exit not any more."""
    if nft:
        yield
        return
    await _restore(netns, "-A")
    try:
        yield
    finally:
        await _restore(netns, "-D")


async def _restore(netns: Netns, *operations: str) -> None:
    for program in _RESTORERS:
        await run(netns, [program, "-w", "--noflush"], input=legacy(*operations).encode())


def _telling(error: ProcessEnded) -> str:
    return f"{error.name}: {' '.join(error.words.split())[:200]}"
