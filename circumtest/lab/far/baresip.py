"""baresip behind kamailio as the far half of SIP calls: a telephone that plays back what it hears.

It decodes what it hears and encodes it again, with numbers of its own and by a clock of its own, so
that up and down can be told apart.
"""

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

from circumtest.handshakes.sip import Sip
from circumtest.lab.far import Site
from circumtest.lab.kamailio import agent_address, keep, proxy, sip_call
from circumtest.listening import START
from circumtest.model import Address
from circumtest.process import daemon, private_dir, program
from circumtest.script import Handshake

# A call whose end never came must not last: rtp_timeout, longer than sound may be dead in a trial.
_BARESIP = """\
poll_method epoll
sip_listen {behind}
call_max_calls 64
audio_player aubridge,loop
audio_source aubridge,loop
audio_alert aubridge,alert
audio_buffer 20-160
audio_level no
ausrc_format s16
auplay_format s16
auenc_format s16
audec_format s16
rtp_ports 20000-29999
rtcp_mux no
rtp_timeout 80
jitter_buffer_delay 0-0
module_path {modules}
module g711.so
module aubridge.so
module_app account.so
module_app echo.so
"""
_ACCOUNT = "<sip:{callee}@{behind}>;regint=0;audio_codecs=PCMU/8000/1;answermode=manual\n"


@dataclass(frozen=True)
class Baresip:
    """`algorithm` is of the digest: "" for MD5, or "SHA-256"."""

    algorithm: str = ""

    @asynccontextmanager
    async def serve(
        self, lab: Site, handshake: Handshake, target: Sequence[Address]
    ) -> AsyncIterator[None]:
        """Ready when baresip says that it is, with its account, and kamailio listens.

        Raises ConfigError for a handshake that is no SIP call.
        """
        call, behind = sip_call(handshake), agent_address(lab, target)
        with private_dir() as place:
            _write(place, call, behind)
            # -p: sounds, which it would play to nobody.
            argv = ["baresip", f"-{behind.version}", "-f", str(place), "-p", str(place)]
            async with daemon(lab.services, argv) as agent:
                for sign in ("Populated 1 account", "baresip is ready"):
                    await agent.line(sign, START)
                async with proxy(lab, call, target, behind, algorithm=self.algorithm, late=True):
                    yield


def _write(place: Path, call: Sip, behind: Address) -> None:
    modules = Path(program("baresip")).resolve().parents[1] / "lib" / "baresip" / "modules"
    keep(place / "config", _BARESIP.format(behind=behind, modules=modules))
    keep(place / "accounts", _ACCOUNT.format(callee=call.callee, behind=behind))
