"""The middlebox as a process: `python -m circumtest.censor.middlebox DESCRIPTOR`.

Started in the censor's namespace by `circumtest.censor.enforce`, with a descriptor from which its
briefing is read.  It says "ready" when the queue is its own, serves until it is killed, and goes
when the thread that started it goes.  It refuses to write anything else but why it ended.
"""

import ctypes
import gc
import os
import signal
import socket
import sys
from dataclasses import replace

from circumtest.censor.judge import Censor
from circumtest.censor.middlebox.box import Injector, Middlebox
from circumtest.censor.middlebox.briefing import loads
from circumtest.censor.middlebox.handover import QUEUE, Marks, others
from circumtest.censor.middlebox.netlink import Queue

_PR_SET_PDEATHSIG, _PR_SET_TIMERSLACK = 1, 29


def main(descriptor: int) -> None:
    """Serve.  Raises OSError and ValueError, which end the process."""
    libc = ctypes.CDLL(None)
    libc.prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
    libc.prctl(_PR_SET_TIMERSLACK, 1)  # nanoseconds: what is held back leaves when it is due
    with os.fdopen(descriptor, "rb") as told:
        briefing = loads(told.read())
    rules = others(briefing.policy)
    judge = Censor(replace(briefing.policy, rules=rules), briefing.seed)
    inside = socket.if_nametoindex(briefing.inside)
    with Queue([QUEUE]) as queue, Injector() as injector:
        print("ready", flush=True)  # noqa: T201  # it is what the other process waits for
        gc.freeze()  # what is there now stays: no collection has to look at it again
        Middlebox(queue, injector, judge, Marks(rules), inside).serve()


if __name__ == "__main__":
    main(int(sys.argv[1]))
