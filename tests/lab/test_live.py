"""Live runs in the lab's place of a network: real tunnels, a real mirror, every verdict."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from circumtest import punctual, store
from circumtest.censor.enforce import enforced
from circumtest.censor.load import policy
from circumtest.censor.policy import Policy
from circumtest.compare import compare, exit_code
from circumtest.finding import Comparison, Findings
from circumtest.handshakes.echo import Echo
from circumtest.handshakes.telegram_call_turn import TelegramCallTurn
from circumtest.lab.servers.dante import Dante
from circumtest.lab.servers.microsocks import Microsocks
from circumtest.lab.services import Services
from circumtest.lab.topology import Lab, lab
from circumtest.listening import listening
from circumtest.live import targets
from circumtest.live.keeping import keeper, published
from circumtest.live.run import Order, Run
from circumtest.live.world import World
from circumtest.mirror.serve import Mirror, Setting
from circumtest.mirror.token import Token
from circumtest.model import Address, Arm, Invalid, Transport
from circumtest.plan import Plan, parse
from circumtest.process import daemon, program

TIMEOUT = 240.0
SECRET = "only the two of us know"
Scene = Callable[[Lab], Awaitable[None]]


def in_lab(scene: Scene) -> None:
    """Run a scene in a lab of its own, bounded, in the loop that live runs have."""

    async def whole() -> None:
        async with asyncio.timeout(TIMEOUT), lab() as town:
            await scene(town)

    punctual.run(whole())


@asynccontextmanager
async def mirror(town: Lab, folder: Path) -> AsyncIterator[Token]:
    """A mirror among the services, at one address."""
    (at,) = await town.addresses(1, 1, 4)
    made = Mirror(Setting((at.host,), at.host, folder / "token"))
    with Services(town.services) as services:
        made.start(services)
        yield made.token


async def carried_out(
    town: Lab,
    plan: Plan,
    folder: Path,
    token: Token | None = None,
    budget: float | None = None,
) -> tuple[Findings, list[str]]:
    """The findings of a live run with the lab's client for a home, and what it said."""
    said: list[str] = []
    here = World(town.client, town.client, "home", (), ())
    secrets = (token.secret,) if token else ()
    store.create(folder, published(plan, secrets), plan.private())
    kept = keeper(plan, folder, secrets=secrets)
    order = Order(plan, folder, kept, token=token, budget=budget)
    assert await Run(order, here, lambda *_: None, said.append).play() == 0
    trials, troubles = store.read(folder)
    assert troubles == []
    return compare(store.load(folder).outline, trials), said


VARIANTS = ("inverted", "random", "port")


def at_mirror(
    *tunnels: dict[str, Any],
    blocks: int,
    handshake: str = "signal-call",
    variants: tuple[str, ...] = VARIANTS,
    **options: object,
) -> Plan:
    """A plan that calls by a mirror, without spacing."""
    raw = {
        "targets": ["mirror"],
        "blocks": blocks,
        "live": {"spacing": 0, "variants": list(variants)},
        "tunnel": list(tunnels),
        "handshake": [{"kind": handshake, **options}],
    }
    return parse(raw, "mirror", "mirror.toml")


def cell(findings: Findings, tunnel: str, handshake: str) -> Comparison:
    """One comparison by its names."""
    return next(
        one
        for one in findings.comparisons
        if (one.cell.tunnel, one.cell.handshake) == (tunnel, handshake)
    )


def port_blocked(folder: Path, ports: str) -> Policy:
    """A censor who drops UDP to some ports, whatever is in it."""
    file = folder / "port.toml"
    rule = f'id = "port"\nmatch = ["udp"]\nports = [{ports}]\nscope = "flow"\n'
    file.write_text(
        'summary = "UDP by port"\nconfidence = "guessed"\nevidence = ["none"]\n'
        f'[[rule]]\n{rule}action = {{ do = "drop" }}\n'
    )
    return policy(str(file))


# ------------------------------------------------------------------ real services

SERVICE = """
handshake = "telegram-call-turn"
shows = "That a relay refuses strangers."
does_not_show = "That a call works."
options = {{ level = "quick" }}
date = 2026-11-01
source = "the lab"
spacing = 0

[[endpoints]]
host = {hosts}
port = 1400

[control]
handshake = "echo"
options = {{ secret = "{secret}" }}

[[control.endpoints]]
host = {neutral}
port = 9000
"""


@asynccontextmanager
async def service(town: Lab, folder: Path, *, up: bool = True) -> AsyncIterator[Path]:
    """A target file with three relays and three neutral echoes; the relays may all be down."""
    relays = await town.addresses(3, 1400, 4)
    echoes = await town.addresses(3, 9000, 4)
    with Services(town.services) as answering:
        if up:
            answering.add(Transport.UDP, relays, TelegramCallTurn().answerer())
        answering.add(Transport.UDP, echoes, Echo(secret=SECRET).answerer())
        file = folder / "relays.toml"
        hosts, neutral = ([one.host for one in some] for some in (relays, echoes))
        file.write_text(SERVICE.format(hosts=hosts, neutral=neutral, secret=SECRET))
        yield file


