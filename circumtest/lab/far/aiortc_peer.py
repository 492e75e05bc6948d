"""The program that `circumtest.lab.far.aiortc` starts: offers in, real peer connections out.

ICE, DTLS, SRTP and RTCP are aiortc's own.  The sound is ours: each packet that it has received and
authenticated is counted, and what it sends every 20 ms says what was counted.  The one thing that
aiortc gives no public way to is a packet as it arrives, with its time: `_count` wraps the method
that its receiver is handed packets by.  It refuses to gather elsewhere: of the addresses that
aiortc finds, only the one it is called at is told.
"""

import asyncio
import sys
import time
from fractions import Fraction
from pathlib import Path
from typing import Any

from aiortc import (
    InvalidAccessError,
    InvalidStateError,
    MediaStreamTrack,
    RTCConfiguration,
    RTCPeerConnection,
    RTCSessionDescription,
)
from aiortc.mediastreams import MediaStreamError
from av import Packet

from circumtest import whip as signalling
from circumtest.media import RATE
from circumtest.talker import Talker, said
from circumtest.wire import sdp, whip
from circumtest.wire.rtp import Frame

MAX_CALLS = 64
"""Calls at a time; further offers are refused."""
SIZE = 160
"""Bytes of sound in a packet."""
PATIENCE = 10.0
"""Seconds that a request may take to come."""


class Voice(MediaStreamTrack):  # type: ignore[misc]
    """What the far person says: frames of a `Talker`, as if they were encoded sound."""

    kind = "audio"

    def __init__(self) -> None:
        super().__init__()
        self._talker: Talker | None = None

    def hear(self, payload: bytes) -> None:
        """Count one authentic packet of the caller's."""
        try:
            frame = Frame.unpack(payload)
        except ValueError:
            return
        self._begun().hear(said(frame), time.time())

    async def recv(self) -> Any:
        """The next 20 ms, when they are due.  aiortc asks for them once SRTP is there."""
        talker = self._begun()
        while (due := talker.due) is not None:
            await asyncio.sleep(max(due - time.time(), 0.0))
            if (frame := talker.speak(time.time())) is not None:
                packet = Packet(frame.pack(SIZE))
                packet.pts, packet.time_base = frame.seq, Fraction(1, RATE)
                return packet
        raise MediaStreamError

    def _begun(self) -> Talker:
        if self._talker is None:
            self._talker = Talker(time.time())
        return self._talker


def count_packets(receiver: Any, voice: Voice) -> None:
    """Let `voice` hear every packet that aiortc has authenticated, before aiortc itself does."""
    handle = receiver._handle_rtp_packet

    async def counted(packet: Any, arrival_time_ms: int) -> None:
        voice.hear(packet.payload)
        await handle(packet, arrival_time_ms=arrival_time_ms)

    receiver._handle_rtp_packet = counted


def only_at(host: str, answer: str) -> bytes:
    """An answer with those candidates only that are at one address."""
    session = sdp.parse(answer.encode())
    media = []
    for one in session.media:
        kept, at = [], ("", 0)
        for name, value in one.attributes:
            if name == "candidate":
                candidate = sdp.parse_candidate(value)
                if candidate.host != host:
                    continue
                at = (candidate.host, candidate.port)
            kept.append((name, value))
        media.append(sdp.Media(one.kind, at[1], one.protocol, one.formats, at[0], tuple(kept)))
    made = sdp.Session(
        host, session.number, session.version, tuple(media), attributes=session.attributes
    )
    return sdp.pack(made)


class Desk:
    """The signalling: one request a stream."""

    def __init__(self, secret: str, host: str) -> None:
        self._secret, self._host = secret, host
        self._calls: dict[str, RTCPeerConnection] = {}

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Answer one request; what is none is not answered."""
        try:
            async with asyncio.timeout(PATIENCE):
                request = await self._read(reader)
            if request is not None:
                writer.write(await self._answer(request))
                await writer.drain()
        except (OSError, ValueError, TimeoutError):
            return
        finally:
            writer.close()

    async def _read(self, reader: asyncio.StreamReader) -> whip.Request | None:
        data = b""
        while (request := whip.request(data)) is None:
            if not (more := await reader.read(65536)):
                return None
            data += more
        return request

    async def _answer(self, request: whip.Request) -> bytes:
        if request.method == "DELETE":
            if call := self._calls.pop(request.path, None):
                await call.close()
            return whip.plain(200, "OK")
        if len(self._calls) >= MAX_CALLS:
            return whip.plain(503, "Service Unavailable")
        call, voice = RTCPeerConnection(RTCConfiguration(iceServers=[])), Voice()
        try:
            answer = await self._accept(call, voice, request.body.decode())
        except (ValueError, InvalidAccessError, InvalidStateError):
            await call.close()
            return whip.plain(400, "Bad Request")
        tag = signalling.tag(self._secret, request.body, answer)
        location = f"{whip.PATH}/{tag[:16]}"
        self._calls[location] = call

        async def over() -> None:
            if call.connectionState in ("failed", "closed"):
                self._calls.pop(location, None)
                await call.close()

        call.on("connectionstatechange", over)
        return whip.created(answer, location, tag)

    async def _accept(self, call: RTCPeerConnection, voice: Voice, offer: str) -> bytes:
        call.addTrack(voice)
        await call.setRemoteDescription(RTCSessionDescription(offer, "offer"))
        for receiver in call.getReceivers():
            count_packets(receiver, voice)
        await call.setLocalDescription(await call.createAnswer())
        return only_at(self._host, call.localDescription.sdp)


async def main(secret: str, host: str, port: int) -> None:
    """Listen until this process is ended."""
    desk = Desk(secret, host)
    server = await asyncio.start_server(desk.serve, host, port)
    async with server:
        await server.serve_forever()


if __name__ == "__main__":
    asyncio.run(main(Path(sys.argv[1]).read_text(), sys.argv[2], int(sys.argv[3])))
