"""Policies carried out by the kernel of this machine, in the censor's namespace.

It refuses to weaken one: what the kernel will not take is EnvironmentUnfit, and nothing is loaded.
"""

import json

from circumtest.censor.nft import TABLE, rule_of, ruleset
from circumtest.censor.policy import Policy
from circumtest.errors import EnvironmentUnfit
from circumtest.netns import Netns
from circumtest.process import ProcessEnded, run


async def check(netns: Netns, policy: Policy) -> None:
    """Have the kernel judge every rule without loading any.  Raises EnvironmentUnfit."""
    await _nft(netns, policy, "-c", "-f", "-")


async def apply(netns: Netns, policy: Policy) -> None:
    """Put the policy in force in `netns`, in place of an earlier one, for packets it forwards.

    All or nothing.  Counters and the memory of flows start empty; packet counts (`after`) are
    conntrack's, which begin with the first policy that has any.  Raises EnvironmentUnfit.
    """
    await _nft(netns, policy, "-f", "-")


async def hits(netns: Netns) -> dict[str, int]:
    """How many packets each rule of the policy in force has dropped so far, by rule id."""
    listing = json.loads(
        await run(netns, ["nft", "-j", "list", "counters", "table", "inet", TABLE])
    )
    counters = (entry["counter"] for entry in listing["nftables"] if "counter" in entry)
    return {rule_of(counter["name"]): counter["packets"] for counter in counters}


async def _nft(netns: Netns, policy: Policy, *options: str) -> None:
    try:
        await run(netns, ["nft", *options], input=ruleset(policy).encode())
    except ProcessEnded as error:
        words = " ".join(error.words.split())
        raise EnvironmentUnfit(
            f"this kernel cannot carry out the policy {policy.name}: {words[:300]}",
            "needs nftables 1.0.1 and Linux 5.16 with nf_tables, nft_ct, nft_numgen and"
            " nf_conntrack; as root: modprobe -a nf_tables nft_ct nft_numgen nf_conntrack",
        ) from None
