"""Outsiders judge what we say is SIP: a DPI, another dissector, and another telephone.

nDPI labels what was on the wire where the censor stands, tshark reads every message, and SIPp calls
our own far half.
"""

import asyncio
import json
import shutil
import subprocess
from collections import Counter
from pathlib import Path
from random import Random

import pytest
from nfstream import NFStreamer

from circumtest.handshakes.sip import Sip
from circumtest.lab.capture import capture
from circumtest.lab.far.baresip import Baresip
from circumtest.lab.topology import lab
from circumtest.model import Carrier, Record, Success
from circumtest.play import play
from circumtest.process import private_dir, run
from circumtest.sip import password

BOUND = 60.0


async def played(call: Sip, file: Path, version: int) -> Record:
    """One call to baresip, captured where the censor would be."""
    async with asyncio.timeout(BOUND), lab() as town:
        target = await town.place(call, "sip", version)
        async with Baresip().serve(town, call, target), capture(town.censor, "client", file):
            return await play(call.script(target, Random(4)), town.outside)


def labels(file: Path) -> Counter[str]:
    """What nDPI says of each flow of UDP and TCP."""
    flows = NFStreamer(source=str(file), n_meters=1, n_dissections=20, accounting_mode=3)
    return Counter(flow.application_name for flow in flows if flow.protocol in (6, 17))


def dissected(file: Path, *fields: str, what: str = "sip") -> list[list[str]]:
    """Fields of every packet that tshark takes for `what`."""
    named = [word for field in fields for word in ("-e", field)]
    argv = ["tshark", "-r", str(file), "-Y", what, "-T", "json", *named]
    done = subprocess.run(argv, capture_output=True, check=True, text=True, timeout=30)
    layers = [packet["_source"]["layers"] for packet in json.loads(done.stdout)]
    return [[",".join(layer.get(field, [])) for field in fields] for layer in layers]


@pytest.mark.parametrize("version", [4, 6])
@pytest.mark.parametrize("carrier", [Carrier.UDP, Carrier.TCP])
def test_ndpi_takes_the_signalling_for_sip_and_the_sound_for_rtp(
    tmp_path: Path, carrier: Carrier, version: int
) -> None:
    """Both questions for addresses and the call itself; nothing is an application's."""
    file = tmp_path / "call.pcap"
    assert asyncio.run(played(Sip(carrier), file, version)).outcome == Success()
    found = labels(file)

    assert found["SIP"] == 2
    assert sum(count for label, count in found.items() if "RTP" in label) == 1
    # The far end's own reports, to the port beside that of the sound.
    assert found["Unknown"] == sum(found.values()) - 3 <= 1


def test_over_tls_a_dpi_sees_tls_and_the_sound(tmp_path: Path) -> None:
    """SIP is seen only where the sound's own address was asked for."""
    file = tmp_path / "call.pcap"
    assert asyncio.run(played(Sip(Carrier.TLS), file, 4)).outcome == Success()
    found = labels(file)

    assert found["SIP"] <= 1
    assert any("TLS" in label for label in found)
    assert any("RTP" in label for label in found)


@pytest.mark.parametrize("carrier", [Carrier.UDP, Carrier.TCP])
def test_tshark_reads_every_message_and_no_packet_is_malformed(
    tmp_path: Path, carrier: Carrier
) -> None:
    """In the order of the ladder."""
    file = tmp_path / "call.pcap"
    assert asyncio.run(played(Sip(carrier), file, 4)).outcome == Success()
    rows = dissected(file, "sip.Method", "sip.Status-Code")
    said = [method for methods, _ in rows for method in methods.split(",") if method]
    codes = [code for _, found in rows for code in found.split(",") if code]

    assert said == [
        "OPTIONS",
        "REGISTER",
        "REGISTER",
        "OPTIONS",
        "INVITE",
        "ACK",
        "INVITE",
        "ACK",
        "BYE",
    ]
    assert [code for code in codes if code not in ("100", "180")] == [
        "200",
        "401",
        "200",
        "200",
        "407",
        "200",
        "200",
    ]
    assert not dissected(file, "frame.number", what="_ws.malformed")
    sound = dissected(file, "rtp.p_type", "rtp.ext", "udp.length", what="rtp")
    assert len(sound) > 150
    assert {(kind, length) for kind, _, length in sound} == {("0", "180")}
    assert {extended in ("0", "False") for _, extended, _ in sound} == {True}


