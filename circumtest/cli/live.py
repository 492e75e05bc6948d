"""A plan for a real network on the command line: told, asked about, carried out.

What `run --live`, `run --mirror` and `plan --live` share.  It refuses to send anything before a
person said yes.
"""

import sys
import time
from pathlib import Path
from typing import Any, NamedTuple

import click


class Live(NamedTuple):
    """The options of a live run.

    `mirror` is a token, its file or "" for the variable, None for real services; `budget` is in
    minutes.
    """

    plan: str
    mirror: str | None
    output: Path | None
    tunnels: tuple[str, ...]
    handshakes: tuple[str, ...]
    targets: tuple[str, ...]
    vpns: tuple[str, ...]
    blocks: int | None
    seed: int | None
    budget: float | None
    neutral: str
    fresh: bool
    keep_exit: bool
    yes: bool
    dry: bool


def load(options: Live) -> tuple[Any, Any]:
    """The plan and the mirror's token, None for services.  Raises ConfigError."""
    from circumtest.errors import ConfigError
    from circumtest.live import targets
    from circumtest.mirror.token import Token
    from circumtest.plan import load as load_plan

    token = None if options.mirror is None else Token.given(options.mirror)
    plan = load_plan(options.plan, options.vpns, targets.load)
    if plan.live is None:
        problem, cure = "is a plan for the lab: it names policies", "leave --live and --mirror out"
        raise ConfigError(plan.where, "", problem, cure)
    if plan.live.mirror != (token is not None):
        problem = "asks a mirror" if plan.live.mirror else "asks real services"
        cure = "give --mirror" if plan.live.mirror else "give --live, not --mirror"
        raise ConfigError(plan.where, "key `targets`", problem, cure)
    chosen = plan.select(
        options.tunnels,
        options.handshakes,
        (),
        options.targets,
        blocks=options.blocks,
        seed=options.seed,
    )
    return chosen, token


def show(options: Live) -> int:
    """Print what a live run would send; nothing is sent, and nothing written."""
    plan, token = load(options)
    for line in _lines(plan, token, {}, ()):
        click.echo(line)
    return 0


def carry_out(options: Live) -> tuple[int, Path]:
    """Tell, ask, choose the folder and play: the exit code and the folder."""
    from circumtest import store
    from circumtest.cli.run import new_folder
    from circumtest.compare import group
    from circumtest.live import neutral
    from circumtest.live.keeping import keeper, published
    from circumtest.live.run import Order, tunnels
    from circumtest.live.world import run_in_world

    plan, token = load(options)
    whom = neutral.load(options.neutral)
    secrets = (token.secret,) if token else ()
    private = plan.private() + str(token or "").encode()
    outline = published(plan, secrets)
    folder = options.output or new_folder(outline, private, fresh=options.fresh)
    trials = store.read(folder)[0] if (folder / store.TRIALS).exists() else []
    known = tunnels(plan)
    for note in (f"{vpn.name}: {said}" for vpn in known for said in vpn.notes()):
        click.echo(note, err=True)
    ask(_lines(plan, token, group(trials), trials), yes=options.yes or bool(trials))
    begun = store.create(folder, outline, private)
    if begun.finished is not None:
        click.echo(f"{folder} is finished already; --fresh or another -o begins anew", err=True)
        return 0, folder
    click.echo(f"results in {folder}", err=True)
    kept = keeper(
        plan,
        folder.resolve(),
        public=_public(plan),
        servers=(token.host,) if token else (),
        secrets=secrets,
        keep_exit=options.keep_exit,
    )
    budget = None if options.budget is None else options.budget * 60
    order = Order(plan, folder.resolve(), kept, known, plan.confidential(), token, budget, whom)
    with store.lock(folder):
        code = run_in_world(lambda: _play(order))
    return code, folder


def _play(order: Any) -> int:
    """Inside the world: there nobody above tells errors in one line."""
    from circumtest.errors import ConfigError, EnvironmentUnfit
    from circumtest.live.run import carry_out as play

    bar = Bar()
    try:
        return play(order, bar.tell, bar.say)
    except ConfigError as error:
        bar.say(f"circumtest: {error}")
        return 2
    except EnvironmentUnfit as error:
        bar.say(f"circumtest: {error}")
        return 4
    finally:
        bar.end()


def tell_end(code: int, folder: Path) -> int:
    """Say what to do next; 6 where something went around a tunnel."""
    from circumtest import store
    from circumtest.model import Invalid

    trials, _ = store.read(folder) if (folder / store.TRIALS).exists() else ([], [])
    if code == 130:
        click.echo("stopped; the same command resumes it", err=True)
        return code
    if code == 0 and store.load(folder).finished is None:
        click.echo("the budget is spent; the same command goes on", err=True)
    if code == 0 or trials:
        click.echo(f"now: circumtest compare {folder}", err=True)
    leaked = any(
        isinstance(one.record.outcome, Invalid) and one.record.outcome.reason == "leak"
        for one in trials
    )
    return 6 if leaked and code in (0, 3) else code


def _lines(plan: Any, token: Any, done: Any, past: Any) -> tuple[str, ...]:
    from circumtest.live.announce import lines
    from circumtest.live.run import schedule

    host = token.host if token else ""
    return lines(plan, schedule(plan, done, past, host), host)


def _public(plan: Any) -> frozenset[str]:
    """The hosts of the plan's services, whoever's file names them."""
    services = plan.live.services.values()
    return frozenset(host for service in services for host in service.hosts)


def ask(lines: tuple[str, ...], *, yes: bool) -> None:
    """Say what will be sent where, and ask.  Raises UsageError where nobody can be asked."""
    for line in lines:
        click.echo(line, err=True)
    if yes:
        return
    if not sys.stdin.isatty():
        raise click.UsageError("nobody is there to be asked: -y says yes")
    click.confirm("Go on?", abort=True, err=True)


class Bar:
    """Progress on stderr: one line that changes on a terminal, a line now and then elsewhere."""

    def __init__(self) -> None:
        self._next, self._open = 0.0, False

    def tell(self, done: int, total: int, words: str) -> None:
        """How far it is, and what goes on."""
        text = f"{done} of {total} trials; {words}"
        now = time.monotonic()
        if sys.stderr.isatty():
            click.echo(f"\r\033[K{text}", err=True, nl=False)
            self._open = True
        elif now >= self._next or done == total:
            self._next = now + 10.0
            click.echo(text, err=True)

    def say(self, words: str) -> None:
        """Something that is to stay on the screen."""
        self.end()
        click.echo(words, err=True)

    def end(self) -> None:
        """A new line, where the last one is still open."""
        if self._open:
            click.echo("", err=True)
            self._open = False
