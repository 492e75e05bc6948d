"""The Tor tunnel as configuration: what a plan and the lab's server make it from."""

from pathlib import Path

import pytest

from circumtest.errors import ConfigError
from circumtest.recognise import recognise
from circumtest.registry import TUNNELS, build
from circumtest.tunnels.tor import Tor
from tests.unit.tor.test_bridge import CERT, OBFS4

AUTHORITY = f"lab0 orport=5000 v3ident={'A' * 40} 192.0.2.1:7000 {'B' * 40}"


def test_nothing_is_the_public_network() -> None:
    """No file is needed for it."""
    assert Tor().torrc.bridges == ()
    assert recognise("tor:", "--vpn", "") == {"kind": "tor"}


def test_a_file_and_its_text_are_the_same_tunnel(tmp_path: Path) -> None:
    """Bare bridge lines, too, are known for what they are."""
    file = tmp_path / "bridges.txt"
    file.write_text(OBFS4)
    assert Tor(config=str(file)).torrc == Tor(text=OBFS4).torrc
    assert recognise(str(file), "--vpn", "") == {"kind": "tor", "config": str(file)}
    with pytest.raises(ConfigError, match="given twice"):
        Tor(config=str(file), text=OBFS4)


def test_what_is_not_honoured_is_in_the_notes() -> None:
    """The program of a transport is not run."""
    (note,) = Tor(text=f"{OBFS4}\nClientTransportPlugin obfs4 exec /tmp/evil").notes()
    assert note.startswith("ClientTransportPlugin is not run")


def test_bridges_are_not_in_the_repr() -> None:
    """They are secrets of those who gave them."""
    assert CERT not in repr(Tor(text=OBFS4, authorities=(AUTHORITY,)))


@pytest.mark.parametrize(
    "line", ["", AUTHORITY[:-1], f"{AUTHORITY}\nSocksPort 1", AUTHORITY.replace("v3ident", "v4")]
)
def test_an_authority_that_is_none_is_refused(line: str) -> None:
    """Nothing else gets into tor's configuration by it."""
    with pytest.raises(ConfigError, match="key `authorities`, 2"):
        Tor(authorities=(AUTHORITY, line))


def test_a_file_that_is_not_there_or_not_text_is_a_config_error(tmp_path: Path) -> None:
    """The message names the file."""
    with pytest.raises(ConfigError, match=r"gone: cannot be read: No such file"):
        Tor(config=str(tmp_path / "gone"))
    (tmp_path / "photo").write_bytes(b"\xff\xd8\xff")
    with pytest.raises(ConfigError, match=r"photo: is not text"):
        Tor(config=str(tmp_path / "photo"))


def test_a_plans_table_makes_one_and_its_mistakes_name_the_file(tmp_path: Path) -> None:
    """Found by entry point."""
    file = tmp_path / "torrc"
    file.write_text(f"UseBridges 1\nBridge {OBFS4[:-40]}")
    with pytest.raises(ConfigError, match="torrc: line 2, Bridge: has a cert"):
        build(TUNNELS, {"kind": "tor", "config": str(file)}, "plan.toml", "tunnel")
    table = {"kind": "tor", "authorities": [AUTHORITY], "text": OBFS4}
    assert build(TUNNELS, table, "plan.toml", "tunnel").authorities == (AUTHORITY,)
    with pytest.raises(ConfigError, match="patience"):
        Tor(patience=0)
