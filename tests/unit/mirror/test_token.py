"""Tokens: what is one, what is not, and that the secret is not shown by accident."""

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from circumtest.errors import ConfigError
from circumtest.mirror import token
from circumtest.mirror.token import Token

SECRET = "abcdefghijklmnopqrstuvwxyz234567"


@pytest.mark.parametrize("host", ["192.0.2.1", "mirror.example.org", "2001:db8::1"])
def test_a_token_reads_as_it_is_written(host: str) -> None:
    """An IPv6 address stands in brackets."""
    made = Token(host, SECRET)

    assert Token.parse(str(made)) == made
    assert SECRET not in repr(made)


@given(st.text(max_size=80))
def test_what_is_no_token_is_told_without_repeating_it(text: str) -> None:
    """It may be half of one."""
    with pytest.raises(ConfigError) as caught:
        Token.parse(text)

    assert len(text) < 8 or text not in str(caught.value)


@pytest.mark.parametrize("text", ["", SECRET, f":{SECRET}", f"2001:db8::1:{SECRET}", "host:short"])
def test_half_a_token_is_none(text: str) -> None:
    """Nor is an IPv6 address without brackets."""
    with pytest.raises(ConfigError):
        Token.parse(text)


def test_a_token_comes_from_a_file_or_the_environment(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """So that it need not be on a command line."""
    file = tmp_path / "token"
    file.write_text(f"# mine\n\n192.0.2.1:{SECRET}\n")
    monkeypatch.setenv(token.VARIABLE, str(file))

    assert Token.given("") == Token.given(str(file)) == Token("192.0.2.1", SECRET)


def test_drawn_secrets_are_secrets_and_differ() -> None:
    """160 bits each."""
    drawn = {token.draw() for _ in range(16)}

    assert len(drawn) == 16
    assert all(token.is_secret(one) for one in drawn)
