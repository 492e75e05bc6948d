"""Target files: the shipped ones are whole, and each mistake in one is one clear message."""

import copy
import tomllib
from collections.abc import Callable
from datetime import date
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from circumtest import configs
from circumtest.errors import ConfigError
from circumtest.live.exchanged import REFUSED
from circumtest.live.targets import FEWEST, SPACING, load, parse
from circumtest.model import Level, Role, Stage, Transport
from circumtest.registry import HANDSHAKES, kinds
from circumtest.registry import load as load_kind
from circumtest.script import Public
from circumtest.wire import wacert

SHIPPED = configs.names("targets")
WANTED = {
    "whatsapp": ("whatsapp-message", Role.MESSAGING),
    "telegram": ("telegram-message", Role.MESSAGING),
    "telegram-reflectors": ("telegram-call-udp", Role.CALL),
    "telegram-turn": ("telegram-call-turn", Role.CALL),
    "signal": ("signal-message", Role.MESSAGING),
    "signal-turn": ("signal-call", Role.CALL),
    "stun": ("stun-binding", Role.CONTROL),
}
GOOD = """
handshake = "stun-binding"
shows = "STUN passes."
does_not_show = "That calls do."
date = 2026-11-25
source = "a test"

[[endpoints]]
host = ["a.example.org", "b.example.org", "192.0.2.1"]
port = 3478

[control]
handshake = "ntp"

[[control.endpoints]]
host = ["x.example.org", "y.example.org", "2001:db8::1"]
port = 123
"""


def good() -> dict[str, Any]:
    """A table with nothing wrong."""
    return copy.deepcopy(tomllib.loads(GOOD))


def refused(change: Callable[[dict[str, Any]], object]) -> str:
    """What is said to a file that was changed so."""
    raw = good()
    change(raw)
    with pytest.raises(ConfigError) as caught:
        parse(raw, "mine", "mine.toml")
    return str(caught.value)


def said(raw: dict[str, Any]) -> str:
    """What is said to a table, or how many endpoints it has."""
    try:
        return str(len(parse(raw, "mine", "mine.toml").endpoints))
    except ConfigError as error:
        return str(error)


# ------------------------------------------------------------------ what is shipped


def test_every_service_that_is_wanted_is_there() -> None:
    """By its handshake and its role."""
    found = {name: (load(name).kind, load(name).role) for name in SHIPPED}

    assert found == WANTED


@pytest.mark.parametrize("name", SHIPPED)
def test_a_shipped_file_says_from_where_and_since_when_all_of_it_is_known(name: str) -> None:
    """Endpoints and controls, three and more; what it shows; and no spacing of its own."""
    service = load(name)

    assert len(service.endpoints) >= FEWEST
    assert len(service.control) >= FEWEST
    for one in (*service.endpoints, *service.control):
        assert one.source
        assert date(2020, 1, 1) < one.date <= date(2026, 11, 25)
    assert service.spacing == SPACING == 60.0
    assert "spacing" not in configs.find("targets", name).read_text(encoding="utf-8")
    assert service.shows.endswith(".")
    assert service.does_not_show.endswith(".")
    assert service.summary
    assert service.stages == service.endpoints[0].stages != ()


@pytest.mark.parametrize("name", SHIPPED)
def test_a_control_goes_the_way_of_its_service_and_to_somebody_else(name: str) -> None:
    """The same transport in every block, and no host of the service's own."""
    service = load(name)

    assert not {one.host for one in service.endpoints} & {one.host for one in service.control}
    for block in range(20):
        assert service.neutral(7, block).transport is service.endpoint(7, block).transport


def test_whatsapp_is_called_by_its_names_at_both_ports_under_the_pinned_root() -> None:
    """e1 to e16, the native application's own, TCP 443 and 5222; and the browser's."""
    service = load("whatsapp")
    wanted = {f"e{number}.whatsapp.net" for number in range(1, 17)}
    wanted |= {"g.whatsapp.net", "web.whatsapp.com"}

    assert {one.host for one in service.endpoints} == wanted
    assert {one.port for one in service.endpoints} == {443, 5222}
    assert getattr(service.handshake, "root", "") == wacert.WHATSAPP_ROOT


