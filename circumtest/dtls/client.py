"""A DTLS client whose ClientHello can be any: its first rungs, until the server chose a version.

Records and times are `half`'s, what follows is the ladders'.  It refuses to choose a hello: shapes
do.
"""

from dataclasses import replace
from random import Random

from circumtest.dtls.flight import Sender
from circumtest.dtls.half import Half
from circumtest.dtls.ladder12 import Twelve
from circumtest.dtls.ladder13 import Thirteen
from circumtest.dtls.session import ClientSession, Ladder
from circumtest.dtls.shapes import Shaped
from circumtest.identity import Identity
from circumtest.wire.dtls import (
    HELLO_VERIFY_REQUEST,
    SERVER_HELLO,
    SUPPORTED_VERSIONS,
    V12,
    Record,
    hello_verify_cookie,
)

MAX_COOKIES = 3
"""HelloVerifyRequests that are answered: a server that forgets its own cookies is none."""


class Client(Half):
    """One handshake, of DTLS 1.2 or 1.3 as the server chooses: an `endpoint.Endpoint`."""

    def __init__(self, shaped: Shaped, own: Identity, peer: bytes | None, rng: Random) -> None:
        # RFC 6347 4.2.1: hellos may say that they are DTLS 1.0, nothing behind them does.
        def plain(kind: int, seq: int, body: bytes) -> bytes:
            version = V12 if session.answered else shaped.version
            return Record(kind, 0, seq, body, version).pack()

        sender = Sender(shaped.wait, plain)
        session = ClientSession(shaped.hello, shaped.shares, own, peer, rng, sender)
        twelve, thirteen = Twelve(session), Thirteen(session)
        super().__init__(session, thirteen, _climb(session, twelve, thirteen), twelve.open)


def _climb(session: ClientSession, twelve: Twelve, thirteen: Thirteen) -> Ladder:
    """Hello, cookies, and on by the ladder of the version that the server chose."""
    session.say_hello()
    message = yield from session.wait({0: (SERVER_HELLO, HELLO_VERIFY_REQUEST)})
    for _ in range(MAX_COOKIES):
        if message.kind == SERVER_HELLO:
            break
        session.transcript.clear()  # RFC 6347 4.2.1: neither of the two is hashed
        cookie = hello_verify_cookie(message.body)
        session.again_with(replace(session.hello, cookie=cookie))
        session.say_hello()
        message = yield from session.wait({0: (SERVER_HELLO, HELLO_VERIFY_REQUEST)})
    theirs = session.accept(message)
    if theirs.get(SUPPORTED_VERSIONS) is None:
        yield from twelve.climb(theirs)
    else:
        yield from thirteen.climb(theirs)
