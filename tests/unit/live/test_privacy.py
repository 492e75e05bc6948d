"""What of a trial is kept: nothing that was named as a secret, nothing that tells who it was."""

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from circumtest.appearance import Appearance, Sighting
from circumtest.errors import ConfigError
from circumtest.finding import TunnelOutline
from circumtest.live.privacy import LIMIT, Keeper
from circumtest.model import (
    Address,
    Arm,
    Cause,
    Cell,
    Failure,
    Invalid,
    Outcome,
    Record,
    Stage,
    Trial,
    TunnelFault,
    Unsupported,
)
from tests.unit.runs import OK, outline

SALT = b"s" * 16
CELL = Cell("wireguard", "call", "whatsapp", "live")
HOME = Address("198.51.100.77", 40001)
SECRETS = st.text(st.characters(codec="utf-8", exclude_characters="…<>"), min_size=6).filter(
    lambda one: len(one.strip()) >= 6
)


CLOSED = frozenset(
    (*Stage, *Cause, *TunnelFault, "failure", "invalid", "unsupported", "tunnel-down")
)
"""Words of our own, which say nothing of a secret that happens to be a part of them."""


def trial(outcome: Outcome, seen: Address | None = None) -> Trial:
    """A line of a run."""
    return Trial(CELL, 0, Arm.INSIDE, 1.0, Record(outcome, 0.5, exit=seen))


def written(trial: Trial) -> str:
    """Every text of the line, as a reader has it."""
    return repr(msgspec.to_builtins(trial))


@given(SECRETS, st.text(max_size=40), st.text(max_size=40), st.sampled_from(range(4)))
def test_a_secret_is_nowhere_in_what_is_written(
    secret: str, before: str, after: str, where: int
) -> None:
    """Wherever a daemon, the network or a path says it."""
    words = f"{before}{secret}{after}"
    outcome = (
        Failure(Stage.ALLOCATE, Cause.REFUSED, words),
        Invalid("tunnel-down", TunnelFault.AUTH, words),
        Invalid("tunnel-down", TunnelFault.AUTH, "", words),
        Unsupported(words),
    )[where]
    keeper = Keeper(SALT, frozenset({secret}))
    kept = keeper.trial(trial(outcome)).record.outcome

    assert secret.strip() not in keeper.text(words)
    assert keeper.hits
    assert isinstance(kept, Failure | Invalid | Unsupported)
    assert all(
        secret.strip() not in text
        for text in msgspec.to_builtins(kept).values()
        if isinstance(text, str) and text not in CLOSED
    )


@pytest.mark.parametrize("secret", ["0.0.0.0:", "vpn.example.org/hidden", "x2001:db8::7-pass"])
def test_a_secret_that_holds_an_address_leaves_nothing_of_itself(secret: str) -> None:
    """Neither before the address nor behind it."""
    keeper = Keeper(SALT, frozenset({secret}))
    assert keeper.text(f"says {secret} twice") == "says … twice"
    assert keeper.hits == 1


def test_an_exit_is_a_tag_that_stays_the_same_in_a_run_only() -> None:
    """Whether inside and outside were seen at the same address can still be told."""
    keeper, another = Keeper(SALT), Keeper(b"o" * 16)
    tag = keeper.exit(HOME)

    assert HOME.host not in written(keeper.trial(trial(OK, HOME)))
    assert tag == keeper.exit(Address(HOME.host, 2))
    assert tag != keeper.exit(Address("198.51.100.78", 40001))
    assert tag != another.exit(HOME)
    assert tag.port == 0


def test_who_asks_for_it_keeps_the_exit() -> None:
    """And only the exit: words are scrubbed all the same."""
    keeper = Keeper(SALT, keep_exit=True)
    kept = keeper.trial(trial(Failure(Stage.ALLOCATE, Cause.REFUSED, f"udp {HOME}"), HOME))

    assert kept.record.exit == HOME
    assert isinstance(kept.record.outcome, Failure)
    assert kept.record.outcome.detail == "udp <address>:40001"


def test_a_public_service_stays_readable_and_a_private_server_gets_a_tag() -> None:
    """The one is in the shipped target files, the other is somebody's."""
    keeper = Keeper(
        SALT,
        secrets=frozenset({"vpn.anna.net"}),
        servers=frozenset({"vpn.anna.net", "198.51.100.7"}),
        public=frozenset({"e1.whatsapp.net", "203.0.113.5"}),
    )
    said = keeper.text("e1.whatsapp.net 203.0.113.5:3478 by vpn.anna.net (198.51.100.7)")
    name, address = keeper.tag("server", "vpn.anna.net"), keeper.tag("server", "198.51.100.7")

    assert said == f"e1.whatsapp.net 203.0.113.5:3478 by {name} ({address})"
    assert keeper.hits == 0
    assert name != address


def test_what_was_not_named_is_scrubbed_by_its_shape() -> None:
    """Addresses, hosts, keys, identifiers, homes, mail."""
    said = Keeper(SALT).text(
        "a@b.org at 8.8.4.4 aa:bb:cc:dd:ee:ff of /home/anna with "
        "b831381d-6324-4d53-ad4f-8cda48b30811 to vpn.anna.net"
    )

    assert said == "<mail> at <address> <mac> of <home> with <id> to <host>"


def test_words_are_short() -> None:
    """The last ones are the telling ones."""
    assert Keeper(SALT).text("a " * 9000 + "end").endswith(" end")
    assert len(Keeper(SALT).text("a " * 9000)) <= LIMIT


def test_a_name_that_holds_a_secret_is_refused_and_not_repeated() -> None:
    """Names stand in every line of a run."""
    plan = msgspec.structs.replace(
        outline("wireguard"), tunnels=(TunnelOutline("with-hunter2", "wireguard"),)
    )

    with pytest.raises(ConfigError, match="named with one of the secrets") as refused:
        Keeper(SALT, frozenset({"hunter2"})).outline(plan)
    assert "hunter2" not in str(refused.value)


def test_the_summary_of_a_plan_is_scrubbed() -> None:
    """People write into it what is theirs."""
    plan = msgspec.structs.replace(outline("wireguard"), summary="through 8.8.4.4 with hunter2")

    kept = Keeper(SALT, frozenset({"hunter2"})).outline(plan)

    assert kept.summary == "through <address> with …"
    assert kept.hash == plan.hash


def test_the_name_in_a_tunnels_hello_is_kept_only_where_it_is_public() -> None:
    """It is the server's own, or that of a site it hides behind."""
    seen = Sighting(CELL, played=True, appearance=Appearance("tcp", 443, 9, 99, "", name="a.b.net"))

    hidden = Keeper(SALT).sighting(seen).appearance
    assert hidden is not None
    assert hidden.name.startswith("server-")
    assert Keeper(SALT, public=frozenset({"a.b.net"})).sighting(seen) == seen


def test_a_keeper_does_not_show_what_it_knows() -> None:
    """A traceback may print it."""
    shown = repr(Keeper(SALT, frozenset({"hunter2"}), frozenset({"vpn.anna.net"})))

    assert "hunter2" not in shown
    assert "vpn.anna.net" not in shown
