"""Any simple rules and any packets mean the same in the kernel as to `Censor`."""

from collections import Counter
from collections.abc import Sequence
from ipaddress import ip_network
from random import Random

from circumtest.censor.enforce import hits
from circumtest.censor.packet import Packet
from circumtest.censor.policy import (
    Confidence,
    Drop,
    Police,
    Policy,
    Reject,
    Rule,
    Scope,
    Shape,
    Way,
)
from circumtest.censor.signatures import ALL, SIGNATURES
from tests.lab.wire import HOSTS, NEAR, NEIGHBOURS, OTHERS, Wire, down, on_a_wire, same, up

SIMPLE = [signature for signature in SIGNATURES.values() if signature.sees is None]


def random_rule(rng: Random, name: str) -> Rule:
    """Any field with any other; times are so long that nothing ends or begins meanwhile."""
    match = tuple(rng.sample(SIMPLE, rng.randint(1, 4)))
    if rng.random() < 0.25:
        match = (rng.choice((ALL["any"], ALL["udp"])),)
    return Rule(
        name,
        match,
        rng.choice((Drop(), Drop(), Reject(), Reject(True), Police(100, 1500))),
        rng.choice(list(Scope)),
        after=rng.choice((0, 0, 1, 3, 8)),
        seconds=rng.choice((0.0,) * 6 + (100.0,)),
        direction=rng.choice(list(Way)),
        to=rng.choice(((), NEAR, NEAR[:1], tuple(map(ip_network, ("0.0.0.0/0", "::/0"))))),
        ports=rng.choice(((), (), ((3478, 3478),), ((1, 1399), (1300, 1400)), ((0, 65535),))),
        after_bytes=rng.choice((0, 0, 0, 200, 1500)),
        hold=rng.choice((60.0, 120.0, 600.0)),
    )


def fitting(shape: Shape, rng: Random) -> bytes:
    """A payload that has the shape, but for what its bits say twice of the same place."""
    least = max([(bits.offset + bits.width + 7) // 8 for bits in shape.bits], default=1)
    length = max(least, shape.length[0] if shape.length else 0)
    number = rng.getrandbits(8 * length)
    for bits in shape.bits:
        shift = 8 * length - bits.offset - bits.width
        number &= ~(((1 << bits.width) - 1) << shift)
        number |= rng.randint(bits.low, bits.high) << shift
    return number.to_bytes(length, "big")


def random_packets(rng: Random, rules: Sequence[Rule], first_port: int) -> list[Packet]:
    """What three clients' ports and three of two servers say to each other, much of it matching."""
    shapes = [shape for one in rules for signature in one.match for shape in signature.shapes]
    versions = rng.choice(((4,), (6,), (4, 6)))
    packets = []
    for _ in range(120):
        version = rng.choice(versions)
        host = rng.choice((HOSTS[version][1], HOSTS[version][1], NEIGHBOURS[version]))
        payload = rng.choice(
            (*OTHERS, rng.randbytes(20), *(fitting(rng.choice(shapes), rng) for _ in range(3)))
        )
        where = (version, first_port + rng.randrange(3), rng.choice((3478, 1400, 53)), host)
        packets.append(rng.choice((up, down))(payload, *where))
    return packets


def test_any_rules_mean_the_same_in_the_kernel() -> None:
    """Forty policies of one to six rules, each with 120 packets: the same ones are dropped."""

    async def test(it: Wire) -> None:
        busy: Counter[str] = Counter()
        for seed in range(40):
            rng = Random(seed)
            made = tuple(random_rule(rng, f"r{n}") for n in range(rng.randint(1, 6)))
            it_is = Policy(f"seed {seed}", "", (), Confidence.GUESSED, made)
            await same(it, it_is, random_packets(rng, made, 20000 + 3 * seed))
            for one in made:
                busy[one.scope] += (await hits(it.censor))[one.id] > 0
        assert min(busy[scope] for scope in Scope) > 5

    on_a_wire(test)
