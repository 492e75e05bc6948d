"""What is kept between labs: made once, whole, for one at a time."""

import asyncio
import os
from pathlib import Path

import pytest

from circumtest.lab.kept import home, kept


def holds(place: Path) -> bool:
    """Whether there is what the tests make."""
    return (place / "it").exists()


class Maker:
    """Makes it, and counts."""

    def __init__(self) -> None:
        self.times = 0

    async def __call__(self, place: Path) -> None:
        self.times += 1
        await asyncio.sleep(0)
        (place / "it").write_text(str(self.times))


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A cache of the test's own."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    return tmp_path / "circumtest"


def test_it_is_made_once_for_its_owner_only(cache: Path) -> None:
    """The second finds what the first has made."""
    make = Maker()

    async def scene() -> None:
        for _ in range(2):
            async with kept("name", make, holds) as place:
                assert place == cache / "name"
                assert (place / "it").read_text() == "1"

    asyncio.run(scene())
    assert make.times == 1
    assert cache.stat().st_mode & 0o777 == 0o700
    assert (cache / "name").stat().st_mode & 0o777 == 0o700


def test_two_at_once_make_it_once() -> None:
    """The second waits for the first to leave."""
    make, inside = Maker(), 0

    async def one() -> None:
        nonlocal inside
        async with kept("name", make, holds):
            inside += 1
            await asyncio.sleep(0)
            assert inside == 1
            inside -= 1

    async def scene() -> None:
        async with asyncio.timeout(10):
            await asyncio.gather(one(), one(), one())

    asyncio.run(scene())
    assert make.times == 1


def test_what_is_no_longer_valid_is_replaced_whole() -> None:
    """Nothing of the old one is left beside the new one."""
    make = Maker()

    async def scene() -> None:
        async with kept("name", make, holds) as place:
            (place / "more").touch()
        async with kept("name", make, lambda _: False) as place:
            assert [file.name for file in place.iterdir()] == ["it"]

    asyncio.run(scene())
    assert make.times == 2


def test_what_was_not_made_to_the_end_is_not_there(cache: Path) -> None:
    """Neither half of it, nor the attempt."""

    async def fail(place: Path) -> None:
        (place / "it").touch()
        raise LookupError("no")

    async def scene() -> None:
        with pytest.raises(LookupError):
            async with kept("name", fail, holds):
                pass

    asyncio.run(scene())
    assert [file.name for file in cache.iterdir()] == ["name.lock"]


def test_where_nothing_can_be_kept_it_is_made_for_this_once(
    cache: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A cache that is open to others, or is no directory."""
    make = Maker()

    async def scene() -> Path:
        async with kept("name", make, holds) as place:
            assert holds(place)
            return place

    cache.mkdir(mode=0o755)
    cache.chmod(0o755)
    with pytest.raises(PermissionError):
        home()
    assert not asyncio.run(scene()).exists()
    monkeypatch.setenv("XDG_CACHE_HOME", os.devnull)
    assert not asyncio.run(scene()).exists()
    assert make.times == 2
