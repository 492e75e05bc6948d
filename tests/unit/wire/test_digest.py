"""Digest authentication: the RFCs' own examples, and whatever else somebody may say."""

import hashlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from circumtest.wire import digest
from circumtest.wire.digest import Challenge

NONCE = "7ypf/xlj9XXwfDPEoM4URrv/xwf94BcCAzFZH4GiTo0v"
REALM = "http-auth@example.org"
CNONCE = "f2/wE4q74E6zIJEtWaHKaf5wv/H5QzzpXusqGemxURZJ"
RFC_7616 = {
    "MD5": "8ca523f5e9506fed4657c9700eebdbec",
    "SHA-256": "753927fa0e85d155564e2e272a28d1802ca10daf4496794697cf8db5856cb6c1",
}
"""Section 3.9.1: Mufasa's answers."""


@pytest.mark.parametrize("algorithm", RFC_7616)
def test_the_examples_of_rfc_7616_come_out(algorithm: str) -> None:
    """MD5 and SHA-256, with qop auth."""
    challenge = Challenge(REALM, NONCE, algorithm)
    value = digest.answer(challenge, "Mufasa", "Circle of Life", "GET", "/dir/index.html", CNONCE)

    assert f'response="{RFC_7616[algorithm]}"' in value
    assert digest.verify(value, challenge, "Mufasa", "Circle of Life", "GET")


def test_without_qop_it_is_the_digest_of_rfc_2069() -> None:
    """As older proxies want it: MD5(HA1:nonce:HA2)."""
    value = digest.answer(Challenge("r", "n", qop=False), "u", "p", "REGISTER", "sip:r", "unused")
    first, second = _md5("u:r:p"), _md5("REGISTER:sip:r")

    assert "cnonce" not in value
    assert f'response="{_md5(f"{first}:n:{second}")}"' in value


def _md5(words: str) -> str:
    return hashlib.md5(words.encode()).hexdigest()


@pytest.mark.parametrize("algorithm", RFC_7616)
@pytest.mark.parametrize("qop", [True, False])
def test_only_the_right_words_verify(algorithm: str, qop: bool) -> None:
    """Another user, password, method, nonce, realm, or a changed digit."""
    challenge = Challenge("realm", "nonce", algorithm, qop)
    value = digest.answer(challenge, "u", "p", "INVITE", "sip:x", "cnonce")
    other = Challenge("realm", "another", algorithm, qop)

    assert digest.verify(value, challenge, "u", "p", "INVITE")
    assert not digest.verify(value, challenge, "v", "p", "INVITE")
    assert not digest.verify(value, challenge, "u", "q", "INVITE")
    assert not digest.verify(value, challenge, "u", "p", "REGISTER")
    assert not digest.verify(value, other, "u", "p", "INVITE")
    assert not digest.verify(value, Challenge("r", "nonce", algorithm, qop), "u", "p", "INVITE")
    assert not digest.verify(value.replace("sip:x", "sip:y"), challenge, "u", "p", "INVITE")
    for wrong in ("", "Basic dTpw", "Digest", value[:-30], "Digest a=b, a=c"):
        assert not digest.verify(wrong, challenge, "u", "p", "INVITE")


@pytest.mark.parametrize(
    "challenge",
    [
        Challenge("a", "b"),
        Challenge("a b", "c", "SHA-256", opaque="o", stale=True),
        Challenge("a", "b", qop=False),
    ],
)
def test_a_challenge_is_read_as_it_was_written(challenge: Challenge) -> None:
    """Realm, nonce, algorithm, qop, opaque, stale."""
    assert digest.parse_challenge(challenge.pack()) == challenge


def test_a_challenge_of_others_is_understood() -> None:
    """Without blanks, in any case, with several qops and escapes."""
    found = digest.parse_challenge(
        r'digest Realm="a\"b",nonce=n,stale=FALSE,algorithm=md5,qop="auth-int,auth",domain="sip:x"'
    )

    assert found == Challenge('a"b', "n")


@pytest.mark.parametrize(
    "value",
    [
        "",
        "Basic realm=x",
        'Digest realm="x"',
        'Digest nonce="x"',
        'Digest realm="x", nonce="y", algorithm=SHA-512-256',
        'Digest realm="x", nonce="y", algorithm=MD5-sess',
        'Digest realm="x", nonce="y", qop="auth-int"',
        'Digest realm="x, nonce="y"',
        "Digest " + ", ".join(f"a{n}=b" for n in range(40)),
    ],
)
def test_a_challenge_that_cannot_be_answered_is_a_value_error(value: str) -> None:
    """Another scheme, incomplete, of a kind that is not known here, or no end."""
    with pytest.raises(ValueError):
        digest.parse_challenge(value)


@given(st.text(max_size=120))
def test_garbage_is_a_value_error_or_a_wrong_answer(text: str) -> None:
    """Never anything else."""
    for value in (text, f"Digest {text}", f'Digest realm="x", {text}'):
        try:
            digest.parse_challenge(value)
            digest.nonce_of(value)
        except ValueError:
            pass
        assert not digest.verify(value, Challenge("a", "b"), "u", "p", "INVITE")


def test_the_nonce_of_an_answer_is_found() -> None:
    """So that a far half without memory knows what it once said."""
    assert digest.nonce_of('Digest username="u", nonce="n"') == "n"
    assert digest.nonce_of("Digest username=u") == ""
