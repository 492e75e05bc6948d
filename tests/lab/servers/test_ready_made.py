"""What is on at the client before circumtest comes, and that it goes with its server."""

import pytest

from circumtest.lab.servers.ready_made import ReadyMade
from circumtest.lab.topology import Lab
from circumtest.netns import Netns
from circumtest.process import run
from tests.lab.exits import inhabitants
from tests.lab.town import play


async def rules(netns: Netns) -> str:
    """The routing rules of both families."""
    return "".join([await run(netns, ["ip", family, "rule"]) for family in ("-4", "-6")])


@pytest.mark.parametrize(
    ("form", "fields"),
    [
        ("interface", {"device"}),
        ("netns", {"netns"}),
        ("command-socks", {"start", "leaves"}),
        ("command-interface", {"start", "ready", "stop", "leaves"}),
    ],
)
def test_each_form_gives_its_fields_and_leaves_nothing(form: str, fields: set[str]) -> None:
    """Devices, rules and processes of the client are what they were."""

    async def scene(place: Lab) -> None:
        before = await rules(place.client)
        async with ReadyMade(form=form).serve(place) as given:  # type: ignore[arg-type]
            assert set(given) == fields
            assert bool(inhabitants(place.client)) == (not form.startswith("command"))
        assert await place.client.links() == ("lo", "censor")
        assert await rules(place.client) == before
        assert not inhabitants(place.client) | inhabitants(place.exit)

    play(scene)


def test_the_device_does_not_become_the_way_out_of_everything() -> None:
    """Only what is bound to it, or comes from its addresses, leaves by it."""

    async def scene(place: Lab) -> None:
        async with ReadyMade().serve(place) as fields:
            assert place.client.ways_out() == {4: "censor", 6: "censor"}
            for source in ("10.99.0.2", "fd00:99::2"):
                far = "203.0.113.1" if "." in source else "2001:db8:113::1"
                said = await run(place.client, ["ip", "route", "get", far, "from", source])
                assert f"dev {fields['device']} " in said

    play(scene)
