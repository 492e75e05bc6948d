"""Where shipped configurations are: `configs/` of the repository, package data once installed.

It refuses to read them: plans, policies and targets are parsed by those who know what they mean.
"""

from pathlib import Path

from circumtest.errors import ConfigError
from circumtest.registry import suggest

ROOT = Path(__file__).parent / "data"
"""In the repository a link to `configs/`; in a wheel a folder of the same files."""
SUFFIX = ".toml"


def names(kind: str) -> tuple[str, ...]:
    """The shipped configurations of one kind ("plans", "policies", ...), sorted."""
    return tuple(sorted(file.stem for file in (ROOT / kind).glob(f"*{SUFFIX}")))


def find(kind: str, name: str) -> Path:
    """The file of a shipped configuration, or the person's own file where `name` is a path.

    A name with a slash or a suffix is a path.  Raises ConfigError, with what was probably meant.
    """
    own = Path(name)
    if own.suffix or "/" in name:
        if not own.is_file():
            raise ConfigError(name, "", "there is no such file", f"or one of {kind}: {_list(kind)}")
        return own
    known = names(kind)
    if name not in known:
        raise ConfigError(kind, "", f"there is none called {name!r}", suggest(name, known))
    return ROOT / kind / f"{name}{SUFFIX}"


def _list(kind: str) -> str:
    return ", ".join(names(kind))
