"""A SIP call to baresip behind kamailio: every carrier, both IPs, with and without a tunnel."""

import pytest

from circumtest.censor.policy import Confidence, Drop, Rule, Scope, Shape, Signature, octets
from circumtest.errors import ConfigError
from circumtest.handshakes.echo import Echo
from circumtest.handshakes.sip import Sip
from circumtest.lab.far.baresip import Baresip
from circumtest.lab.topology import lab
from circumtest.model import Carrier, Cause, Failure, Record, Stage, Success, Transport
from tests.lab.sip_calls import called, home
from tests.lab.town import play
from tests.sim.impaired import ENDINGS, NETWORKS, level, policy, single


def judged(record: Record) -> tuple[Stage, Cause]:
    """Where and how a call failed."""
    assert isinstance(record.outcome, Failure), record
    return record.outcome.stage, record.outcome.cause


@pytest.mark.parametrize("version", [4, 6])
@pytest.mark.parametrize("carrier", list(Carrier))
@pytest.mark.parametrize("tunnel", ["none", "wireguard", "socks"])
def test_a_call_is_registered_answered_and_heard(
    tunnel: str, carrier: Carrier, version: int
) -> None:
    """Every stage passes, next to nothing is lost, and the far end saw the path's exit."""
    record = called(Baresip(), Sip(carrier), tunnel=tunnel, version=version)

    assert record.outcome == Success()
    assert [one.stage for one in record.stages] == list(Sip.stages)
    assert record.exit is not None
    assert record.exit.host == home(tunnel, version)
    (media,) = record.media
    for direction in (media.up, media.down):
        assert direction.lost is not None
        assert direction.lost <= 2
        assert direction.rtt is not None


def test_a_call_without_registering_is_let_through_too() -> None:
    """The proxy wants the password for the call itself."""
    assert called(Baresip(), Sip(register=False)).outcome == Success()


def test_a_digest_of_sha_256_is_understood() -> None:
    """kamailio's own, as RFC 8760 has it."""
    assert called(Baresip("SHA-256"), Sip()).outcome == Success()


@pytest.mark.parametrize(
    ("register", "stage"), [(True, Stage.SIGNALLING), (False, Stage.CONNECTIVITY)]
)
def test_a_wrong_password_is_an_error_reply(register: bool, stage: Stage) -> None:
    """Of the stage that asked for it."""
    call = Sip(register=register)
    record = called(Baresip(), call, password=Sip(secret="another"))

    assert judged(record) == (stage, Cause.ERROR_REPLY)


def test_nobody_of_that_name_is_an_error_reply_with_its_code() -> None:
    """As the proxy says it."""
    record = called(Baresip(), Sip(callee="nobody"), password=Sip())

    assert isinstance(record.outcome, Failure)
    assert record.outcome == Failure(Stage.CONNECTIVITY, Cause.ERROR_REPLY, record.outcome.detail)
    assert record.outcome.detail.startswith("404 ")


def test_another_key_than_the_secrets_is_somebody_else() -> None:
    """A middlebox with a certificate of its own."""
    call = Sip(Carrier.TLS)
    record = called(Baresip(), call, password=Sip(Carrier.TLS, secret="another"))

    assert judged(record) == (Stage.SIGNALLING, Cause.WRONG_IDENTITY)


def test_it_plays_the_far_half_of_sip_calls_only() -> None:
    """A plan that asks for something else is told so."""

    async def scene() -> None:
        async with lab() as town:
            target = await town.place(Echo(), "echo")
            async with Baresip().serve(town, Echo(), target):
                pass

    with pytest.raises(ConfigError, match="no SIP call"):
        play(lambda _: scene())


@pytest.mark.parametrize("network", NETWORKS)
def test_a_bad_network_is_told_from_the_others(network: str) -> None:
    """Dead one way or the other, lossy, frozen by count or by clock: as in virtual time."""
    record = called(Baresip(), Sip(level=level(network)), censor=policy("sip", network))

    assert judged(record) == ENDINGS[network]


@pytest.mark.parametrize(
    ("start", "end"),
    [
        (b"OPTIONS", (Stage.SIGNALLING, Cause.TIMEOUT)),
        (b"REGISTER", (Stage.SIGNALLING, Cause.TIMEOUT)),
        (b"INVITE", (Stage.CONNECTIVITY, Cause.TIMEOUT)),
        (b"SIP/2.0 4", (Stage.SIGNALLING, Cause.TIMEOUT)),
    ],
)
def test_a_censor_of_one_message_is_found_at_its_stage(
    start: bytes, end: tuple[Stage, Cause]
) -> None:
    """Requests up, answers down."""
    shape = Shape(Transport.UDP, (octets(0, start.hex()),))
    rule = Rule(
        "one", (Signature("one", (shape,), "a test", Confidence.GUESSED),), Drop(), Scope.PACKET
    )

    assert judged(called(Baresip(), Sip(), censor=single(rule))) == end
