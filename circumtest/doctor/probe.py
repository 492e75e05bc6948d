"""What the kernel does when asked: run inside a private world, prints one line of JSON.

`{"veth": ["", ""], "netem": ["Error: ...", ""]}`: how it was refused ("" for not at all), and what
to do about it where the code that refused knows.  The world vanishes afterwards and every change
with it.  It refuses to say what a refusal means (`circumtest.doctor.findings`).
"""

import asyncio
import json
import sys
from collections.abc import Awaitable, Callable

from circumtest import configs
from circumtest.censor.load import policy
from circumtest.censor.middlebox import handover, kernel
from circumtest.censor.nft import ruleset
from circumtest.doctor.findings import DONE, Refusal
from circumtest.errors import EnvironmentUnfit
from circumtest.netns import Netns
from circumtest.process import ProcessEnded, run
from circumtest.wireguard.device import wireguard_device

_QUEUE_NUMBER = 17
_QUEUE_RULES = f"""
table inet doctor-queue {{
  chain forward {{
    type filter hook forward priority 0;
    meta mark 0 queue num {_QUEUE_NUMBER} bypass
  }}
}}
"""

Probe = Callable[[Netns], Awaitable[object]]


async def _veth(netns: Netns) -> None:
    async with Netns.new("doctor-peer") as peer:
        await netns.veth("veth0", peer, "veth1")
        await netns.address("veth0", "192.0.2.1/24")
        await netns.up("veth0")


async def _tun(netns: Netns) -> None:
    async with wireguard_device(netns, "userspace"):
        pass


async def _wireguard(netns: Netns) -> None:
    async with wireguard_device(netns, "kernel"):
        pass


async def _nft(netns: Netns) -> None:
    await _load(netns, "add table inet doctor")


async def _policies(netns: Netns) -> None:
    refused = []
    for name in configs.names("policies"):
        try:
            rules = policy(name)
            more = handover.ruleset(handover.others(rules), queue=False)
            await _load(netns, ruleset(rules) + more)
        except ProcessEnded as error:
            refused.append(f"{name}: {_telling(error.words)}")
    if refused:
        raise EnvironmentUnfit("; ".join(refused))


async def _middlebox(netns: Netns) -> None:
    await kernel.nft_has_queues(netns)


async def _nft_queue(netns: Netns) -> None:
    await _load(netns, _QUEUE_RULES)


async def _xt_nfqueue(netns: Netns) -> None:
    target = ["-j", "NFQUEUE", "--queue-num", str(_QUEUE_NUMBER), "--queue-bypass"]
    await run(netns, ["iptables", "-A", "FORWARD", *target])


async def _netem(netns: Netns) -> None:
    await run(netns, ["tc", "qdisc", "add", "dev", "lo", "root", "netem", "delay", "1ms"])


async def _load(netns: Netns, text: str) -> None:
    await run(netns, ["nft", "-f", "-"], input=text.encode())


PROBES: dict[str, Probe] = {
    "veth": _veth,
    "wireguard-go on TUN": _tun,
    "WireGuard in the kernel": _wireguard,
    "nftables": _nft,
    "nftables, all shipped policies": _policies,
    "queue for a middlebox": _middlebox,
    "nft queue": _nft_queue,
    "xt_NFQUEUE": _xt_nfqueue,
    "netem": _netem,
}


async def probe() -> dict[str, Refusal]:
    """Try everything, each once, and tell how it went."""
    tried = {}
    try:
        async with Netns.new("doctor") as netns:
            tried["network namespaces"] = DONE
            for name, attempt in PROBES.items():
                tried[name] = await _outcome(attempt(netns))
    except EnvironmentUnfit as error:
        tried["network namespaces"] = Refusal(error.missing, error.remedy)
    return tried


async def _outcome(attempt: Awaitable[object]) -> Refusal:
    try:
        await attempt
    except EnvironmentUnfit as error:
        return Refusal(error.missing, error.remedy)
    except ProcessEnded as error:
        return Refusal(_telling(error.words))
    except OSError as error:
        return Refusal(str(error))
    return DONE


def _telling(words: str) -> str:
    """The first line: nft prints the message and then points at it, others only the message."""
    lines = (line.strip() for line in words.splitlines())
    return next(filter(None, lines), "without a word")


if __name__ == "__main__":
    json.dump(asyncio.run(probe()), sys.stdout)
