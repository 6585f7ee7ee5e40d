"""Who may import whom, read from the imports themselves."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.conftest import REPOSITORY

PACKAGES = ("utils", "data", "models", "evaluation")
MIDDLE = (
    *("aligned_heads", "compared_split", "engine", "found_mentions", "heads_page", "learner"),
    *("resolved_split", "resolver", "split_page", "training_run"),
)
TESTS = ("test_alignment", "test_coref", "test_grounding")
COMMANDS = ("main", *TESTS, "predict", "prepare", "hubconf")
OURS = (*PACKAGES, *MIDDLE, *COMMANDS, "tools", "tests", "benchmarks")
# What each of the rooms may import of ours, beside itself.
ALLOWED = {
    "utils": set(),
    "data": {"utils"},
    "models": {"utils"},
    "evaluation": {"utils"},
    "engine": {*PACKAGES, *MIDDLE},
    "resolver": {*PACKAGES},
    "learner": {*PACKAGES},
    "training_run": {"utils", "engine", "learner"},
    "found_mentions": {*PACKAGES},
    "aligned_heads": {*PACKAGES, "resolver"},
    "resolved_split": {"data", "engine", "resolver", "utils"},
    "compared_split": {"data", "engine", "evaluation", "found_mentions", "resolved_split", "utils"},
    "heads_page": {"data", "evaluation", "resolved_split", "resolver", "split_page", "utils"},
    "split_page": {"compared_split", "data", "evaluation", "resolved_split", "resolver", "utils"},
    **{command: {*PACKAGES, *MIDDLE} for command in COMMANDS},
    "tools": {*PACKAGES, *MIDDLE},
    # Nothing imports it.
    "benchmarks": {*PACKAGES, *MIDDLE, *COMMANDS, "tools"},
}
WITHOUT_TORCH = ("data/narration.py", "metrics/chains.py")


def imported(path: Path) -> Iterator[str]:
    """Every module that a file imports, anywhere in it."""
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            yield from (name.name for name in node.names)
        elif isinstance(node, ast.ImportFrom):
            yield node.module or ""


def files_of(room: str) -> list[Path]:
    folder = REPOSITORY / room
    return sorted(folder.rglob("*.py")) if folder.is_dir() else [REPOSITORY / f"{room}.py"]


@pytest.mark.parametrize("room", sorted(ALLOWED))
def test_a_room_imports_only_what_is_below_it(room: str) -> None:
    files = files_of(room)
    assert files
    for path in files:
        ours = {module.split(".")[0] for module in imported(path)} & set(OURS)
        assert ours <= ALLOWED[room] | {room}, path


@pytest.mark.parametrize("name", WITHOUT_TORCH)
def test_plain_values_know_no_torch(name: str) -> None:
    assert not [module for module in imported(REPOSITORY / name) if module.startswith("torch")]


def test_every_room_at_the_top_is_known() -> None:
    """A new file at the top finds its place in the rules above."""
    found = {path.stem for path in REPOSITORY.glob("*.py")}
    assert found <= {*MIDDLE, *COMMANDS}


def test_no_folder_of_code_hides_a_library() -> None:
    """A package called datasets would be taken for the library of that name."""
    assert not list((REPOSITORY / "datasets").glob("*.py"))


def test_every_folder_of_code_is_a_package() -> None:
    for path in REPOSITORY.rglob("*.py"):
        inside = path.relative_to(REPOSITORY).parent
        if inside.parts and inside.parts[0] in OURS:
            assert (path.parent / "__init__.py").exists(), path
