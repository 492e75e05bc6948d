"""The lab's Tor network: what is kept of it, and what is new each time."""

from pathlib import Path

import pytest

from circumtest.lab import tor_network
from circumtest.lab.servers.tor import TorNetwork
from circumtest.lab.topology import Lab
from tests.lab.town import play

CONSENSUS = "valid-after 2020-01-01 00:00:00\nfresh-until {} 00:00:00\n"


def test_its_keys_are_kept_and_a_bridges_transport_is_new() -> None:
    """Two servings have the same authorities, and obfs4 keys of their own."""

    async def scene(place: Lab) -> None:
        authorities, certs = [], set()
        for _ in range(2):
            async with TorNetwork(bridge=True).serve(place) as fields:
                authorities.append(fields["authorities"])
                certs.add(fields["text"].partition("cert=")[2])
        assert authorities[0] == authorities[1]
        assert len(authorities[0]) == 3
        assert len(certs) == 2

    play(scene)


@pytest.mark.parametrize("until", ["2020-01-02", "never", ""])
def test_an_old_or_broken_consensus_is_not_used_again(tmp_path: Path, until: str) -> None:
    """It is made anew."""
    (tmp_path / "directory").mkdir()
    file = tmp_path / "directory" / "cached-microdesc-consensus"
    (tmp_path / "authorities").touch()
    for name in (*tor_network.RELAYS, tor_network.BRIDGE):
        (tmp_path / name / "keys").mkdir(parents=True)
    file.write_text(CONSENSUS.format("9999-01-01"))
    assert tor_network._fresh(tmp_path)
    file.write_text(CONSENSUS.format(until) if until else "")
    assert not tor_network._fresh(tmp_path)
    file.unlink()
    assert not tor_network._fresh(tmp_path)
