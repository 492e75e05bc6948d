"""`circumtest doctor`: what this machine can and cannot do, and how to fix it."""

import click


@click.command(name="doctor")
def command() -> int:
    """Say what this machine can and cannot do, and what to type to change that.

    \b
    Example:
      circumtest doctor
    """
    from circumtest.doctor import examine, render

    findings = examine()
    click.echo(render(findings))
    return 0
