"""What the daemon tells over its management socket, line by line."""

import asyncio
from pathlib import Path

from hypothesis import given
from hypothesis import strategies as st

from circumtest.openvpn.management import Management, Refusal, managing


def told(*lines: str) -> Management:
    """A management that has heard `lines`."""

    async def hear() -> Management:
        management = Management(None)
        management.data_received("".join(f"{line}\r\n" for line in lines).encode())
        return management

    return asyncio.run(hear())


def test_states_are_followed_to_the_connection() -> None:
    """How far it came is forgotten then."""
    begun = (">STATE:1,WAIT,,,,,,", ">STATE:1,AUTH,,,,,,", ">LOG:1,,VERIFY OK: depth=0, CN=x")
    assert told(*begun[:2]).furthest == "AUTH"
    assert told(*begun).furthest == "VERIFIED"
    management = told(*begun, ">STATE:2,CONNECTED,SUCCESS,10.8.0.2,192.0.2.1,1194,,")
    assert (management.state, management.connections) == ("CONNECTED", 1)
    assert management.furthest == ""


def test_a_reply_in_parts_is_put_together_and_a_new_connection_begins_anew() -> None:
    """PUSH_REPLY has about a kilobyte a message."""
    part = ">LOG:1,,PUSH: Received control message: 'PUSH_REPLY,{}'"
    up = ">STATE:2,CONNECTED,SUCCESS,10.8.0.2,192.0.2.1,1194,,"
    management = told(part.format("route 10.0.0.0,push-continuation 2"), part.format("ping 1"), up)
    assert management.options == [("route", "10.0.0.0"), ("push-continuation", "2"), ("ping", "1")]
    management.hear(part.format("ping 9"))
    assert management.options == [("ping", "9")]


def test_refusals_are_told_apart() -> None:
    """A login, a login in a browser, our certificate, the server's."""
    for line, refusal in (
        (">PASSWORD:Verification Failed: 'Auth'", Refusal.LOGIN),
        (">STATE:1,RECONNECTING,auth-failure,,,,,", Refusal.LOGIN),
        (">LOG:1,,AUTH: Received control message: AUTH_FAILED", Refusal.LOGIN),
        (">INFOMSG:WEB_AUTH::https://vpn.example/login", Refusal.BROWSER),
        (">LOG:1,N,VERIFY ERROR: depth=0, error=unable to get issuer: CN=x", Refusal.THEIRS),
        (">LOG:1,N,VERIFY X509NAME ERROR: CN=x, must be y", Refusal.THEIRS),
        (">LOG:1,N,OpenSSL: error:0A000418:SSL routines::tlsv1 alert unknown ca", Refusal.OURS),
    ):
        assert told(line).refusal is refusal, line


def test_the_daemon_is_let_go_on_and_given_the_login_it_asks_for(tmp_path: Path) -> None:
    """Quotes and backslashes escaped; the login is never in a file."""

    async def scene() -> bytes:
        async with managing(tmp_path / "socket", ('a"b', r"c\d")):
            reader, writer = await asyncio.open_unix_connection(tmp_path / "socket")
            writer.write(b">HOLD:Waiting for hold release:0\r\n")
            writer.write(b">PASSWORD:Need 'Auth' username/password\r\n")
            said = await reader.readuntil(b'password "Auth" "c\\\\d"\n')
            writer.close()
            return said

    said = asyncio.run(scene()).decode()
    assert "hold release\n" in said
    assert 'username "Auth" "a\\"b"\n' in said


@given(st.lists(st.binary(max_size=60), max_size=5))
def test_any_bytes_are_heard_without_an_exception(chunks: list[bytes]) -> None:
    """Split wherever they are."""
    management = told()
    for chunk in chunks:
        management.data_received(b">LOG:" + chunk)
        management.data_received(b"\n>STATE:" + chunk + b"\n")
