"""`circumtest bundle`: the file to share, or why there is none."""

import os
import sys
from pathlib import Path

import click

TOLD = 20
"""Places that are named before the rest are counted."""


@click.command(name="bundle")
@click.argument("run", type=click.Path(path_type=Path))
@click.option("-o", "--output", type=click.Path(path_type=Path), help="RUN.tar.gz by default.")
@click.option("--plan", help="The plan that was run: its secrets are searched for.")
@click.option(
    "--vpn",
    multiple=True,
    metavar="FILE|LINK",
    help="What was given to `run --vpn`: likewise (repeatable).",
)
@click.option(
    "--secret",
    multiple=True,
    type=click.Path(path_type=Path, exists=True, dir_okay=False, allow_dash=True),
    help="A file with a secret a line, - for stdin (repeatable).",
)
@click.option("--allow", multiple=True, metavar="WORD", help="An address or word that may stay.")
@click.option("--with-appearances", is_flag=True, help="Also how the tunnels look to an observer.")
def command(
    run: Path,
    output: Path | None,
    plan: str | None,
    vpn: tuple[str, ...],
    secret: tuple[Path, ...],
    allow: tuple[str, ...],
    *,
    with_appearances: bool,
) -> int:
    """Make the file to share of RUN: values, comparison, checksums; no seal, no packets.

    It is searched for every secret that you name (a run keeps none, so name them again) and for
    what looks like one: keys, links, logins, addresses and hosts that are not in the shipped target
    files.  Where one is found nothing is written, the place is named, and the exit code is 2.
    A token in CIRCUMTEST_MIRROR is searched for, too.

    \b
    Examples:
      circumtest bundle results/a --plan my-plan.toml
      circumtest bundle results/a --vpn client.ovpn --secret passwords.txt -o a.tar.gz
      pass show vpn | circumtest bundle results/a --secret -

    Type no secret on the command line: every user of this machine can read it there.
    """
    from circumtest.bundle import Search, contents, pack
    from circumtest.live.keeping import shipped

    secrets = _secrets(plan, vpn, secret)
    if not secrets:
        click.echo("no secret was named: only what looks like one is searched for", err=True)
    files = contents(run, appearances=with_appearances)
    places = Search(secrets, shipped() | set(allow)).places(files)
    if places:
        _refuse(run, [str(place) for place in places])
        return 2
    file = output or run.with_name(f"{run.resolve().name}.tar.gz")
    _write(file, pack(files))
    left = ", ".join(files)
    click.echo(f"{file}: {left}", err=True)
    click.echo("it still holds when you ran what, and the names that you gave", err=True)
    return 0


def _secrets(plan: str | None, vpn: tuple[str, ...], files: tuple[Path, ...]) -> frozenset[str]:
    from circumtest.errors import ConfigError
    from circumtest.live.keeping import known
    from circumtest.plan import load
    from circumtest.telltale import SHORTEST

    secrets: set[str] = set()
    texts: list[str] = []
    if plan or vpn:
        texts += load(plan or "demo", vpn).confidential()
    for file in files:
        text = sys.stdin.read() if str(file) == "-" else file.read_text(errors="replace")
        lines = {line.strip() for line in text.splitlines() if line.strip()}
        if any(len(line) < SHORTEST for line in lines):
            problem = f"a secret has fewer than {SHORTEST} characters: it would be found everywhere"
            raise ConfigError(str(file), "", problem, "take it out of the file")
        secrets |= lines
        texts.append(text)
    if token := os.environ.get("CIRCUMTEST_MIRROR"):
        secrets |= {token, *token.rsplit(":", 1)}
    found, hosts = known(texts)
    return frozenset(one for one in secrets | found | hosts if len(one) >= SHORTEST)


def _refuse(run: Path, places: list[str]) -> None:
    click.echo(f"circumtest: {run}: no bundle was made, it would have held:", err=True)
    for place in places[:TOLD]:
        click.echo(f"  {place}", err=True)
    if len(places) > TOLD:
        click.echo(f"  and {len(places) - TOLD} more places", err=True)
    click.echo("  look there; what is no secret may stay with --allow WORD", err=True)


def _write(file: Path, data: bytes) -> None:
    from circumtest.errors import EnvironmentUnfit

    try:
        file.write_bytes(data)
    except OSError as error:
        raise EnvironmentUnfit(f"{file} cannot be written: {error.strerror}", "use -o") from error
