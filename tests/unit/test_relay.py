"""The TURN server of our own: whom it serves, what it refuses with which code, what it forwards."""

from collections.abc import Iterable
from pathlib import Path

import dpkt
import pytest
from hypothesis import given
from hypothesis import strategies as st

from circumtest.model import Address, Transport
from circumtest.relay import Relay, Terms
from circumtest.relay.allocations import MAX_ALLOCATIONS, MAX_PEERS, PERMISSION
from circumtest.relay.guard import expiry
from circumtest.script import Emit, Flow
from circumtest.wire import stun, turn

DATA = Path(__file__).parents[1] / "data"
SECRET, REALM = "secret", "example.org"
NOW = 1_764_000_000.0
SERVER, CLIENT = Address("203.0.113.10", 3478), Address("192.0.2.2", 40000)
PEER = Address("203.0.113.11", 40100)
FLOW = Flow(Transport.UDP, SERVER, CLIENT)
STREAM = Flow(Transport.TCP, SERVER, CLIENT)
USER = f"{int(NOW) + 7200}:abcd"
UDP = (turn.REQUESTED_TRANSPORT, turn.UDP)
Attributes = tuple[tuple[int, bytes], ...]


class Parrot:
    """A callee who says back what he hears, and remembers who said it."""

    def __init__(self) -> None:
        self.heard: list[tuple[Flow, bytes]] = []

    def receive(self, flow: Flow, data: bytes, now: float) -> Iterable[Emit]:
        self.heard.append((flow, data))
        yield Emit(flow, data[::-1])

    def timer(self) -> float | None:
        return None

    def tick(self, now: float) -> Iterable[Emit]:
        return ()


class Client:
    """One client of a relay, by hand: it makes requests and sees their answers."""

    def __init__(
        self, terms: Terms | None = None, flow: Flow = FLOW, relay: Relay | None = None
    ) -> None:
        self.callee = Parrot()
        self.relay = relay or Relay(SECRET, REALM, self.callee, terms)
        self.flow, self.now, self.count = flow, NOW, 0
        self.nonce = b""

    def say(self, data: bytes) -> list[bytes]:
        """What the relay says back to this client."""
        emits = list(self.relay.receive(self.flow, data, self.now))
        assert all(emit.flow == self.flow for emit in emits)
        return [emit.data for emit in emits]

    def tid(self) -> bytes:
        self.count += 1
        return self.count.to_bytes(12)

    def greet(self) -> stun.Message:
        """The 401, whose nonce is used from now on."""
        (answer,) = self.say(stun.pack(stun.Message(turn.ALLOCATE, self.tid(), (UDP,))))
        message = stun.unpack(answer)
        self.nonce = message.get(turn.NONCE) or b""
        return message

    def signed(
        self,
        method: int,
        attributes: Attributes = (),
        *,
        user: str = USER,
        word: str = "",
        tid: bytes = b"",
        without: int = 0,
        realm: str = REALM,
    ) -> bytes:
        """A request under the long-term credentials of `user`."""
        key = turn.long_term_key(user, REALM, word or turn.password(SECRET, user))
        named = (
            (turn.USERNAME, user.encode()),
            (turn.REALM, realm.encode()),
            (turn.NONCE, self.nonce),
        )
        kept = tuple(one for one in (*attributes, *named) if one[0] != without)
        return stun.pack(stun.Message(method, tid or self.tid(), kept), key)

    def ask(self, method: int, attributes: Attributes = (), **how: str | bytes | int) -> int:
        """The code of the answer, 0 for success."""
        (answer,) = self.say(self.signed(method, attributes, **how))  # type: ignore[arg-type]
        message = stun.unpack(answer)
        error = message.get(stun.ERROR_CODE)
        assert (error is None) == (message.type == method | turn.OK)
        return stun.error_code(error)[0] if error is not None else 0

    def peer(self, address: Address = PEER) -> tuple[bytes, tuple[int, bytes]]:
        """A new id and XOR-PEER-ADDRESS under it."""
        tid = self.tid()
        return tid, (turn.XOR_PEER_ADDRESS, stun.xor_address(*address, tid))

    def permit(self, address: Address = PEER) -> int:
        tid, named = self.peer(address)
        return self.ask(turn.CREATE_PERMISSION, (named,), tid=tid)

    def bind(self, number: int = 0x4000, address: Address = PEER) -> int:
        tid, named = self.peer(address)
        channel = (turn.CHANNEL_NUMBER, number.to_bytes(2) + bytes(2))
        return self.ask(turn.CHANNEL_BIND, (channel, named), tid=tid)

    def indicate(self, payload: bytes, address: Address = PEER) -> list[bytes]:
        tid, named = self.peer(address)
        message = stun.Message(turn.SEND_INDICATION, tid, (named, (turn.DATA, payload)))
        return self.say(stun.pack(message))


