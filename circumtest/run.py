"""Carrying a plan out: its cells side by side, on every core, each in labs of its own.

Every finished trial is on disk before the next one of its lane begins, so whatever ends a run, a
later one goes on where it stopped.  It refuses to compare: what is on disk is all that it leaves.
"""

import asyncio
import multiprocessing
import os
import re
import signal
import sys
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from multiprocessing.connection import wait
from multiprocessing.process import BaseProcess
from pathlib import Path

from circumtest import store
from circumtest.censor.enforce import check
from circumtest.censor.load import policy
from circumtest.compare import Blocks, decided, group
from circumtest.errors import EnvironmentUnfit
from circumtest.lab.observer import Frames
from circumtest.model import Arm, Cell, Trial
from circumtest.netns import Netns
from circumtest.plan import Plan
from circumtest.scene import Save, Scene, Tell
from circumtest.sightings import Deposits, to_watch

MIN_LABS = 4
BUILDS = 2
"""Labs that one worker builds at the same time: more would only make each of them later."""
LAB_MEMORY = 32 << 20
"""Bytes that a lab with its servers and its tunnel needs: SOCKS a third of it, Tor ten times it."""
LEAST_FREE = 0.2
"""The share of the memory that was free at first below which no further lab is begun."""
POLL = 0.5
"""Seconds between two looks at how far the workers are."""
GRACE = 10.0
"""Seconds that workers have to take their labs down before they are killed."""
UNFIT, INTERNAL, INTERRUPTED = 4, 70, 130

Progress = Callable[[int, int], None]
"""Told how many trials are done, and how many there are."""


@dataclass(frozen=True)
class Lane:
    """A share of one cell's blocks: what is played in one lab, one trial after the other."""

    cell: Cell
    blocks: tuple[int, ...]


def share(plan: Plan, jobs: int) -> list[list[Lane]]:
    """The plan cut into lanes and dealt to `jobs` workers, the longest first.

    All lanes of a cell go to the same worker, which is so able to stop it early.
    """
    cells = sorted(plan.outline.cells(), key=lambda cell: -plan.seconds(cell))
    blocks = range(plan.outline.blocks)
    count = min(plan.lanes, plan.outline.blocks)
    return [
        [
            Lane(cell, tuple(blocks[first::count]))
            for first in range(count)
            for cell in cells[worker::jobs]
        ]
        for worker in range(jobs)
    ]


def free_memory() -> int:
    """Bytes that the kernel would give without swapping (proc(5), MemAvailable)."""
    found = re.search(r"^MemAvailable:\s+(\d+) kB$", Path("/proc/meminfo").read_text(), re.M)
    return int(found[1]) << 10 if found else 0


