"""`circumtest serve`: one's own mirror, on any server abroad."""

import asyncio
import os
from pathlib import Path
from typing import TYPE_CHECKING

import click

from circumtest.errors import ConfigError, EnvironmentUnfit

if TYPE_CHECKING:
    from circumtest.mirror.places import Places
    from circumtest.mirror.serve import Mirror


@click.command(name="serve")
@click.option("--host", multiple=True, metavar="ADDRESS", help="Listen here (repeatable).")
@click.option("--name", default="", help="What the token calls this server: a name or an address.")
@click.option(
    "--token", type=click.Path(path_type=Path, dir_okay=False), metavar="FILE", help="Where it is."
)
@click.option("--ports", default="", metavar="N,N,...", help="Only at these ports.")
@click.option("--user", default="", metavar="NAME", help="Who to be once it listens (nobody).")
@click.option(
    "--recording",
    multiple=True,
    type=click.Path(path_type=Path, exists=True, dir_okay=False),
    metavar="FILE",
    help="Play this one, too (repeatable).",
)
def command(
    host: tuple[str, ...],
    name: str,
    token: Path | None,
    ports: str,
    user: str,
    recording: tuple[Path, ...],
) -> int:
    """Play the far half of every handshake for whoever knows the token that is printed.

    It answers nobody else, sends nobody more than he sent until he has shown where he is, gives
    root up once it listens, and writes down no addresses.  SIGHUP reads the token's file again,
    SIGTERM and Ctrl-C stop it.  Behind a router give --name the address that people reach.

    \b
    Examples:
      sudo circumtest serve
      sudo circumtest serve --name mirror.example.org --token /etc/circumtest/token
      circumtest serve --host 203.0.113.7 --host 2001:db8::7 --ports 3478,8443
    \b
    And where calls are tested:
      circumtest run --mirror token.txt
    """
    from circumtest.mirror import places
    from circumtest.mirror.privileges import NOBODY, account
    from circumtest.mirror.serve import Setting, serve

    hosts = host or places.own_addresses()
    if not hosts:
        remedy = "--host ADDRESS names one"
        raise EnvironmentUnfit("this machine has no address that leads anywhere", remedy)
    who = account(user or NOBODY) if os.geteuid() == 0 else None
    file = token or _usual()
    setting = Setting(hosts, name or hosts[0], file, _ports(ports), recording, who)

    def say(words: str) -> None:
        click.echo(f"circumtest: {words}", err=True)

    asyncio.run(serve(setting, lambda mirror, got: _ready(mirror, got, file), say))
    return 0


def _ready(mirror: "Mirror", got: "Places", file: Path) -> None:
    from circumtest.mirror.serve import missing_words

    click.echo(str(mirror.token))
    click.echo(f"circumtest: the token is kept in {file}; who has it may call here", err=True)
    click.echo(f"circumtest: {len(got.udp)} ports over UDP, {len(got.tcp)} over TCP", err=True)
    for line in missing_words(got):
        click.echo(f"circumtest: {line}", err=True)
    if got.advice:
        click.echo(f"circumtest: {got.advice}", err=True)


def _usual() -> Path:
    if os.geteuid() == 0:
        return Path("/var/lib/circumtest/mirror.token")
    state = os.environ.get("XDG_STATE_HOME") or Path.home() / ".local" / "state"
    return Path(state) / "circumtest" / "mirror.token"


def _ports(text: str) -> frozenset[int]:
    try:
        found = frozenset(int(word) for word in text.split(",") if word.strip())
    except ValueError:
        found = frozenset({0})
    if any(not 0 < port < 1 << 16 for port in found):
        raise ConfigError("--ports", "", f"{text!r} are no ports", "numbers with commas: 443,3478")
    return found
