"""What a check tells before it sends anything: short, and complete."""

import pytest

from circumtest import configs
from circumtest.live.attempts import chosen
from circumtest.live.check import Asked
from circumtest.live.checked import QUORUM
from circumtest.live.consent import LINES, lines
from circumtest.live.targets import load
from circumtest.live.vpns import read
from circumtest.mirror.token import Token

SERVICES = tuple(chosen(load(name)) for name in configs.names("targets"))


@pytest.mark.parametrize("vpns", [(), ("iface:wg0",), tuple(f"iface:wg{n}" for n in range(9))])
@pytest.mark.parametrize("token", [None, Token("mirror.example", "a" * 32)])
def test_it_fits_on_a_screen_and_names_what_is_called(
    vpns: tuple[str, ...], token: Token | None
) -> None:
    """Twelve lines at most; the token's secret is not in them."""
    said = lines(Asked(SERVICES, read(vpns), token=token))
    words = "\n".join(said)

    assert len(said) <= LINES
    assert "about 60 seconds" in words
    assert "whatsapp" in words or "more" in words
    assert ("wg0" in words) == bool(vpns)
    assert ("your mirror" in words) == (token is not None)
    assert "a" * 32 not in words


def test_of_each_service_few_places_are_chosen_and_of_different_hosts() -> None:
    """Those that somebody checked come first; the neutral ones of every transport stay."""
    for name, service in zip(configs.names("targets"), SERVICES, strict=True):
        whole = load(name)
        hosts = {one.host for one in whole.endpoints}
        assert len(service.endpoints) == QUORUM
        assert len({one.host for one in service.endpoints}) == min(QUORUM, len(hosts))
        assert {one.transport for one in service.control} == {
            one.transport for one in whole.control
        }
        if any(one.reported for one in service.endpoints):
            checked = {one.host for one in whole.endpoints if not one.reported}
            assert checked <= {one.host for one in service.endpoints}
