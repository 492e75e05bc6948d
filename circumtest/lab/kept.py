"""What is dear to make and the same for many labs: made once, kept in the user's cache.

One directory a name, for its owner only, put in place whole, and used by one at a time.  It refuses
to know what it keeps; where nothing can be kept, it is made for this once.
"""

import asyncio
import fcntl
import os
import shutil
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from pathlib import Path

from circumtest.process import private_dir

_POLL = 0.05


def home() -> Path:
    """Where it is kept.  Raises OSError or RuntimeError when there is no such place.

    PermissionError when it is there and not this user's alone.
    """
    base = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    place = Path(base) / "circumtest"
    place.mkdir(mode=0o700, parents=True, exist_ok=True)
    told = place.stat()
    if told.st_uid != os.getuid() or told.st_mode & 0o077 or not os.access(place, os.W_OK):
        raise PermissionError(f"{place} is not this user's alone")
    return place


@asynccontextmanager
async def kept(
    name: str, make: Callable[[Path], Awaitable[None]], valid: Callable[[Path], bool]
) -> AsyncIterator[Path]:
    """The directory `name`, made by `make` in an empty one unless there is one that is `valid`.

    While the body runs, nobody else uses or replaces it: copy what is needed, and leave.
    """
    async with AsyncExitStack() as stack:
        try:
            base = home()
        except (OSError, RuntimeError):
            base = stack.enter_context(private_dir())
        await stack.enter_async_context(_alone(base / f"{name}.lock"))
        place = base / name
        if not valid(place):
            await _make(place, make)
        yield place


async def _make(place: Path, make: Callable[[Path], Awaitable[None]]) -> None:
    new = place.with_name(f"{place.name}.new")
    shutil.rmtree(new, ignore_errors=True)  # of one that was killed meanwhile
    new.mkdir(mode=0o700)
    try:
        await make(new)
        shutil.rmtree(place, ignore_errors=True)
        new.rename(place)
    finally:
        shutil.rmtree(new, ignore_errors=True)


@asynccontextmanager
async def _alone(file: Path) -> AsyncIterator[None]:
    """Hold the lock; it goes with the process, however that ends."""
    lock = os.open(file, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        while True:
            with suppress(BlockingIOError):
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
                break
            await asyncio.sleep(_POLL)  # a thread that waits could not be called back
        yield
    finally:
        os.close(lock)
