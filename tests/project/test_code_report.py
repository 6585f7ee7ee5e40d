"""The numbers that tools/code_report.py measures, on small checkouts."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.conftest import REPOSITORY
from tools import code_report
from tools.code_report import Measure, measure, measure_frames


def write(root: Path, **files: str) -> Path:
    """Write the files of a checkout, named with two underscores for a slash."""
    for name, text in files.items():
        path = root / (name.replace("__", "/") + ".py")
        path.parent.mkdir(exist_ok=True)
        path.write_text(text)
    return root


def measured(root: Path, name: str) -> Measure:
    (found,) = (found for found in measure(root) if found.name == name)
    return found


def test_files_are_counted_by_folder(tmp_path: Path) -> None:
    write(tmp_path, main="", hubconf="", a__one="", a__two="", a__three="", tests__test_a="")
    assert measured(tmp_path, "python files at the root").value == 2
    assert measured(tmp_path, "largest folder") == Measure("largest folder", 3, largest="a/")
    assert measured(tmp_path, "largest folder of tests").value == 1


def test_what_is_hidden_or_written_by_runs_is_no_code(tmp_path: Path) -> None:
    write(tmp_path, main="", saved__run="", datasets__script="")
    (tmp_path / ".venv").mkdir()
    (tmp_path / ".venv" / "library.py").write_text("import main")
    assert sum(found.value for found in measure(tmp_path) if "folder" in found.name) == 1


def test_rooms_stand_on_what_they_import(tmp_path: Path) -> None:
    write(
        tmp_path,
        main="import a.one\nfrom b import two",
        a__one="def late():\n    from c import three",
        b__two="import os",
        c__three="",
    )
    floors = measured(tmp_path, "floors of the rooms")
    assert floors.value == 3
    assert floors.offenders == ["1: b c", "2: a", "3: main"]


def test_files_that_import_each_other_are_a_circle(tmp_path: Path) -> None:
    write(
        tmp_path,
        a__one="from a import two",
        a__two="from a.three import f",
        a__three="import a.one",
        a__four="import a.one",
        b__five="import b.six",
        b__six="from b import five",
    )
    circles = measured(tmp_path, "circles between files")
    assert circles.offenders == ["a.one a.three a.two", "b.five b.six"]
    assert not circles.is_kept
    assert measured(tmp_path, "circles between rooms").is_kept


def test_functions_are_measured_with_what_they_hold(tmp_path: Path) -> None:
    inner = "\n".join(f"        x = {n}" for n in range(79))
    text = f"@cache\ndef outer():\n    async def inner():\n{inner}\n"
    write(tmp_path, a__one=text)
    longest = measured(tmp_path, "lines of the longest function")
    assert longest.value == 81
    assert longest.offenders == ["81 a/one.py:2 outer"]


def test_self_is_no_parameter_and_fields_are_none(tmp_path: Path) -> None:
    write(
        tmp_path,
        a__one="class A:\n    def f(self, a, /, b, *c, d, **e): ...\n"
        "@dataclass\nclass B:\n" + "".join(f"    f{n}: int\n" for n in range(9)),
    )
    longest = measured(tmp_path, "longest parameter list")
    assert (longest.value, longest.largest) == (5, "a/one.py:2 A.f")


@pytest.mark.parametrize("parameters", [7, 8])
def test_the_exit_status_says_whether_a_limit_is_broken(
    parameters: int, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    names = ", ".join(f"p{n}" for n in range(parameters))
    write(tmp_path, a__one=f"def f({names}): ...")
    assert code_report.main([str(tmp_path), "--offenders"]) == (parameters > 7)
    assert ("    8 a/one.py:1 f\n" in capsys.readouterr().out) == (parameters > 7)


def test_the_house_keeps_to_its_limits() -> None:
    broken = [found for found in measure(REPOSITORY) if not found.is_kept]
    assert not broken, [(found.name, *found.offenders) for found in broken]


def test_few_functions_are_running_at_backward() -> None:
    frames = measure_frames(REPOSITORY)
    assert frames.value > 0 and frames.is_kept, frames.offenders
