"""The files that a configuration names, and who can read them.

They stand beside it.  It refuses relative names where there is no file that they could stand
beside, and tells nothing of what is in them.
"""

from pathlib import Path

from circumtest.errors import ConfigError
from circumtest.material import Given

LIMIT = 1 << 20
"""Bytes that such a file may have."""
_OTHERS = 0o077


class Beside:
    """Files named in `where`, which is in `directory` (None: it is no file itself).

    `notes` gather what is to be said of them.
    """

    def __init__(self, where: str, directory: Path | None) -> None:
        self.where, self._directory = where, directory
        self.notes: list[str] = []

    def text(self, name: str, place: str, key: str, *, secret: bool = False) -> Given:
        """What is in the file `name` that `key` at `place` names.  Raises ConfigError."""
        raw = self.raw(name, place, key, secret=secret)
        path = self.path(name, place, key)
        try:
            return Given(raw.decode("utf-8-sig"), str(path), key)
        except UnicodeDecodeError:
            raise ConfigError(self.where, place, f"{key}: {path} is not text") from None

    def raw(self, name: str, place: str, key: str, *, secret: bool = False) -> bytes:
        """The bytes of it.  Raises ConfigError."""
        path = self.path(name, place, key)
        try:
            if path.stat().st_size > LIMIT:
                raise ConfigError(self.where, place, f"{key}: {path} is too large for one")
            raw = path.read_bytes()
        except OSError as error:
            problem = f"{key}: {path} cannot be read: {error.strerror}"
            raise ConfigError(self.where, place, problem, "put the file there") from None
        if secret:
            self.private(path)
        return raw

    def private(self, path: Path) -> None:
        """Note it when others than its owner can read a file that holds a secret."""
        if path.stat().st_mode & _OTHERS:
            self.notes.append(f"others can read {path}, which holds a secret: chmod 600 {path}")

    def path(self, name: str, place: str, key: str) -> Path:
        """Where the file is.  Raises ConfigError."""
        try:
            path = Path(name).expanduser()
        except RuntimeError:  # ~nobody
            raise ConfigError(self.where, place, f"{key} names nobody's file") from None
        if "\0" in name:
            raise ConfigError(self.where, place, f"{key} names no file")
        if path.is_absolute():
            return path
        if self._directory is None:
            problem = f"{key} names a file, and there is none that it stands beside"
            raise ConfigError(self.where, place, problem, "name it from / on")
        return self._directory / path