def allocated(terms: Terms | None = None, flow: Flow = FLOW) -> Client:
    """A client with an allocation."""
    client = Client(terms, flow)
    client.greet()
    assert client.ask(turn.ALLOCATE, (UDP,)) == 0
    return client


@pytest.mark.parametrize(
    ("name", "realm", "terms"),
    [
        ("tg_turn_1400", "telegram.org", Terms(lifetime=60, longest=60)),
        ("signal_turn", "signal.org", Terms(lifetime=60, longest=60)),
        ("plain_turn", "example.org", Terms(lifetime=60, longest=60)),
    ],
)
def test_its_answers_have_the_captured_fields_and_sizes(
    name: str, realm: str, terms: Terms
) -> None:
    """Binding, 401 and success, attribute by attribute, for the requests of the file."""
    with (DATA / f"{name}.pcap").open("rb") as file:
        frames = [dpkt.ethernet.Ethernet(frame) for _, frame in dpkt.pcap.UniversalReader(file)]
    packets = [bytes(frame.data.data.data) for frame in frames]
    relay = Relay(SECRET, realm, Parrot(), terms)

    def shape(data: bytes) -> list[object]:
        message = stun.unpack(data)
        fields = [(kind, len(value)) for kind, value in message.attributes]
        return [message.type, len(data), turn.is_signed(data), message.get(turn.LIFETIME), fields]

    for asked, answered in zip(packets[:4:2], packets[1:4:2], strict=True):
        (emit,) = relay.receive(FLOW, asked, NOW)
        assert shape(emit.data) == shape(answered)
    nonce = stun.unpack(emit.data).get(turn.NONCE) or b""
    named = ((turn.USERNAME, USER.encode()), (turn.REALM, realm.encode()), (turn.NONCE, nonce))
    key = turn.long_term_key(USER, realm, turn.password(SECRET, USER))
    (emit,) = relay.receive(FLOW, stun.pack(stun.Message(3, bytes(12), (UDP, *named)), key), NOW)
    assert shape(emit.data) == shape(packets[5])
    assert stun.authentic(emit.data, key)


def test_a_stranger_is_told_the_realm_and_a_nonce_and_nothing_else() -> None:
    """The 401, unsigned."""
    client = Client()
    message = client.greet()

    assert stun.error_code(message.get(stun.ERROR_CODE) or b"") == (401, "Unauthorized")
    assert message.get(turn.REALM) == REALM.encode()
    assert len(client.nonce) == 16


@pytest.mark.parametrize(
    ("how", "code"),
    [
        ({}, 0),
        ({"word": "wrong"}, 401),
        ({"user": f"{int(NOW) - 1}:abcd"}, 401),
        ({"user": "somebody"}, 401),
        ({"realm": "example.com"}, 401),
        ({"without": turn.USERNAME}, 400),
        ({"without": turn.REALM}, 400),
        ({"without": turn.NONCE}, 400),
    ],
)
def test_only_users_whose_password_the_secret_gives_get_an_allocation(
    how: dict[str, str | int], code: int
) -> None:
    """RFC 8489 9.2.4; an expired user is nobody."""
    client = Client()
    client.greet()

    assert client.ask(turn.ALLOCATE, (UDP,), **how) == code


def test_a_bare_number_expires_by_its_low_bits_as_coturn_reads_it() -> None:
    """And what is no name of that form has expired long ago."""
    assert expiry("1764000600:ab cd") == 1764000600
    assert expiry(str(300_000 << 32 | 1764000600)) == 1764000600
    assert expiry("x1764000600") == expiry("1764000600:") == expiry("") == 0


def test_a_nonce_is_good_for_its_address_and_its_time_only() -> None:
    """438 with a new one, otherwise."""
    client = Client(Terms(stale=100))
    client.greet()
    other = Client(relay=client.relay, flow=Flow(Transport.UDP, SERVER, CLIENT._replace(port=1)))
    other.nonce = client.nonce

    assert other.ask(turn.ALLOCATE, (UDP,)) == 438
    client.now += 101
    assert client.ask(turn.ALLOCATE, (UDP,)) == 438
    client.nonce = b"zzzzzzzzzzzzzzzz"
    assert client.ask(turn.ALLOCATE, (UDP,)) == 438
    client.greet()
    assert client.ask(turn.ALLOCATE, (UDP,)) == 0


