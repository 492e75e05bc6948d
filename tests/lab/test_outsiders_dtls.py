"""Outsiders meet our DTLS: OpenSSL's programs, aiortc, a browser (in DTLS 1.3, too), and nDPI."""

import asyncio
import json
import socket
import sys
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, closing
from pathlib import Path
from random import Random
from typing import Any

import dpkt
import pytest
from aiortc import RTCCertificate, RTCDtlsTransport
from aiortc.rtcdtlstransport import RTCDtlsFingerprint, RTCDtlsParameters
from nfstream import NFStreamer

from circumtest import dtls, identity
from circumtest.dtls import Endpoint, Shape, SrtpKeys
from circumtest.dtls.signatures import certificate_der
from circumtest.lab.topology import lab
from circumtest.netns import Netns
from circumtest.process import Daemon, daemon, private_dir, run
from circumtest.wire.dtls import ClientHello, fragments, records
from circumtest.wire.ja4 import ja4

BROWSER = Path(__file__).with_name("chromium_dtls.py")
DATA = Path(__file__).parents[1] / "data"
OWN = identity.certificate("outsiders", "caller")
FAR = identity.certificate("far", "callee")
PINNED = dtls.fingerprint(identity.public_key("far"))
TIMEOUT = 30.0
PORT = 5000
EXPORT = ["-keymatexport", "EXTRACTOR-dtls_srtp", "-keymatexportlen", "60"]
SRTP = ["-use_srtp", "SRTP_AES128_CM_SHA1_80"]


# ------------------------------------------------------------------ OpenSSL's programs


@asynccontextmanager
async def openssl(netns: Netns, command: str, *options: str) -> AsyncIterator[Daemon]:
    """`openssl s_server` or `s_client` with an identity, whose standard input stays open."""
    with private_dir() as files:
        (files / "certificate").write_bytes(FAR.certificate)
        (files / "key").write_bytes(FAR.key)
        shown = ["-cert", str(files / "certificate"), "-key", str(files / "key")]
        words = ["openssl", command, "-dtls1_2", *shown, *SRTP, *EXPORT, *options]
        script = 'sleep 60 | "$@"'
        async with daemon(netns, ["sh", "-c", script, "sh", *words], name=command) as running:
            yield running


async def shake(endpoint: Endpoint, own: socket.socket, peer: tuple[str, int] | None) -> None:
    """Run a handshake over a socket; the peer is who speaks first, if he is not known yet."""
    loop = asyncio.get_running_loop()

    async def send(datagrams: list[bytes]) -> None:
        for datagram in datagrams:
            assert peer is not None
            await loop.sock_sendto(own, datagram, peer)

    await send(endpoint.start(loop.time()))
    while not endpoint.established:
        wait = None if (due := endpoint.timer()) is None else max(0.0, due - loop.time())
        try:
            data, peer = await asyncio.wait_for(loop.sock_recvfrom(own, 1 << 16), wait)
        except TimeoutError:
            await send(endpoint.tick(loop.time()))
        else:
            await send(endpoint.receive(data, loop.time()))


def material(keys: SrtpKeys | None) -> str:
    """The keys as they were exported, in hexadecimal."""
    assert keys is not None
    assert keys.profile == 0x0001
    return (keys.client_key + keys.server_key + keys.client_salt + keys.server_salt).hex().upper()


async def to_s_server(shape: Shape, *options: str) -> tuple[str, str]:
    """Our keys and those that it prints, of a handshake with `openssl s_server`."""
    async with asyncio.timeout(TIMEOUT), Netns.new("dtls") as netns:
        accept = ["-accept", f"127.0.0.1:{PORT}"]
        async with openssl(netns, "s_server", *accept, *options) as server:
            await server.line("ACCEPT", TIMEOUT)
            with closing(netns.socket(socket.AF_INET, socket.SOCK_DGRAM)) as own:
                client = dtls.client(shape, OWN, Random(1), PINNED)
                await shake(client, own, ("127.0.0.1", PORT))
                said = await server.line("Keying material: ", TIMEOUT)
    return material(client.keys), said.split()[-1]


@pytest.mark.parametrize("shape", Shape)
def test_openssl_s_server_agrees_with_every_shape(shape: Shape) -> None:
    """It asks for our certificate, and prints the keys that we have."""
    ours, theirs = asyncio.run(to_s_server(shape, "-verify", "1"))
    assert ours == theirs


