"""Every sentence of a check exists once, and can be put into another language."""

import re
import string
from pathlib import Path

import pytest

from circumtest.live import words
from circumtest.live.checked import About, State
from circumtest.live.phrases import APPS, PHRASES, Phrasebook


def placeholders(text: str) -> set[str]:
    """The names in braces."""
    return {name for _, name, _, _ in string.Formatter().parse(text) if name is not None}


def test_every_phrase_that_the_words_use_is_in_the_table_and_the_other_way_round() -> None:
    """None is missing when it is needed, and none is left over."""
    source = Path(words.__file__).read_text(encoding="utf-8")
    quoted = set(re.findall(r'"([a-z-]+)"', source))
    by_value = {str(one) for one in (*About, *State)}

    assert set(PHRASES) <= quoted | by_value
    assert set(re.findall(r'say\(\s*"([a-z-]+)"', source)) <= set(PHRASES)


@pytest.mark.parametrize("name", sorted(PHRASES))
def test_placeholders_are_named(name: str) -> None:
    """A translation may reorder them."""
    assert all(re.fullmatch(r"[a-z]+", one) for one in placeholders(PHRASES[name]))


def test_a_translator_is_asked_for_every_sentence_before_it_is_filled() -> None:
    """As gettext is: with the English template."""
    asked: list[str] = []

    def translate(text: str) -> str:
        asked.append(text)
        return text.upper().replace("{VPN}", "{vpn}")

    say = Phrasebook(translate)

    assert say("with", vpn="client.conf") == "WITH client.conf"
    assert say.app("meet") == "GOOGLE MEET"
    assert say.app("nobody-knows") == "nobody-knows"
    assert asked == [PHRASES["with"], APPS["meet"]]
