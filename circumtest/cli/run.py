"""`circumtest run`: carry a plan out, in the lab or on the present network."""

import os
import sys
import time
from pathlib import Path
from typing import Any

import click


@click.command(name="run")
@click.argument("plan", default="")
@click.option("--live", is_flag=True, help="On the present network: real services.")
@click.option(
    "--mirror",
    metavar="HOST:TOKEN|FILE",
    help="On the present network: your own mirror, whole calls.",
)
@click.option("-o", "--output", type=click.Path(path_type=Path), help="The run's folder.")
@click.option("-t", "--tunnel", multiple=True, help="Only this tunnel (repeatable).")
@click.option("-k", "--handshake", multiple=True, help="Only this handshake (repeatable).")
@click.option("-p", "--policy", multiple=True, help="Only this policy (repeatable).")
@click.option(
    "--vpn",
    multiple=True,
    metavar="FILE|LINK",
    help="This in place of the plan's tunnels (repeatable).",
)
@click.option("--blocks", type=click.IntRange(1, 10000), help="Instead of the plan's.")
@click.option("--seed", type=int, help="Instead of the plan's.")
@click.option("--target", multiple=True, help="Live: only this target (repeatable).")
@click.option("--budget", type=click.FloatRange(min=0), metavar="MINUTES", help="Live: stop then.")
@click.option("--dry-run", is_flag=True, help="Live: say what would be sent, and send nothing.")
@click.option("--keep-exit", is_flag=True, help="Live: keep the addresses that far ends saw.")
@click.option("--neutral", default="neutral", hidden=True, help="Your own file of neutral places.")
@click.option("-y", "--yes", is_flag=True, help="Live: do not ask before anything is sent.")
@click.option("--jobs", type=click.IntRange(1, 256), help="Processes; one a core by default.")
@click.option("--fresh", is_flag=True, help="Begin anew, even where a run could be resumed.")
def command(**options: Any) -> int:
    """Carry PLAN out, and leave a folder that `compare` and `show` read.

    Without --live and --mirror it is played in the lab, and nothing leaves this machine.  With one
    of them it is played from here: you are told what is sent where, and asked.  A run that was
    stopped is resumed by the same command.

    \b
    Examples:
      circumtest run
      circumtest run my-plan.toml -o results/a
      circumtest run demo -t wireguard -k whatsapp-call -p ru-calls-2025-09
      circumtest run demo --vpn client.ovpn --vpn link.txt
      circumtest run --live --vpn client.conf --dry-run
      circumtest run --live --vpn client.conf --target telegram --budget 60
      circumtest run --mirror token.txt --vpn client.conf

    A link or a token on the command line is seen by every user of this machine; in a file, or a
    token in the variable CIRCUMTEST_MIRROR (--mirror ""), it is not.
    """
    if options["live"] or options["mirror"] is not None:
        return _on_site(options)
    code, folder = carry_out(**_of_the_lab(options))
    if code == 0:
        click.echo(f"now: circumtest compare {folder}", err=True)
    elif code == 130:
        click.echo("stopped; the same command resumes it", err=True)
    return code


_LIVE = ("live", "mirror", "target", "budget", "dry_run", "keep_exit", "neutral", "yes")
_LAB = ("policy", "jobs")


def _of_the_lab(options: dict[str, Any]) -> dict[str, Any]:
    """The options of a run in the lab.  Raises UsageError for one that only live runs have."""
    for name in ("target", "budget", "dry_run", "keep_exit", "yes"):
        if options[name]:
            option = name.replace("_", "-")
            raise click.UsageError(f"--{option} is for live runs: --live, or --mirror")
    kept = {name: value for name, value in options.items() if name not in _LIVE}
    return {**kept, "plan": options["plan"] or "demo"}


def _on_site(options: dict[str, Any]) -> int:
    """A run on the present network."""
    from circumtest.cli import live

    for name in _LAB:
        if options[name]:
            raise click.UsageError(f"--{name} is for runs in the lab")
    if options["live"] and options["mirror"] is not None:
        raise click.UsageError("--live asks real services, --mirror a mirror: two runs")
    wanted = live.Live(
        plan=options["plan"] or ("live" if options["live"] else "mirror"),
        mirror=options["mirror"],
        output=options["output"],
        tunnels=options["tunnel"],
        handshakes=options["handshake"],
        targets=options["target"],
        vpns=options["vpn"],
        blocks=options["blocks"],
        seed=options["seed"],
        budget=options["budget"],
        neutral=options["neutral"],
        fresh=options["fresh"],
        keep_exit=options["keep_exit"],
        yes=options["yes"],
        dry=options["dry_run"],
    )
    if wanted.dry:
        return live.show(wanted)
    code, folder = live.carry_out(wanted)
    return live.tell_end(code, folder)


def carry_out(
    plan: str,
    output: Path | None,
    *,
    tunnel: tuple[str, ...] = (),
    handshake: tuple[str, ...] = (),
    policy: tuple[str, ...] = (),
    vpn: tuple[str, ...] = (),
    blocks: int | None = None,
    seed: int | None = None,
    jobs: int | None = None,
    fresh: bool = False,
) -> tuple[int, Path]:
    """Load, choose the folder, and play in the sandbox: the exit code and the folder."""
    from circumtest import store
    from circumtest.plan import load
    from circumtest.sandbox import run_inside

    loaded = load(plan, vpn).select(tunnel, handshake, policy, blocks=blocks, seed=seed)
    for note in loaded.notes():
        click.echo(note, err=True)
    private = loaded.private()
    folder = output or new_folder(loaded.outline, private, fresh=fresh)
    begun = store.create(folder, loaded.outline, private)
    if begun.finished is not None:
        click.echo(f"{folder} is finished already; --fresh or another -o begins anew", err=True)
        return 0, folder
    click.echo(f"results in {folder}", err=True)
    with store.lock(folder):
        code = run_inside(lambda: _inside(loaded, folder.resolve(), jobs))
    return code, folder


def new_folder(outline: Any, private: bytes, *, fresh: bool) -> Path:
    """The folder of an unfinished run of that plan, unless `fresh`; else one by time and name."""
    from circumtest import store

    results = Path("results")
    if not fresh and (old := store.unfinished(results, outline.hash, private)):
        click.echo(f"resuming {old}", err=True)
        return old
    return results / f"{time.strftime('%Y%m%dT%H%M%SZ', time.gmtime())}-{outline.name}"


def _inside(loaded: Any, folder: Path, jobs: int | None) -> int:
    from circumtest.run import carry_out as play_all

    with _Bar() as bar:
        return play_all(loaded, folder, jobs or os.cpu_count() or 1, bar.tell)


class _Bar:
    """Progress on stderr: a bar on a terminal, a line now and then elsewhere."""

    def __init__(self) -> None:
        self._began = time.monotonic()
        self._first: int | None = None
        self._next = 0.0
        self._last = -1
        self._bar: Any = None

    def __enter__(self) -> "_Bar":
        return self

    def __exit__(self, *_: object) -> None:
        if sys.stderr.isatty():
            click.echo("", err=True)

    def tell(self, done: int, total: int) -> None:
        now = time.monotonic()
        self._first = done if self._first is None else self._first
        if now < self._next and not (done == total != self._last):
            return
        self._last = done
        self._next = now + (0.5 if sys.stderr.isatty() else 10.0)
        new, spent = done - self._first, now - self._began
        left = f", about {spent * (total - done) / new:.0f} s left" if new else ""
        text = f"{done} of {total} trials{left}"
        click.echo(
            f"\r\033[K{text}" if sys.stderr.isatty() else text, err=True, nl=not sys.stderr.isatty()
        )
