"""Can this machine do it, and if not, what is to be typed: found out by really trying.

What touches the kernel is tried in a private world that vanishes (`circumtest.doctor.probe`), with
the programs and the code that a run uses.  It refuses to mend anything.
"""

import json
import subprocess
import sys
from importlib.metadata import PackageNotFoundError, requires, version

from circumtest.doctor.findings import (
    ELSEWHERE,
    EXTRAS,
    FAR_PROGRAMS,
    PROGRAMS,
    TUNNEL_PROGRAMS,
    Finding,
    Refusal,
    State,
    of_abilities,
    of_error,
    render,
)
from circumtest.errors import EnvironmentUnfit

__all__ = ["Finding", "examine", "render"]

PATIENCE = 60.0
"""Seconds that all probes together may take."""
UNFIT = 4
_WORLD, AMNEZIA = "private world", "AmneziaWG"
_PREPARE = "scripts/prepare demo"


def examine() -> tuple[Finding, ...]:
    """Look at everything.  Needs no root, changes nothing, takes about a second."""
    if sys.platform != "linux":
        return (ELSEWHERE,)
    world, tried = _private_world()
    python = of_error("Python packages", _python_packages(), "circumtest is not complete")
    programs = [of_error(name, _program(name), lost) for name, lost in PROGRAMS.items()]
    others = [
        of_error(name, _program(name), lost, State.LIMITED)
        for name, lost in (TUNNEL_PROGRAMS | FAR_PROGRAMS).items()
    ]
    extras = [
        of_error(f"extra {extra}", _extra(extra, package), lost, State.LIMITED)
        for extra, (package, lost) in EXTRAS.items()
    ]
    amnezia = of_error(AMNEZIA, _amnezia(), "no `amneziawg` tunnel", State.LIMITED)
    return (python, *programs, world, *of_abilities(tried), *others, amnezia, *extras)


def _program(name: str) -> EnvironmentUnfit | None:
    from circumtest.process import program  # Linux only

    try:
        program(name)
    except EnvironmentUnfit as error:
        return error
    return None


def _amnezia() -> EnvironmentUnfit | None:
    """Neither Debian nor PyPI has it, so it is built by who wants it."""
    from circumtest.process import program
    from circumtest.wireguard.amnezia_device import DAEMON, NO_DAEMON, TOOL

    for name in (DAEMON, TOOL):
        try:
            program(name)
        except EnvironmentUnfit:
            continue
        return None
    return EnvironmentUnfit(f"{DAEMON} is not installed", NO_DAEMON)


def _extra(extra: str, package: str) -> EnvironmentUnfit | None:
    try:
        version(package)
    except PackageNotFoundError:
        return EnvironmentUnfit(f"{package} is not installed", f"pip install 'circumtest[{extra}]'")
    return None


def _python_packages() -> EnvironmentUnfit | None:
    missing = []
    for requirement in requires("circumtest") or ():
        name = requirement.split(";")[0].split(">")[0].split("=")[0].strip()
        if "extra ==" in requirement:
            continue
        try:
            version(name)
        except PackageNotFoundError:
            missing.append(name)
    if missing:
        return EnvironmentUnfit(f"Python packages are missing: {', '.join(missing)}", _PREPARE)
    return None


def _private_world() -> tuple[Finding, dict[str, Refusal]]:
    """Whether one can be entered, and what the kernel did in there."""
    python = [sys.executable, "-m"]
    argv = [*python, "circumtest.sandbox", "--", *python, "circumtest.doctor.probe"]
    done = subprocess.run(argv, capture_output=True, text=True, timeout=PATIENCE, check=False)
    if done.returncode == 0:
        answers = json.loads(done.stdout)
        return of_error(_WORLD, None, ""), {what: Refusal(*said) for what, said in answers.items()}
    if done.returncode != UNFIT:  # a bug of ours, not a lack of the machine's
        raise RuntimeError(f"the probes ended with {done.returncode}:\n{done.stderr}")
    missing, _, remedy = done.stderr.strip().partition("\n")
    error = EnvironmentUnfit(missing, remedy.strip())
    return of_error(_WORLD, error, "nothing of the lab works"), {}
