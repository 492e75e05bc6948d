"""`circumtest plan`: what a plan would try, and what it could show."""

from typing import Any

import click


@click.command(name="plan")
@click.argument("plan", default="demo")
@click.option(
    "--vpn",
    multiple=True,
    metavar="FILE|LINK",
    help="This in place of the plan's tunnels (repeatable).",
)
def command(plan: str, vpn: tuple[str, ...]) -> int:
    """Print the matrix of PLAN, its trials, how long it takes, what it could show; start nothing.

    PLAN is a shipped plan's name or a file.  Of one for a real network it prints what would be sent
    where, and sends nothing.

    \b
    Examples:
      circumtest plan
      circumtest plan my-plan.toml
      circumtest plan --vpn client.conf
      circumtest plan live --vpn client.conf
    """
    from circumtest.live.targets import load as describe
    from circumtest.plan import load
    from circumtest.stats import ALPHA, smallest_difference

    loaded = load(plan, vpn, describe)
    for note in loaded.notes():
        click.echo(note, err=True)
    outline = loaded.outline
    cells, claims = outline.cells(), outline.claims()
    click.echo(f"plan        {outline.name}  ({outline.hash[:12]}, seed {outline.seed})")
    if outline.summary:
        click.echo(f"            {outline.summary}")
    for what, names in (
        ("policies", outline.policies),
        ("targets", outline.targets),
        ("handshakes", [one.name for one in outline.handshakes]),
        ("tunnels", [f"{one.name} ({one.server or one.kind})" for one in outline.tunnels]),
    ):
        click.echo(f"{what:<11} {', '.join(names)}")
    if loaded.live is not None:
        return _live(loaded)
    trials = len(cells) * outline.blocks * 4
    click.echo(f"cells       {len(cells)}, {len(claims)} of them claims")
    click.echo(f"trials      {trials}: {outline.blocks} blocks of 4 arms a cell")
    chain = max(loaded.seconds(cell) for cell in cells) * outline.blocks / loaded.lanes
    click.echo(f"duration    at most about {chain:.0f} s where all cells go side by side")
    alpha = ALPHA / max(1, len(claims))
    least = smallest_difference(outline.blocks, alpha, early=outline.stop_early)
    shown = "none: too few blocks" if least is None else f"{least:.0%} of the calls"
    click.echo(f"could show  a difference of {shown}, after Holm over {len(claims)} claims")
    return 0


def _live(loaded: Any) -> int:
    """What would be sent where."""
    from circumtest.live.announce import lines
    from circumtest.live.run import schedule

    for line in lines(loaded, schedule(loaded, {})):
        click.echo(line)
    return 0
