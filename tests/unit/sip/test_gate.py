"""Who is let in: answers to challenges that were made here, for that address, and lately."""

from hypothesis import given
from hypothesis import strategies as st

from circumtest.sip import password
from circumtest.sip.gate import FRESH, Gate
from circumtest.wire import digest
from circumtest.wire.sip import Request

SECRET, HOST, NOW = "a secret", "192.0.2.2", 1_764_000_000.0


def request(user: str = "caller", method: str = "INVITE") -> Request:
    """As far as a gate looks at it."""
    return Request((("From", f"<sip:{user}@x>;tag=one"),), b"", method, "sip:x")


def answered(words: str, user: str = "caller", secret: str = SECRET, method: str = "INVITE") -> str:
    """The answer to a challenge."""
    challenge = digest.parse_challenge(words)
    return digest.answer(challenge, user, password(secret, user), method, "sip:x", "cnonce")


def test_whoever_answers_a_challenge_is_let_in() -> None:
    """Whatever he calls himself; until it is old, and from where it was told."""
    gate = Gate(SECRET)
    words = gate.challenge(request(), "", HOST, NOW)

    assert gate.challenge(request(), answered(words), HOST, NOW + 1) == ""
    assert gate.challenge(request("other"), answered(words, "other"), HOST, NOW + 1) == ""
    assert gate.challenge(request(), answered(words), "192.0.2.3", NOW + 1)
    assert gate.challenge(request("other"), answered(words), HOST, NOW + 1)
    assert gate.challenge(request(), answered(words, secret="guessed"), HOST, NOW + 1)
    assert gate.challenge(request(method="REGISTER"), answered(words), HOST, NOW + 1)
    assert Gate("another").challenge(request(), answered(words), HOST, NOW + 1)


def test_an_old_nonce_is_told_to_be_stale_to_whoever_knows_the_password() -> None:
    """So that he may answer a fresh one; a stranger is told nothing of the kind."""
    gate = Gate(SECRET)
    words = gate.challenge(request(), "", HOST, NOW)
    again = gate.challenge(request(), answered(words), HOST, NOW + FRESH)
    strange = gate.challenge(request(), answered(words, secret="guessed"), HOST, NOW + FRESH)

    assert digest.parse_challenge(again).stale
    assert gate.challenge(request(), answered(again), HOST, NOW + FRESH) == ""
    assert not digest.parse_challenge(strange).stale
    assert not digest.parse_challenge(words).stale


@given(st.text(max_size=80))
def test_garbage_is_challenged(text: str) -> None:
    """Never let in, never an exception."""
    gate = Gate(SECRET)

    for given_ in (text, f'Digest username="caller", nonce="{text}"', f"Digest {text}"):
        assert given_ == "" or gate.challenge(request(), given_, HOST, NOW).startswith("Digest ")


def test_a_calls_tag_is_its_own() -> None:
    """And the secret's."""
    assert Gate(SECRET).tag("one") == Gate(SECRET).tag("one") != Gate(SECRET).tag("two")
    assert Gate(SECRET).tag("one") != Gate("another").tag("one")
