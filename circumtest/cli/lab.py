"""`circumtest lab`: a lab that stays up behind a named censor, to try things in by hand."""

import contextlib
import os
import signal
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO

import click

from circumtest.errors import ConfigError

if TYPE_CHECKING:
    from circumtest.lab.tap import Tap
    from circumtest.standing.status import Status

INCONCLUSIVE = 3
"""The exit code where nothing that is tried could tell anything."""


@click.group(name="lab")
def command() -> None:
    """Put a lab up behind a censor, run commands in it, look on, take it down.

    \b
    Examples:
      circumtest lab up ru-calls-2025-09
      circumtest lab up calls-and-wireguard --tunnel wireguard --tunnel shadowsocks
      circumtest lab exec client -- curl https://blocked.example/
      circumtest lab exec inside -- curl https://blocked.example/
      circumtest lab exec censor -- nft list ruleset
      circumtest lab capture --link both -o both-sides.pcapng
      circumtest lab status --watch
      circumtest lab down
    """


@command.command()
@click.argument("policy", default="open")
@click.option("-t", "--tunnel", multiple=True, metavar="NAME", help="Also this one (repeatable).")
@click.option("--scale", type=float, default=1.0, help="Multiplies the policy's times.")
@click.option("--seed", type=int, default=0, help="Of all chance, the network's and the censor's.")
def up(policy: str, tunnel: tuple[str, ...], scale: float, seed: int) -> int:
    """Put a lab up in the background, with POLICY in force and everything answered.

    A tunnel is a kind, or a name of the plan all-tunnels; the room `inside` leads through it.  One
    that does not come up behind this censor is told, and the lab stays up.

    \b
    Examples:
      circumtest lab up
      circumtest lab up ru-calls-2025-09 --tunnel wireguard
      circumtest lab up my-censor.toml --scale 0.01 --seed 7
    """
    from circumtest.censor.load import policy as load_policy
    from circumtest.lab import session
    from circumtest.plan import load
    from circumtest.registry import HANDSHAKES, build, kinds
    from circumtest.standing import furnish, told, tunnels

    session.refuse_second()
    if not 0 < scale <= 1000:
        raise ConfigError("lab", "--scale", "is out of range", "above 0, at most 1000")
    plan = load(tunnels.PLAN)
    wish = furnish.Wish(
        load_policy(policy),
        {kind: build(HANDSHAKES, {"kind": kind}, "lab", kind) for kind in kinds(HANDSHAKES)},
        plan,
        tunnels.chosen(plan, tunnel),
        scale,
        seed,
    )
    limit = session.START_LIMIT * (1 + len(wish.tunnels))
    session.up(wish.policy.name, wish.furnish, limit)
    click.echo(told.beginning(_status()), nl=False)
    return 0


@command.command(name="exec", context_settings={"ignore_unknown_options": True})
@click.argument("room")
@click.argument("argv", nargs=-1, required=True, type=click.UNPROCESSED)
def execute(room: str, argv: tuple[str, ...]) -> int:
    """Run a command in ROOM: client, inside, exit, services, censor or backbone.

    Names are resolved as in that place, and the lab's authority is trusted.  Ends with the
    command's own code, 127 when there is no such command, 3 when ROOM leads through a tunnel that
    is down.

    \b
    Examples:
      circumtest lab exec client -- curl -v https://blocked.example/
      circumtest lab exec client -- curl -o /dev/null https://twitter.com/bytes/1000000
      circumtest lab exec inside -- bash
    """
    from circumtest.lab import session

    there = session.load()
    if there is None:
        raise session.not_up()
    if room in there.rooms or room in there.absent:
        status = _status()
        if why := {**there.absent, **status.down}.get(room):
            click.echo(f"circumtest: {room} leads nowhere: {why}", err=True)
            return INCONCLUSIVE
        _warn(status.faults)
    code = session.execute(there, room, argv)
    with contextlib.suppress(ConfigError, OSError):  # the lab may be down by now
        _warn(set(_status().faults) - set(status.faults))
    return code


