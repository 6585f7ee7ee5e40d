"""Who may import whom, read from the imports themselves."""

from __future__ import annotations

import subprocess
import sys

import pytest

from tests.conftest import REPOSITORY
from tools.code_report import (
    circles_of,
    floors_of,
    imported,
    imports_of_files,
    imports_of_rooms,
    modules,
    syntax_trees,
)

# What each room at the top may import, beside itself. What is not named may import every room that
# is, and no room imports it: the commands, tools, experiments, benchmarks and tests.
ALLOWED = {
    "utils": "",
    "data": "utils",
    "models": "utils",
    "metrics": "utils",
    "features": "utils data",
    "synthetic": "utils data",
    "preparation": "utils data features",
    "training": "utils data models",
    "inference": "utils data models metrics",
    "evaluation": "utils data models metrics inference",
    "visualization": "utils data metrics inference evaluation",
}
# The one exception: the experiments train by the functions of the commands.
CALLERS = {"experiments": {"main", "tools"}, "benchmarks": {"main"}}
MOST_FLOORS = 7
WITHOUT_TORCH = ("data.narration", "metrics.chains")
FILES = imports_of_files(REPOSITORY)
ROOMS = imports_of_rooms(REPOSITORY)


def test_no_files_import_each_other_in_a_circle() -> None:
    assert not circles_of(FILES)


def test_a_circle_would_be_found() -> None:
    imports = {"a": {"b"}, "b": {"c"}, "c": {"a"}, "d": {"a"}}
    assert circles_of(imports) == [("a", "b", "c")]
    assert floors_of(imports) == {"a": 1, "b": 1, "c": 1, "d": 2}


def test_the_house_has_few_floors() -> None:
    assert not circles_of(ROOMS)
    floors = floors_of(ROOMS)
    assert max(floors.values()) <= MOST_FLOORS, floors
    assert floors["utils"] == 1


@pytest.mark.parametrize("room", sorted(ROOMS))
def test_a_room_imports_only_what_is_below_it(room: str) -> None:
    allowed = set(ALLOWED[room].split()) if room in ALLOWED else set(ALLOWED)
    assert ROOMS[room] <= allowed | CALLERS.get(room, set())


def test_every_room_of_the_rule_is_there() -> None:
    assert set(ALLOWED) | set(CALLERS) <= set(ROOMS)


@pytest.mark.parametrize("name", WITHOUT_TORCH)
def test_plain_values_know_no_torch(name: str) -> None:
    tree = syntax_trees(REPOSITORY)[modules(REPOSITORY)[name]]
    assert not [module for module in imported(tree) if module.startswith("torch")]


def test_no_folder_of_code_hides_a_library() -> None:
    """A package called datasets would be taken for the library of that name."""
    assert not list((REPOSITORY / "datasets").glob("*.py"))


def test_every_folder_of_code_is_a_package() -> None:
    for path in modules(REPOSITORY).values():
        if len(path.parts) > 1:
            assert (REPOSITORY / path.parent / "__init__.py").exists(), path


@pytest.mark.parametrize(
    "name", ["make_sample", "make_dialogues", "score", "summary", "image_convert_base64"]
)
def test_a_tool_that_needs_no_torch_starts_without_it(name: str) -> None:
    """Loading torch takes longer than such a tool works."""
    script = f"import sys, tools.{name}; sys.exit('torch' in sys.modules)"
    subprocess.run([sys.executable, "-c", script], cwd=REPOSITORY, check=True)
