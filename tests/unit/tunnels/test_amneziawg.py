"""AmneziaWG's configuration as a tunnel: read once, told of, refused before anything starts."""

from pathlib import Path

import pytest

from circumtest.errors import ConfigError
from circumtest.tunnels.amneziawg import Amneziawg
from tests.unit.wireguard.test_amnezia import HEADERS, JUNK, KEY, PADDING, PING, PLAIN

TEXT = PLAIN.replace("[Peer]", f"{JUNK}{PADDING}{HEADERS}{PING}[Peer]")


def test_it_claims_what_has_its_keys_and_nothing_else() -> None:
    """A plain file is WireGuard's."""
    assert Amneziawg.claims(TEXT) == {"text": TEXT}
    assert Amneziawg.claims(PLAIN) is None
    assert Amneziawg.claims("Jc = 4") is None


def test_a_file_is_read_once_and_its_name_told(tmp_path: Path) -> None:
    """Messages name it; what it holds is in no repr."""
    file = tmp_path / "my.conf"
    file.write_text(TEXT)
    tunnel = Amneziawg(config=str(file))
    file.unlink()
    assert tunnel.amnezia.junk == 5
    assert tunnel.quick.peers[0].endpoint == ("192.0.2.1", 51820)
    assert KEY not in repr(Amneziawg(text=TEXT))
    file.write_text(TEXT.replace("Jc = 5", "Jc = five"))
    with pytest.raises(ConfigError, match=r"my\.conf: line 4"):
        Amneziawg(config=str(file))


def test_the_notes_say_what_it_begins_with_and_what_that_looks_like() -> None:
    """A custom packet that is made like a call's pings walks the tunnel into the calls' block."""
    notes = Amneziawg(text=TEXT).notes()
    assert "begins with I1 (20 octets), 5 packets of 40 to 70 random octets" in notes[0]
    assert notes[1] == "I1 looks like stun and whatsapp-call to a censor"
    innocent = TEXT.replace(PING, "I1 = <r 40>\n")
    assert len(Amneziawg(text=innocent).notes()) == 1


@pytest.mark.parametrize(
    ("fields", "said"),
    [
        ({}, "name a .conf file"),
        ({"config": "a", "text": TEXT}, "name a .conf file"),
        ({"text": TEXT, "patience": 0.0}, "patience"),
        ({"config": "no-such.conf"}, "cannot be read"),
        ({"config": "/usr/bin/env"}, "is not text"),
        ({"text": "nothing"}, "line 1"),
    ],
)
def test_what_cannot_be_right_is_refused(fields: dict[str, object], said: str) -> None:
    """Each in its own words."""
    with pytest.raises(ConfigError, match=said):
        Amneziawg(**fields)  # type: ignore[arg-type]