@pytest.mark.parametrize("option", ["-listen", "-no_ticket"])
def test_openssl_s_server_may_choose_otherwise(option: str) -> None:
    """A cookie first, and in either case no certificate of ours."""
    ours, theirs = asyncio.run(to_s_server(Shape.LIBWEBRTC, option))
    assert ours == theirs


async def from_s_client() -> tuple[str, str]:
    """Our keys and those that it prints, of a handshake by `openssl s_client`."""
    async with asyncio.timeout(TIMEOUT), Netns.new("dtls") as netns:
        with closing(netns.socket(socket.AF_INET, socket.SOCK_DGRAM)) as own:
            own.bind(("127.0.0.1", PORT))
            async with openssl(netns, "s_client", "-connect", f"127.0.0.1:{PORT}") as client:
                server = dtls.server(OWN, PINNED)
                await shake(server, own, None)
                said = await client.line("Keying material: ", TIMEOUT)
    return material(server.keys), said.split()[-1]


def test_openssl_s_client_agrees_with_our_server() -> None:
    """Its certificate is the one that we pinned."""
    ours, theirs = asyncio.run(from_s_client())
    assert ours == theirs


# ------------------------------------------------------------------ aiortc


class Wire:
    """What aiortc takes for an ICE transport: two queues."""

    def __init__(self, role: str) -> None:
        self.role, self.state = role, "completed"
        self.to_aiortc: asyncio.Queue[bytes] = asyncio.Queue()
        self.from_aiortc: asyncio.Queue[bytes] = asyncio.Queue()

    async def start(self, _: Any) -> None:
        """It is up."""

    async def stop(self) -> None:
        """It stays up."""

    async def _recv(self) -> bytes:
        return await self.to_aiortc.get()

    async def _send(self, data: bytes) -> None:
        self.from_aiortc.put_nowait(data)


async def with_aiortc(make: Callable[[bytes], Endpoint], role: str) -> tuple[str, Endpoint]:
    """How aiortc's transport ends, and our half; `make` makes it for a fingerprint."""
    wire = Wire(role)
    certificate = RTCCertificate.generateCertificate()
    theirs = RTCDtlsTransport(wire, [certificate])
    pinned = bytes.fromhex(certificate.getFingerprints()[0].value.replace(":", ""))
    endpoint = make(pinned)
    shown = dtls.fingerprint(certificate_der(OWN)).hex().upper()
    value = ":".join(shown[at : at + 2] for at in range(0, len(shown), 2))
    ours = RTCDtlsParameters(fingerprints=[RTCDtlsFingerprint("sha-256", value)])
    starting = asyncio.create_task(theirs.start(ours))
    clock = asyncio.get_running_loop().time
    flying = endpoint.start(clock())
    while not endpoint.established or theirs.state == "connecting" or flying:
        for datagram in flying:
            wire.to_aiortc.put_nowait(datagram)
        if starting.done() and endpoint.established:
            break
        arrival = asyncio.create_task(wire.from_aiortc.get())
        await asyncio.wait({arrival, starting}, return_when=asyncio.FIRST_COMPLETED)
        flying = endpoint.receive(await arrival, clock()) if arrival.done() else []
        arrival.cancel()
    await starting
    state = theirs.state
    await theirs.stop()
    return state, endpoint


@pytest.mark.parametrize("shape", Shape)
def test_aiortc_agrees_with_every_shape(shape: Shape) -> None:
    """As the server that it is in our lab; each knows the other's certificate."""

    async def met() -> tuple[str, Endpoint]:
        async with asyncio.timeout(TIMEOUT):
            return await with_aiortc(
                lambda pinned: dtls.client(shape, OWN, Random(1), pinned), "controlling"
            )

    state, endpoint = asyncio.run(met())

    assert state == "connected"
    assert endpoint.keys is not None


def test_aiortc_agrees_with_our_server() -> None:
    """As a client, too."""

    async def met() -> tuple[str, Endpoint]:
        async with asyncio.timeout(TIMEOUT):
            return await with_aiortc(lambda pinned: dtls.server(OWN, pinned), "controlled")

    state, endpoint = asyncio.run(met())

    assert state == "connected"
    assert endpoint.keys is not None


# ------------------------------------------------------------------ a browser


async def browse(words: list[str]) -> list[dict[str, Any]]:
    """Calls to a page, in the client's namespace."""
    async with asyncio.timeout(90.0), lab() as town:
        said = await run(town.client, [sys.executable, str(BROWSER), *words], timeout=80.0)
    found: list[dict[str, Any]] = json.loads(said)
    return found


