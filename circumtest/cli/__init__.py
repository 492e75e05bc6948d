"""The command line: one command a file, imported when it is called.

Results go to stdout, talk to stderr.  This file holds the group, the exit codes and how errors are
told; it refuses to do any work.
"""

import importlib
import os
import sys
import traceback
from types import TracebackType
from typing import NoReturn

import click

from circumtest.errors import ConfigError, EnvironmentUnfit

COMMANDS = (
    "demo",
    "check",
    "run",
    "compare",
    "show",
    "bundle",
    "serve",
    "plan",
    "lab",
    "capture",
    "list",
    "doctor",
)

EXIT_CODES = """\b
Exit codes:
  0 done             1 a --fail-on condition met   2 usage or configuration
  3 nothing conclusive   4 environment unfit       5 nothing selected
  6 leak            70 internal                  130 interrupted
"""


class _Commands(click.Group):
    """A group whose commands are files beside this one."""

    def list_commands(self, ctx: click.Context) -> list[str]:  # noqa: ARG002
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:  # noqa: ARG002
        if cmd_name not in COMMANDS:
            return None
        module = importlib.import_module(f"circumtest.cli.{cmd_name}")
        command: click.Command = module.command
        return command

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        try:
            return super().resolve_command(ctx, args)
        except click.UsageError as error:
            from circumtest.registry import suggest

            raise click.UsageError(f"{error.message} {suggest(args[0], COMMANDS)}", ctx) from None


@click.command(
    cls=_Commands,
    context_settings={"help_option_names": ["-h", "--help"]},
    epilog=EXIT_CODES,
)
@click.version_option(package_name="circumtest")
def group() -> None:
    """Does this tunnel let calls through, here, when calls without it fail?

    \b
    Examples:
      circumtest check --vpn client.conf  this connection, and what a VPN changes
      circumtest demo                     the default plan in the lab, and its table
      circumtest plan demo                what it would try, and what it could show
      circumtest run demo -o results/a    carry it out; the same again resumes
      circumtest compare results/a        the verdicts, anywhere, without root
      circumtest doctor                   what this machine can and cannot do
    """


def main() -> NoReturn:
    """The `circumtest` command: run it and exit with a documented code."""
    sys.excepthook = _bug
    sys.exit(_run())


def _bug(kind: type[BaseException], error: BaseException, trace: TracebackType | None) -> None:
    """What nobody caught is a bug: told as one, with exit code 70 instead of Python's 1."""
    traceback.print_exception(kind, error, trace)
    click.echo("circumtest: this is a bug; the trials that were finished are on disk", err=True)
    sys.stdout.flush()
    os._exit(70)


def _run() -> int:
    try:
        result = group.main(standalone_mode=False)
    except click.exceptions.Abort:
        return 130
    except KeyboardInterrupt:
        return 130
    except click.ClickException as error:
        error.show(sys.stderr)
        return 2
    except ConfigError as error:
        click.echo(f"circumtest: {error}", err=True)
        return 2
    except EnvironmentUnfit as error:
        click.echo(f"circumtest: {error}", err=True)
        return 4
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
    return result if isinstance(result, int) else 0