@pytest.mark.parametrize(
    ("attributes", "code"),
    [
        ((), 400),
        (((turn.REQUESTED_TRANSPORT, b"\6\0\0\0"),), 442),
        ((UDP, (turn.REQUESTED_ADDRESS_FAMILY, turn.family(6))), 440),
        ((UDP, (turn.REQUESTED_ADDRESS_FAMILY, turn.family(4))), 0),
        ((UDP, (turn.LIFETIME, b"\0")), 400),
        ((UDP, (turn.EVEN_PORT, b"\0")), 0),
        ((UDP, (turn.EVEN_PORT, b"\x80")), 508),
        ((UDP, (0x7777, b"abcd")), 420),
        ((UDP, (0x8777, b"abcd")), 0),
    ],
)
def test_an_allocate_is_refused_by_what_it_asks_for(attributes: Attributes, code: int) -> None:
    """RFC 8656 7.2."""
    client = Client()
    client.greet()

    assert client.ask(turn.ALLOCATE, attributes) == code


def test_a_port_has_one_allocation_and_a_repeated_request_is_the_same() -> None:
    """437 for another transaction; what was lost on the way back may be asked for again."""
    client = Client()
    client.greet()
    request = client.signed(turn.ALLOCATE, (UDP,), tid=b"t" * 12)
    first, again = client.say(request), client.say(request)

    assert first == again
    assert client.ask(turn.ALLOCATE, (UDP,)) == 437
    assert client.ask(turn.REFRESH, user=f"{int(NOW) + 9}:x") == 441


def test_a_user_has_no_more_allocations_than_his_quota() -> None:
    """486, until one ends."""
    client = allocated(Terms(quota=1))
    other = Client(relay=client.relay, flow=Flow(Transport.UDP, SERVER, CLIENT._replace(port=9)))
    other.greet()

    assert other.ask(turn.ALLOCATE, (UDP,)) == 486
    assert client.ask(turn.REFRESH, ((turn.LIFETIME, bytes(4)),)) == 0
    assert other.ask(turn.ALLOCATE, (UDP,)) == 0


def test_what_there_is_of_allocations_and_peers_is_bounded() -> None:
    """508 beyond it."""
    client = allocated()
    codes = []
    for port in range(1, MAX_ALLOCATIONS + 2):
        flow = Flow(Transport.UDP, SERVER, CLIENT._replace(port=port))
        other = Client(relay=client.relay, flow=flow)
        other.greet()
        codes.append(other.ask(turn.ALLOCATE, (UDP,)))
    assert codes[-2:] == [508, 508]
    assert set(codes[:-2]) == {0}

    peers = [Address(f"203.0.113.{number}", 1) for number in range(20, 20 + MAX_PEERS + 1)]
    assert [client.permit(peer) for peer in peers] == [0] * MAX_PEERS + [508]


def test_without_an_allocation_there_is_nothing_to_ask_for() -> None:
    """437, and indications are silence."""
    client = Client()
    client.greet()

    assert client.ask(turn.REFRESH) == 437
    assert client.permit() == 437
    assert client.bind() == 437
    assert client.indicate(b"hello") == []
    assert client.say(turn.pack_channel_data(0x4000, b"hello", stream=False)) == []
    assert client.callee.heard == []


@pytest.mark.parametrize(
    ("host", "code"),
    [
        ("203.0.113.11", 0),
        ("127.0.0.1", 403),
        ("224.0.0.1", 403),
        ("0.0.0.0", 403),
        ("2001:db8::1", 443),
    ],
)
def test_some_peers_nobody_may_reach(host: str, code: int) -> None:
    """Neither by a permission nor by a channel."""
    client = allocated()

    assert client.permit(Address(host, 5)) == code
    assert client.bind(0x4001, Address(host, 5)) == code


def test_a_channel_has_one_peer_and_a_peer_one_channel() -> None:
    """400 otherwise, and for numbers that are no channel's (RFC 8656 12.2)."""
    client = allocated()
    other = PEER._replace(port=1)

    assert client.bind(0x4000) == client.bind(0x4000) == 0
    assert client.bind(0x4000, other) == 400
    assert client.bind(0x4001, PEER) == 400
    assert client.bind(0x3FFF, other) == client.bind(0x7FFF, other) == 400
    assert client.ask(turn.CHANNEL_BIND) == client.ask(turn.CREATE_PERMISSION) == 400


def test_what_is_sent_reaches_the_callee_and_his_answer_comes_back() -> None:
    """In indications, and on a channel once there is one."""
    client = allocated()
    assert client.indicate(b"hello") == []  # no permission yet
    client.permit()
    (answer,) = client.indicate(b"hello")
    message = stun.unpack(answer)
    assert message.type == turn.DATA_INDICATION
    assert message.get(turn.DATA) == b"olleh"
    assert client.bind() == 0
    (answer,) = client.say(turn.pack_channel_data(0x4000, b"again", stream=False))
    assert turn.parse_channel_data(answer) == (0x4000, b"niaga")
    ((flow, _), (again, _)) = client.callee.heard
    assert flow == again
    assert flow.local == PEER
    assert flow.remote.host == SERVER.host


