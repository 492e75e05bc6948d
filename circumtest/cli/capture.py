"""`circumtest capture`: what is in a capture's file, and a call of it made into a recording."""

import os
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import click

from circumtest.errors import ConfigError

if TYPE_CHECKING:
    from circumtest.recording.flows import Flow
    from circumtest.recording.make import Made

KEEPS = ("names", "unknown")
_HEADS = ("flow", "proto", "client", "server", "packets", "bytes", "seconds", "nDPI", "recognised")


@click.group(name="capture")
def command() -> None:
    """Look into a capture's file, and make a call of it into a recording that plans can play.

    \b
    Examples:
      circumtest capture show call.pcapng
      circumtest capture import call.pcapng -o my-call.toml
      circumtest capture import call.pcapng --flow 2 --refresh 1:16:8 -o my-call.toml
    """


@command.command()
@click.argument("file", type=click.Path(path_type=Path))
@click.option("--addresses", is_flag=True, help="Show the addresses, not letters for them.")
def show(file: Path, addresses: bool) -> int:
    """Show the flows in FILE, what nDPI calls them, and what is recognised in them.

    \b
    Examples:
      circumtest capture show call.pcapng
      circumtest capture show call.pcapng --addresses
    """
    flows = _flows(file)
    labels = _ndpi(file)
    click.echo(_table(flows, labels, addresses=addresses))
    return 0


@command.command(name="import")
@click.argument("file", type=click.Path(path_type=Path))
@click.option(
    "-o", "--output", type=click.Path(path_type=Path), required=True, help="The recording."
)
@click.option("--flow", type=click.IntRange(1), help="Which flow of `capture show`.")
@click.option("--summary", default="", help="What it is, for the file's head.")
@click.option("--key", default="", help="The key of MESSAGE-INTEGRITY, where you know it.")
@click.option(
    "--refresh",
    multiple=True,
    metavar="FRAME:OFFSET:LENGTH[:HOW]",
    help="Fresh bytes there in every play; HOW is random, counter or echo (repeatable).",
)
@click.option(
    "--keep",
    multiple=True,
    type=click.Choice(KEEPS),
    help="Keep names of people and servers, or bytes that nothing explains (repeatable).",
)
@click.option("--opaque", is_flag=True, help="Also a flow of which nothing is recognised.")
@click.option("--force", is_flag=True, help="Write over a file that is there.")
def import_(
    file: Path,
    output: Path,
    flow: int | None,
    summary: str,
    key: str,
    refresh: tuple[str, ...],
    keep: tuple[str, ...],
    opaque: bool,
    force: bool,
) -> int:
    """Make one flow of FILE into a recording: both halves, without what identifies anybody.

    \b
    Examples:
      circumtest capture import call.pcapng -o my-call.toml
      circumtest capture import call.pcapng --flow 2 --keep names -o my-call.toml
    """
    from circumtest.recording.make import Wish, make
    from circumtest.recording.text import dumps

    if output.exists() and not force:
        raise ConfigError(str(output), "", "is there already", "--force writes over it")
    flows = _flows(file)
    number = _chosen(file, flows, flow)
    wish = Wish(refresh, key, "names" in keep, "unknown" in keep, opaque, summary)
    made = make(flows[number - 1], wish, f"{file}, flow {number}")
    _write(output, dumps(made.recording), force=force)
    _tell(made, output)
    return 0


# ------------------------------------------------------------------ reading


def _flows(file: Path) -> "list[Flow]":
    from circumtest.recording.capture import open_capture
    from circumtest.recording.flows import flows

    capture = open_capture(file)
    found = flows(capture.packets, capture.left_out)
    for reason, count in capture.left_out.items():
        click.echo(f"{file}: left out: {reason} ({count})", err=True)
    if not found:
        hidden = {"IPsec", "GRE", "IP in IP", "IPv6 in IP"} & set(capture.left_out)
        problem = "has no UDP or TCP flow"
        if hidden:
            problem = f"is encrypted or tunnelled all through ({', '.join(sorted(hidden))})"
        raise ConfigError(str(file), "", problem, "capture inside of the tunnel, or before it")
    return found


