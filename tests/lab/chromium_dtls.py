"""A real Chromium whose DTLS is met by ours: run in a namespace, says in JSON what became of it.

`python chromium_dtls.py WHO[:LOST] ...`: for each word one call, whose ICE is aioice's and whose
LOSTth datagram of DTLS is lost, if one is named.  The page answers.  WHO is the shape of our hello
where the page is DTLS's server; `server` where the page says hello to ours, or `server-GROUP` for
one that takes no other group (in hexadecimal).
"""

import asyncio
import json
import re
import sys
from random import Random
from typing import Any

import aioice
from playwright.async_api import Page, async_playwright

from circumtest import dtls, identity
from circumtest.dtls import Endpoint, Shape
from circumtest.dtls.client import Client
from circumtest.dtls.server import Server
from circumtest.dtls.signatures import certificate_der

ARGUMENTS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--disable-features=WebRtcHideLocalIpsWithMdns",
]
ANSWER = """async offer => {
  const call = window.call = new RTCPeerConnection();
  const gathered = new Promise(done => call.onicecandidate = found => found.candidate || done());
  await call.setRemoteDescription({type: "offer", sdp: offer});
  await call.setLocalDescription(await call.createAnswer());
  await gathered;
  return call.localDescription.sdp;
}"""
TOLD = """async () => {
  const until = performance.now() + 5000;
  while (call.connectionState != "connected" && performance.now() < until)
    await new Promise(done => setTimeout(done, 20));
  const told = {state: call.connectionState};
  (await call.getStats()).forEach(one => {
    if (one.type != "transport") return;
    told.version = one.tlsVersion; told.cipher = one.dtlsCipher; told.srtp = one.srtpCipher;
  });
  return told;
}"""
OFFER = (
    "v=0 o=-|1|1|IN|IP4|0.0.0.0 s=- t=0|0 a=group:BUNDLE|0 m=audio|9|UDP/TLS/RTP/SAVPF|111 "
    "c=IN|IP4|0.0.0.0 a=mid:0 a=sendrecv a=rtcp-mux a=rtpmap:111|opus/48000/2"
)
OWN = identity.certificate("outsiders", "caller")
PATIENCE = 10.0


def offer(ice: aioice.Connection, setup: str) -> str:
    """Our half of the signalling."""
    shown = dtls.fingerprint(certificate_der(OWN)).hex().upper()
    lines = [line.replace("|", " ") for line in OFFER.split()]
    lines += [f"a=setup:{setup}"]
    lines += [f"a=ice-ufrag:{ice.local_username}", f"a=ice-pwd:{ice.local_password}"]
    lines += [f"a=fingerprint:sha-256 {':'.join(re.findall('..', shown))}"]
    lines += [f"a=candidate:{candidate.to_sdp()}" for candidate in ice.local_candidates]
    return "".join(f"{line}\r\n" for line in [*lines, "a=end-of-candidates"])


async def meet(page: Page, ice: aioice.Connection, setup: str) -> bytes:
    """Connect to the page; the fingerprint of its certificate.  `setup` is our part of DTLS."""
    await ice.gather_candidates()
    answer = await page.evaluate(ANSWER, offer(ice, setup))
    told = dict(re.findall(r"a=([a-z-]+):(.*)\r", answer))
    assert {told["setup"], setup} == {"active", "passive"}
    ice.remote_username, ice.remote_password = told["ice-ufrag"], told["ice-pwd"]
    for candidate in re.findall(r"a=candidate:(.*)\r", answer):
        await ice.add_remote_candidate(aioice.Candidate.from_sdp(candidate))
    await ice.add_remote_candidate(None)
    await ice.connect()
    return bytes.fromhex(told["fingerprint"].partition(" ")[2].replace(":", ""))


async def shake(ice: aioice.Connection, endpoint: Endpoint, lost: int | None) -> int:
    """Run the handshake, until it is done or patience is over; who lost the end says it again.

    Gives how many datagrams there were.
    """
    clock = asyncio.get_running_loop().time
    end, number, through = clock() + PATIENCE, 0, False

    def passes() -> bool:
        nonlocal number
        number += 1
        return number - 1 != lost

    async def send(datagrams: list[bytes]) -> None:
        nonlocal through
        for datagram in datagrams:
            if through := passes():
                await ice.send(datagram)

    await send(endpoint.start(clock()))
    while not (endpoint.established and through) and clock() < end:
        due = endpoint.timer() or end
        try:
            data = await asyncio.wait_for(ice.recv(), max(0.001, min(due, end) - clock()))
        except TimeoutError:
            await send(endpoint.tick(clock()))
            continue
        if 20 <= data[0] <= 63 and passes():
            await send(endpoint.receive(data, clock()))
    return number


def half(who: str, pinned: bytes) -> Endpoint:
    """Our half of DTLS."""
    part, _, group = who.partition("-")
    if part != "server":
        return dtls.client(Shape(who), OWN, Random(1), pinned)
    if not group:
        return dtls.server(OWN, pinned)
    return Server(OWN, pinned, Random(1), (int(group, 16),))


async def call(page: Page, who: str, lost: int | None) -> dict[str, Any]:
    """One call, and how it stands at either end."""
    ice = aioice.Connection(ice_controlling=True)
    try:
        pinned = await meet(page, ice, "passive" if who.startswith("server") else "active")
        endpoint = half(who, pinned)
        count = await shake(ice, endpoint, lost)
        told: dict[str, Any] = await page.evaluate(TOLD)
    finally:
        await ice.close()
    keys = endpoint.keys
    version = endpoint.version if isinstance(endpoint, Client | Server) else 0xFEFD
    ours = {"established": endpoint.established, "profile": keys.profile if keys else None}
    return {**told, **ours, "ours": f"{version:04X}", "datagrams": count}


async def main() -> None:
    """All the calls, one after another, in one browser."""
    found = []
    async with async_playwright() as playwright:
        browser = await playwright.chromium.launch(
            executable_path="/usr/bin/chromium", args=ARGUMENTS
        )
        page = await browser.new_page()
        for word in sys.argv[1:]:
            who, _, lost = word.partition(":")
            found.append(await call(page, who, int(lost) if lost else None))
        await browser.close()
    sys.stdout.write(json.dumps(found))


if __name__ == "__main__":
    asyncio.run(main())
