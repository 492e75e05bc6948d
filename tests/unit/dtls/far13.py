"""A far half of DTLS 1.3 that is as small as a test of the near one needs.

No program should use it: it takes everything that our client sends for granted, and says whatever
a test wants.  It shares no ladder with `circumtest.dtls.server`, so that an error of one is none of
the other; a browser's far half is met in `tests/lab/test_outsiders_dtls.py`.
"""

from random import Random

from circumtest.dtls import groups, keys13, signatures
from circumtest.dtls.endpoint import SrtpKeys, srtp_keys, srtp_size
from circumtest.dtls.flight import Assembly, Message, Piece, Sender, cut
from circumtest.dtls.keys13 import SUITES, Protection
from circumtest.identity import Identity
from circumtest.wire import dtls as wire
from circumtest.wire import dtls13
from circumtest.wire.dtls import ClientHello, Reader, Record, numbers, pack_extensions, vector

SERVER = b" " * 64 + b"TLS 1.3, server CertificateVerify\0"
CLIENT = b" " * 64 + b"TLS 1.3, client CertificateVerify\0"


class Far:
    """One handshake: with `retry` it first asks for another share and for a cookie."""

    def __init__(
        self,
        own: Identity,
        *,
        suite: int = 0x1301,
        group: int = groups.X25519,
        retry: bool = False,
        asks: bool = True,
        srtp: int | None = 0x0001,
    ) -> None:
        self.own, self.number, self.group, self.retry = own, suite, group, retry
        self.asks, self.srtp = asks, srtp
        self.suite = SUITES[suite]
        self.rng = Random(7)
        self.sender = Sender(0.05, lambda kind, seq, body: Record(kind, 0, seq, body).pack())
        self.assembly = Assembly()
        self.opens: dict[int, Protection] = {}
        self.transcript: list[Message] = []
        self.seq = 0
        self.established = False
        self.keys: SrtpKeys | None = None
        self.acks: list[tuple[tuple[int, int], ...]] = []
        self.client: list[bytes] = []

    def start(self, now: float) -> list[bytes]:
        return []

    def timer(self) -> float | None:
        return self.sender.due

    def tick(self, now: float) -> list[bytes]:
        return self.sender.again(now)

    def receive(self, datagram: bytes, now: float) -> list[bytes]:
        out: list[bytes] = []
        seen = []
        for record in dtls13.records(datagram):
            if isinstance(record, Record):
                kind, epoch, body = record.kind, 0, record.body
            else:
                protection = self.opens.get(record.epoch)
                if protection is None:
                    continue
                kind, seq, body = protection.open(record)
                epoch = record.epoch
                seen.append((epoch, seq))
            if kind == wire.ACK:
                self.acks.append(dtls13.unpack_ack(body))
                self.sender.acknowledge(self.acks[-1])
                continue
            for fragment in wire.fragments(body):
                self.assembly.put(fragment, epoch)
            while (message := self.assembly.take((0, 2))) is not None:
                out += self.take(message, now)
        if seen and self.established:
            out.append(self.sender.record(3, wire.ACK, dtls13.pack_ack(seen)))
        return out

    def take(self, message: Message, now: float) -> list[bytes]:
        """Answer one message."""
        if message.kind == wire.CLIENT_HELLO:
            hello = ClientHello.unpack(message.body)
            self.transcript.append(message)
            return self.ask_again(now) if self.retry else self.answer(hello, now)
        if message.kind == wire.CERTIFICATE:
            entries = Reader(Reader(message.body[1:]).vector(3))
            self.client.append(entries.vector(3))
        if message.kind == wire.CERTIFICATE_VERIFY:
            scheme, signature = dtls13.certificate_verify(message.body)
            assert signatures.verified(self.client[0], scheme, signature, CLIENT + self.hash())
        if message.kind == wire.FINISHED:
            assert message.body == keys13.verify_data(self.suite, self.theirs, self.hash())
            assert len(self.client) == self.asks
            self.established = True
            self.sender.rest()
        self.transcript.append(message)
        return []

    def ask_again(self, now: float) -> list[bytes]:
        """A HelloRetryRequest."""
        self.retry = False
        (first,) = self.transcript
        digest = self.suite.hash(first.short())
        self.transcript = [Message(wire.MESSAGE_HASH, 0, digest)]
        extensions = (
            (wire.SUPPORTED_VERSIONS, wire.V13.to_bytes(2)),
            (wire.KEY_SHARE, self.group.to_bytes(2)),
            (wire.COOKIE, vector(b"cookie", 2)),
        )
        return self.sender.begin(self.say(2, self.hello(dtls13.RETRY, extensions)), now)

    def answer(self, hello: ClientHello, now: float) -> list[bytes]:
        """The whole flight."""
        shares = Reader(Reader(hello.get(wire.KEY_SHARE) or b"").vector(2))
        theirs = {}
        while shares.more:
            group = shares.number(2)
            theirs[group] = shares.vector(2)
        ours = groups.share(self.group, self.rng)
        shared = ours.agree(theirs[self.group])
        extensions = (
            (wire.SUPPORTED_VERSIONS, wire.V13.to_bytes(2)),
            (wire.KEY_SHARE, self.group.to_bytes(2) + vector(ours.public, 2)),
        )
        flight = self.say(2, self.hello(self.rng.randbytes(32), extensions))
        secret = keys13.handshake_secret(self.suite, shared)
        self.theirs = keys13.derive(self.suite, secret, b"c hs traffic", self.hash())
        mine = keys13.derive(self.suite, secret, b"s hs traffic", self.hash())
        self.opens[2] = Protection(self.suite, self.theirs, 2)
        self.sender.seal(2, Protection(self.suite, mine, 2).seal)
        srtp = () if self.srtp is None else ((wire.USE_SRTP, numbers((self.srtp,)) + b"\0"),)
        flight += self.say(wire.ENCRYPTED_EXTENSIONS, vector(pack_extensions(srtp), 2), 2)
        if self.asks:
            wanted = pack_extensions(((wire.SIGNATURES, numbers((0x0403,))),))
            flight += self.say(wire.CERTIFICATE_REQUEST, b"\0" + vector(wanted, 2), 2)
        der = signatures.certificate_der(self.own)
        flight += self.say(wire.CERTIFICATE, dtls13.pack_certificate(b"", [der]), 2)
        signed = signatures.sign(self.own, SERVER + self.hash())
        flight += self.say(wire.CERTIFICATE_VERIFY, b"\4\3" + vector(signed, 2), 2)
        done = keys13.verify_data(self.suite, mine, self.hash())
        flight += self.say(wire.FINISHED, done, 2)
        master = keys13.master_secret(self.suite, secret)
        for label, way in ((b"c ap traffic", self.opens), (b"s ap traffic", None)):
            made = Protection(self.suite, keys13.derive(self.suite, master, label, self.hash()), 3)
            if way is None:
                self.sender.seal(3, made.seal)
            else:
                way[3] = made
        if self.srtp is not None:
            size = srtp_size(self.srtp)
            exported = keys13.exported(self.suite, master, self.hash(), size)
            self.keys = srtp_keys(self.srtp, exported)
        return self.sender.begin(flight, now)

    def hello(self, random: bytes, extensions: wire.Extensions) -> bytes:
        """The body of a ServerHello."""
        head = wire.V12.to_bytes(2) + random + b"\0" + self.number.to_bytes(2) + b"\0"
        return head + vector(pack_extensions(extensions), 2)

    def say(self, kind: int, body: bytes, epoch: int = 0) -> list[Piece]:
        """Our next message, in pieces."""
        message = Message(kind, self.seq, body, epoch)
        self.seq += 1
        self.transcript.append(message)
        return cut(message)

    def hash(self) -> bytes:
        """Of everything so far."""
        return self.suite.hash(b"".join(message.short() for message in self.transcript))
