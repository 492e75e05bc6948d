"""Runs atheris over the targets, each in a process of its own with bounds on memory and time.

It refuses to know the targets, and to go on with one that broke.
"""

import argparse
import resource
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

REPOSITORY = Path(__file__).parents[2]
FOUND = REPOSITORY / "results" / "fuzz"
ONE_INPUT = 10
"""Seconds that one input may take."""
LONGEST = 8192
"""Bytes of an input; a large one of each kind is the unit test's."""


def main() -> int:
    """What was typed; 0 when nothing broke, 1 when something did, 2 for a name that is none."""
    options = _options()
    if options.one:
        return _fuzz(options.one, options.seconds, options.memory)
    from tests.fuzz.targets import TARGETS

    names = options.target or list(TARGETS)
    if unknown := [name for name in names if name not in TARGETS]:
        print(f"no such target: {', '.join(unknown)}\nthere are: {', '.join(TARGETS)}")
        return 2
    if options.list:
        print("\n".join(TARGETS))
        return 0
    if options.input:
        for name in names:
            TARGETS[name].run(options.input.read_bytes())
        return 0
    broken = [name for name in names if not _child(name, options.seconds, options.memory)]
    print(f"{len(names)} targets, {len(broken)} broke{': ' if broken else ''}{', '.join(broken)}")
    return 1 if broken else 0


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="scripts/fuzz")
    parser.add_argument("target", nargs="*", help="names from --list; all of them by default")
    parser.add_argument("--seconds", type=int, default=30, help="for each target")
    parser.add_argument("--memory", type=int, default=1024, help="MiB that a target may have")
    parser.add_argument("--input", type=Path, help="a file to take once instead")
    parser.add_argument("--list", action="store_true", help="name the targets")
    parser.add_argument("--one", help=argparse.SUPPRESS)
    return parser.parse_args()


def _place(name: str) -> Path:
    return FOUND / name.replace(" ", "-")


def _child(name: str, seconds: int, memory: int) -> bool:
    """Fuzz one target; whether it held.  What broke it is told with its file."""
    corpus = _place(name) / "corpus"
    corpus.mkdir(parents=True, exist_ok=True)
    before = set(_place(name).glob("*-*"))
    command = [sys.executable, "-m", "tests.fuzz.run", "--one", name]
    command += ["--seconds", str(seconds), "--memory", str(memory)]
    # Beyond what is asked for: the start, and an input that was being looked at.
    limit = seconds + 6 * ONE_INPUT + 60
    try:
        done = subprocess.run(
            command, cwd=REPOSITORY, capture_output=True, text=True, timeout=limit, check=False
        )
        code, said = done.returncode, done.stderr + done.stdout
    except subprocess.TimeoutExpired as late:
        code, said = -1, f"did not end: {late}"
    print(f"{name:32} {_runs(said):>9} inputs  {'held' if code == 0 else 'BROKE'}", flush=True)
    if code:
        said = "\n".join(x for x in said.splitlines() if not x.startswith("INFO: Instrumenting"))
        print(said[-4000:])
        for file in sorted(set(_place(name).glob("*-*")) - before):
            print(f"  input: {file}\n  again: scripts/fuzz '{name}' --input {file}")
    return code == 0


def _runs(said: str) -> str:
    lines = [line for line in said.splitlines() if line.startswith("stat::number_of_executed")]
    return lines[-1].rpartition(" ")[2] if lines else "?"


def _fuzz(name: str, seconds: int, memory: int) -> int:
    """In the child: instrument what is fuzzed, and hand over to atheris, which does not return."""
    import atheris

    # Room for the interpreter and libFuzzer's own counters beside what the target may have.
    bound = (memory + 3072) << 20
    resource.setrlimit(resource.RLIMIT_AS, (bound, bound))
    with atheris.instrument_imports(include=["circumtest"]):
        from tests.fuzz.targets import TARGETS
    target, corpus = TARGETS[name], _place(name) / "corpus"
    _plant(corpus, list(target.samples()))

    def run(data: bytes) -> None:
        target.run(data)

    options = [
        f"-max_total_time={seconds}",
        f"-timeout={ONE_INPUT}",
        f"-rss_limit_mb={memory}",
        f"-max_len={LONGEST}",
        f"-artifact_prefix={_place(name)}/",
        "-print_final_stats=1",
        "-verbosity=1",
    ]
    atheris.Setup([sys.argv[0], *options, str(corpus)], run)
    atheris.Fuzz()
    return 0


def _plant(corpus: Path, samples: Sequence[bytes]) -> None:
    for number, sample in enumerate(samples):
        (corpus / f"sample{number}").write_bytes(sample[:LONGEST])


if __name__ == "__main__":
    sys.exit(main())
