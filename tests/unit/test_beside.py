"""Files that a configuration names."""

from pathlib import Path

import pytest

from circumtest.beside import LIMIT, Beside
from circumtest.errors import ConfigError


def test_a_file_stands_beside_the_configuration(tmp_path: Path) -> None:
    """By a relative name, or by the whole one."""
    (tmp_path / "ca.crt").write_text("\ufeffhello")
    beside = Beside("vpn.conf", tmp_path)
    for name in ("ca.crt", str(tmp_path / "ca.crt")):
        given = beside.text(name, "line 3", "ca")
        assert (given.text, given.where) == ("hello", str(tmp_path / "ca.crt"))
    assert beside.notes == []


def test_a_secret_that_others_can_read_is_noted(tmp_path: Path) -> None:
    """With what mends it; one that only its owner can read is not."""
    for mode, count in ((0o600, 0), (0o640, 1), (0o604, 1)):
        key = tmp_path / f"key{mode:o}"
        key.write_text("x")
        key.chmod(mode)
        beside = Beside("vpn.conf", tmp_path)
        beside.text(key.name, "line 3", "key", secret=True)
        assert len(beside.notes) == count
        assert all(f"chmod 600 {key}" in note for note in beside.notes)


def test_what_cannot_be_read_is_told_with_file_line_and_key(tmp_path: Path) -> None:
    """No file, a directory, no text, too much, nothing to stand beside, nobody's home."""
    (tmp_path / "photo").write_bytes(b"\xff\xd8")
    (tmp_path / "large").write_bytes(b"x" * (LIMIT + 1))
    for directory, name, said in (
        (tmp_path, "gone", "No such file"),
        (tmp_path, ".", "cannot be read"),
        (tmp_path, "photo", "is not text"),
        (tmp_path, "large", "too large"),
        (tmp_path, "a\0b", "no file"),
        (tmp_path, "~nobody-of-that-name/x", "nobody's"),
        (None, "ca.crt", "none that it stands beside"),
    ):
        with pytest.raises(ConfigError, match=said) as caught:
            Beside("vpn.conf", directory).text(name, "line 3", "ca")
        assert (caught.value.where, caught.value.place) == ("vpn.conf", "line 3")
