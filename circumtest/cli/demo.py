"""`circumtest demo`: the default plan in the lab, and its table."""

from pathlib import Path

import click


@click.command(name="demo")
@click.option("-o", "--output", type=click.Path(path_type=Path), help="The run's folder.")
@click.option("--long", is_flag=True, help="Also every cell's rates, intervals and p.")
def command(output: Path | None, long: bool) -> int:
    """Run the default plan in the lab and print what it shows.

    \b
    Examples:
      circumtest demo
      circumtest demo --long -o results/demo
    """
    from circumtest.cli.compare import tell
    from circumtest.cli.run import carry_out

    fresh = output is None
    code, folder = carry_out("demo", output, (), (), (), None, None, None, fresh)
    return code or tell(folder, "text", long=long, fail_on="")
