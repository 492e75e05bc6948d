"""A real Chromium that makes one WebRTC call: run in a namespace, says in JSON what became of it.

`python caller.py WHIP-URL SECONDS`.  The page is blank and calls with an oscillator's sound; the
offer is posted and the answer fetched by this program, as the application around a page does.
"""

import asyncio
import json
import sys
import urllib.error
import urllib.request
from typing import Any

from playwright.async_api import Page, async_playwright

ARGUMENTS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--disable-features=WebRtcHideLocalIpsWithMdns",
    "--autoplay-policy=no-user-gesture-required",
]
OFFER = """async () => {
  const call = window.call = new RTCPeerConnection();
  const audio = new AudioContext(), tone = audio.createOscillator();
  const sink = audio.createMediaStreamDestination();
  tone.connect(sink); tone.start();
  sink.stream.getTracks().forEach(track => call.addTrack(track, sink.stream));
  const gathered = new Promise(done => call.onicecandidate = found => found.candidate || done());
  await call.setLocalDescription(await call.createOffer());
  await gathered;
  return call.localDescription.sdp;
}"""
ANSWER = """sdp => window.call.setRemoteDescription({type: "answer", sdp})"""
TOLD = """async () => {
  const told = {state: call.connectionState, ice: call.iceConnectionState, received: 0, sent: 0};
  (await call.getStats()).forEach(one => {
    if (one.type == "inbound-rtp") told.received += one.packetsReceived;
    if (one.type == "outbound-rtp") told.sent += one.packetsSent;
    if (one.type == "transport") { told.dtls = one.dtlsState; told.version = one.tlsVersion; }
  });
  return told;
}"""


def signal(url: str, offer: str, patience: float) -> str:
    """The answer to an offer (RFC 9725).  Raises OSError."""
    headers = {"Content-Type": "application/sdp"}
    request = urllib.request.Request(url, offer.encode(), headers)
    with urllib.request.urlopen(request, timeout=patience) as reply:
        body: bytes = reply.read()
    return body.decode()


async def call(page: Page, url: str, seconds: float) -> dict[str, Any]:
    """Call, wait until sound came or `seconds` are over, and tell how things stand."""
    offer = await page.evaluate(OFFER)
    try:
        answer = await asyncio.to_thread(signal, url, offer, 3.0)
    except (OSError, urllib.error.URLError) as error:
        return {"state": "signalling", "why": str(error), "received": 0, "sent": 0}
    await page.evaluate(ANSWER, answer)
    told: dict[str, Any] = {}
    end = asyncio.get_running_loop().time() + seconds
    while asyncio.get_running_loop().time() < end:
        told = await page.evaluate(TOLD)
        if told["state"] == "failed" or told["received"] >= 60:
            break
        await asyncio.sleep(0.1)
    return told


async def main() -> None:
    """Call once and print how the call stands."""
    url, seconds = sys.argv[1], float(sys.argv[2])
    async with async_playwright() as playwright:
        browser = await playwright.chromium.launch(
            executable_path="/usr/bin/chromium", args=ARGUMENTS
        )
        told = await call(await browser.new_page(), url, seconds)
        await browser.close()
    sys.stdout.write(json.dumps(told))


if __name__ == "__main__":
    asyncio.run(main())
