"""Policies carried out in the censor's namespace: by the kernel, and by a middlebox what it cannot.

It refuses to weaken one: what cannot be carried out here is EnvironmentUnfit, and nothing is begun;
a packet that the middlebox should judge and does not never passes, and `Enforced` tells of it.
"""

import json
import os
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass

from circumtest.censor import nft
from circumtest.censor.middlebox import handover, kernel
from circumtest.censor.middlebox.briefing import Briefing, dumps
from circumtest.censor.middlebox.netlink import Counters, counters
from circumtest.censor.nftwords import parts
from circumtest.censor.policy import FLOW_MEMORY, Policy
from circumtest.errors import EnvironmentUnfit
from circumtest.netns import Netns
from circumtest.process import Daemon, ProcessEnded, daemon, run

PATIENCE = 20.0
"""Seconds that the middlebox may take to start: it is a Python, and machines are busy."""
_TOO_LONG = "Message too long"
_OPEN = f"add table inet {nft.TABLE}\ndelete table inet {nft.TABLE}\n"


@dataclass(frozen=True, slots=True)
class Enforced:
    """A policy in force in `netns`."""

    policy: Policy
    netns: Netns
    middlebox: Daemon | None = None

    async def hits(self) -> dict[str, int]:
        """How many packets each rule has acted on so far, by rule id, in the policy's order."""
        found = await hits(self.netns)
        return {rule.id: found[rule.id] for rule in self.policy.rules}

    def fault(self) -> str | None:
        """Why the policy is not carried out any more; None: it is.

        From then on no packet passes that the middlebox should judge: no outcome tells anything.
        """
        if self.middlebox is None:
            return None
        if not self.middlebox.alive:
            return f"the policy {self.policy.name}: {self.middlebox.post_mortem()}"
        if counters(handover.QUEUE, self.middlebox.pid) is None:
            return f"the policy {self.policy.name}: middlebox is about to end"
        return None

    def counters(self) -> Counters:
        """How many packets the middlebox was given, and how many of them it had no room for.

        Those were dropped, and it was no rule's doing.
        """
        if self.middlebox is None:
            return Counters()
        return counters(handover.QUEUE, self.middlebox.pid) or Counters()


@asynccontextmanager
async def enforced(netns: Netns, policy: Policy, seed: int = 0) -> AsyncIterator[Enforced]:
    """Have the policy in force in `netns`, in place of an earlier one, for packets it forwards.

    All chance of the middlebox comes from `seed`.  Counters and memory start empty; packet counts
    (`after`) are conntrack's, which begin with the first policy that has any.  On exit none is in
    force.  Raises EnvironmentUnfit when this machine cannot carry it out.
    """
    if not handover.others(policy):
        await apply(netns, policy)
        try:
            yield Enforced(policy, netns)
        finally:
            await _nft(netns, policy, _OPEN)
        return
    queues = await _queues(netns, policy)
    async with (
        _middlebox(netns, Briefing(policy, seed)) as middlebox,
        kernel.opened(netns, nft=queues),
    ):
        await _nft(netns, policy, _ruleset(policy, nft_queues=queues))
        # What is settled of a flow is remembered for as long as the judge would, not for 30 s.
        await netns.sysctl("net.netfilter.nf_conntrack_udp_timeout", round(FLOW_MEMORY))
        try:
            yield Enforced(policy, netns, middlebox)
        finally:
            await _nft(netns, policy, _OPEN)


async def check(netns: Netns, policy: Policy) -> None:
    """Have the kernel judge every rule without loading any.  Raises EnvironmentUnfit."""
    queues = bool(handover.others(policy)) and await _queues(netns, policy)
    await _nft(netns, policy, _ruleset(policy, nft_queues=queues), "-c")


