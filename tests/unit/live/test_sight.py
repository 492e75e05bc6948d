"""The kind of network that a look allows one to say it is: by quorum, in the order of suspicion."""

from dataclasses import replace

from hypothesis import given
from hypothesis import strategies as st

from circumtest.live.advice import EnvironmentKind, TroubleKind
from circumtest.live.sight import DAY, Answer, Resolved, Sight, judge
from circumtest.model import Cause

NAMES = tuple(Resolved("192.0.2.53", f"n{one}.example", (f"192.0.2.{one}",)) for one in range(5))
DEAD = tuple(replace(one, addresses=(), cause=Cause.TIMEOUT) for one in NAMES)


def answers(good: int, bad: int = 0, *, other: bool = False) -> tuple[Answer, ...]:
    """So many that are right, and so many that are not."""
    right = [Answer(f"good{one}", 4, ok=True) for one in range(good)]
    return (*right, *(Answer(f"bad{one}", 4, other=other) for one in range(bad)))


FINE = Sight({4: "eth0"}, ("eth0",), NAMES, (), answers(3), answers(5), answers(0, 2), answers(3))
NOTHING = replace(FINE, names=DEAD, pages=answers(0, 3), servers=answers(0, 5), stun=answers(0, 3))


def kind(sight: Sight) -> EnvironmentKind:
    """What is said of it."""
    return judge(sight).kind


def test_what_passes_is_fine_and_half_of_it_as_well() -> None:
    """Two servers are a quorum; pages and STUN that are gone do not change it."""
    assert judge(FINE).fine
    assert judge(FINE).notes == ()
    assert kind(replace(FINE, servers=answers(2, 3), pages=answers(0, 3))) == EnvironmentKind.FINE


def test_no_route_is_no_network() -> None:
    """Whether a device is up is said."""
    assert "no device is up" in judge(Sight()).sentence
    assert "no route" in judge(Sight(up=("eth0",))).sentence


def test_a_portal_needs_two_strange_pages_no_right_one_and_no_servers() -> None:
    """A page that was changed by its owner is no portal."""
    strange = replace(
        FINE, servers=answers(0, 5), stun=answers(0, 3), pages=answers(0, 3, other=True)
    )
    assert kind(strange) == EnvironmentKind.CAPTIVE_PORTAL
    one = answers(0, 1, other=True)
    assert kind(replace(strange, pages=one)) != EnvironmentKind.CAPTIVE_PORTAL
    assert kind(replace(strange, servers=answers(2, 3))) == EnvironmentKind.FINE
    mixed = (*answers(1), *answers(0, 2, other=True))
    assert kind(replace(strange, pages=mixed)) == EnvironmentKind.DOUBTFUL


def test_an_allow_list_is_said_only_when_nothing_neutral_passes_and_something_listed_does() -> None:
    """One neutral page, server or datagram forbids it; without anything listed it is names only."""
    barred = replace(NOTHING, names=NAMES, listed=answers(1, 1))
    assert kind(barred) == EnvironmentKind.ALLOW_LIST
    assert kind(replace(barred, names=DEAD)) == EnvironmentKind.ALLOW_LIST
    for one in (
        replace(barred, pages=answers(1, 2)),
        replace(barred, servers=answers(1, 2)),
        replace(barred, stun=answers(1, 2)),
    ):
        assert kind(one) == EnvironmentKind.DOUBTFUL
    assert kind(replace(barred, listed=answers(0, 2))) == EnvironmentKind.DNS_ONLY
    assert kind(NOTHING) == EnvironmentKind.NO_ANSWER


def test_a_machine_that_was_late_itself_blames_no_network() -> None:
    """Its silence is not the network's: neither an allow-list nor DNS alone is said then."""
    silent = replace(FINE, pages=answers(0, 3), servers=answers(0, 5), stun=answers(0, 3))
    assert judge(replace(silent, listed=answers(2))).kind is EnvironmentKind.ALLOW_LIST
    for listed in (answers(2), answers(0, 2)):
        assert judge(replace(silent, listed=listed, late=True)).kind is EnvironmentKind.DOUBTFUL


def test_who_was_asked_for_no_name_is_not_said_to_know_none() -> None:
    """A file that has addresses only."""
    assert judge(replace(FINE, names=())).fine


def test_names_that_do_not_resolve_while_servers_answer_are_told_with_their_cause() -> None:
    """The cause that most of them died of."""
    found = judge(replace(FINE, names=DEAD))
    assert found.kind == EnvironmentKind.NO_DNS
    assert "generic_timeout_error" in found.sentence
    assert "resolvectl dns eth0" in found.remedy


