"""What the answering ladder takes of a hello, and what callers may say that it does not take."""

from contextlib import suppress
from dataclasses import replace
from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from circumtest import dtls, identity
from circumtest.dtls import Shape, flight, ladder13
from circumtest.dtls.answer13 import Agreed, choose, offers
from circumtest.dtls.client import Client
from circumtest.dtls.flight import Message, Piece
from circumtest.dtls.groups import P256, X25519, X25519MLKEM768, share
from circumtest.dtls.server import Server
from circumtest.dtls.session import ClientSession
from circumtest.dtls.shapes import key_shares, shaped
from circumtest.errors import HandshakeFailed
from circumtest.model import Cause
from circumtest.wire import dtls as wire
from circumtest.wire.dtls import ClientHello, numbers, vector
from tests.unit.dtls.pump import pump

CALLER = identity.certificate("caller", "caller")
CALLEE = identity.certificate("callee", "callee")
PINNED = dtls.fingerprint(identity.public_key("caller"))
HELLO = shaped(Shape.CHROMIUM, Random(1)).hello


def changed(hello: ClientHello = HELLO, **extensions: bytes | None) -> ClientHello:
    """The hello with extensions (by the names of `wire.dtls`) changed, or without them."""
    kept = dict(hello.extensions)
    for name, body in extensions.items():
        kept.pop(getattr(wire, name), None)
        if body is not None:
            kept[getattr(wire, name)] = body
    return replace(hello, extensions=tuple(kept.items()))


# ------------------------------------------------------------------ choosing


def test_the_best_of_what_is_offered_is_taken() -> None:
    """AES-128-GCM, the hybrid, the profile that everybody has."""
    agreed = choose(HELLO)

    assert (agreed.cipher, agreed.group, agreed.profile) == (0x1301, X25519MLKEM768, 0x0001)
    assert len(agreed.share or b"") == 1216


def test_a_share_that_is_there_is_better_than_a_better_group() -> None:
    """It saves a round trip."""
    own = share(P256, Random(1))
    hello = changed(KEY_SHARE=key_shares([own]))

    assert choose(hello) == Agreed(0x1301, P256, own.public, 0x0001)
    assert choose(changed(KEY_SHARE=b"\0\0")) == Agreed(0x1301, X25519MLKEM768, None, 0x0001)
    assert choose(HELLO, (P256,)) == Agreed(0x1301, P256, None, 0x0001)


def test_a_share_of_a_group_that_is_not_offered_is_none() -> None:
    """RFC 8446 4.2.8."""
    assert choose(changed(GROUPS=numbers((P256,)))) == Agreed(0x1301, P256, None, 0x0001)


@pytest.mark.parametrize(
    ("body", "profile"),
    [
        (None, None),
        (numbers((0x0009,)) + b"\0", None),
        (numbers((0x0008, 0x0007)) + b"\0", 0x0007),
        (numbers((0x0008, 0x0001)) + b"\0", 0x0001),
    ],
)
def test_a_profile_is_taken_where_one_is_known(body: bytes | None, profile: int | None) -> None:
    """RFC 5764 4.1.1: without a common one there is no extension."""
    assert choose(changed(USE_SRTP=body)).profile == profile


@pytest.mark.parametrize(
    "hello",
    [
        replace(HELLO, ciphers=(0xC02B,)),
        replace(HELLO, cookie=b"x"),
        replace(HELLO, version=wire.V10),
        replace(HELLO, compressions=b"\1\0"),
        changed(GROUPS=None),
        changed(GROUPS=numbers((0x0019,))),
        changed(SIGNATURES=None),
        changed(SIGNATURES=numbers((0x0804,))),
        changed(KEY_SHARE=b"\0\1x"),
        changed(USE_SRTP=b"\0\1x\0"),
    ],
)
def test_an_offer_that_would_not_do_is_malformed(hello: ClientHello) -> None:
    """Nothing in common, or what DTLS 1.3 does not allow."""
    with pytest.raises(ValueError):
        choose(hello)


@pytest.mark.parametrize(
    ("hello", "offered"),
    [
        (HELLO, True),
        (changed(SUPPORTED_VERSIONS=numbers((wire.V12,), 1)), False),
        (changed(SUPPORTED_VERSIONS=None), False),
        (shaped(Shape.PION, Random(1)).hello, False),
    ],
)
def test_the_version_is_said_by_its_extension(hello: ClientHello, offered: bool) -> None:
    """RFC 8446 4.2.1."""
    assert offers(hello) == offered


