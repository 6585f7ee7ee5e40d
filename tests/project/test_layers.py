"""Who may import whom, read from the imports themselves."""

from __future__ import annotations

import ast
import graphlib
from collections.abc import Iterable, Iterator, Mapping
from functools import cache
from pathlib import Path

import pytest

from tests.conftest import REPOSITORY

# What each room at the top may import, beside itself. What is not named may import every room that
# is, and no room imports it: the commands, tools, experiments, benchmarks and tests.
ALLOWED = {
    "utils": "",
    "data": "utils",
    "models": "utils",
    "metrics": "utils",
    "features": "utils data",
    "synthetic": "utils data",
    "training": "utils data models",
    "inference": "utils data models metrics",
    "evaluation": "utils data models metrics inference",
    "visualization": "utils data metrics inference evaluation",
}
# The one exception: the experiments train and score by the functions of the commands.
CALLERS = {"experiments": {"main", "test_coref", "tools"}, "benchmarks": {"main"}}
MOST_FLOORS = 7
WITHOUT_TORCH = ("data/narration.py", "metrics/chains.py")


@cache
def modules() -> dict[str, Path]:
    """Every module of ours by its dotted name, but the tests."""
    paths = (path.relative_to(REPOSITORY) for path in REPOSITORY.rglob("*.py"))
    return {
        ".".join(path.with_suffix("").parts).removesuffix(".__init__"): REPOSITORY / path
        for path in paths
        if not path.parts[0].startswith(".") and path.parts[0] != "tests"
    }


def imported(path: Path) -> Iterator[str]:
    """Every module that a file imports, anywhere in it; `from a import b` is `a` and `a.b`."""
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            yield from (name.name for name in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module is not None:
            yield node.module
            yield from (f"{node.module}.{name.name}" for name in node.names)


def room_of(module: str) -> str:
    return module.split(".")[0]


def circle(imports: Mapping[str, Iterable[str]]) -> list[str]:
    """One circle among the imports; empty where there is none."""
    try:
        graphlib.TopologicalSorter(imports).prepare()
    except graphlib.CycleError as error:
        return error.args[1]
    return []


@cache
def imports_of_files() -> dict[str, set[str]]:
    """The modules of ours that each module imports."""
    found: dict[str, set[str]] = {}
    for name, path in modules().items():
        ours = {module for module in imported(path) if module in modules()} - {name}
        # A module inside a package is meant by itself, not by the package that it lies in.
        found[name] = {
            module
            for module in ours
            if not any(other.startswith(f"{module}.") for other in ours)
            and not name.startswith(f"{module}.")
        }
    return found


@cache
def imports_of_rooms() -> dict[str, set[str]]:
    rooms: dict[str, set[str]] = {room_of(name): set() for name in modules()}
    for name, ours in imports_of_files().items():
        rooms[room_of(name)] |= {room_of(module) for module in ours} - {room_of(name)}
    return rooms


def floor(room: str) -> int:
    """How many rooms stand on one another up to this one."""
    return 1 + max(map(floor, imports_of_rooms()[room]), default=0)


def test_no_files_import_each_other_in_a_circle() -> None:
    assert not circle(imports_of_files())


def test_a_circle_would_be_found() -> None:
    assert circle({"a": {"b"}, "b": {"c"}, "c": {"a"}, "d": {"a"}})


def test_the_house_has_few_floors() -> None:
    assert not circle(imports_of_rooms())
    floors = {room: floor(room) for room in imports_of_rooms()}
    assert max(floors.values()) <= MOST_FLOORS, floors
    assert floors["utils"] == 1


@pytest.mark.parametrize("room", sorted(imports_of_rooms()))
def test_a_room_imports_only_what_is_below_it(room: str) -> None:
    allowed = set(ALLOWED[room].split()) if room in ALLOWED else set(ALLOWED)
    assert imports_of_rooms()[room] <= allowed | CALLERS.get(room, set())


def test_every_room_of_the_rule_is_there() -> None:
    assert set(ALLOWED) | set(CALLERS) <= set(imports_of_rooms())


@pytest.mark.parametrize("name", WITHOUT_TORCH)
def test_plain_values_know_no_torch(name: str) -> None:
    assert not [module for module in imported(REPOSITORY / name) if module.startswith("torch")]


def test_no_folder_of_code_hides_a_library() -> None:
    """A package called datasets would be taken for the library of that name."""
    assert not list((REPOSITORY / "datasets").glob("*.py"))


def test_every_folder_of_code_is_a_package() -> None:
    for path in modules().values():
        if path.parent != REPOSITORY:
            assert (path.parent / "__init__.py").exists(), path
