"""`circumtest list`: the names that plans may use."""

import click

KINDS = ("handshakes", "tunnels", "servers", "policies", "plans", "recordings")


@click.command(name="list")
@click.argument("what", type=click.Choice(KINDS), required=False)
def command(what: str | None) -> int:
    """List what plans may name: handshakes, tunnels, servers, policies, plans, recordings.

    \b
    Examples:
      circumtest list
      circumtest list policies
    """
    for kind in (what,) if what else KINDS:
        if not what:
            click.echo(f"{kind}:")
        for name in _names(kind):
            click.echo(name if what else f"  {name}")
    return 0


def _names(kind: str) -> tuple[str, ...]:
    from circumtest import configs, registry

    groups = {
        "handshakes": registry.HANDSHAKES,
        "tunnels": registry.TUNNELS,
        "servers": registry.SERVERS,
    }
    return registry.kinds(groups[kind]) if kind in groups else configs.names(kind)
