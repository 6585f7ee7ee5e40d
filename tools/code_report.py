"""Measure the code of a checkout: `python tools/code_report.py [FOLDER]`.

Prints how many files and functions there are of each kind, how large the largest is and how the
files import each other, and exits with 1 where a limit is broken. All but `--frames` is read from
the files' syntax trees, so that any checkout can be measured without what it needs to run.
"""

from __future__ import annotations

import argparse
import ast
import subprocess
import sys
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from utils.options import command_parser

REPOSITORY = Path(__file__).resolve().parent.parent
# Data in, models out, chains in and out.
_WITHOUT_CODE = ("datasets", "saved", "coref")
_NOT_COUNTED = ("self", "cls")
_Function = ast.FunctionDef | ast.AsyncFunctionDef


@dataclass(frozen=True)
class Measure:
    """One number of a checkout.

    Attributes:
        name: what is measured.
        value: the number.
        limit: the largest that is allowed; None where any is.
        largest: what the number was found at.
        offenders: all that break the limit, each in one line.
    """

    name: str
    value: int
    limit: int | None = None
    largest: str = ""
    offenders: Sequence[str] = ()

    @property
    def is_kept(self) -> bool:
        return self.limit is None or self.value <= self.limit


def main(arguments: Sequence[str] | None = None) -> int:
    """Print the measures; returns the exit status."""
    options = _parser().parse_args(arguments)
    measures = measure(options.folder.resolve())
    if options.frames:
        measures.append(measure_frames(options.folder.resolve()))
    for found in measures:
        limit = "" if found.limit is None else f"(at most {found.limit})"
        print(f"{found.name:32}{found.value:>5}  {limit:14}{found.largest}".rstrip())
        if options.offenders and not found.is_kept:
            print(*(f"    {offender}" for offender in found.offenders), sep="\n")
    return int(not all(found.is_kept for found in measures))


def _parser() -> argparse.ArgumentParser:
    parser = command_parser(
        "Measure the code of a checkout, and hold it to limits.", prog="code_report.py"
    )
    parser.add_argument(
        "folder", nargs="?", type=Path, default=REPOSITORY, help="a checkout, by default this one"
    )
    parser.add_argument("--offenders", action="store_true", help="list all that break a limit")
    parser.add_argument(
        "--frames",
        action="store_true",
        help="train a tiny model too, and count the functions that are running at backward()",
    )
    return parser


def measure(root: Path) -> list[Measure]:
    """Return the measures that are read from the files of a checkout."""
    folders = Counter(path.parent for path in syntax_trees(root))
    tests = {folder for folder in folders if folder.parts[:1] == ("tests",)}
    return [
        Measure(
            "python files at the root",
            folders[Path()],
            limit=8,
            offenders=[path.name for path in syntax_trees(root) if path.parent == Path()],
        ),
        _largest_folder("largest folder", folders, folders.keys() - tests),
        _largest_folder("largest folder of tests", folders, tests),
        _floors(imports_of_rooms(root)),
        _circles("circles between files", imports_of_files(root)),
        _circles("circles between rooms", imports_of_rooms(root)),
        _largest_function("lines of the longest function", 80, line_counts(root)),
        _largest_function("longest parameter list", 7, parameter_counts(root)),
    ]


def measure_frames(root: Path) -> Measure:
    """Return how many functions of a checkout are running at `backward()`, from main on.

    A tiny training runs in a process of its own, which imports the checkout's own modules.
    """
    counting = REPOSITORY / "tests" / "support" / "backward_frames.py"
    command = [sys.executable, str(counting), str(root)]
    frames = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True).stdout
    lines = frames.splitlines()
    return Measure("frames at backward()", len(lines), 6, lines[-1], offenders=lines)


def _largest_folder(name: str, files: Mapping[Path, int], folders: Iterable[Path]) -> Measure:
    counts = {f"{folder}/": files[folder] for folder in sorted(folders)}
    largest = max(counts, key=lambda folder: counts[folder], default="")
    return Measure(name, counts.get(largest, 0), largest=largest)


def _floors(imports: Mapping[str, set[str]]) -> Measure:
    floors = floors_of(imports)
    rooms: dict[int, list[str]] = {}
    for room, floor in sorted(floors.items()):
        rooms.setdefault(floor, []).append(room)
    lines = [f"{floor}: {' '.join(names)}" for floor, names in sorted(rooms.items())]
    highest = max(floors.values(), default=0)
    return Measure("floors of the rooms", highest, 7, " | ".join(lines), lines)


def _circles(name: str, imports: Mapping[str, set[str]]) -> Measure:
    lines = [" ".join(circle) for circle in circles_of(imports)]
    return Measure(name, len(lines), 0, offenders=lines)


