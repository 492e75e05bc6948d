"""Every sentence of a check, from the values that call for it; never more than was seen."""

from collections.abc import Iterable

import pytest
from msgspec.structs import replace

from circumtest.live.checked import About, Checked, Leaked, Said, Tried, Way
from circumtest.live.words import text

TIMEOUT = "signalling: generic_timeout_error"
FINE = Said("fine", "environment", "The network is there.")


def one(
    app: str, about: str = "messages", *, worked: int = 0, attempts: int = 1, **more: object
) -> Tried:
    """A service over one way; a failing one failed at three places unless told."""
    fields = {"died": "" if worked else TIMEOUT, "control": True, **more}
    tried = Tried(
        service=f"{app}-{about}", app=app, about=About(about), worked=worked, attempts=attempts
    )
    return replace(tried, **fields)


WORKS = one("telegram", worked=1)
FAILS = one("telegram", attempts=3)
CALL_WORKS = one("telegram", "calls", worked=1)
CALL_FAILS = one("telegram", "calls", attempts=3)
CALL_CANNOT = one("telegram", "calls", attempts=0, cannot="it carries no UDP")


def said(
    outside: Iterable[Tried], *vpns: Way, environment: Said | None = FINE, **more: object
) -> str:
    """The words of a check."""
    way = Way(name="outside", tried=tuple(outside))
    checked = Checked(environment=environment, outside=way, vpns=vpns)
    return text(replace(checked, **more))


def vpn(*tried: Tried, **more: object) -> Way:
    """A VPN that is up, unless told."""
    return replace(Way(name="client.conf", kind="wireguard", tried=tried), **more)


def section(words: str, heading: str) -> str:
    """The lines under a heading."""
    return next(part for part in words.split("\n\n") if part.startswith(heading))


# ------------------------------------------------------------------ the network


def test_a_fine_network_is_one_line() -> None:
    """And nothing is said of VPNs that are not on."""
    words = said([WORKS])

    assert section(words, "Your network") == (
        "Your network\n  No captive portal, no allow-list, and names resolve."
    )


def test_without_a_network_there_is_what_to_do_and_nothing_else() -> None:
    """No app is listed that could not be tried."""
    gone = Said("no-network", "environment", "This machine has no network", "Join a Wi-Fi network")
    words = said([], environment=gone)

    assert "This machine has no network.\n  Join a Wi-Fi network." in words
    assert section(words, "What to do next") == "What to do next\n  Join a Wi-Fi network."
    assert "As you are" not in words


def test_on_an_allow_list_no_vpn_is_to_blame() -> None:
    """Nothing is suspected of apps, and a VPN that is down there is not called faulty."""
    listed = Said("allow-list", "environment", "This network is an allow-list", "Use another one")
    trouble = Said("handshake", "tunnel", "The server does not answer", "Check the keys")
    down = vpn(state="down", why="The server does not answer", troubles=(trouble,))
    words = said([one("telegram", attempts=3, control=False)], down, environment=listed)

    assert "No VPN is to blame for what fails here: it is the network. Use another one." in words
    assert "Check the keys" not in section(words, "What to do next")
    assert "restricted" not in words


def test_a_network_that_nobody_looked_at_is_not_called_fine() -> None:
    """Time may run out before that."""
    assert "Nobody looked at it." in said([], environment=None, whole=False)
    assert "Time ran out" in said([], environment=None, whole=False)


def test_a_vpn_that_is_on_already_is_noticed() -> None:
    """With what to type to compare it; where that was done, the outside is called what it is."""
    assert "You are already behind wg0" in said([WORKS], behind="wg0")
    assert "--vpn iface:wg0" in said([WORKS], behind="wg0")
    bound = said([WORKS], vpn(WORKS, name="wg0"), behind="wg0", bound_to="eth0")
    assert section(bound, "Without wg0 (bound to eth0)")
    assert "As you are" not in bound


# ------------------------------------------------------------------ one service


