"""The obfs4 tunnel as configuration: what a plan and the lab's server make it from."""

from pathlib import Path

import pytest

from circumtest.errors import ConfigError
from circumtest.recognise import recognise
from circumtest.tunnels.obfs4 import Obfs4
from tests.unit.tor.test_bridge import CERT, OBFS4


def test_a_file_and_its_text_are_the_same_tunnel(tmp_path: Path) -> None:
    """The kind is said, since a bridge line alone is tor's."""
    file = tmp_path / "bridge.txt"
    file.write_text(f"Bridge {OBFS4}\n")
    assert Obfs4(config=str(file)).bridge == Obfs4(text=OBFS4).bridge
    assert recognise(f"obfs4:{file}", "--vpn", "") == {"kind": "obfs4", "config": str(file)}


def test_keys_and_logins_are_not_in_the_repr() -> None:
    """Neither the cert nor the password of the proxy behind the server."""
    text = repr(Obfs4(text=OBFS4, user="caller", password="hunter2"))
    assert CERT not in text
    assert "hunter2" not in text


@pytest.mark.parametrize(
    ("text", "why"),
    [
        (f"{OBFS4}\n{OBFS4}", "has 2 bridges"),
        ("# nothing", "has no bridges"),
        ("192.0.2.1:9001", "does not speak obfs4"),
        (f"{OBFS4}\nExitNodes {{de}}", "ExitNodes: is tor's"),
        ("snowflake 192.0.2.3:80", "snowflake are not spoken here"),
        (OBFS4[:-20], "cert"),
    ],
)
def test_anything_but_one_obfs4_server_is_refused(text: str, why: str) -> None:
    """The message tells no key."""
    with pytest.raises(ConfigError, match=why) as caught:
        Obfs4(text=text)
    assert CERT[:20] not in str(caught.value)


@pytest.mark.parametrize(
    "login",
    [{"user": "only"}, {"password": "only"}, {"user": "ü", "password": "x"}, {"user": "a" * 256}],
)
def test_a_login_that_cannot_be_sent_is_refused(login: dict[str, str]) -> None:
    """Both or none, ASCII, not too long."""
    with pytest.raises(ConfigError, match="key `user`"):
        Obfs4(text=OBFS4, **login)  # type: ignore[arg-type]


def test_one_of_file_and_text_is_needed(tmp_path: Path) -> None:
    """And the file has to be there, and text."""
    for config, text in (("", ""), ("bridge.txt", OBFS4)):
        with pytest.raises(ConfigError, match="bridge line"):
            Obfs4(config=config, text=text)
    with pytest.raises(ConfigError, match="gone: cannot be read"):
        Obfs4(config=str(tmp_path / "gone"))
    (tmp_path / "photo").write_bytes(b"\xff\xd8\xff")
    with pytest.raises(ConfigError, match="photo: is not text"):
        Obfs4(config=str(tmp_path / "photo"))
    with pytest.raises(ConfigError, match="patience"):
        Obfs4(text=OBFS4, patience=0)


def test_what_is_not_honoured_is_in_the_notes() -> None:
    """The program of a transport is not run."""
    (note,) = Obfs4(text=f"{OBFS4}\nClientTransportPlugin obfs4 exec /tmp/evil").notes()
    assert note.startswith("ClientTransportPlugin is not run")
