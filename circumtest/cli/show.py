"""`circumtest show`: what was run, and how its trials ended."""

from collections import Counter
from pathlib import Path
from statistics import median

import click

from circumtest.model import Arm, Cell, Failure, Invalid, Success, Trial, Unsupported
from circumtest.report import FORMS, Form
from circumtest.report.rows import ABSENT, Table

HEADS = ("cell", "arm", "ok", "failed", "other", "median s", "MOS", "how they ended")


@click.command(name="show")
@click.argument("run", type=click.Path(path_type=Path))
@click.option("--format", "form", type=click.Choice(FORMS), default="text", show_default=True)
def command(run: Path, form: Form) -> int:
    """Show what RUN tried and how its trials ended, cell by cell; `compare` judges.

    Works offline, without root, on any machine.

    \b
    Examples:
      circumtest show results/a
      circumtest show results/a --format json
    """
    import msgspec

    from circumtest import sightings, store
    from circumtest.report.appearances import appearances, caveats
    from circumtest.report.markdown import laid_out
    from circumtest.report.text import table

    what = store.load(run)
    trials, troubles = store.read(run)
    seen, more = sightings.read(run)
    for trouble in (*troubles, *more):
        click.echo(trouble, err=True)
    if form == "json":
        whole = {"run": what, "trials": trials, "sightings": seen}
        click.echo(msgspec.json.format(msgspec.json.encode(whole)))
        return 0
    outline = what.outline
    total = len(outline.cells()) * outline.blocks * len(Arm)
    state = "finished" if what.finished else "not finished"
    click.echo(f"plan {outline.name} {outline.hash[:12]}, seed {outline.seed}, {state}")
    click.echo(", ".join(f"{name} {version}" for name, version in what.versions.items()))
    click.echo(f"{len(trials)} of {total} trials\n")
    rows = Table("trials", HEADS, tuple(_rows(trials)))
    for one in (rows, appearances(seen)):
        if one:
            click.echo(table(one, "simple") if form == "text" else laid_out(one))
            click.echo()
    for said in caveats(seen):
        click.echo(f"! {said}" if form == "text" else f"- {said}")
    return 0


def _rows(trials: list[Trial]) -> list[tuple[str, ...]]:
    grouped: dict[tuple[Cell, Arm], list[Trial]] = {}
    for trial in trials:
        grouped.setdefault((trial.cell, trial.arm), []).append(trial)
    return [_row(cell, arm, those) for (cell, arm), those in sorted(grouped.items())]


def _row(cell: Cell, arm: Arm, trials: list[Trial]) -> tuple[str, ...]:
    outcomes = [trial.record.outcome for trial in trials]
    ok = [trial.record.seconds for trial in trials if isinstance(trial.record.outcome, Success)]
    media = [one.mos for trial in trials for one in trial.record.media]
    sound = [mos for mos in media if mos is not None]
    failed = sum(isinstance(outcome, Failure) for outcome in outcomes)
    ends: Counter[str] = Counter()
    for outcome in outcomes:
        match outcome:
            case Failure(stage, cause, _):
                ends[f"{stage} {cause}"] += 1
            case Invalid(reason, fault, _):
                ends[f"{reason}({fault})" if fault else reason] += 1
            case Unsupported():
                ends["unsupported"] += 1
    return (
        str(cell),
        str(arm),
        str(len(ok)),
        str(failed),
        str(len(trials) - len(ok) - failed),
        f"{median(ok):.3f}" if ok else ABSENT,
        f"{median(sound):.1f}" if sound else ABSENT,
        ", ".join(f"{end} ×{n}" for end, n in ends.most_common()) or ABSENT,
    )
