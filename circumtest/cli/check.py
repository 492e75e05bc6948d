"""`circumtest check`: the present connection in about a minute, in plain words."""

import os
import sys
from typing import Any

import click


@click.command(name="check")
@click.option(
    "--vpn",
    multiple=True,
    metavar="FILE|LINK|iface:NAME|netns:NAME",
    help="What it changes (repeatable): a configuration, a link, or a VPN that is on already.",
)
@click.option(
    "--mirror", metavar="HOST:TOKEN|FILE", help="Your own mirror: whole calls, sound too."
)
@click.option("--target", multiple=True, help="Only this service, or your own file (repeatable).")
@click.option("--neutral", default="neutral", hidden=True, help="Your own file of neutral places.")
@click.option("--json", "as_json", is_flag=True, help="One JSON object instead of words.")
@click.option("-y", "--yes", is_flag=True, help="Do not ask before anything is sent.")
def command(
    vpn: tuple[str, ...],
    mirror: str | None,
    target: tuple[str, ...],
    neutral: str,
    *,
    as_json: bool,
    yes: bool,
) -> int:
    """Say which calls and messages work here, and what a VPN changes, in about a minute.

    It needs no configuration and no root; what this machine does not allow is left out and said.
    One try is no statistics: `circumtest run --live` repeats it.

    \b
    Examples:
      circumtest check
      circumtest check --vpn client.conf
      circumtest check --vpn link.txt --vpn socks5://127.0.0.1:1080 -y
      circumtest check --vpn iface:wg0         a VPN that is on, against the device below it
      circumtest check --mirror token.txt --json

    \b
    Exit codes: 0 something could be said, 2 usage, 3 nothing could, 4 no network, 6 a VPN leaks.

    A link on the command line is seen by every user of this machine; in a file it is not.
    """
    from circumtest.cli.live import ask
    from circumtest.live.consent import lines
    from circumtest.live.world import run_in_world

    asked = _asked(vpn, mirror, target, neutral)
    ask(lines(asked), yes=yes)
    return run_in_world(lambda: _look(asked, as_json=as_json))


def _asked(vpn: tuple[str, ...], mirror: str | None, target: tuple[str, ...], neutral: str) -> Any:
    """What is wanted, with everything that cannot be right refused.  Raises ConfigError."""
    from circumtest import configs
    from circumtest.live import neutral as places
    from circumtest.live.attempts import chosen
    from circumtest.live.check import Asked
    from circumtest.live.targets import load
    from circumtest.live.vpns import read
    from circumtest.mirror.token import Token

    services = tuple(chosen(load(name)) for name in target or configs.names("targets"))
    token = Token.given(mirror) if mirror else None
    return Asked(services, read(vpn), places.load(neutral), token)


def _look(asked: Any, *, as_json: bool) -> int:
    from circumtest import punctual

    return punctual.run(_whole(asked, as_json=as_json))


async def _whole(asked: Any, *, as_json: bool) -> int:
    from circumtest.live.check import check
    from circumtest.live.checked import exit_code
    from circumtest.live.world import world

    async with world() as here:
        checked, stuck = await check(asked, here, lambda what: click.echo(f"… {what}", err=True))
        click.echo(_told(checked, as_json=as_json), nl=False)
        code = exit_code(checked)
        if stuck:  # what hangs would hang the winding up as well
            sys.stdout.flush()
            os._exit(code)
    return code


def _told(checked: Any, *, as_json: bool) -> str:
    if not as_json:
        from circumtest.live.words import text

        return text(checked)
    import msgspec

    return msgspec.json.format(msgspec.json.encode(checked)).decode() + "\n"