@pytest.mark.parametrize(
    ("tried", "line"),
    [
        (WORKS, "Telegram messages: worked once."),
        (
            one("telegram", worked=1, attempts=2),
            "Telegram messages: worked once, after failing at 1 of 2 places.",
        ),
        (
            CALL_WORKS,
            "Telegram calls: the first steps worked once, as far as they go without an account.",
        ),
        (
            one("whatsapp", "calls", worked=1, sound=True),
            "WhatsApp calls: a call like it worked once to your mirror, with sound.",
        ),
        (
            one("whatsapp", "calls", sound=True),
            f"WhatsApp calls: a call like it failed once to your mirror ({TIMEOUT}), whose neutral"
            " test passed.",
        ),
        (
            FAILS,
            f"Telegram messages: failed 3 of 3 ({TIMEOUT}) while a neutral place answered.",
        ),
        (
            one("telegram", attempts=2),
            f"Telegram messages: failed 2 of 2 ({TIMEOUT}): too few tries to mean anything.",
        ),
        (
            one("telegram", attempts=3, control=False),
            f"Telegram messages: failed 3 of 3 ({TIMEOUT}), and the neutral place beside it did not"
            " answer either: nothing can be said.",
        ),
        (CALL_CANNOT, "Telegram calls: impossible this way: it carries no UDP."),
        (one("telegram", attempts=0), "Telegram messages: not tried."),
        (one("stun", "other", worked=1), "Calls in browsers (public STUN): worked once."),
    ],
)
def test_a_line_says_what_was_seen_and_no_more(tried: Tried, line: str) -> None:
    """One try worked once; a failure is told with the stage, the cause and the place beside it."""
    assert f"  {line}\n" in said([tried])


def test_calls_that_cannot_be_told_without_an_account_are_listed_all_the_same() -> None:
    """People ask for them; a mirror shows more, and where there is one it is not advertised."""
    line = "WhatsApp calls: cannot be told without an account"
    assert f"{line}; your own mirror" in said([one("whatsapp", worked=1)])
    assert f"{line}." in said([one("whatsapp", worked=1)], mirror=True)
    assert "Signal calls" not in said([one("whatsapp", worked=1)])
    assert "Telegram calls: cannot" not in said([WORKS, CALL_WORKS])


# ------------------------------------------------------------------ suspicions


def test_restricted_is_said_only_where_it_worked_another_way() -> None:
    """Failing alone is a suspicion; failing both ways says nothing of the network."""
    alone = said([FAILS])
    beside = said([FAILS], vpn(WORKS))
    both = said([FAILS], vpn(FAILS))

    assert "Telegram messages: a suspicion only. It failed 3 of 3" in alone
    assert (
        "Telegram messages: restricted as you are. It failed 3 of 3 while a neutral place answered,"
        " and worked with client.conf." in beside
    )
    assert "Telegram messages: failed as you are and with client.conf while neutral" in both
    assert "nobody can tell from here whether the service is up" in both
    assert "restricted as you are" not in alone + both


@pytest.mark.parametrize(
    "tried", [one("telegram", attempts=2), one("telegram", attempts=3, control=False), WORKS]
)
def test_nothing_is_suspected_without_a_control_or_enough_places(tried: Tried) -> None:
    """The words `restricted` and `suspicion` do not occur."""
    words = section(said([tried], vpn(WORKS)), "What to do next")

    assert "restricted" not in words
    assert "suspicion" not in words


# ------------------------------------------------------------------ one VPN, one step


def step(*args: Iterable[Tried] | Way, **more: object) -> str:
    """The last line of what to do next."""
    return section(said(*args, **more), "What to do next").splitlines()[-1].strip()  # type: ignore[arg-type]


def test_a_vpn_that_brings_calls_back_is_to_be_used() -> None:
    """Calls count before messages; what was only begun is not called a call that works."""
    first = "client.conf brings back what Telegram calls begin with: use it, and see"
    sound = replace(CALL_WORKS, sound=True)

    assert step([FAILS, CALL_FAILS], vpn(WORKS, CALL_WORKS)).startswith(first)
    assert step([CALL_FAILS], vpn(sound)) == "client.conf brings Telegram calls back: use it."
    assert step([FAILS], vpn(WORKS)) == "client.conf brings Telegram messages back: use it."


def test_a_vpn_that_breaks_what_worked_is_to_be_turned_off_for_it() -> None:
    """Only where a neutral place answered through it."""
    uncontrolled = replace(CALL_FAILS, control=False)

    assert step([CALL_WORKS], vpn(CALL_FAILS)) == (
        "client.conf breaks Telegram calls, which worked without it: turn it off for them."
    )
    assert "breaks" not in step([CALL_WORKS], vpn(uncontrolled))


def test_a_vpn_that_stops_carrying_anything_does_not_change_nothing() -> None:
    """What worked without it got no answer through it, and neither did a neutral place."""
    dead = replace(FAILS, control=False)

    assert step([WORKS], vpn(dead)).startswith(
        "client.conf came up and then carried nothing more: what works without it got no answer"
    )


def test_a_vpn_without_udp_cannot_carry_calls() -> None:
    """Whether its nature says so or it was seen."""
    seen = Said("no-udp", "tunnel", "The VPN carries no UDP", "Switch it on")

    for way in (vpn(WORKS, CALL_CANNOT), vpn(WORKS, CALL_CANNOT, troubles=(seen,))):
        assert step([WORKS, CALL_FAILS], way).startswith(
            "client.conf carries no UDP: calls cannot use it. Take one that does: WireGuard"
        )


