"""The call through a TCP reflector: its configuration."""

from circumtest.handshakes.telegram_call_tcp import TelegramCallTcp
from circumtest.model import Role, Stage, Transport
from circumtest.reflector import TcpReflector
from circumtest.script import Listen


def test_it_is_a_call_on_one_tcp_port() -> None:
    """What the plan and the lab read off it; the first segment is 28 bytes, as captured."""
    handshake = TelegramCallTcp(port=596)

    assert handshake.listen == Listen(Transport.TCP, 596)
    assert handshake.opening == 28
    assert (handshake.role, handshake.messaging) == (Role.CALL, "telegram-message")
    assert handshake.stages[0] is Stage.CONNECTIVITY
    assert isinstance(handshake.answerer(), TcpReflector)
