"""`circumtest demo`: the default plan in the lab, and its table."""

from pathlib import Path

import click


@click.command(name="demo")
@click.option("-o", "--output", type=click.Path(path_type=Path), help="The run's folder.")
@click.option("--all-tunnels", is_flag=True, help="Every tunnel that circumtest knows, not four.")
@click.option("--all-calls", is_flag=True, help="Every call that circumtest knows, not three.")
@click.option("--long", is_flag=True, help="Also every cell's rates, intervals and p.")
def command(output: Path | None, all_tunnels: bool, all_calls: bool, long: bool) -> int:
    """Run the default plan in the lab and print what it shows.

    \b
    Examples:
      circumtest demo
      circumtest demo --long -o results/demo
      circumtest demo --all-tunnels
      circumtest demo --all-calls
    """
    from circumtest.cli.compare import tell
    from circumtest.cli.run import carry_out

    fresh = output is None
    if all_tunnels and all_calls:
        raise click.UsageError("--all-tunnels and --all-calls are two plans: choose one")
    plan = "all-tunnels" if all_tunnels else "all-calls" if all_calls else "demo"
    code, folder = carry_out(plan, output, fresh=fresh)
    return code or tell(folder, "text", long=long, fail_on="")
