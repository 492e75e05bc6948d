"""`circumtest run`: carry a plan out in the lab."""

import os
import sys
import time
from pathlib import Path
from typing import Any

import click


@click.command(name="run")
@click.argument("plan", default="demo")
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
@click.option("--jobs", type=click.IntRange(1, 256), help="Processes; one a core by default.")
@click.option("--fresh", is_flag=True, help="Begin anew, even where a run could be resumed.")
def command(**options: Any) -> int:
    """Carry PLAN out, and leave a folder that `compare` and `show` read.

    A run that was stopped is resumed by the same command.

    \b
    Examples:
      circumtest run
      circumtest run my-plan.toml -o results/a
      circumtest run demo -t wireguard -k whatsapp-call -p ru-calls-2025-09
      circumtest run demo --vpn client.ovpn --vpn link.txt

    A link on the command line is seen by every user of this machine; in a file it is not.
    """
    code, folder = carry_out(**options)
    if code == 0:
        click.echo(f"now: circumtest compare {folder}", err=True)
    elif code == 130:
        click.echo("stopped; the same command resumes it", err=True)
    return code


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
    folder = output or _folder(loaded.outline.name, loaded.outline.hash, private, fresh=fresh)
    begun = store.create(folder, loaded.outline, private)
    if begun.finished is not None:
        click.echo(f"{folder} is finished already; --fresh or another -o begins anew", err=True)
        return 0, folder
    click.echo(f"results in {folder}", err=True)
    with store.lock(folder):
        code = run_inside(lambda: _inside(loaded, folder.resolve(), jobs))
    return code, folder


def _folder(name: str, digest: str, private: bytes, *, fresh: bool) -> Path:
    from circumtest import store

    results = Path("results")
    if not fresh and (old := store.unfinished(results, digest, private)):
        click.echo(f"resuming {old}", err=True)
        return old
    return results / f"{time.strftime('%Y%m%dT%H%M%SZ', time.gmtime())}-{name}"


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