def room(jobs: int) -> int:
    """How many labs one of `jobs` workers may have up at the same time, in half of the memory."""
    return max(MIN_LABS, free_memory() // 2 // LAB_MEMORY // jobs)


def carry_out(plan: Plan, folder: Path, jobs: int, progress: Progress) -> int:
    """Play what is missing of `plan` in `folder`, inside the sandbox, with `jobs` processes.

    Returns 0, or the exit code of what stopped it: 4 (a full disk, a machine that cannot), 70 (a
    bug; its traceback is on stderr), 130 (interrupted).  What was finished is on disk in any case.
    """
    writer = store.Writer(folder)
    writer.mend()
    writer.close()
    trials, _ = store.read(folder)
    done = group(trials)
    try:
        asyncio.run(_fit(plan.outline.policies))
    except EnvironmentUnfit as unfit:
        print(f"circumtest: {unfit}", file=sys.stderr)  # noqa: T201
        return UNFIT
    context = multiprocessing.get_context("fork")
    labs = max(1, min(room(jobs), plan.labs // jobs))
    deposits = Deposits(folder, to_watch(plan.outline, plainest(plan.outline.policies)))
    workers = [
        context.Process(
            target=_worker, args=(plan, folder, lanes, done, labs, deposits), daemon=True
        )
        for lanes in share(plan, jobs)
    ]
    for worker in workers:
        worker.start()
    try:
        code = _watch(workers, folder, plan, progress)
    except KeyboardInterrupt:
        code = INTERRUPTED
    finally:
        _stop(workers)
    if code == 0:
        deposits.recognise()
        store.finish(folder)
    return code


async def _fit(policies: Sequence[str]) -> None:
    """Have this machine say that it can carry every policy out, before anything is played.

    Raises EnvironmentUnfit, which names the policy that it cannot.
    """
    async with Netns.new("fit") as netns:
        for name in policies:
            await check(netns, policy(name))


def plainest(policies: Sequence[str]) -> str:
    """The first policy that does nothing, or else the first one: a tunnel looks like itself there.

    Raises ConfigError for a policy that cannot be loaded.
    """
    return next((name for name in policies if not policy(name).rules), policies[0])


def _watch(workers: Sequence[BaseProcess], folder: Path, plan: Plan, progress: Progress) -> int:
    """Wait for all workers, or for the first that fails; its exit code."""
    total = plan.outline.blocks * len(Arm) * len(plan.outline.cells())
    counter = _Lines(folder / store.TRIALS)
    running = list(workers)
    while running:
        wait([worker.sentinel for worker in running], timeout=POLL)
        progress(counter.count(), total)
        for worker in [worker for worker in running if worker.exitcode is not None]:
            running.remove(worker)
            if worker.exitcode:
                return worker.exitcode if worker.exitcode in (UNFIT, INTERRUPTED) else INTERNAL
    return 0


def _stop(workers: Sequence[BaseProcess]) -> None:
    for worker in workers:
        if worker.exitcode is None and worker.pid:
            os.kill(worker.pid, signal.SIGINT)
    for worker in workers:
        worker.join(GRACE)
        if worker.exitcode is None:
            worker.kill()
            worker.join()


class _Lines:
    """Counts the lines of a file that grows, reading only what is new."""

    def __init__(self, file: Path) -> None:
        self._file, self._at, self._lines = file, 0, 0

    def count(self) -> int:
        with self._file.open("rb") as data:
            data.seek(self._at)
            new = data.read()
        self._at += len(new)
        self._lines += new.count(b"\n")
        return self._lines


# ------------------------------------------------------------------ one worker


def _worker(
    plan: Plan,
    folder: Path,
    lanes: Sequence[Lane],
    done: dict[Cell, Blocks],
    labs: int,
    deposits: Deposits,
) -> None:
    try:
        asyncio.run(_play(plan, folder, lanes, done, labs, deposits))
    except KeyboardInterrupt:
        sys.exit(INTERRUPTED)
    except ExceptionGroup as several:
        unfit, bugs = several.split(EnvironmentUnfit)
        if bugs is not None:
            raise
        print(f"circumtest: {_first(unfit)}", file=sys.stderr)  # noqa: T201
        sys.exit(UNFIT)


def _first(error: BaseException | None) -> BaseException | None:
    while isinstance(error, BaseExceptionGroup):
        error = error.exceptions[0]
    return error


async def _play(
    plan: Plan,
    folder: Path,
    lanes: Sequence[Lane],
    done: dict[Cell, Blocks],
    labs: int,
    deposits: Deposits,
) -> None:
    gate, space = asyncio.Semaphore(BUILDS), asyncio.Semaphore(labs)
    writer = store.Writer(folder)
    disk = ThreadPoolExecutor(1, "disk")
    loop = asyncio.get_running_loop()

    async def save(trial: Trial) -> None:
        await loop.run_in_executor(disk, writer.append, trial)
        blocks = done.setdefault(trial.cell, {})
        blocks.setdefault(trial.block, {})[trial.arm] = trial.record

    def teller(lane: Lane) -> Tell | None:
        if lane.blocks[:1] != (0,) or not deposits.wanted(lane.cell):
            return None

        async def tell(frames: Frames, played: bool) -> None:
            put = partial(deposits.put, lane.cell, frames, played=played)
            await loop.run_in_executor(disk, put)

        return tell

    least, busy = free_memory() * LEAST_FREE, 0

    async def play(lane: Lane) -> None:
        nonlocal busy
        async with space:
            # Some tunnels need far more than others, and only when they are up does it show.
            while busy >= MIN_LABS and free_memory() < least:  # noqa: ASYNC110  # nobody tells
                await asyncio.sleep(POLL)
            busy += 1
            await _lane(plan, lane, done, gate, save, teller(lane))
            busy -= 1

    try:
        async with asyncio.TaskGroup() as group_:
            for lane in lanes:
                group_.create_task(play(lane))
    finally:
        disk.shutdown()
        writer.close()


async def _lane(
    plan: Plan,
    lane: Lane,
    done: dict[Cell, Blocks],
    gate: asyncio.Semaphore,
    save: Save,
    tell: Tell | None,
) -> None:
    blocks = done.setdefault(lane.cell, {})
    before = frozenset((number, arm) for number, block in blocks.items() for arm in block)
    scene = Scene(plan, lane.cell, before, tell)
    await scene.play(lane.blocks, gate, save, lambda: decided(plan.outline, lane.cell, blocks))
