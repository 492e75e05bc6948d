"""Every kind of environment and of trouble has its words, and they are plain."""

import re
import string
from pathlib import Path

import pytest

from circumtest.errors import TunnelDown
from circumtest.live.advice import (
    ENVIRONMENTS,
    TROUBLES,
    Advice,
    EnvironmentKind,
    TroubleKind,
    said,
)
from circumtest.live.trouble import of_down, trouble
from circumtest.model import Attribution, TunnelFault

REPOSITORY = Path(__file__).parents[3]
KNOWN = {"why", "servers", "portals", "asked", "device", "off", "passed"}
KNOWN |= {"detail", "mtu", "where", "also"}
EVERY = [*ENVIRONMENTS.items(), *TROUBLES.items()]


def test_every_kind_is_in_its_table() -> None:
    """And nothing else is."""
    assert set(ENVIRONMENTS) == set(EnvironmentKind)
    assert set(TROUBLES) == set(TroubleKind)


def test_every_kind_is_explained_on_the_page() -> None:
    """A reader finds when it is said."""
    page = (REPOSITORY / "docs" / "faults.md").read_text(encoding="utf-8")
    assert [kind for kind, _ in EVERY if f"`{kind}`" not in page] == []


def test_every_fault_of_a_tunnel_is_a_trouble() -> None:
    """By the same word: the two enumerations cannot drift apart."""
    for fault in TunnelFault:
        one = of_down(TunnelDown(fault, "why", "words"))
        assert one.kind == fault.value
        assert one.fatal
        assert one.seen == "words"
        assert one.attribution is Attribution.TUNNEL


@pytest.mark.parametrize(("kind", "advice"), EVERY, ids=[str(kind) for kind, _ in EVERY])
def test_sentences_and_remedies_are_whole(kind: str, advice: Advice) -> None:
    """Each begins large and ends; no name in braces is unknown; nothing is called blocked here."""
    for text in (advice.sentence, advice.remedy):
        assert text[0].isupper()
        assert re.search(r"[.`}]$", text), text
        names = {name for _, name, _, _ in string.Formatter().parse(text) if name}
        assert names <= KNOWN, kind
    assert "is blocked" not in advice.sentence
    assert "censor" not in advice.sentence


def test_an_environment_that_is_fine_forbids_nothing_and_all_others_do() -> None:
    """They are the environment's, whoever made it so."""
    for kind, advice in ENVIRONMENTS.items():
        assert advice.fatal is (kind is not EnvironmentKind.FINE)
        assert advice.attribution is Attribution.ENVIRONMENT


def test_the_mtu_to_set_is_named_in_the_words_of_the_configuration() -> None:
    """As WireGuard and OpenVPN spell it."""
    one = trouble(TroubleKind.MTU, mtu=1380, where="on the way back")
    assert one.mtu == 1380
    assert "`MTU = 1380`" in one.remedy
    assert "`tun-mtu 1380`" in one.remedy
    assert "on the way back" in one.sentence


def test_a_detail_that_nobody_gave_leaves_no_brackets() -> None:
    """And what else is missing is a question mark, no exception."""
    assert said("It fails ({detail}).") == "It fails."
    assert said("It fails ({detail}).", detail="so") == "It fails (so)."
    assert said("By {off}.") == "By ?."