def test_telegrams_places_are_addresses_in_its_networks() -> None:
    """Nothing there depends on a resolver; reflectors listen on 596 to 599, TURN on 1400."""
    for name, ports in (
        ("telegram", {443}),
        ("telegram-reflectors", {596, 597, 598, 599}),
        ("telegram-turn", {1400}),
    ):
        service = load(name)
        assert all(one.address is not None for one in service.endpoints)
        assert {one.port for one in service.endpoints} == ports
        hosts = {one.host for one in service.endpoints}
        assert all(host.startswith(("91.108.", "149.154.", "95.161.76.")) for host in hosts)


def test_signals_calls_are_tried_in_the_three_ways_of_a_client() -> None:
    """UDP 3478, TCP 80 and TLS 443, each with its own control."""
    service = load("signal-turn")

    assert {str(one).partition(":")[2] for one in service.endpoints} == {
        "3478/udp",
        "80/tcp",
        "443/tcp",
    }
    assert {one.transport for one in service.control} == set(Transport)


def test_public_stun_is_of_five_operators_at_least() -> None:
    """By the names under which they are."""
    service = load("stun")

    assert len({one.host.split(".", 1)[1] for one in service.endpoints}) >= 5


def test_services_are_given_time_to_answer() -> None:
    """Ten seconds, unless a file says otherwise."""
    assert all(getattr(load(name).handshake, "level", "") is Level.STANDARD for name in SHIPPED)


# ------------------------------------------------------------------ handshakes


@pytest.mark.parametrize("kind", kinds(HANDSHAKES))
def test_every_handshake_is_public_or_refused_with_the_reason(kind: str) -> None:
    """Nobody has to guess what may be played with strangers."""
    cls = load_kind(HANDSHAKES, kind, "test", "")
    public = hasattr(cls, "reach") and hasattr(cls, "reached")

    assert public is (kind not in REFUSED)
    if not public:
        message = refused(lambda raw: raw.update(handshake=kind))
        assert REFUSED[kind] in message
        assert "cannot be played with strangers" in message


def test_what_strangers_reach_is_a_beginning_of_the_call() -> None:
    """The stages come first, in order, and are not empty."""
    for kind in set(kinds(HANDSHAKES)) - set(REFUSED):
        cls = load_kind(HANDSHAKES, kind, "test", "")
        assert isinstance(cls(), Public)
        assert cls.reached == cls.stages[: len(cls.reached)] != ()


# ------------------------------------------------------------------ a file of one's own


def test_a_file_of_ones_own_works_the_same(tmp_path: Path) -> None:
    """By its path; its name is the file's."""
    file = tmp_path / "mine.toml"
    file.write_text(GOOD + "", encoding="utf-8")
    service = load(str(file))

    assert service.name == "mine"
    assert [one.host for one in service.endpoints] == [
        "a.example.org",
        "b.example.org",
        "192.0.2.1",
    ]
    assert service.stages == (Stage.BINDING,)
    assert service.control[2].address is not None
    assert service.endpoints[0].address is None


def test_options_are_the_files_and_an_endpoints_own() -> None:
    """The nearer one counts."""
    raw = good()
    raw |= {"handshake": "signal-call", "spacing": 0, "options": {"level": "quick"}}
    raw["endpoints"][0]["options"] = {"transport": "tcp", "level": "deep"}
    raw["control"] = {"handshake": "tls", "endpoints": raw["endpoints"]}
    raw["control"]["endpoints"] = [{"host": ["a.net", "b.net", "c.net"], "port": 443}]
    service = parse(raw, "mine", "mine.toml")

    assert {one.transport for one in service.endpoints} == {Transport.TCP}
    assert getattr(service.handshake, "level", None) is Level.QUICK
    assert service.spacing == 0


