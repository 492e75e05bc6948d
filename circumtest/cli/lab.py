"""`circumtest lab`: a lab that stays up behind a named censor, to try things in by hand."""

from typing import TYPE_CHECKING

import click

if TYPE_CHECKING:
    from circumtest.lab.topology import Lab


@click.group(name="lab")
def command() -> None:
    """Put a lab up, run commands in it, take it down.

    \b
    Examples:
      circumtest lab up ru-calls-2025-09
      circumtest lab exec client -- ping -c1 203.0.113.10
      circumtest lab exec censor -- nft list ruleset
      circumtest lab down
    """


@command.command()
@click.argument("policy", default="open")
def up(policy: str) -> int:
    """Put a lab up in the background, with POLICY in force and every handshake answered."""
    from circumtest.censor import enforce
    from circumtest.censor.load import policy as load_policy
    from circumtest.lab import session
    from circumtest.registry import HANDSHAKES, build, kinds

    rules = load_policy(policy)
    handshakes = {
        kind: build(HANDSHAKES, {"kind": kind}, "lab", kind) for kind in kinds(HANDSHAKES)
    }

    async def furnish(lab: "Lab") -> None:
        await enforce.apply(lab.censor, rules)
        for kind, handshake in handshakes.items():
            for version in (4, 6):
                await lab.serve(handshake, kind if version == 4 else f"{kind} (v6)", version)

    there = session.up(rules.name, furnish)
    click.echo(f"a lab is up, policy {there.title}; rooms: {', '.join(there.rooms)}")
    for name, addresses in there.served.items():
        click.echo(
            f"  {name:<24} {handshakes[name.split()[0]].listen.transport} "
            f"{', '.join(map(str, addresses))}"
        )
    return 0


@command.command(name="exec", context_settings={"ignore_unknown_options": True})
@click.argument("room")
@click.argument("argv", nargs=-1, required=True, type=click.UNPROCESSED)
def execute(room: str, argv: tuple[str, ...]) -> int:
    """Run a command in ROOM of the lab: client, censor, backbone, services, exit."""
    from circumtest.errors import ConfigError
    from circumtest.lab import session

    there = session.load()
    if there is None:
        raise ConfigError("lab", "", "none is up", "circumtest lab up POLICY")
    return session.execute(there, room, argv)


@command.command()
def down() -> int:
    """Take the lab down; nothing of it is left."""
    from circumtest.lab import session

    click.echo("the lab is down" if session.down() else "no lab was up")
    return 0
