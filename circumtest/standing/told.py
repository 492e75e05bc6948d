"""What a lab tells of itself, in words for a terminal.  It refuses to ask anything."""

import shlex
from collections.abc import Iterable

from circumtest.report.rows import Table, printable
from circumtest.report.text import table
from circumtest.standing.status import Service, Status, TunnelStatus

_INDENT = "    "


def beginning(status: Status) -> str:
    """What whoever has put it up wants to know: what is there, and what to type now."""
    parts = [_head(status, ""), *_tunnels(status.tunnels), *_faults(status)]
    parts += [table(_services(status.services), "simple"), "try\n\n" + "\n".join(_tries(status))]
    return printable("\n\n".join(parts) + "\n")


def now(status: Status) -> str:
    """What has happened so far."""
    parts = [_head(status, f" for {duration(status.seconds)}"), *_faults(status)]
    rows = tuple((one.id, one.matches, one.does, str(one.hits)) for one in status.rules)
    if rows:
        parts.append(table(Table("rules", ("rule", "matches", "does", "hits"), rows), "simple"))
    else:
        parts.append("no rules: every packet passes")
    if status.middlebox:
        looked = f"the middlebox looked at {status.middlebox.looked} packets"
        lost = status.middlebox.lost
        parts.append(looked + (f" and had no room for {lost}" if lost else ""))
    parts += _tunnels(status.tunnels)
    parts.append(table(_services(status.services), "simple"))
    return printable("\n\n".join(parts) + "\n")


def why_not(tunnel: TunnelStatus) -> str:
    """Why a tunnel does not lead anywhere."""
    said = f"tunnel {tunnel.name}: down ({tunnel.fault}): {tunnel.detail}"
    words = [f"{_INDENT}| {line}" for line in tunnel.evidence.strip().splitlines()[-5:]]
    return "\n".join([said, *words])


def duration(seconds: float) -> str:
    """Like 3 s, 4 min 5 s, 2 h 3 min."""
    minutes, left = divmod(int(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    if hours:
        return f"{hours} h {minutes} min"
    return f"{minutes} min {left} s" if minutes else f"{left} s"


def _head(status: Status, since: str) -> str:
    scale = f", times scaled by {status.scale:g}" if status.scale != 1 else ""
    lines = [
        f"a lab is up behind {status.policy}{since} (seed {status.seed}{scale})",
        f"{_INDENT}{status.summary} ({status.confidence})",
        *(f"{_INDENT}{link}" for link in status.network),
    ]
    return "\n".join(lines)


def _faults(status: Status) -> list[str]:
    if not status.faults:
        return []
    said = "\n".join(f"! {fault}" for fault in status.faults)
    return [f"{said}\n! what fails now says nothing about the policy: circumtest lab down"]


def _tunnels(tunnels: Iterable[TunnelStatus]) -> list[str]:
    said = []
    for one in tunnels:
        if one.fault:
            said.append(why_not(one))
        else:
            note = f"; {one.note}" if one.note else ""
            said.append(f"tunnel {one.name}: up, and leads from the room {one.room}{note}")
    return ["\n".join(said)] if said else []


def _services(services: Iterable[Service]) -> Table:
    rows = tuple((one.name, one.transport, _places(one)) for one in services)
    return Table("services", ("service", "over", "where"), rows)


def _places(service: Service) -> str:
    """The first place of each port and IP version, and how many more there are; JSON has all."""
    if service.why_not:
        return f"not there: {service.why_not}"
    by_sort: dict[tuple[str, bool], list[str]] = {}
    for place in service.addresses:
        host, _, port = place.rpartition(":")
        by_sort.setdefault((port, host.startswith("[")), []).append(place)
    return ", ".join(
        found[0] + (f" (and {len(found) - 1} more)" if len(found) > 1 else "")
        for found in by_sort.values()
    )


def _tries(status: Status) -> list[str]:
    """Commands to copy, each of which does something here."""
    rooms = ["client", *(one.room for one in status.tunnels if not one.fault)][:2]
    lines = []
    for service in status.services:
        if service.example:
            typed = shlex.join(service.example)
            lines += [f"circumtest lab exec {room} -- {typed}" for room in rooms]
    lines += [
        "circumtest lab capture --link both -o both-sides.pcapng",
        "circumtest lab status --watch",
        "circumtest lab down",
    ]
    return [f"{_INDENT}{line}" for line in lines]
