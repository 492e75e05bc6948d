"""Chains as people write them: each hop is a tunnel, and a mistake has the hop's number."""

import json
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from circumtest.errors import ConfigError
from circumtest.recognise import recognise
from circumtest.registry import TUNNELS, build
from circumtest.tunnels.chain import Chain
from tests.unit.wireguard.test_amnezia import PLAIN

SOCKS = {"kind": "socks", "url": "socks5://me:sesame@192.0.2.1:1080"}
LINK = "socks5://192.0.2.2:1080"


def test_each_hop_is_recognised_and_has_the_chains_patience() -> None:
    """A table, a link, a word; only the last hop is seen by the far end."""
    chain = Chain(hops=(SOCKS, {**SOCKS, "patience": 2.0}), patience=7.0, exits=("192.0.2.9",))
    first, last = (hop.tunnel for hop in chain.tunnels)
    assert (first.patience, last.patience) == (7.0, 2.0)
    assert (first.exits, last.exits) == ((), ("192.0.2.9",))
    assert [hop.name for hop in chain.tunnels] == ["hop 1 (socks)", "hop 2 (socks)"]
    assert Chain(hops=("iface:wg0", LINK)).tunnels[1].tunnel.url == LINK


def test_a_file_is_a_hop_by_its_kind_or_by_what_it_holds(tmp_path: Path) -> None:
    """And what it does not honour is told with the hop's number."""
    file = tmp_path / "a.conf"
    file.write_text(PLAIN.replace("[Peer]", "PostUp = reboot\n[Peer]"))
    for hop in (f"wireguard:{file}", str(file)):
        notes = Chain(hops=(hop, SOCKS)).notes()
        assert notes[0] == "hop 1: taken for wireguard"
        assert notes[1].startswith("hop 1 (wireguard): PostUp is not run")
        assert notes[2] == "hop 2: taken for socks"


def test_a_list_in_json_is_a_chain() -> None:
    """On a command line, or in a file."""
    hops = ["iface:wg0", LINK]
    assert recognise(json.dumps(hops), "plan", "place") == {"kind": "chain", "hops": tuple(hops)}
    assert Chain.claims("[Interface]\n") is None
    assert Chain.claims("[1, 2]") is None
    assert Chain.claims("[" * 100_000) is None


def test_it_is_made_from_a_plans_table_and_shows_no_secret() -> None:
    """Hops hold links and tables."""
    table = {"kind": "chain", "hops": ["iface:wg0", SOCKS]}
    chain = build(TUNNELS, table, "plan.toml", "[[tunnel]] 1")
    assert chain.tunnels[1].tunnel.parts.password == "sesame"
    assert "sesame" not in repr(chain)


@pytest.mark.parametrize(
    ("hops", "place", "said"),
    [
        ((), "key `hops`", "fewer than two"),
        ((SOCKS,), "key `hops`", "fewer than two"),
        ((SOCKS, {"kind": "sock", "url": "x"}), "key `hops`, 2, key `kind`", "did you mean"),
        ((SOCKS, {"url": "x"}), "key `hops`, 2, key `kind`", "is missing"),
        ((SOCKS, {"kind": "socks", "uri": "x"}), "key `hops`, 2, key `uri`", "no such key"),
        (("no-such-file", SOCKS), "key `hops`, 1", "there is no file"),
        ((SOCKS, {"kind": "chain", "hops": [SOCKS, SOCKS]}), "key `hops`, 2", "a chain itself"),
    ],
)
def test_what_is_no_chain_is_refused_with_the_hops_number(
    hops: tuple[Any, ...], place: str, said: str
) -> None:
    """The message tells no secret."""
    with pytest.raises(ConfigError) as caught:
        Chain(hops=hops)
    assert caught.value.place == place
    assert said in f"{caught.value.problem} {caught.value.remedy}"
    assert "sesame" not in str(caught.value)


@given(st.text(alphabet='[]{}",:a1 \\', max_size=30))
def test_garbage_is_no_chain_or_a_list_of_hops(text: str) -> None:
    """Whether the hops are tunnels is another question."""
    claimed = Chain.claims(text)
    assert claimed is None or isinstance(claimed["hops"], tuple)
    if claimed:
        with suppress(ConfigError):
            Chain(**claimed)