@command.command()
@click.option("-o", "--output", help="The file, or - for stdout; lab-POLICY-TIME.pcapng if unsaid.")
@click.option(
    "--link",
    type=click.Choice(("client", "backbone", "both")),
    default="client",
    help="Which side of the censor.",
)
@click.option("--seconds", type=click.FloatRange(min=0, min_open=True), help="End after so long.")
@click.option("--count", type=click.IntRange(1), help="End after so many packets.")
def capture(output: str | None, link: str, seconds: float | None, count: int | None) -> int:
    """Write what passes the censor's links to a pcapng file, until Ctrl-C.

    With `--link both` each packet is there twice, but those that the censor dropped (or made).

    \b
    Examples:
      circumtest lab capture --seconds 20 -o client.pcapng
      circumtest lab capture --link both -o both-sides.pcapng
      circumtest lab capture --link both -o - | wireshark -k -i -
    """
    from circumtest.lab import control, session
    from circumtest.lab.tap import LINKS, Bounds, Tap
    from circumtest.standing.furnish import TAP

    links = list(LINKS) if link == "both" else [link]
    if output is None:
        there = session.load()
        output = f"lab-{there.title if there else ''}-{time.strftime('%Y%m%dT%H%M%S')}.pcapng"
    with session.connected() as lab, _written(output) as file, _stopped() as stop:
        tapped = control.ask(lab, TAP).sock
        assert tapped is not None
        with tapped:
            running = Tap(tapped, file, links)
            click.echo(f"capturing ({', '.join(links)}); Ctrl-C ends it", err=True)
            running.run(Bounds(seconds, count), [stop, lab])
    _tell_capture(running, output)
    return 0


@command.command()
@click.option("--json", "as_json", is_flag=True, help="For programs.")
@click.option("--watch", is_flag=True, help="Again each second, until Ctrl-C.")
def status(as_json: bool, watch: bool) -> int:
    """Tell what each rule has hit, what is up, what is served where.

    Ends with 3 when the censor or the network is broken, so that nothing tried now tells anything.

    \b
    Examples:
      circumtest lab status
      circumtest lab status --watch
      circumtest lab status --json | jq .rules
    """
    import msgspec

    from circumtest.standing import told

    with _stopped() as stop:
        while True:
            there = _status()
            text = msgspec.json.encode(there).decode() + "\n" if as_json else told.now(there)
            clear = "\033[H\033[2J" if watch and sys.stdout.isatty() and not as_json else ""
            click.echo(clear + text, nl=False)
            if not watch or _readable(stop, 1.0):
                return INCONCLUSIVE if there.faults else 0


@command.command()
def down() -> int:
    """Take the lab down; nothing of it is left.

    \b
    Example:
      circumtest lab down
    """
    from circumtest.lab import session

    click.echo("the lab is down" if session.down() else "no lab was up")
    return 0


# ------------------------------------------------------------------ asking


def _status() -> "Status":
    import msgspec

    from circumtest.lab import control, session
    from circumtest.standing.furnish import STATUS
    from circumtest.standing.status import Status

    with session.connected() as lab:
        return msgspec.json.decode(control.ask(lab, STATUS).words, type=Status)


def _warn(faults: object) -> None:
    for fault in faults if isinstance(faults, tuple | set) else ():
        click.echo(f"circumtest: {fault}", err=True)
        click.echo("circumtest: what fails now says nothing about the policy", err=True)


# ------------------------------------------------------------------ capturing


@contextmanager
def _written(output: str) -> Iterator[BinaryIO]:
    """The file, whole or not at all.  Raises ConfigError."""
    from circumtest.lab.tap import whole_file

    if output == "-":
        yield sys.stdout.buffer
        return
    try:
        with whole_file(Path(output)) as file:
            yield file
    except FileExistsError:
        raise ConfigError(output, "", "is there already", "name another one") from None
    except PermissionError as error:
        raise ConfigError(output, "", f"cannot be written: {error.strerror}") from None


@contextmanager
def _stopped() -> Iterator[int]:
    """A descriptor that becomes readable when the person, or their shell, ends the command."""
    told, tell = os.pipe()
    os.set_blocking(tell, False)
    numbers = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)

    def stop(number: int, frame: object) -> None:  # noqa: ARG001
        with contextlib.suppress(BlockingIOError):
            os.write(tell, b"x")

    held = {number: signal.signal(number, stop) for number in numbers}
    try:
        yield told
    finally:
        for number, handler in held.items():
            signal.signal(number, handler)
        os.close(told)
        os.close(tell)


def _readable(descriptor: int, seconds: float) -> bool:
    import select

    return bool(select.select([descriptor], [], [], seconds)[0])


def _tell_capture(running: "Tap", output: str) -> None:
    each = ", ".join(f"{link} {count}" for link, count in sorted(running.packets.items()))
    by_link = f" ({each})" if each else ""
    lost = f"; {running.lost} more were lost: this machine is too slow" if running.lost else ""
    where = "stdout" if output == "-" else output
    click.echo(f"{where}: {running.packets.total()} packets{by_link}{lost}", err=True)
