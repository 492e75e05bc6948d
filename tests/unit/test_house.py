"""The house rules that no linter knows: sizes, one test file a module, one page a handshake."""

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

from circumtest.registry import HANDSHAKES, kinds

REPOSITORY = Path(__file__).parents[2]
PACKAGE = REPOSITORY / "circumtest"
UNIT = REPOSITORY / "tests" / "unit"
MODULES = sorted(file for file in PACKAGE.rglob("*.py") if "data" not in file.parts)
MAX_FILE = 400
MAX_FUNCTION = 60


def functions(file: Path) -> Iterator[tuple[str, int]]:
    """Every function of a file, with its length in lines."""
    for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            yield node.name, (node.end_lineno or node.lineno) - node.lineno + 1


def holds_code(file: Path) -> bool:
    """Whether a module defines functions: values and protocols alone need no test of their own."""
    return any(length > 2 for _, length in functions(file))


def names(file: Path) -> set[str]:
    """What a module may be called by its tests: itself, or the package that it is a part of."""
    return {file.parent.name} if file.name == "__init__.py" else {file.stem, file.parent.name}


def only_declares(file: Path) -> bool:
    """Whether all functions are protocols' (`...`): there is nothing to run."""
    bodies = [
        node.body[-1]
        for node in ast.walk(ast.parse(file.read_text(encoding="utf-8")))
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
    ]
    return all(
        isinstance(last, ast.Expr)
        and isinstance(last.value, ast.Constant)
        and (last.value.value is ... or isinstance(last.value.value, str))
        for last in bodies
    )


@pytest.mark.parametrize("file", MODULES, ids=lambda file: str(file.relative_to(PACKAGE)))
def test_no_file_and_no_function_is_too_long_to_hold_in_mind(file: Path) -> None:
    """A file has at most 400 lines, a function at most 60."""
    lines = file.read_text(encoding="utf-8").count("\n")
    long = {name: length for name, length in functions(file) if length > MAX_FUNCTION}

    assert lines <= MAX_FILE
    assert long == {}


def test_every_unit_test_file_stands_where_its_module_stands() -> None:
    """`tests/unit` mirrors the package: a test file is named after a module in the same place."""
    strays = []
    for file in UNIT.rglob("test_*.py"):
        place = PACKAGE / file.relative_to(UNIT).parent
        name = file.stem.removeprefix("test_")
        if file == Path(__file__):
            continue
        if not ((place / f"{name}.py").is_file() or (place / name / "__init__.py").is_file()):
            strays.append(str(file.relative_to(REPOSITORY)))

    assert strays == []


def test_every_module_with_code_has_a_test_file_of_its_name() -> None:
    """What needs no network is tested in `tests/unit`, the rest where it can be: all by name."""
    tested = {file.stem.removeprefix("test_") for file in REPOSITORY.glob("tests/**/test_*.py")}
    untested = [
        str(file.relative_to(REPOSITORY))
        for file in MODULES
        if holds_code(file) and not only_declares(file) and not names(file) & tested
    ]

    assert untested == []


@pytest.mark.parametrize("kind", kinds(HANDSHAKES))
def test_every_handshake_has_a_page(kind: str) -> None:
    """A reader finds what a handshake plays, and what its success does not show."""
    page = REPOSITORY / "docs" / "handshakes" / f"{kind}.md"

    assert page.is_file()
    assert page.read_text(encoding="utf-8").startswith("# ")