def at_service(file: Path, *tunnels: dict[str, Any], blocks: int) -> Plan:
    """A plan that calls that service."""
    raw = {"targets": [str(file)], "blocks": blocks, "tunnel": list(tunnels)}
    return parse(raw, "live", "live.toml", targets.load)


@pytest.mark.parametrize(
    ("censor", "up", "verdict", "outside"),
    [
        ("uae-voip", True, "bypasses", "restricted"),
        ("open", True, "not-needed", "works"),
        ("open", False, "inconclusive(endpoint)", "fails"),
    ],
)
def test_a_real_service_is_restricted_only_where_it_is_up(
    tmp_path: Path, censor: str, up: bool, verdict: str, outside: str
) -> None:
    """What fails on both sides may be down, and of a call only the first stage is told."""

    async def scene(town: Lab) -> None:
        async with (
            service(town, tmp_path, up=up) as file,
            Dante().serve(town) as socks,
            enforced(town.censor, policy(censor)),
        ):
            plan = at_service(file, {"kind": "socks", "name": "mine", **socks}, blocks=6)
            findings, _ = await carried_out(town, plan, tmp_path / "run")
        (one,) = findings.comparisons
        assert (str(one.verdict), str(one.outside.state)) == (verdict, outside)
        assert any("no call, and no sound" in text for text in findings.warnings)
        trials, _ = store.read(tmp_path / "run")
        asked = {trial.record.endpoint for trial in trials if trial.arm is Arm.OUTSIDE}
        assert len(asked) == 3

    in_lab(scene)


# ------------------------------------------------------------------ the mirror


def test_a_call_that_is_known_by_its_content_is_told_by_its_variants(tmp_path: Path) -> None:
    """Restricted outside, brought back by SOCKS; masked ones pass."""

    async def scene(town: Lab) -> None:
        async with (
            mirror(town, tmp_path) as token,
            Dante().serve(town) as socks,
            enforced(town.censor, policy("uae-voip")),
        ):
            plan = at_mirror({"kind": "socks", "name": "mine", **socks}, blocks=6)
            findings, _ = await carried_out(town, plan, tmp_path / "run", token)
        one = cell(findings, "mine", "signal-call")
        assert str(one.verdict) == "bypasses", one
        assert one.trigger == "triggered by content"
        assert any("never shows that the real service" in text for text in findings.warnings)
        assert not one.leak

    in_lab(scene)


def test_nothing_is_restricted_where_nobody_restricts(tmp_path: Path) -> None:
    """And a tunnel without UDP is one that cannot carry it; `none` is ok, `isolated` too."""

    async def scene(town: Lab) -> None:
        async with mirror(town, tmp_path) as token, Microsocks().serve(town) as socks:
            plan = at_mirror(
                {"kind": "none"},
                {"kind": "isolated"},
                {"kind": "socks", "name": "mine", **socks},
                blocks=4,
                handshake="telegram-message",
            )
            findings, said = await carried_out(town, plan, tmp_path / "run", token)
        verdicts = {one.cell.tunnel: str(one.verdict) for one in findings.comparisons}
        assert verdicts == {
            "none": "control-ok",
            "isolated": "control-ok",
            "mine": "context(works)",
        }, (
            said,
            [
                str(one.record.outcome)
                for one in store.read(tmp_path / "run")[0]
                if isinstance(one.record.outcome, Invalid) and one.cell.tunnel == "mine"
            ],
        )

    in_lab(scene)


def test_a_call_that_is_known_by_its_port_is_told_by_its_variants(tmp_path: Path) -> None:
    """Masked ones die as well, and at another port it passes."""

    async def scene(town: Lab) -> None:
        async with (
            mirror(town, tmp_path) as token,
            Dante().serve(town) as socks,
            enforced(town.censor, port_blocked(tmp_path, "3478")),
        ):
            plan = at_mirror({"kind": "socks", "name": "mine", **socks}, blocks=4)
            findings, _ = await carried_out(town, plan, tmp_path / "run", token)
        one = cell(findings, "mine", "signal-call")
        assert (str(one.outside.state), one.trigger) == ("restricted", "by port"), findings

    in_lab(scene)


def test_where_the_mirror_cannot_be_reached_no_call_is_said_to_be_blocked(tmp_path: Path) -> None:
    """All UDP to it is dropped, the neutral controls with it: nothing can be compared."""

    async def scene(town: Lab) -> None:
        async with (
            mirror(town, tmp_path) as token,
            Dante().serve(town) as socks,
            enforced(town.censor, port_blocked(tmp_path, '"1-65535"')),
        ):
            tunnel = {"kind": "socks", "name": "mine", **socks}
            plan = at_mirror(tunnel, blocks=2, variants=())
            findings, _ = await carried_out(town, plan, tmp_path / "run", token)
        one = cell(findings, "mine", "signal-call")
        assert str(one.verdict) == "inconclusive(environment)"
        assert str(one.outside.state) != "restricted"

    in_lab(scene)


