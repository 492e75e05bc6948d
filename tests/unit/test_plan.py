"""Plans: what is tried, in which order, and what is refused before anything starts."""

from pathlib import Path
from typing import Any

import pytest

from circumtest import configs
from circumtest.errors import ConfigError
from circumtest.lab.servers.dante import Dante
from circumtest.live import targets
from circumtest.model import Arm, Role
from circumtest.named import Naming
from circumtest.names import Mood
from circumtest.plan import Plan, load, parse
from circumtest.registry import HANDSHAKES, TUNNELS, kinds
from circumtest.registry import load as load_kind
from circumtest.resolve import Over

GOOD: dict[str, Any] = {
    "policies": ["open"],
    "tunnel": [{"kind": "none"}],
    "handshake": [{"kind": "stun-binding"}],
}


def plan(**changes: Any) -> Plan:
    """The small plan with changes."""
    return parse({**GOOD, **changes}, "small", "small.toml")


@pytest.mark.parametrize("name", configs.names("plans"))
def test_every_shipped_plan_loads(name: str) -> None:
    """And has cells."""
    assert load(name, (), targets.load).outline.cells()


def test_the_demo_is_what_the_readme_promises() -> None:
    """Seven handshakes, five tunnels, four policies."""
    assert len(load("demo").outline.cells()) == 7 * 5 * 4


def test_all_tunnels_has_every_kind_that_can_be_brought_up_here() -> None:
    """AmneziaWG's programs are in no registry that the lab could install from."""
    plan_ = load("all-tunnels")

    assert {one.kind for one in plan_.outline.tunnels} == set(kinds(TUNNELS)) - {"amneziawg"}


def test_all_calls_has_every_call() -> None:
    """But those of recordings and of plain STUN, which are nobody's."""
    calls = {
        kind for kind in kinds(HANDSHAKES) if load_kind(HANDSHAKES, kind, "", "").role is Role.CALL
    }

    assert {one.kind for one in load("all-calls").outline.handshakes} == calls - {"recorded"}


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"polices": []}, "did you mean 'policies'?"),
        ({"blocks": "many"}, "key `blocks`: expected `int`"),
        ({"blocks": 0}, "out of range"),
        ({"mos": 5}, "key `mos`"),
        ({"policies": ["opn"]}, "did you mean 'open'?"),
        ({"policies": []}, "no cells"),
        ({"tunnel": []}, "no cells"),
        ({"targets": ["lob"]}, "did you mean 'lab'?"),
        ({"tunnel": [{"kind": "wiregard"}]}, "did you mean 'wireguard'?"),
        ({"tunnel": [{"kind": "socks", "server": "dant"}]}, "did you mean 'dante'?"),
        ({"tunnel": [{"kind": "socks", "url": "socks5://h:99999"}]}, "port"),
        ({"tunnel": [{"kind": "wireguard", "config": "/nowhere.conf"}]}, "cannot be read"),
        ({"tunnel": [{"kind": "none"}, {"kind": "none"}]}, "two called 'none'"),
        ({"handshake": [{"kind": "echo", "sise": 3}]}, "did you mean 'size'?"),
        ({"handshake": [{}]}, "key `kind`: is missing"),
        ({"handshake": [{"kind": "echo", "resolve": "dot"}]}, "key `over`: invalid enum value"),
        ({"handshake": [{"kind": "echo", "resolve": {}}]}, "key `resolve`: object missing"),
        (
            {"handshake": [{"kind": "echo", "resolve": {"over": "udp", "inside": "late"}}]},
            "unknown field `inside`",
        ),
        ({"handshake": [{"kind": "echo", "name": "a..b", "resolve": "udp"}]}, "to be a host's"),
    ],
    ids=str,
)
def test_what_cannot_be_right_is_refused_with_place_and_cure(
    changes: dict[str, Any], words: str
) -> None:
    """One message, nothing started."""
    with pytest.raises(ConfigError) as told:
        plan(**changes)

    assert words in str(told.value)


def test_a_file_that_is_no_toml_is_named(tmp_path: Path) -> None:
    """With the line where it stops being it."""
    file = tmp_path / "bad.toml"
    file.write_text("blocks = = 3\n")

    with pytest.raises(ConfigError, match=r"bad\.toml: is not TOML"):
        load(str(file))


def test_an_order_is_a_shuffle_that_depends_on_seed_cell_and_block_only() -> None:
    """A run that was stopped goes on as it would have."""
    one, same, other = plan(), plan(), plan(seed=2)
    (cell,) = one.outline.cells()

    orders = [one.order(cell, block) for block in range(20)]
    assert orders == [same.order(cell, block) for block in range(20)]
    assert orders != [other.order(cell, block) for block in range(20)]
    assert len(set(orders)) > 5
    assert all(set(order) == set(Arm) for order in orders)
    assert one.rng(cell, 3, Arm.INSIDE).random() == same.rng(cell, 3, Arm.INSIDE).random()
    assert one.rng(cell, 3, Arm.INSIDE).random() != one.rng(cell, 4, Arm.INSIDE).random()


def test_the_hash_knows_everything_but_secrets() -> None:
    """A password is not to be guessed from it."""
    urls = [f"socks5://user:{word}@192.0.2.1:1080" for word in ("a", "b")]
    hashes = {plan(tunnel=[{"kind": "socks", "url": url}]).outline.hash for url in urls}

    assert len(hashes) == 1
    assert plan(blocks=5).outline.hash != plan(blocks=6).outline.hash


