"""The far person of a call: whom he answers, when he speaks, and when he stops."""

from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from circumtest import callee as module
from circumtest import dtls, identity, srtp
from circumtest.callee import NAME, Callee
from circumtest.dtls import Shape
from circumtest.ice import Agent, Ends, ends
from circumtest.model import Address, Transport
from circumtest.script import Emit, Flow
from circumtest.talker import QUIET
from circumtest.wire import ice, stun
from circumtest.wire.ice import TGCALLS, Dialect, Role
from circumtest.wire.rtp import Frame

SECRET = "secret"
NOW = 1_764_000_000.0
CALLEE = Address("203.0.113.10", 40000)
CALLER = Address("192.0.2.2", 40001)
FLOW = Flow(Transport.UDP, CALLEE, CALLER)


def agent(known: Ends | None = None, dialect: Dialect = TGCALLS) -> Agent:
    """A caller's."""
    known = known or ends(SECRET, b"abcd")
    return Agent(known.caller, known.callee, Random(1), dialect, Role(True))


def say(callee: Callee, data: bytes, flow: Flow = FLOW, at: float = NOW) -> list[bytes]:
    """What he answers on that flow."""
    emits: list[Emit] = [*callee.receive(flow, data, at)]
    assert all(emit.flow == flow for emit in emits)
    return [emit.data for emit in emits]


def run(callee: Callee, until: float) -> list[tuple[float, bytes]]:
    """What he sends of his own accord up to a time, and when."""
    sent: list[tuple[float, bytes]] = []
    while (due := callee.timer()) is not None and due < until:
        sent += [(due, emit.data) for emit in callee.tick(due)]
    return sent


def connect(callee: Callee, near: Agent, at: float = NOW) -> None:
    """Checks and answers to and fro, until the pair is chosen."""
    for turn in range(8):
        time = at + turn * 0.1
        pending = [near.check(), *[data for _, data in run(callee, time)]]
        answers = say(callee, pending[0], at=time)
        for data in [*pending[1:], *answers]:
            if data[:1] < b"\x04" and (reply := near.hear(data, CALLEE)):
                for more in say(callee, reply, at=time):
                    near.hear(more, CALLEE)


def test_a_check_is_answered_with_where_it_came_from_and_with_one_of_his_own() -> None:
    """64 bytes, and 96 the other way."""
    near = agent()
    answer, check = say(Callee(SECRET), near.check())
    near.hear(answer, CALLEE)

    assert (len(answer), len(check)) == (64, 96)
    assert near.seen == CALLER
    assert near.hear(check, CALLEE) is not None


def test_a_lite_end_makes_no_checks() -> None:
    """RFC 8445 2.5."""
    callee = Callee(SECRET, ice=None)

    assert len(say(callee, agent().check())) == 1
    assert run(callee, NOW + 100) == []


@pytest.mark.parametrize(
    "packet",
    [
        b"",
        agent(ends("another", b"abcd")).check(),
        stun.pack(stun.Message(stun.BINDING, bytes(12))),
        b"\x16\xfe\xff" + bytes(60),
        b"\x90\x6f" + bytes(190),
        ice.pack_answer(bytes(12), *CALLER, b"k"),
    ],
)
def test_who_proves_nothing_is_not_answered(packet: bytes) -> None:
    """Another secret, no integrity, DTLS and sound before a check."""
    callee = Callee(SECRET)

    assert say(callee, packet) == []
    assert callee.timer() is None


def test_without_dtls_sound_begins_when_the_pair_is_chosen() -> None:
    """That is: when the caller has answered a check, which proves where he is."""
    callee, near = Callee(SECRET, dtls=False), agent()
    say(callee, near.check())
    early = [data for _, data in run(callee, NOW + 1) if data[:1] == b"\x90"]
    connect(callee, near, NOW + 1)
    keys = srtp.signalled(SECRET, b"abcd")
    opener = srtp.Opener(keys.server_key + keys.server_salt, keys.profile)
    sound = [data for _, data in run(callee, NOW + 3) if data[:1] == b"\x90"]

    assert early == []
    assert opener.unpack(sound[0]).report is not None
    assert len(sound) > 50