def test_a_name_may_say_which_addresses_are_right() -> None:
    """Then any other answer is forged."""
    raw = good()
    raw["endpoints"][0] = {"host": ["a.net", "b.net", "c.net"], "port": 1, "addresses": ["::0001"]}

    assert parse(raw, "mine", "mine.toml").endpoints[0].right == ("::1",)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda raw: raw.update(handshakes="x"), "did you mean 'handshake'"),
        (lambda raw: raw.pop("shows"), "missing required field"),
        (lambda raw: raw.update(shows=" "), "`shows`: is empty"),
        (lambda raw: raw.update(does_not_show=""), "`does_not_show`: is empty"),
        (lambda raw: raw.update(handshake="stun-bindin"), "did you mean 'stun-binding'"),
        (lambda raw: raw.update(spacing=-1), "spacing"),
        (lambda raw: raw.update(date="soon"), "date"),
        (lambda raw: raw.pop("date"), "[[endpoints]] 1, key `date`: is missing"),
        (lambda raw: raw.pop("source"), "[[endpoints]] 1, key `source`: is missing"),
        (lambda raw: raw.pop("control"), "control"),
        (lambda raw: raw.update(endpoints=[]), "has 0 of at least 3"),
        (lambda raw: raw["endpoints"][0].update(host="a.net"), "has 1 of at least 3"),
        (lambda raw: raw["endpoints"][0].update(hosts="a"), "did you mean 'host'"),
        (lambda raw: raw["endpoints"][0].update(port=0), "0 is out of range"),
        (lambda raw: raw["endpoints"][0].update(port=[1, 65536]), "65536 is out of range"),
        (lambda raw: raw["endpoints"][0].update(host="a b"), "neither a name nor an address"),
        (lambda raw: raw["endpoints"][0].update(host=""), "neither a name nor an address"),
        (lambda raw: raw["endpoints"][0].update(host="192.0.2.256"), "no IP address"),
        (lambda raw: raw["endpoints"][0].update(addresses=["x"]), "'x' is no IP address"),
        (lambda raw: raw["endpoints"][0].update(addresses=["::1"]), "are given for an address"),
        (lambda raw: raw["endpoints"].append(raw["endpoints"][0]), "is there twice"),
        (lambda raw: raw["endpoints"][0].update(handshake="tls"), "make two files of it"),
        (lambda raw: raw["endpoints"][0].update(options={"levle": "x"}), "did you mean 'level'"),
        (lambda raw: raw["endpoints"][0].update(options={"level": "x"}), "level"),
        (lambda raw: raw["control"].update(handshake="ntpp"), "did you mean 'ntp'"),
        (
            lambda raw: raw["control"].update(handshake="echo", options={"transport": "tcp"}),
            "0 of at least 3 go over udp",
        ),
        (lambda raw: raw["control"].update(options={"levle": "x"}), "did you mean 'level'"),
        (lambda raw: raw["control"]["endpoints"].clear(), "[[control.endpoints]]"),
    ],
)
def test_a_mistake_is_one_message_that_names_file_place_and_cure(
    change: Callable[[dict[str, Any]], object], words: str
) -> None:
    """Whatever is wrong."""
    message = refused(change)

    assert message.startswith("mine.toml")
    assert words in message


@pytest.mark.parametrize(
    "change",
    [
        lambda raw: raw.update(handshake="signal-call", options={"transport": "tls"}),
        lambda raw: raw["control"].update(handshake="tls"),
    ],
)
def test_tls_with_an_address_is_refused(change: Callable[[dict[str, Any]], object]) -> None:
    """A certificate is for a name."""
    assert "TLS with" in refused(change)


@pytest.mark.parametrize("text", ["handshake = ", "\x00"])
def test_what_is_no_toml_is_said_to_be_none(tmp_path: Path, text: str) -> None:
    """Also what is no text."""
    file = tmp_path / "mine.toml"
    file.write_bytes(text.encode() + b"\xff")

    with pytest.raises(ConfigError, match="is not TOML"):
        load(str(file))


def test_a_name_that_there_is_not_gets_a_suggestion() -> None:
    """The nearest one."""
    with pytest.raises(ConfigError, match="did you mean 'whatsapp'"):
        load("watsapp")


_VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=8) | st.dates(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner),
    max_leaves=8,
)


@given(st.sampled_from([*good(), "options", "spacing"]), _VALUES)
def test_any_value_in_any_place_is_taken_or_refused_with_a_message(key: str, value: Any) -> None:
    """And never anything else than a ConfigError."""
    raw = good()
    raw[key] = value
    assert said(raw).startswith(("mine.toml", "3"))


@given(
    st.sampled_from(["host", "port", "date", "source", "reported", "addresses", "options"]),
    _VALUES,
    st.booleans(),
)
def test_and_so_is_any_value_of_an_endpoint(key: str, value: Any, below: bool) -> None:
    """Of the service's and of the control's."""
    raw = good()
    (raw["control"] if below else raw)["endpoints"][0][key] = value
    assert said(raw).startswith(("mine.toml", "3"))