def test_what_the_hash_leaves_out_still_tells_two_tunnels_apart(tmp_path: Path) -> None:
    """By the URL, and by what a configuration holds, not only by what its file is called."""
    urls = [f"socks5://192.0.2.{host}:1080" for host in (1, 2)]
    one, other = (plan(tunnel=[{"kind": "socks", "url": url}]) for url in urls)
    file = tmp_path / "client.conf"
    fields = {"kind": "wireguard", "server": "wireguard-go", "config": str(file)}
    seen = []
    for text in ("one", "other"):
        file.write_text(text)
        seen.append(plan(tunnel=[fields]).private())

    assert one.outline.hash == other.outline.hash
    assert one.private() != other.private()
    assert seen[0] != seen[1]
    assert plan(tunnel=[{"kind": "none"}]).private() == b""


def test_a_tunnel_may_be_given_as_what_people_have(tmp_path: Path) -> None:
    """A link or a file alone, or in a table with other keys; what it was taken for is said."""
    link = "socks5://user:hunter2@192.0.2.1:1080"
    file = tmp_path / "link.txt"
    file.write_text(link)
    one = plan(tunnel=[{"kind": "none"}, link, {"vpn": str(file), "name": "mine"}, link])

    assert [(t.name, t.kind) for t in one.outline.tunnels] == [
        ("none", "none"),
        ("socks", "socks"),
        ("mine", "socks"),
        ("socks-2", "socks"),
    ]
    assert "mine: taken for socks" in one.notes()
    assert not any("hunter2" in note for note in one.notes())


def test_a_list_is_a_chain_and_its_files_tell_it_from_another(tmp_path: Path) -> None:
    """Whose hops are told apart by what they hold, as a single tunnel is."""
    link = "socks5://192.0.2.1:1080"
    file = tmp_path / "link.txt"
    seen = set()
    for host in (1, 2):
        file.write_text(f"socks5://192.0.2.{host}:1080")
        made = plan(tunnel=[[str(file), link], {"vpn": [link, link], "name": "twice"}])
        assert [(t.name, t.kind) for t in made.outline.tunnels] == [
            ("chain", "chain"),
            ("twice", "chain"),
        ]
        seen.add(made.private())

    assert len(seen) == 2


def test_vpns_stand_in_place_of_the_plans_tunnels_and_its_controls_stay() -> None:
    """`--vpn`, twice."""
    links = [f"socks5://192.0.2.{host}:1080" for host in (1, 2)]

    names = [one.name for one in load("demo", links).outline.tunnels]

    assert names == ["none", "isolated", "socks", "socks-2"]


def test_a_server_may_have_fields_of_its_own() -> None:
    """As a table; a misspelt one is refused with its place."""
    server = {"kind": "dante", "login": False}
    assert plan(tunnel=[{"kind": "socks", "server": server}]).server("socks") == Dante(login=False)
    with pytest.raises(ConfigError, match="did you mean 'login'"):
        plan(tunnel=[{"kind": "socks", "server": {"kind": "dante", "logn": True}}])


def test_a_handshake_may_be_called_by_name() -> None:
    """The carrier alone, or with the mood of the provider's resolver; it takes time of its own."""
    named = plan(
        handshake=[
            {"kind": "echo", "name": "number"},
            {"kind": "echo", "resolve": "udp"},
            {"kind": "stun-binding", "resolve": {"over": "doh", "outside": "poison"}},
        ]
    )

    assert named.naming("number") is None
    assert named.naming("echo") == Naming(Over.UDP)
    assert named.naming("stun-binding") == Naming(Over.DOH, Mood.POISON)
    assert named.notes() == ("echo: a path without UDP resolves its name over TCP instead",)
    seconds = {cell.handshake: named.seconds(cell) for cell in named.outline.cells()}
    assert seconds["echo"] > seconds["number"]
    assert named.outline.hash != plan().outline.hash


def test_a_selection_is_another_plan() -> None:
    """With fewer cells and a hash of its own; a name that is not in the plan is refused."""
    demo = load("demo")
    part = demo.select(["wireguard"], ["echo"], ["open"], blocks=2)

    assert [str(cell) for cell in part.outline.cells()] == ["open/lab/echo/wireguard"]
    assert part.outline.hash != demo.outline.hash
    assert demo.select() is demo
    with pytest.raises(ConfigError, match="did you mean 'wireguard'"):
        demo.select(["wiregard"])


def test_the_control_copies_transport_port_and_size() -> None:
    """It goes to the same place and differs in nothing but content."""
    demo = load("demo")
    cell = next(cell for cell in demo.outline.cells() if cell.handshake == "whatsapp-call")
    control = demo.control(cell)

    assert control.listen.transport == "udp"
    assert control.listen.port == 3478
    assert control.opening == 212


def test_the_hash_covers_what_a_recording_holds(tmp_path: Path) -> None:
    """Another recording under the same name is another plan, which resumes nothing."""
    file = tmp_path / "call.toml"
    shipped = configs.find("recordings", "turn").read_text()
    hashes = set()
    for text in (shipped, shipped + "\n# changed\n", shipped):
        file.write_text(text)
        hashes.add(plan(handshake=[{"kind": "recorded", "file": str(file)}]).outline.hash)

    assert len(hashes) == 2
