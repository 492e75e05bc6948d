"""The mapping of a NAT by one socket's questions: against servers behind NATs of each kind."""

from collections.abc import Callable
from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from circumtest.live.nat import OTHER_ADDRESS, Mapping, Nat, mapping, parse
from circumtest.model import Address
from circumtest.script import Arrival, Channel, Now, Open, Recv, Script, Send
from circumtest.wire import stun

ONE, TWO = Address("192.0.2.1", 3478), Address("192.0.2.2", 3478)
OTHER = Address("192.0.2.2", 3479)
TID = bytes(12)


def same(_: Address) -> int:
    """No NAT, or a plain one."""
    return 4000


def by_host(to: Address) -> int:
    """A port for each host."""
    return 4000 + to.packed[-1]


def by_port(to: Address) -> int:
    """A port for each host and port."""
    return by_host(to) * 7 + to.port


def plain(address: Address) -> bytes:
    """An address that is not XORed, IPv4."""
    return b"\x00\x01" + address.port.to_bytes(2) + address.packed


def played(
    script: Script[Nat], nat: Callable[[Address], int], there: set[Address], other: Address | None
) -> Nat:
    """Answer a script's Bindings as servers at `there` would behind a NAT."""
    now = 0.0
    reply: object = None
    inbox: list[Arrival] = []
    while True:
        try:
            command = script.send(reply)
        except StopIteration as done:
            result: Nat = done.value
            return result
        reply = None
        match command:
            case Now():
                reply = now
            case Open(transport, remote):
                reply = Channel(1, transport, remote)
            case Send(channel, data, remote) if remote in there:
                tid = stun.unpack(data).tid
                seen = stun.xor_address("203.0.113.9", nat(remote), tid)
                more = () if other is None else ((OTHER_ADDRESS, plain(other)),)
                told = stun.Message(stun.BINDING_OK, tid, ((stun.XOR_MAPPED_ADDRESS, seen), *more))
                inbox.append(Arrival(channel, stun.pack(told), remote, now))
            case Recv(until):
                if inbox:
                    reply = inbox.pop(0)
                else:
                    now = max(now, until)
            case _:
                pass


@pytest.mark.parametrize(
    ("nat", "found"),
    [
        (same, Mapping.SAME_FOR_ALL),
        (by_host, Mapping.BY_ADDRESS),
        (by_port, Mapping.BY_ADDRESS_AND_PORT),
    ],
)
def test_one_server_with_two_addresses_tells_the_kind(
    nat: Callable[[Address], int], found: Mapping
) -> None:
    """RFC 5780's tests, by OTHER-ADDRESS."""
    there = {ONE, TWO, OTHER}
    assert played(mapping([ONE], Random(1)), nat, there, OTHER).mapping is found


@pytest.mark.parametrize(
    ("nat", "found"),
    [(same, Mapping.SAME_FOR_ALL), (by_host, Mapping.DIFFERS), (by_port, Mapping.DIFFERS)],
)
def test_several_plain_servers_tell_whether_it_is_symmetric(
    nat: Callable[[Address], int], found: Mapping
) -> None:
    """By the ports that they saw."""
    told = played(mapping([ONE, TWO], Random(1)), nat, {ONE, TWO}, None)
    assert told.mapping is found
    assert told.mapping.symmetric is (found is Mapping.DIFFERS)
    assert told.answers == 2


def test_one_answer_tells_nothing() -> None:
    """Nor does silence, nor two ports of one host."""
    assert played(mapping([ONE, TWO], Random(1)), by_port, {ONE}, None).mapping is Mapping.UNKNOWN
    assert played(mapping([ONE], Random(1)), same, set(), None) == Nat(Mapping.UNKNOWN)
    pair = [ONE, ONE._replace(port=3479)]
    assert played(mapping(pair, Random(1)), by_port, set(pair), None).mapping is Mapping.UNKNOWN


def test_an_other_address_that_is_silent_tells_nothing() -> None:
    """A server that only says it has one."""
    assert played(mapping([ONE], Random(1)), same, {ONE}, OTHER).mapping is Mapping.UNKNOWN


@given(st.binary(max_size=200))
def test_foreign_bytes_are_no_answer(data: bytes) -> None:
    """And no exception."""
    assert parse(data, TID) is None


@given(st.binary(max_size=40))
def test_an_other_address_of_any_bytes_is_an_address_or_none(value: bytes) -> None:
    """The rest of the answer counts all the same."""
    seen = stun.xor_address("203.0.113.9", 4000, TID)
    attributes = ((stun.XOR_MAPPED_ADDRESS, seen), (OTHER_ADDRESS, value))
    found = parse(stun.pack(stun.Message(stun.BINDING_OK, TID, attributes)), TID)
    assert found is not None
    assert found.mapped == Address("203.0.113.9", 4000)
    assert found.other is None or found.other.version in (4, 6)