_UAC = """\
<?xml version="1.0" encoding="UTF-8" ?>
<scenario name="caller">
  <send retrans="500"><![CDATA[
      INVITE sip:echo@[remote_ip] SIP/2.0
      Via: SIP/2.0/[transport] [local_ip]:[local_port];rport;branch=[branch]
      From: <sip:caller@[remote_ip]>;tag=[pid]-[call_number]
      To: <sip:echo@[remote_ip]>
      Call-ID: [call_id]
      CSeq: 1 INVITE
      Contact: <sip:caller@[local_ip]:[local_port]>
      Max-Forwards: 70
      Content-Type: application/sdp
      Content-Length: [len]

      v=0
      o=- 1 1 IN IP[media_ip_type] [media_ip]
      s=-
      c=IN IP[media_ip_type] [media_ip]
      t=0 0
      m=audio [media_port] RTP/AVP 0
      a=rtpmap:0 PCMU/8000
      a=ssrc:77 cname:sipp
  ]]></send>
  <recv response="407" auth="true"/>
  <send><![CDATA[
      ACK sip:echo@[remote_ip] SIP/2.0
      Via: SIP/2.0/[transport] [local_ip]:[local_port];rport;branch=[branch]
      From: <sip:caller@[remote_ip]>;tag=[pid]-[call_number]
      To: <sip:echo@[remote_ip]>[peer_tag_param]
      Call-ID: [call_id]
      CSeq: 1 ACK
      Max-Forwards: 70
      Content-Length: 0

  ]]></send>
  <send retrans="500"><![CDATA[
      INVITE sip:echo@[remote_ip] SIP/2.0
      Via: SIP/2.0/[transport] [local_ip]:[local_port];rport;branch=[branch]
      From: <sip:caller@[remote_ip]>;tag=[pid]-[call_number]
      To: <sip:echo@[remote_ip]>
      Call-ID: [call_id]
      CSeq: 2 INVITE
      Contact: <sip:caller@[local_ip]:[local_port]>
      [authentication username=caller password={password}]
      Max-Forwards: 70
      Content-Type: application/sdp
      Content-Length: [len]

      v=0
      o=- 1 1 IN IP[media_ip_type] [media_ip]
      s=-
      c=IN IP[media_ip_type] [media_ip]
      t=0 0
      m=audio [media_port] RTP/AVP 0
      a=rtpmap:0 PCMU/8000
      a=ssrc:77 cname:sipp
  ]]></send>
  <recv response="100" optional="true"/>
  <recv response="180" optional="true"/>
  <recv response="200"/>
  <send><![CDATA[
      ACK sip:echo@[remote_ip] SIP/2.0
      Via: SIP/2.0/[transport] [local_ip]:[local_port];rport;branch=[branch]
      From: <sip:caller@[remote_ip]>;tag=[pid]-[call_number]
      To: <sip:echo@[remote_ip]>[peer_tag_param]
      Call-ID: [call_id]
      CSeq: 2 ACK
      Max-Forwards: 70
      Content-Length: 0

  ]]></send>
  <pause milliseconds="200"/>
  <send retrans="500"><![CDATA[
      BYE sip:echo@[remote_ip] SIP/2.0
      Via: SIP/2.0/[transport] [local_ip]:[local_port];rport;branch=[branch]
      From: <sip:caller@[remote_ip]>;tag=[pid]-[call_number]
      To: <sip:echo@[remote_ip]>[peer_tag_param]
      Call-ID: [call_id]
      CSeq: 3 BYE
      Max-Forwards: 70
      Content-Length: 0

  ]]></send>
  <recv response="200"/>
</scenario>
"""


@pytest.mark.parametrize("transport", ["u1", "t1"])
def test_another_telephone_calls_our_own_far_half(transport: str) -> None:
    """SIPp, by its own digest, three times; it says itself that every call succeeded."""
    assert shutil.which("sipp")
    call = Sip(Carrier.UDP if transport == "u1" else Carrier.TCP)

    async def scene() -> None:
        async with asyncio.timeout(BOUND), lab() as town:
            (there,) = await town.serve(call, "sip")
            with private_dir() as place:
                file = place / "uac.xml"
                file.write_text(_UAC.format(password=password(call.secret, call.user)))
                own = ["-i", "192.0.2.2", "-mi", "192.0.2.2", "-t", transport]
                often = ["-m", "3", "-r", "3", "-timeout", "20", "-timeout_error"]
                argv = ["sipp", "-sf", str(file), "-nostdin", "-skip_rlimit", *own, *often]
                await run(town.client, [*argv, str(there)], timeout=30)

    asyncio.run(scene())