def test_two_allocations_of_one_server_reach_each_other() -> None:
    """The callee hears nothing of it."""
    client = allocated()
    other = Client(relay=client.relay, flow=Flow(Transport.UDP, SERVER, CLIENT._replace(port=9)))
    other.greet()
    (granted,) = other.say(other.signed(turn.ALLOCATE, (UDP,)))
    message = stun.unpack(granted)
    value = message.get(stun.XOR_RELAYED_ADDRESS) or b""
    relayed = Address(*stun.parse_xor_address(value, message.tid))
    client.permit(relayed)
    other.permit(Address(SERVER.host, 1))
    tid, named = client.peer(relayed)
    send = stun.Message(turn.SEND_INDICATION, tid, (named, (turn.DATA, b"hello")))
    (emit,) = client.relay.receive(client.flow, stun.pack(send), NOW)

    assert emit.flow == other.flow
    assert stun.unpack(emit.data).get(turn.DATA) == b"hello"
    assert client.callee.heard == []


def test_permissions_and_allocations_run_out() -> None:
    """After 5 minutes, and after their lifetime."""
    client = allocated(Terms(lifetime=600))
    client.permit()
    client.now += PERMISSION + 1
    assert client.indicate(b"hello") == []
    client.permit()
    assert client.indicate(b"hello")
    client.now = NOW + 601
    client.greet()
    assert client.permit() == 437


def test_a_lifetime_is_no_longer_than_the_service_lets_it_be() -> None:
    """Nor shorter than its usual one, but for 0."""

    def granted(wanted: int, terms: Terms) -> int:
        client = allocated(terms)
        asked = (turn.LIFETIME, wanted.to_bytes(4))
        (answer,) = client.say(client.signed(turn.REFRESH, (asked,)))
        return turn.seconds(stun.unpack(answer).get(turn.LIFETIME))

    assert granted(700, Terms()) == 700
    assert granted(9999, Terms()) == 3600
    assert granted(5, Terms()) == 600
    assert granted(600, Terms(lifetime=60, longest=60)) == 60


@given(st.integers(1, 40))
def test_a_stream_may_come_in_any_pieces(size: int) -> None:
    """And its channel data is padded; the end of the stream is the allocation's."""
    client = Client(flow=STREAM)
    client.greet()
    whole = client.signed(turn.ALLOCATE, (UDP,))
    tid, named = client.peer()
    channel = (turn.CHANNEL_NUMBER, b"\x40\0\0\0")
    whole += client.signed(turn.CHANNEL_BIND, (channel, named), tid=tid)
    whole += turn.pack_channel_data(0x4000, b"hello", stream=True)
    back = b"".join(
        answer for at in range(0, len(whole), size) for answer in client.say(whole[at : at + size])
    )
    messages = turn.Framer().feed(back)

    assert [stun.unpack(one).type for one in messages[:2]] == [0x103, 0x109]
    assert turn.parse_channel_data(messages[2]) == (0x4000, b"olleh")
    assert len(messages[2]) == 12
    assert client.say(b"") == []
    assert client.ask(turn.REFRESH) == 437


def test_a_binding_is_for_everybody_and_no_answer_is_much_longer_than_the_question() -> None:
    """40 bytes for 20: what a STUN server is; 92 for 28 are a TURN server's 401."""
    client = Client()
    (answer,) = client.say(stun.pack(stun.Message(stun.BINDING, bytes(12))))
    (refused,) = client.say(stun.pack(stun.Message(stun.BINDING, bytes(12), ((0x7777, b""),))))

    assert len(answer) == 40
    assert stun.unpack(refused).type == stun.BINDING_ERROR
    assert len(refused) <= 3 * 24


@given(st.binary(max_size=300), st.booleans())
def test_garbage_is_never_an_exception_and_never_answered(data: bytes, stream: bool) -> None:
    """Unless it happens to be a Binding, which it does not."""
    client = allocated(flow=STREAM if stream else FLOW)

    assert client.say(data) == []


@given(st.data())
def test_a_damaged_request_is_never_an_exception(data: st.DataObject) -> None:
    """Whatever bits of an authentic one are turned."""
    client = allocated()
    tid, named = client.peer()
    channel = (turn.CHANNEL_NUMBER, b"\x40\0\0\0")
    whole = bytearray(client.signed(turn.CHANNEL_BIND, (channel, named), tid=tid))
    for _ in range(data.draw(st.integers(1, 4))):
        whole[data.draw(st.integers(0, len(whole) - 1))] = data.draw(st.integers(0, 255))
    client.say(bytes(whole))