def test_a_browser_agrees_with_every_shape() -> None:
    """BoringSSL in Chromium: DTLS 1.3 with who offers it, 1.2 with the others; sound's keys."""
    told = dict(zip(Shape, asyncio.run(browse(list(Shape))), strict=True))

    for shape, one in told.items():
        version = "FEFC" if shape is Shape.CHROMIUM else "FEFD"
        assert one["state"] == "connected", (shape, one)
        assert (one["version"], one["ours"]) == (version, version), (shape, one)
        assert one["established"], (shape, one)
        assert one["profile"] is not None, (shape, one)


def test_a_browser_agrees_in_dtls_1_3_whichever_datagram_is_lost() -> None:
    """Either half of our hello, either of its flight, our last flight, its ACK."""
    told = asyncio.run(browse([f"chromium:{lost}" for lost in range(6)]))

    assert {one["version"] for one in told} == {"FEFC"}
    assert {one["state"] for one in told} == {"connected"}
    assert all(one["established"] for one in told)


def test_a_browser_that_says_hello_agrees_with_our_server_in_dtls_1_3() -> None:
    """Its hello has two fragments; with another group than its shares it is asked again."""
    told = asyncio.run(browse(["server", "server-001d", "server-0017", "server-0018"]))

    assert {(one["version"], one["ours"]) for one in told} == {("FEFC", "FEFC")}
    assert {one["state"] for one in told} == {"connected"}
    assert {one["profile"] for one in told} == {0x0001}
    assert all(one["established"] for one in told)


@pytest.mark.parametrize("who", ["server", "server-0017"])
def test_our_server_and_a_browser_agree_whichever_datagram_is_lost(who: str) -> None:
    """Of its hello, our retry, its second hello, our flight, its flight, our ACK."""
    # Who is late says things twice, on a busy machine: of several the shortest is the whole.
    whole = min(one["datagrams"] for one in asyncio.run(browse([who] * 3)))
    told = asyncio.run(browse([f"{who}:{lost}" for lost in range(whole)]))

    assert len(told) >= 6
    assert min(one["datagrams"] for one in told) > whole
    assert {one["version"] for one in told} == {"FEFC"}
    assert {one["state"] for one in told} == {"connected"}
    assert all(one["established"] for one in told)


# ------------------------------------------------------------------ nDPI


def file_of(datagrams: list[bytes], file: Path) -> Path:
    """Datagrams of one flow in a capture."""
    with file.open("wb") as pcap:
        writer = dpkt.pcap.Writer(pcap)
        for datagram in datagrams:
            udp = dpkt.udp.UDP(sport=40000, dport=50000, ulen=8 + len(datagram), data=datagram)
            ip = dpkt.ip.IP(src=b"\xc0\0\2\2", dst=b"\xc6\x33\x64\x09", p=17, ttl=64, data=udp)
            ip.len = len(ip)
            writer.writepkt(dpkt.ethernet.Ethernet(type=0x0800, data=ip), ts=1.0)
    return file


def fingerprints(file: Path) -> set[str]:
    """The clients' JA4s, as nDPI finds them in a capture."""
    return {flow.client_fingerprint for flow in NFStreamer(source=str(file), n_meters=1)} - {""}


@pytest.mark.parametrize(
    "shape", [Shape.OPENSSL, Shape.LIBWEBRTC, Shape.PION, Shape.RANDOM], ids=str
)
def test_ndpi_finds_the_ja4_that_we_do(shape: Shape, tmp_path: Path) -> None:
    """In a hello of one datagram; it does not put fragments together."""
    (datagram,) = dtls.client(shape, OWN, Random(2)).start(0.0)
    (record,) = records(datagram)
    (piece,) = fragments(record.body)
    ours = ja4(ClientHello.unpack(piece.data))

    assert fingerprints(file_of([datagram], tmp_path / "hello.pcap")) == {ours}


def test_ndpi_finds_the_same_ja4_in_ours_as_in_a_real_engines_call(tmp_path: Path) -> None:
    """libwebrtc's of tgcalls, inside of its reflector's packets."""
    (datagram,) = dtls.client(Shape.LIBWEBRTC, OWN, Random(2)).start(0.0)
    real = fingerprints(DATA / "tg_reflector_udp_setup.pcap")

    assert fingerprints(file_of([datagram], tmp_path / "hello.pcap")) == real
    assert len(real) == 1
