"""The four exceptions, sorted by who must act.

Anything else that is raised is a bug in circumtest: it stops the run with a traceback, after the
finished trials are on disk.  What the network did to a handshake is not an exception outside of
scripts: it is data, `circumtest.model.Failure`.
"""

from circumtest.model import Cause, TunnelFault


class ConfigError(Exception):
    """The person must act: a file, URL or option says something that cannot be right.

    `where` is what to open ("plan.toml"), `place` the spot in it ("[[tunnel]] 2, key `kind`"),
    `problem` what is wrong there, `remedy` what would be right.  Exit code 2.
    """

    def __init__(self, where: str, place: str, problem: str, remedy: str = "") -> None:
        self.where, self.place, self.problem, self.remedy = where, place, problem, remedy
        spot = f"{where}: {place}" if place else where
        super().__init__(f"{spot}: {problem}" + (f"\n  {remedy}" if remedy else ""))


class EnvironmentUnfit(Exception):
    """The machine must change: something that is needed is missing.  Exit code 4.

    `missing` names it, `remedy` is the exact thing to type or to do; `doctor` prints the same text.
    """

    def __init__(self, missing: str, remedy: str = "") -> None:
        self.missing, self.remedy = missing, remedy
        super().__init__(missing + (f"\n  {remedy}" if remedy else ""))


class TunnelDown(Exception):
    """The tunnel is at fault, not the censor of the call: the trial is INVALID, the run goes on.

    `evidence` holds the daemon's own words, already scrubbed of secrets.
    """

    def __init__(self, fault: TunnelFault, detail: str = "", evidence: str = "") -> None:
        self.fault, self.detail, self.evidence = fault, detail, evidence
        super().__init__(f"{fault}: {detail}" if detail else str(fault))


class HandshakeFailed(Exception):
    """Raised inside scripts only; the player turns it into `Failure` at the stage that was open."""

    def __init__(self, cause: Cause, detail: str = "") -> None:
        self.cause, self.detail = cause, detail
        super().__init__(f"{cause}: {detail}" if detail else str(cause))
