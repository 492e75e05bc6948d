"""The keeper of a run knows what its plan's tunnels hold, and the run's own salt."""

from pathlib import Path

import pytest

from circumtest import store
from circumtest.errors import ConfigError
from circumtest.live.keeping import keeper, known, published, shipped
from circumtest.plan import load
from circumtest.plan.values import Plan

KEY = "yAnz5TF+lXXJte14tji3zlMNq+hd2rYUIgJBgB3fBmk="
CONFIG = f"""[Interface]
PrivateKey = {KEY}
Address = 10.7.0.2/32
[Peer]
PublicKey = {KEY[::-1][1:]}=
AllowedIPs = 0.0.0.0/0
Endpoint = vpn.anna.net:51820
"""


@pytest.fixture
def plan(tmp_path: Path) -> Plan:
    """A plan whose one tunnel is in a file."""
    file = tmp_path / "client.conf"
    file.write_text(CONFIG)
    return load("demo", [str(file)])


def test_what_is_in_a_tunnels_file_is_a_secret(plan: Plan, tmp_path: Path) -> None:
    """Its key, its server; the server as a tag that is the same all through the run."""
    folder = tmp_path / "run"
    store.create(folder, published(plan), plan.private())
    one, again = keeper(plan, folder), keeper(plan, folder, secrets=["hunter2"])
    said = one.text(f"{KEY} to vpn.anna.net")

    assert "vpn.anna.net" not in said
    assert KEY not in said
    assert one.tag("server", "vpn.anna.net") in said
    assert said == again.text(f"{KEY} to vpn.anna.net")
    assert "hunter2" not in again.text("with hunter2")


def test_a_run_whose_salt_is_gone_cannot_go_on(plan: Plan, tmp_path: Path) -> None:
    """Its exits could not be told apart any more."""
    folder = tmp_path / "run"
    store.create(folder, published(plan), plan.private())
    (folder / store.SEAL).unlink()

    with pytest.raises(ConfigError, match="cannot be read"):
        keeper(plan, folder)


def test_a_name_that_is_a_secret_is_refused_before_anything_is_written(plan: Plan) -> None:
    """Here it is the name that the tunnel was given."""
    with pytest.raises(ConfigError, match="named with one of the secrets"):
        published(plan, [plan.outline.tunnels[-1].name])


def test_shipped_services_are_public_and_what_is_known_of_files_is_split() -> None:
    """Secrets, and the hosts among them."""
    secrets, hosts = known([CONFIG])

    assert "vpn.anna.net" in hosts & secrets
    assert KEY in secrets - hosts
    assert not shipped() & hosts