@given(st.sampled_from(("SUPPORTED_VERSIONS", "GROUPS", "KEY_SHARE", "USE_SRTP")), st.binary())
def test_garbage_in_an_extension_is_a_value_error(name: str, body: bytes) -> None:
    """Or something that is no garbage."""
    hello = changed(HELLO, **{name: body})
    with suppress(ValueError):
        offers(hello)
    with suppress(ValueError):
        choose(hello)


# ------------------------------------------------------------------ callers who do not keep to it


def near() -> Client:
    """A caller's half."""
    made = dtls.client(Shape.CHROMIUM, CALLER, Random(1))
    assert isinstance(made, Client)
    return made


def met(monkeypatch: pytest.MonkeyPatch, kind: int, body: bytes, *taken: int) -> Cause:
    """How a handshake fails in which the caller says something else in one of his messages.

    In a hello it is the second's; the first is as it should be.
    """
    said = ClientSession.message
    hellos: list[bytes] = []

    def message(self: ClientSession, this: int, its: bytes, epoch: int = 0) -> Message:
        if this == wire.CLIENT_HELLO:
            hellos.append(its)
            its = body if kind == this and len(hellos) > 1 else its
        return said(self, this, body if this == kind != wire.CLIENT_HELLO else its, epoch)

    monkeypatch.setattr(ClientSession, "message", message)
    two = Server(CALLEE, PINNED, Random(2), taken or (X25519,))
    with pytest.raises(HandshakeFailed) as failed:
        pump(near(), two)
    assert not two.established
    return failed.value.cause


@pytest.mark.parametrize(
    ("kind", "body", "cause"),
    [
        (wire.CERTIFICATE, b"\0\0\0\0", Cause.WRONG_IDENTITY),
        (wire.CERTIFICATE, b"\0\0\0\1", Cause.MALFORMED),
        (wire.CERTIFICATE, b"\1x\0\0\0", Cause.MALFORMED),
        (wire.CERTIFICATE, b"\0" + vector(vector(b"no", 3) + b"\0\0", 3), Cause.MALFORMED),
        (wire.CERTIFICATE_VERIFY, b"\4\3\0\2no", Cause.WRONG_IDENTITY),
        (wire.CERTIFICATE_VERIFY, b"\4\1\0\2no", Cause.MALFORMED),
        (wire.CERTIFICATE_VERIFY, b"", Cause.MALFORMED),
        (wire.FINISHED, bytes(32), Cause.MALFORMED),
    ],
)
def test_a_callers_message_that_is_none_is_malformed(
    monkeypatch: pytest.MonkeyPatch, kind: int, body: bytes, cause: Cause
) -> None:
    """Nobody but he can have sealed it; no certificate or a wrong signature is somebody else's."""
    assert met(monkeypatch, kind, body) == cause


@pytest.mark.parametrize(
    "second",
    [
        HELLO,
        changed(COOKIE=vector(bytes(32), 2)),
        replace(HELLO, random=bytes(32)),
        replace(HELLO, ciphers=(0x1302,)),
    ],
)
def test_a_second_hello_is_the_first_with_what_was_asked_for(
    monkeypatch: pytest.MonkeyPatch, second: ClientHello
) -> None:
    """Its cookie, and a share of that group (RFC 8446 4.1.2)."""
    assert met(monkeypatch, wire.CLIENT_HELLO, second.pack(), P256) == Cause.MALFORMED


def test_a_cookie_without_the_share_that_was_asked_for_is_not_enough(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A caller who sends the shares back that he had sent before."""
    old = key_shares([share(X25519, Random(1))])
    monkeypatch.setattr(ladder13, "key_shares", lambda _: old)
    with pytest.raises(HandshakeFailed, match="share that was asked for") as failed:
        pump(near(), Server(CALLEE, PINNED, Random(2), (P256,)))

    assert failed.value.cause == Cause.MALFORMED


def test_a_caller_without_a_certificate_will_do_where_nobody_is_pinned(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """He says so by an empty one, and signs nothing (RFC 8446 4.4.2)."""
    said = ClientSession.message

    def message(self: ClientSession, kind: int, body: bytes, epoch: int = 0) -> Message:
        if kind == wire.CERTIFICATE_VERIFY:
            return Message(kind, 0, body, epoch)
        return said(self, kind, bytes(4) if kind == wire.CERTIFICATE else body, epoch)

    def pieces(message: Message) -> list[Piece]:
        return [] if message.kind == wire.CERTIFICATE_VERIFY else flight.cut(message)

    monkeypatch.setattr(ClientSession, "message", message)
    monkeypatch.setattr(ladder13, "cut", pieces)
    one, two = near(), Server(CALLEE, None, Random(2))
    pump(one, two)

    assert one.established
    assert two.established
    assert one.keys == two.keys