def test_a_resolver_lies_by_private_addresses_by_one_for_all_or_by_inventing() -> None:
    """Each by a quorum; one private name (split DNS) is no lie."""
    private = tuple(replace(one, addresses=("10.0.0.1",)) for one in NAMES)
    assert kind(replace(FINE, names=private)) == EnvironmentKind.WRONG_DNS
    assert kind(replace(FINE, names=(private[0], *NAMES[1:]))) == EnvironmentKind.FINE
    same = tuple(replace(one, addresses=("198.51.100.9",)) for one in NAMES)
    assert kind(replace(FINE, names=same)) == EnvironmentKind.WRONG_DNS
    invented = (Resolved("192.0.2.53", "x.invalid", ("192.0.2.1",)),)
    assert kind(replace(FINE, invented=invented)) == EnvironmentKind.WRONG_DNS
    search = (Resolved("192.0.2.53", "x.invalid", ("203.0.113.80",)),)
    assert kind(replace(FINE, invented=search)) == EnvironmentKind.FINE


def test_the_clock_is_wrong_when_a_quorum_says_so_in_one_direction() -> None:
    """A server whose certificate is over does not decide; a clock that is minutes off is a note."""
    off = tuple(replace(one, off=-3 * DAY) for one in answers(3))
    assert kind(replace(FINE, pages=off)) == EnvironmentKind.CLOCK
    assert "3 days" in judge(replace(FINE, pages=off)).sentence
    expired = (replace(answers(1)[0], off=30 * DAY), *answers(5)[1:])
    assert kind(replace(FINE, servers=expired)) == EnvironmentKind.FINE
    apart = (replace(off[0], off=3 * DAY), replace(off[1], off=-3 * DAY))
    assert kind(replace(FINE, pages=apart)) == EnvironmentKind.FINE
    little = tuple(replace(one, off=300.0) for one in answers(3))
    notes = judge(replace(FINE, pages=little)).notes
    assert [one.kind for one in notes] == [TroubleKind.CLOCK_OFF]
    assert "5 minutes" in notes[0].sentence


def test_notes_forbid_nothing() -> None:
    """IPv6 that leads nowhere, no STUN, one resolver of two that is dead."""
    six = tuple(replace(one, version=6) for one in answers(0, 2))
    other = tuple(replace(one, resolver="192.0.2.54") for one in DEAD)
    found = judge(
        replace(
            FINE,
            ways={4: "eth0", 6: "eth0"},
            servers=(*answers(5), *six),
            stun=answers(0, 3),
            names=(*NAMES, *other),
            symmetric=True,
        )
    )
    assert found.fine
    assert {one.kind for one in found.notes} == {
        TroubleKind.BROKEN_IPV6,
        TroubleKind.NO_STUN,
        TroubleKind.RESOLVER,
        TroubleKind.SYMMETRIC_NAT,
    }
    assert not any(one.fatal for one in found.notes)


@st.composite
def sights(draw: st.DrawFn) -> Sight:
    """Any outcome of a look."""
    some = st.builds(
        Answer,
        st.sampled_from(["a.example", "b.example", "c.example"]),
        st.sampled_from([4, 6]),
        st.booleans(),
        st.booleans(),
        off=st.none() | st.floats(-1e9, 1e9),
    )
    names = st.builds(
        Resolved,
        st.sampled_from(["192.0.2.53", "192.0.2.54"]),
        st.sampled_from(["a.example", "b.example"]),
        st.lists(st.sampled_from(["10.1.1.1", "192.0.2.1", "::1"]), max_size=2).map(tuple),
        st.none() | st.sampled_from(list(Cause)),
    )
    pages, servers, listed, stun = (draw(st.lists(some, max_size=5)) for _ in range(4))
    ways = draw(st.dictionaries(st.sampled_from([4, 6]), st.just("eth0")))
    return Sight(ways, (), draw(st.lists(names, max_size=5)), (), pages, servers, listed, stun)


@given(sights())
def test_whatever_is_seen_has_a_whole_sentence_and_fine_needs_two_servers(sight: Sight) -> None:
    """No address of anybody's is in it; an allow-list is never said beside neutral traffic."""
    found = judge(sight)
    for text in (found.sentence, found.remedy):
        assert "{" not in text
        assert "?" not in text
    assert "192.0.2.5" not in found.sentence + " ".join(found.seen)
    if found.fine:
        assert sight.passed(sight.servers) >= 2
    if found.kind is EnvironmentKind.ALLOW_LIST:
        every = (*sight.pages, *sight.servers, *sight.stun)
        assert not any(one.ok for one in every)
