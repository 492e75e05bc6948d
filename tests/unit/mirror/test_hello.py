"""Hello: garbage is no inventory, and a cookie is good for one address and a while."""

from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from circumtest.mirror.hello import KNOCK, PROOF, Greeter
from circumtest.mirror.inventory import VERSION, Inventory, Offer, parse
from circumtest.model import Address, Transport
from circumtest.script import Flow
from circumtest.wire import sealed

SECRET = "s" * 32
KEY = SECRET.encode()
THERE = Inventory(VERSION, "1", (Offer("turn", Transport.UDP),), (3478,), (443,), ("192.0.2.1",))
FLOW = Flow(Transport.UDP, Address("203.0.113.7", 3478), Address("192.0.2.1", 40000))


@given(st.binary(max_size=400))
def test_garbage_is_no_inventory(data: bytes) -> None:
    """ValueError, whatever it is."""
    with pytest.raises(ValueError):
        parse(data)


def test_an_inventory_travels_with_zeros_behind() -> None:
    """As it is sealed."""
    assert parse(THERE.pack() + bytes(300)) == THERE


@pytest.mark.parametrize(("port", "later"), [(40000, 0.0), (40001, 0.0), (40000, 31.0)])
def test_a_cookie_proves_the_address_that_it_was_made_for_for_a_while(
    port: int, later: float
) -> None:
    """Nothing that goes back is longer than what came."""
    proved: list[Address] = []
    greeter = Greeter(SECRET, THERE, b"k", lambda address, _: proved.append(address))
    nonce = sealed.fresh(Random(1).randbytes(8))
    knock = sealed.seal(nonce, b"", KNOCK, KEY, b"knock")
    (cookie,) = greeter.receive(FLOW, knock, 1000.0)
    body = sealed.unseal(cookie.data, KEY, b"cookie")[:16]
    proof = sealed.seal(nonce, body, PROOF, KEY, b"proof")
    asking = Flow(FLOW.transport, FLOW.local, FLOW.remote._replace(port=port))
    answers = list(greeter.receive(asking, proof, 1000.0 + later))

    good = (port, later) == (40000, 0.0)
    assert len(cookie.data) == KNOCK
    assert proved == ([FLOW.remote] if good else [])
    assert [len(answer.data) for answer in answers] == ([PROOF] if good else [])
