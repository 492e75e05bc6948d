"""The teeth table as a page of Markdown."""

from collections.abc import Iterable, Mapping, Sequence

from circumtest.censor.load import policy
from circumtest.model import Success
from tests.lab.teeth.cell import WORKS, Fate
from tests.lab.teeth.expected import JOINED, SPECIMENS
from tests.sim.test_teeth import ROWS, outcome

Cell = tuple[str, str]

_HEAD = """\
# Teeth: what each named censor does

{made}
The censors are described in [policies.md](policies.md).
What is expected stands in `tests/lab/teeth/expected.py` and `tests/sim/test_teeth.py`.
CI plays what breaks (of a censor that breaks nearly all, one of a family), and two that live.

## Tunnels, in the lab

Real clients and servers in network namespaces, the real kernel and middlebox between them.
A tunnel is brought up, carries 12 KiB there and back, and then, where it carries datagrams, a quick
WhatsApp call.

| word | is |
|---|---|
| works | up, and both pass (`works, no UDP`: there is no way for a call's datagrams) |
| down | it does not come up, or carries nothing |
| stream | it is up, and the 12 KiB do not come through |
| call | those do, and the call does not |

Rules that take a flow by chance (`gfw-fep-2023`: 26.3 %) are played as if they took all.
A censor that counts (`l4-25`, `ru-wireguard-2023`) may be met earlier or later: that depends on
what the tunnel says again.
"""


def page(seen: Mapping[Cell, Fate], made: str, wrong: Sequence[str]) -> str:
    """Everything that was seen, in the order in which a reader wants it."""
    profiles = list(dict.fromkeys(profile for profile, _ in seen))
    worked = set(WORKS.values())
    biting = [
        profile
        for profile in profiles
        if any(seen[profile, one].word not in worked for one in SPECIMENS if one not in JOINED)
    ]
    harmless = [profile for profile in profiles if profile not in biting]
    parts = [_HEAD.format(made=made)]
    if biting:
        parts += [_tunnels(seen, biting), ""]
    if harmless:
        names = ", ".join(f"`{name}`" for name in harmless)
        parts += [
            f"Behind these every tunnel works, but for what no rule did (below): {names}.",
            "",
        ]
    parts += _besides(seen)
    parts += ["## Not as expected", "", *(f"- {line}" for line in wrong or ["nothing"]), ""]
    return "\n".join([*parts, *_calls(profiles)])


def _tunnels(seen: Mapping[Cell, Fate], profiles: Sequence[str]) -> str:
    rows = [
        [f"`{tunnel}`", *(_short(seen[profile, tunnel]) for profile in profiles)]
        for tunnel in SPECIMENS
    ]
    return _table(["tunnel", *(f"`{name}`" for name in profiles)], rows)


def _short(one: Fate) -> str:
    if one.word in WORKS.values():
        return one.word
    word, _, more = one.word.partition(": ")
    return f"**{word}**" + (f" ({more})" if word == "down" else "")


def _besides(seen: Mapping[Cell, Fate]) -> list[str]:
    """What failed at first without a rule's doing, and what a tunnel's own fault is."""
    again = [
        f"- `{tunnel}` behind `{profile}`: {', '.join(one.before)}; then {one.word}"
        for (profile, tunnel), one in seen.items()
        if one.before
    ]
    lines = ["### What no rule did", ""]
    lines += [
        "V2Ray's Trojan (4.34, against either server) makes one datagram of two that are sent",
        "right after one another. A WhatsApp call says each request twice: behind any censor, and",
        "behind none, some calls through " + " and ".join(f"`{one}`" for one in JOINED) + " fail.",
        "",
    ]
    if again:
        lines += ["What failed without any rule having acted was tried again, at most twice:", ""]
        lines += [*again, ""]
    return lines


def _calls(profiles: Iterable[str]) -> list[str]:
    """Handshakes and flows without a tunnel, in virtual time."""
    lines = [
        "## Calls and other flows without a tunnel, in the simulator",
        "",
        "What is not named succeeds, of all rows: " + ", ".join(f"`{row}`" for row in ROWS) + ".",
        "The lab agrees where `tests/lab/test_agreement.py` plays them there: of those that die",
        "alike behind a censor six are played, of others all.",
        "",
    ]
    rows = []
    for profile in profiles:
        ended = {row: outcome(row, policy(profile)) for row in ROWS}
        died: dict[str, list[str]] = {}
        for row, one in ended.items():
            if one != Success():
                how = f"{getattr(one, 'stage', '')}: {getattr(one, 'cause', one)}"
                died.setdefault(how, []).append(f"`{row}`")
        told = "; ".join(f"{how}: {', '.join(names)}" for how, names in died.items())
        rows.append([f"`{profile}`", told or "nothing"])
    return [*lines, _table(["profile", "breaks"], rows)]


def _table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines)
