"""SIPp behind kamailio as a second far half of SIP calls: it sends our very packets back.

So nobody can tell what was lost on the way up from what was lost on the way down; what it adds is
another program's idea of a call.
"""

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass

from circumtest.lab.far import Site
from circumtest.lab.kamailio import agent_address, keep, proxy, sip_call
from circumtest.listening import listening
from circumtest.model import Address, Carrier
from circumtest.process import daemon, private_dir
from circumtest.script import Handshake

# What SIPp's own `uas` does, and the proxies' route besides, which that forgets.
_HEAD = """\
      [last_Via:]
      [last_Record-Route:]
      [last_From:]
      [last_To:]{tag}
      [last_Call-ID:]
      [last_CSeq:]
      Contact: <sip:[local_ip]:[local_port];transport=tcp>"""
_SDP = """\
      Content-Type: application/sdp
      Content-Length: [len]

      v=0
      o=- 1 1 IN IP[media_ip_type] [media_ip]
      s=-
      c=IN IP[media_ip_type] [media_ip]
      t=0 0
      m=audio [media_port] RTP/AVP 0
      a=rtpmap:0 PCMU/8000
"""
_SCENARIO = """\
<?xml version="1.0" encoding="UTF-8" ?>
<scenario name="echo">
  <recv request="INVITE"/>
  <send><![CDATA[
      SIP/2.0 180 Ringing
{head}
      Content-Length: 0

  ]]></send>
  <send retrans="500"><![CDATA[
      SIP/2.0 200 OK
{head}
{sdp}
  ]]></send>
  <recv request="ACK"/>
  <recv request="BYE"/>
  <send><![CDATA[
      SIP/2.0 200 OK
{plain}
      Content-Length: 0

  ]]></send>
  <timewait milliseconds="4000"/>
</scenario>
""".format(head=_HEAD.format(tag=";tag=[pid]-[call_number]"), plain=_HEAD.format(tag=""), sdp=_SDP)


@dataclass(frozen=True)
class Sipp:
    """`sound_port` is where it echoes; two further on, too, as for pictures."""

    sound_port: int = 6000

    @asynccontextmanager
    async def serve(
        self, lab: Site, handshake: Handshake, target: Sequence[Address]
    ) -> AsyncIterator[None]:
        """Ready when SIPp and kamailio listen.

        Raises ConfigError for a handshake that is no SIP call.
        """
        call, behind = sip_call(handshake), agent_address(lab, target)
        with private_dir() as place:
            keep(place / "echo.xml", _SCENARIO)
            own = ["-i", behind.host, "-p", str(behind.port), "-t", "t1"]
            sound = ["-rtp_echo", "-mi", behind.host, "-mp", str(self.sound_port)]
            # Unlike its built-in one, a scenario of one's own must be told not to ask a terminal.
            argv = ["sipp", "-sf", str(place / "echo.xml"), "-nostdin", "-skip_rlimit"]
            async with daemon(lab.services, [*argv, *own, *sound]) as agent:
                # It says nothing to a pipe; so it is spoken with over TCP, where one can look.
                await listening(lab.services, behind, agent)
                async with proxy(lab, call, target, behind, carrier=Carrier.TCP):
                    yield
