"""`circumtest compare`: what a run allows one to say."""

from pathlib import Path

import click

from circumtest.report import FORMS, Form


@click.command(name="compare")
@click.argument("run", type=click.Path(path_type=Path))
@click.option("--format", "form", type=click.Choice(FORMS), default="text", show_default=True)
@click.option("--long", is_flag=True, help="Also every cell's rates, intervals and p.")
@click.option(
    "--fail-on", metavar="VERDICT[,...]", default="", help="Exit 1 if a cell has one of these."
)
def command(run: Path, form: Form, long: bool, fail_on: str) -> int:
    """Compare outside with inside in every cell of RUN, and say what that shows.

    Works offline, without root, on any machine.

    \b
    Examples:
      circumtest compare results/a
      circumtest compare results/a --long --format markdown > table.md
      circumtest compare results/a --fail-on breaks-calls,does-not-bypass
    """
    return tell(run, form, long=long, fail_on=fail_on)


def tell(run: Path, form: Form, *, long: bool, fail_on: str) -> int:
    """Print the findings of a run folder; the exit code.  Raises ConfigError."""
    from circumtest import sightings, store
    from circumtest.compare import compare, exit_code
    from circumtest.report import render

    wanted = _verdicts(fail_on)
    begun = store.load(run)
    outline = begun.outline
    trials, troubles = store.read(run)
    seen, more = sightings.read(run)
    for trouble in (*troubles, *more):
        click.echo(trouble, err=True)
    if not trials and not begun.environment:
        click.echo(f"{run} has no trials yet", err=True)
        return 5
    findings = compare(outline, trials, seen, begun.environment)
    click.echo(render(findings, form, long=long), nl=False)
    return exit_code(findings, wanted)


def _verdicts(fail_on: str) -> list[str]:
    from circumtest.errors import ConfigError
    from circumtest.finding import VerdictKind
    from circumtest.registry import suggest

    wanted = [one.strip() for one in fail_on.split(",") if one.strip()]
    for one in wanted:
        kind = one.partition("(")[0]
        if kind not in list(VerdictKind):
            known = [str(kind) for kind in VerdictKind]
            raise ConfigError(
                "--fail-on", "", f"no verdict is called {kind!r}", suggest(kind, known)
            )
    return wanted
