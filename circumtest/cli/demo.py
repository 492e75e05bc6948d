"""`circumtest demo`: the default plan in the lab, and its table."""

from pathlib import Path

import click


@click.command(name="demo")
@click.option("-o", "--output", type=click.Path(path_type=Path), help="The run's folder.")
@click.option("--all-tunnels", is_flag=True, help="Every tunnel that circumtest knows, not four.")
@click.option("--long", is_flag=True, help="Also every cell's rates, intervals and p.")
def command(output: Path | None, all_tunnels: bool, long: bool) -> int:
    """Run the default plan in the lab and print what it shows.

    \b
    Examples:
      circumtest demo
      circumtest demo --long -o results/demo
      circumtest demo --all-tunnels
    """
    from circumtest.cli.compare import tell
    from circumtest.cli.run import carry_out

    fresh = output is None
    plan = "all-tunnels" if all_tunnels else "demo"
    code, folder = carry_out(plan, output, fresh=fresh)
    return code or tell(folder, "text", long=long, fail_on="")