def test_he_tells_what_he_heard() -> None:
    """And not what is forged."""
    callee = Callee(SECRET, dtls=False)
    connect(callee, agent())
    keys = srtp.signalled(SECRET, b"abcd")
    sealer = srtp.Sealer(keys.client_key + keys.client_salt, 1, srtp.OPUS, Random(1))
    opener = srtp.Opener(keys.server_key + keys.server_salt, 1)
    for number in (0, 1, 4):
        packet = sealer.pack(Frame(number, NOW + 1, 0, -1, 0.0, 0.0, None, 0.0))
        say(callee, packet, at=NOW + 1)
        say(callee, packet[:-1] + bytes([packet[-1] ^ 1]), at=NOW + 1)
    report = opener.unpack([d for _, d in run(callee, NOW + 2) if d[:1] == b"\x90"][-1]).report

    assert report is not None
    assert (report.received, report.highest) == (3, 4)


def shake(callee: Callee, near: dtls.Endpoint) -> None:
    """A whole handshake."""
    pending = near.start(NOW + 1)
    while pending:
        theirs = [data for one in pending for data in say(callee, one, at=NOW + 1)]
        pending = [data for one in theirs for data in near.receive(one, NOW + 1)]


def test_with_dtls_sound_begins_when_keys_are_agreed_on() -> None:
    """Under the key that the secret gives; a chosen pair alone is not enough."""
    callee = Callee(SECRET)
    connect(callee, agent())
    assert [data for _, data in run(callee, NOW + 1) if data[:1] == b"\x90"] == []
    pinned = dtls.fingerprint(identity.public_key(SECRET))
    own = identity.certificate("caller", "caller")
    near = dtls.client(Shape.OPENSSL, own, Random(1), pinned)
    shake(callee, near)

    assert near.keys is not None
    opener = srtp.Opener(near.keys.server_key + near.keys.server_salt, near.keys.profile)
    assert opener.unpack(next(d for _, d in run(callee, NOW + 2) if d[:1] == b"\x90")).seq == 0
    assert NAME


def test_sound_ends_when_nobody_has_been_heard_for_long() -> None:
    """Nor are there checks any more: he is forgotten."""
    callee = Callee(SECRET, dtls=False)
    connect(callee, agent())
    sent = run(callee, NOW + 1000)

    assert NOW + QUIET - 2 < sent[-1][0] < NOW + QUIET + 10
    assert callee._calls == {}
    assert callee.timer() is None


def test_checks_that_nobody_answers_come_to_an_end() -> None:
    """A caller who cannot be reached is not asked forever."""
    callee = Callee(SECRET)
    say(callee, agent().check())

    assert len(run(callee, NOW + 1000)) < 100
    assert callee.timer() is None


def test_another_name_on_the_same_flow_is_another_call() -> None:
    """Ports are used again."""
    callee = Callee(SECRET, dtls=False)
    connect(callee, agent())
    say(callee, agent(ends(SECRET, b"efgh")).check(), at=NOW + 1)

    assert [data for _, data in run(callee, NOW + 2) if data[:1] == b"\x90"] == []


def test_what_he_remembers_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    """The oldest call is forgotten first."""
    monkeypatch.setattr(module, "MAX_CALLS", 8)
    callee = Callee(SECRET)
    for port in range(20):
        say(callee, agent().check(), Flow(Transport.UDP, CALLEE, Address("192.0.2.2", port)))

    assert [flow.remote.port for flow in callee._calls] == list(range(12, 20))


@given(st.lists(st.binary(max_size=80), max_size=6))
def test_garbage_is_not_answered(chunks: list[bytes]) -> None:
    """At any stage of a call, as a check, as DTLS, as sound."""
    for callee in (Callee(SECRET), Callee(SECRET, dtls=False)):
        near = agent()
        say(callee, near.check())
        for chunk in chunks:
            for packet in (chunk, b"\x90\x6f" + chunk, b"\x01\x01" + chunk):
                assert say(callee, packet) == []
            say(callee, b"\x16\xfe\xfd" + chunk)  # an alert may be said
        assert len(say(callee, near.check())) >= 1