def test_a_fault_of_the_vpn_comes_with_its_cure() -> None:
    """MTU for one; what is only worth knowing does not hide what the VPN changes."""
    mtu = Said("mtu", "tunnel", "Large packets vanish", "Set MTU = 1280")
    nat = Said("symmetric-nat", "tunnel", "A symmetric NAT stands in between", "", fatal=False)
    names = Said("dns-around", "tunnel", "Names are asked for outside", "Set DNS", fatal=False)

    assert step([WORKS], vpn(WORKS, troubles=(nat, mtu))) == (
        "client.conf: Large packets vanish. Set MTU = 1280."
    )
    assert step([WORKS], vpn(WORKS, troubles=(names,))).endswith("outside. Set DNS.")
    quiet = said([WORKS], vpn(WORKS, troubles=(nat,)))
    assert "A symmetric NAT stands in between." in section(quiet, "With client.conf")
    assert "you do not need it for that" in section(quiet, "What to do next")


def test_what_is_wrong_with_the_far_end_of_the_test_is_not_the_vpns_fault() -> None:
    """It is told, and what the VPN changes is the step all the same."""
    far = Said("far-end", "endpoint", "The far end of this test does not answer", "Try others")
    words = said([FAILS], vpn(WORKS, troubles=(far,)))

    assert "The far end of this test does not answer." in section(words, "With client.conf")
    assert words.count("Try others") == 0
    assert "client.conf brings Telegram messages back: use it." in words


def test_a_vpn_that_is_down_says_why_and_what_to_do() -> None:
    """Once under its name, once as the step."""
    trouble = Said("handshake", "tunnel", "The VPN's server does not answer", "Check the keys")
    down = vpn(state="down", why=trouble.sentence, troubles=(trouble,))
    words = said([WORKS], down)

    assert "It carried nothing: The VPN's server does not answer." in words
    assert section(words, "With client.conf").count("does not answer") == 1
    assert step([WORKS], down).endswith("does not answer. Check the keys.")
    assert "slow" in step([WORKS], vpn(state="down", why="it was too slow"))


def test_a_vpn_that_this_machine_cannot_try_says_what_to_type() -> None:
    """And one that was not reached says so."""
    out = vpn(state="left-out", why="openvpn is not installed", remedy="apt install openvpn")

    assert "It was not tried: openvpn is not installed." in said([WORKS], out)
    assert step([WORKS], out) == "client.conf: apt install openvpn."
    assert "the time for the whole check was over" in said([WORKS], vpn(state="no-time"))


def test_a_leak_comes_before_everything() -> None:
    """Whatever the VPN brings back."""
    leaky = vpn(WORKS, leaks=(Leaked("dns", 3, "UDP"),))

    assert "LEAK: 3 packets (dns, UDP) went around it" in said([FAILS], leaky)
    assert step([FAILS], leaky).startswith("client.conf lets packets around it")


def test_where_nobody_could_watch_for_leaks_that_is_said() -> None:
    """It is never hidden."""
    words = said([WORKS], vpn(WORKS, unwatched="an ordinary user may not watch the uplink"))

    assert "Leaks: an ordinary user may not watch the uplink." in words


def test_a_vpn_that_changes_nothing_says_so() -> None:
    """Both work; both fail; or nobody knows."""
    unknown = replace(FAILS, control=False)

    assert step([WORKS], vpn(WORKS)).endswith("you do not need it for that.")
    assert step([FAILS], vpn(FAILS)) == "client.conf changes nothing of what was tried."
    assert step([unknown], vpn(unknown)).startswith("Nothing can be said about client.conf")


@pytest.mark.parametrize(
    ("tried", "words"),
    [
        ([FAILS], "Try with a VPN whether that changes it"),
        ([WORKS], "Everything that was tried worked. Whether sound gets through"),
        ([replace(CALL_WORKS, sound=True)], "sound included: nothing to do."),
        ([replace(FAILS, control=False)], "No neutral place answered: try again"),
    ],
)
def test_without_a_vpn_there_is_one_step_too(tried: list[Tried], words: str) -> None:
    """It follows from what was seen."""
    assert words in step(tried)


# ------------------------------------------------------------------ caveats


def test_what_one_try_does_not_show_is_always_said() -> None:
    """With each service's own words, a mirror's, and what this machine left out."""
    words = said(
        [replace(WORKS, does_not_show="Nothing about sound")],
        mirror=True,
        left_out=("pasta is missing",),
    )

    assert "One try is no statistics" in words
    assert "telegram-messages: Nothing about sound." in words
    assert "never that the real service is not blocked" in words
    assert section(words, "Left out on this machine").endswith("pasta is missing\n")
    assert "Left out" not in said([WORKS])