def _ndpi(file: Path) -> dict[tuple[int, frozenset[tuple[str, int]]], str]:
    """What nDPI calls each flow, by protocol number and ends; empty where it is not installed."""
    try:
        from nfstream import NFStreamer
    except ImportError:
        missing = "what nDPI calls them is not shown: pip install 'circumtest[ndpi]'"
        click.echo(missing, err=True)
        return {}
    streamer = NFStreamer(source=str(file), n_meters=1, n_dissections=20, accounting_mode=3)
    labels = {}
    for flow in streamer:
        ends = frozenset({(flow.src_ip, flow.src_port), (flow.dst_ip, flow.dst_port)})
        labels[flow.protocol, ends] = str(flow.application_name)
    return labels


def _table(
    flows: "Sequence[Flow]",
    labels: dict[tuple[int, frozenset[tuple[str, int]]], str],
    *,
    addresses: bool,
) -> str:
    from circumtest.model import Transport
    from circumtest.recording.make import labelled
    from circumtest.report.rows import ABSENT, Table
    from circumtest.report.text import table

    letters: dict[str, str] = {}

    def spelled(host: str, port: int) -> str:
        if addresses:
            return f"{host} {port}"
        return f"{letters.setdefault(host, _letter(len(letters)))} {port}"

    rows = []
    for number, flow in enumerate(flows, 1):
        protocol = 17 if flow.transport is Transport.UDP else 6
        ends = frozenset((*one,) for one in (flow.client, flow.server))
        known = ", ".join(f"{name} {count}" for name, count in labelled(flow).items())
        rows.append(
            (
                str(number),
                str(flow.transport),
                spelled(*flow.client),
                spelled(*flow.server),
                str(flow.packets),
                str(flow.bytes),
                f"{flow.ends - flow.begins:.2f}",
                labels.get((protocol, ends), ABSENT),
                known or ABSENT,
            )
        )
    return table(Table("flows", _HEADS, tuple(rows)), "simple")


def _letter(number: int) -> str:
    """A, B, ... Z, AA, ..."""
    more, last = divmod(number, 26)
    return (_letter(more - 1) if more else "") + chr(ord("A") + last)


def _chosen(file: Path, flows: "Sequence[Flow]", flow: int | None) -> int:
    if flow is None and len(flows) == 1:
        return 1
    if flow is not None:
        if flow > len(flows):
            raise ConfigError("--flow", "", f"{file} has {len(flows)} flows, not {flow}")
        return flow
    listed = _table(flows, {}, addresses=False)
    if not sys.stdin.isatty():
        raise ConfigError(str(file), "", "has several flows", f"say which: --flow N\n\n{listed}")
    click.echo(listed, err=True)
    asked: int = click.prompt("which flow", type=click.IntRange(1, len(flows)), err=True)
    return asked


# ------------------------------------------------------------------ writing


def _write(output: Path, text: str, *, force: bool) -> None:
    """Put the whole file there, or nothing.  Raises ConfigError."""
    try:
        handle, draft = tempfile.mkstemp(dir=output.parent, prefix=f".{output.name}.")
        try:
            with os.fdopen(handle, "w", encoding="utf-8") as file:
                file.write(text)
            if force:
                Path(draft).replace(output)
            else:
                os.link(draft, output)  # unlike a rename, it never writes over what came meanwhile
        finally:
            Path(draft).unlink(missing_ok=True)
    except FileExistsError:
        raise ConfigError(str(output), "", "is there already", "--force writes over it") from None
    except OSError as error:
        raise ConfigError(str(output), "", f"cannot be written: {error.strerror}") from None


def _tell(made: "Made", output: Path) -> None:
    from circumtest.recording.text import quoted

    recording = made.recording
    known = ", ".join(f"{name} {count}" for name, count in made.labels.items())
    sound = "no sound" if recording.media is None else f"sound from frame {recording.media + 1} on"
    click.echo(
        f"{output}: {len(recording.frames)} frames, {sound}; {known or 'nothing'} recognised"
    )
    for note in made.notes:
        click.echo(f"  {note}")
    click.echo("\nfor a plan, the call and the two controls made from it:\n")
    for variant in ("", "random", "inverted"):
        click.echo("[[handshake]]")
        click.echo('kind = "recorded"')
        click.echo(f'name = "{"-".join(filter(None, (_name(output), variant)))}"')
        click.echo(f"file = {quoted(str(output))}")
        click.echo(f'variant = "{variant}"\n' if variant else "")


def _name(output: Path) -> str:
    """The file's own, with what a plan's names may have."""
    plain = "".join(c if c.isascii() and (c.isalnum() or c in "._-") else "-" for c in output.stem)
    return plain.lstrip("._-")[:48] or "recorded"