def _largest_function(name: str, limit: int, counts: Mapping[str, int]) -> Measure:
    largest_first = sorted(counts, key=lambda place: -counts[place])
    largest = largest_first[0] if counts else ""
    offenders = [f"{counts[place]} {place}" for place in largest_first if counts[place] > limit]
    return Measure(name, counts.get(largest, 0), limit, largest, offenders)


@cache
def syntax_trees(root: Path) -> dict[Path, ast.Module]:
    """Return the syntax tree of every python file, by its path from the root of the checkout."""
    rooms = (path for path in root.iterdir() if path.is_dir() and path.name not in _WITHOUT_CODE)
    paths = [*root.glob("*.py")]
    for room in rooms:
        if not room.name.startswith("."):
            paths += room.rglob("*.py")
    return {
        path.relative_to(root): ast.parse(path.read_text(encoding="utf-8"), str(path))
        for path in sorted(paths)
    }


@cache
def modules(root: Path) -> dict[str, Path]:
    """Return the path of every module but the tests, from the root, by its dotted name."""
    return {
        ".".join(path.with_suffix("").parts).removesuffix(".__init__"): path
        for path in syntax_trees(root)
        if path.parts[0] != "tests"
    }


@cache
def imports_of_files(root: Path) -> dict[str, set[str]]:
    """Return the modules of the checkout that each of them imports, anywhere in it."""
    names = modules(root)
    return {
        name: {
            module if module in names else module.rpartition(".")[0]
            for module in imported(syntax_trees(root)[path])
            if module in names or module.rpartition(".")[0] in names
        }
        - {name}
        for name, path in names.items()
    }


@cache
def imports_of_rooms(root: Path) -> dict[str, set[str]]:
    """Return the rooms that each room imports; a room is a folder or a file at the root."""
    rooms: dict[str, set[str]] = {room_of(name): set() for name in modules(root)}
    for name, found in imports_of_files(root).items():
        rooms[room_of(name)] |= {room_of(module) for module in found} - {room_of(name)}
    return rooms


def imported(tree: ast.Module) -> Iterator[str]:
    """Yield what a file imports: `import a` is `a`, and `from a import b` is `a.b`."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (name.name for name in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module is not None:
            yield from (f"{node.module}.{name.name}" for name in node.names)


def room_of(module: str) -> str:
    """Return the folder at the top that a module lies in, or the file that it is there."""
    return module.split(".")[0]


def circles_of(imports: Mapping[str, set[str]]) -> list[tuple[str, ...]]:
    """Return the groups of modules that all reach each other by imports."""
    reached = {name: _reached(name, imports) for name in imports}
    circles = {
        tuple(sorted(other for other in reached[name] if name in reached[other]))
        for name in imports
        if name in reached[name]
    }
    return sorted(circles)


def _reached(start: str, imports: Mapping[str, set[str]]) -> set[str]:
    found: set[str] = set()
    waiting = [*imports[start]]
    while waiting:
        name = waiting.pop()
        if name not in found:
            found.add(name)
            waiting += imports[name]
    return found


def floors_of(imports: Mapping[str, set[str]]) -> dict[str, int]:
    """Return the floor of each room: one above the highest that it imports.

    The rooms of a circle are on one floor.
    """
    circle_of = {name: circle for circle in circles_of(imports) for name in circle}

    @cache
    def floor(name: str) -> int:
        together = circle_of.get(name, (name,))
        below = {room for member in together for room in imports[member]}.difference(together)
        return 1 + max(map(floor, below), default=0)

    return {name: floor(name) for name in imports}


def line_counts(root: Path) -> dict[str, int]:
    """Return how many lines each function has, from its `def` to its end, by its place."""
    return {
        place: (function.end_lineno or function.lineno) - function.lineno + 1
        for place, function in _functions(root)
    }


def parameter_counts(root: Path) -> dict[str, int]:
    """Return how many parameters each function has beside self and cls, by its place.

    The fields of a dataclass are no parameter list: they are written where their names stand.
    """
    counts: dict[str, int] = {}
    for place, function in _functions(root):
        given = function.args
        several = [argument for argument in (given.vararg, given.kwarg) if argument is not None]
        named = [*given.posonlyargs, *given.args, *given.kwonlyargs, *several]
        counts[place] = sum(argument.arg not in _NOT_COUNTED for argument in named)
    return counts


def _functions(root: Path) -> Iterator[tuple[str, _Function]]:
    """Yield every function and method with its place: the file, the line and the name."""
    for path, tree in syntax_trees(root).items():
        for name, function in _functions_in(tree):
            yield f"{path.as_posix()}:{function.lineno} {name}", function


def _functions_in(node: ast.AST, within: str = "") -> Iterator[tuple[str, _Function]]:
    for child in ast.iter_child_nodes(node):
        if isinstance(child, _Function):
            yield within + child.name, child
        inner = f"{child.name}." if isinstance(child, _Function | ast.ClassDef) else ""
        yield from _functions_in(child, within + inner)


if __name__ == "__main__":
    sys.exit(main())