def test_a_call_set_up_inside_goes_on_without_the_tunnel_where_set_ups_are_blocked(
    tmp_path: Path,
) -> None:
    """The mirror follows its caller to the other address; nothing is claimed of the tunnel."""

    async def scene(town: Lab) -> None:
        async with (
            mirror(town, tmp_path) as token,
            Dante().serve(town) as socks,
            enforced(town.censor, policy("uae-voip")),
        ):
            plan = at_mirror(
                {"kind": "socks", "name": "mine", **socks},
                blocks=4,
                handshake="discord-voice",
                handoff=True,
            )
            findings, _ = await carried_out(town, plan, tmp_path / "run", token)
        (one,) = findings.comparisons  # a call that is handed off has no variants
        assert str(one.outside.state) == "restricted", one
        assert str(one.verdict) == "context(handshake-only block)", one
        assert not one.leak

    in_lab(scene)


def test_a_wrong_token_is_nobodys_block(tmp_path: Path) -> None:
    """The mirror is silent, and so is the verdict."""

    async def scene(town: Lab) -> None:
        async with mirror(town, tmp_path) as token:
            wrong = Token(token.host, "a" * 32)
            plan = at_mirror({"kind": "none"}, blocks=1, handshake="telegram-message")
            findings, _ = await carried_out(town, plan, tmp_path / "run", wrong)
        (one,) = findings.comparisons
        assert str(one.verdict).startswith("inconclusive")
        assert str(one.outside.state) == "unclear"
        trials, _ = store.read(tmp_path / "run")
        void = next(one.record.outcome for one in trials if one.arm is Arm.OUTSIDE)
        assert isinstance(void, Invalid)
        assert void.reason == "unproven"

    in_lab(scene)


# ------------------------------------------------------------------ tunnels


def test_a_tunnel_that_is_none_is_a_leak(tmp_path: Path) -> None:
    """A proxy on this machine that goes straight out: seen at the uplink, exit code 6."""

    async def scene(town: Lab) -> None:
        argv = [program("microsocks"), "-i", "127.0.0.1", "-p", "1080"]
        async with mirror(town, tmp_path) as token, daemon(town.client, argv) as proxy:
            await listening(town.client, Address("127.0.0.1", 1080), proxy)
            tunnel = {"kind": "socks", "name": "mine", "url": "socks5://127.0.0.1:1080"}
            plan = at_mirror(tunnel, blocks=1, handshake="telegram-message")
            findings, said = await carried_out(town, plan, tmp_path / "run", token)
        (one,) = findings.comparisons
        assert str(one.verdict) == "inconclusive(leak)"
        assert exit_code(findings) == 6
        assert any(text.startswith("LEAK through mine") for text in said)
        assert any("by the same address as without it" in text for text in findings.warnings)

    in_lab(scene)


def test_a_tunnel_that_is_down_costs_its_own_cells_only(tmp_path: Path) -> None:
    """It is told once what is wrong and what to do; the outside is played all the same."""

    async def scene(town: Lab) -> None:
        async with mirror(town, tmp_path) as token:
            dead = {"kind": "socks", "name": "dead", "url": "socks5://198.51.100.99:1080"}
            plan = at_mirror(dead, {"kind": "none"}, blocks=1, handshake="telegram-message")
            findings, said = await carried_out(town, plan, tmp_path / "run", token)
        one = cell(findings, "dead", "telegram-message")
        assert str(one.verdict).startswith("tunnel-down("), one
        assert sum(text.startswith("dead: ") for text in said) == 1
        assert cell(findings, "none", "telegram-message").outside.rate.successes == 1

    in_lab(scene)


# ------------------------------------------------------------------ stopped, and gone on with


def test_a_run_whose_budget_is_spent_is_gone_on_with(tmp_path: Path) -> None:
    """Every trial is there once, and what was kept is not played again."""

    async def scene(town: Lab) -> None:
        async with mirror(town, tmp_path) as token:
            plan = at_mirror({"kind": "none"}, blocks=6, handshake="telegram-message")
            folder = tmp_path / "run"
            await carried_out(town, plan, folder, token, budget=0.02)
            first, _ = store.read(folder)
            assert len(first) < 24
            assert store.load(folder).finished is None
            findings, _ = await carried_out(town, plan, folder, token)
            whole, troubles = store.read(folder)
        assert whole[: len(first)] == first
        assert (len(whole), troubles) == (24, [])
        assert store.load(folder).finished is not None
        assert str(findings.comparisons[0].verdict) == "control-ok"
        assert not any(town.client_addresses & set(repr(one).split("'")) for one in whole)

    in_lab(scene)