async def apply(netns: Netns, policy: Policy) -> None:
    """Put a policy in force that needs no middlebox, until another one is.

    All or nothing.  Raises EnvironmentUnfit, and ValueError for a policy that needs `enforced`.
    """
    if rules := handover.others(policy):
        raise ValueError(f"the rule {rules[0].id} of the policy {policy.name} needs a middlebox")
    await _nft(netns, policy, nft.ruleset(policy))


async def hits(netns: Netns) -> dict[str, int]:
    """How many packets each rule of the policy in force has acted on so far, by rule id."""
    listing = json.loads(
        await run(netns, ["nft", "-j", "list", "counters", "table", "inet", nft.TABLE])
    )
    listed = (entry["counter"] for entry in listing["nftables"] if "counter" in entry)
    return {nft.rule_of(counter["name"]): counter["packets"] for counter in listed}


def _ruleset(policy: Policy, *, nft_queues: bool) -> str:
    others = handover.others(policy)
    return nft.ruleset(policy) + handover.ruleset(others, queue=nft_queues)


async def _queues(netns: Netns, policy: Policy) -> bool:
    """Whether nft itself queues packets.  Raises EnvironmentUnfit, which names policy and rules."""
    try:
        return await kernel.nft_has_queues(netns)
    except EnvironmentUnfit as unfit:
        rules = ", ".join(rule.id for rule in handover.others(policy))
        problem = f"this kernel cannot queue packets for a middlebox ({unfit.missing}), as the"
        raise EnvironmentUnfit(
            f"{problem} policy {policy.name} needs for: {rules}", unfit.remedy
        ) from None


@asynccontextmanager
async def _middlebox(netns: Netns, briefing: Briefing) -> AsyncIterator[Daemon]:
    """The process, ready to judge; on exit it is gone.  Raises EnvironmentUnfit."""
    told = os.memfd_create("briefing")
    try:
        with os.fdopen(told, "wb", closefd=False) as file:
            file.write(dumps(briefing))
        os.lseek(told, 0, os.SEEK_SET)
        argv = [sys.executable, "-m", "circumtest.censor.middlebox", str(told)]
        async with daemon(netns, argv, pass_fds=[told], name="middlebox") as process:
            try:
                await process.line("^ready$", PATIENCE)
            except (ProcessEnded, TimeoutError) as error:
                name = briefing.policy.name
                problem = f"the middlebox of the policy {name} did not start: {error}"
                raise EnvironmentUnfit(problem) from error
            yield process
    finally:
        os.close(told)


async def _nft(netns: Netns, policy: Policy, text: str, *options: str) -> None:
    try:
        await _load(netns, text, *options)
    except ProcessEnded as error:
        words = " ".join(error.words.split())
        raise EnvironmentUnfit(
            f"this kernel cannot carry out the policy {policy.name}: {words[:300]}",
            "needs nftables 1.0.1 and Linux 5.16 with nf_tables, nft_ct, nft_numgen and"
            " nf_conntrack; as root: modprobe -a nf_tables nft_ct nft_numgen nf_conntrack",
        ) from None


async def _load(netns: Netns, text: str, *options: str) -> None:
    """All or nothing.  In one transaction, or in several for an ordinary user's long policy.

    Such a user's netlink messages cannot be longer than the system's default.  The first part opens
    the censor and the hooks come last, so no packet meets half a policy.  Raises ProcessEnded.
    """
    command = ["nft", "-f", "-"]
    try:
        await run(netns, [*command, *options], input=text.encode())
        return
    except ProcessEnded as error:
        if _TOO_LONG not in error.words:
            raise
    trial = "-c" in options
    table = f"inet {nft.TABLE}-trial" if trial else f"inet {nft.TABLE}"
    text = text.replace(f"inet {nft.TABLE}", table)
    if trial:
        text = "".join(line for line in text.splitlines(True) if " hook " not in line)
    done = False
    try:
        for part in parts(text):
            await run(netns, command, input=part.encode())
        done = not trial
    finally:
        if not done:
            await run(netns, command, input=f"add table {table}\ndelete table {table}\n".encode())
