"""What is said of a machine, from what was found out about it."""

from circumtest.doctor.findings import (
    ABILITIES,
    DONE,
    ELSEWHERE,
    TUNNEL_PROGRAMS,
    Finding,
    Refusal,
    State,
    of_abilities,
    of_error,
    render,
)
from circumtest.doctor.probe import PROBES
from circumtest.errors import EnvironmentUnfit


def test_everything_that_is_tried_has_a_meaning() -> None:
    """A probe without a finding, or a finding without a probe, would be silence."""
    assert {ability.what for ability in ABILITIES} == {"network namespaces", *PROBES}


def test_what_is_done_needs_no_remedy() -> None:
    """A machine on which all works reads short, and says so at the end."""
    findings = of_abilities({ability.what: DONE for ability in ABILITIES})

    assert {finding.state for finding in findings} == {State.OK}
    assert "->" not in render(findings)
    assert render(findings).endswith("Everything that is shipped can run here.")


def test_a_refusal_is_told_with_its_words_and_a_remedy() -> None:
    """Whoever reads it knows what is lost, why, and what to type."""
    (finding,) = of_abilities({"wireguard-go on TUN": Refusal("[Errno 13] Permission denied")})
    text = render([finding])

    assert finding.state is State.MISSING
    assert "no `wireguard` tunnel" in text
    assert "Permission denied" in text
    assert "-> sudo modprobe tun && sudo chmod 0666 /dev/net/tun" in text
    assert text.endswith("Missing: wireguard-go on TUN.")


def test_what_has_a_stand_in_is_only_a_limit() -> None:
    """A kernel without WireGuard still runs everything, through wireguard-go."""
    (finding,) = of_abilities({"WireGuard in the kernel": Refusal("no such device")})

    assert finding.state is State.LIMITED
    assert render([finding]).endswith("can run here.  Limited: WireGuard in the kernel.")


def test_a_missing_tunnel_is_a_limit_that_names_what_is_lost() -> None:
    """The default plan does not need it, and whoever does learns what to type."""
    error = EnvironmentUnfit("tor is not installed", "apt-get install tor")
    text = render([of_error("tor", error, TUNNEL_PROGRAMS["tor"], State.LIMITED)])

    assert "no `tor` tunnel" in text
    assert text.endswith("The default plan can run here.  Limited: tor.")


def test_the_remedy_of_who_refused_comes_first() -> None:
    """The code that failed knows better than a table."""
    (finding,) = of_abilities({"nftables": Refusal("nft is not installed", "install it")})

    assert finding.remedy == "install it"


def test_what_was_not_tried_is_not_judged() -> None:
    """No finding is invented for a probe that did not run."""
    assert of_abilities({}) == ()


def test_an_unfit_machine_is_told_in_the_words_of_a_run() -> None:
    """`doctor` prints what a run would stop with."""
    error = EnvironmentUnfit("danted is not installed", "apt-get install dante-server")
    text = render([of_error("danted", error, "no SOCKS server with UDP")])

    assert error.missing in text
    assert error.remedy in text


def test_a_machine_that_is_not_linux_learns_what_works_there() -> None:
    """Reading commands need neither Linux nor root."""
    text = render([ELSEWHERE])

    assert "circumtest show, compare, plan, list" in text
    assert text.endswith("Missing: Linux.")


def test_columns_line_up() -> None:
    """The eye finds what is missing."""
    findings = [Finding("a", State.OK), Finding("long name", State.LIMITED, "less", "do this")]
    first, second, third, *_ = render(findings).splitlines()

    assert first == "ok       a"
    assert second.index("less") == third.index("->")
