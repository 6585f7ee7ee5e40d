"""What the pages say is so: their options, keys, files, links and commands."""

from __future__ import annotations

import json
import pkgutil
import re
import tomllib
from dataclasses import fields

import pytest
import yaml

from tests.conftest import REPOSITORY
from tests.support import commands_page
from utils.config import Config, read_config_file

PAGES = sorted(
    path.relative_to(REPOSITORY).as_posix()
    for path in [*REPOSITORY.glob("*.md"), *REPOSITORY.glob("*/*.md")]
    if ".venv" not in path.parts
)
# Files that are named but are not here: one to be written, and one of the released code.
_ELSEWHERE = {"data/readers/my_set.py", "models/hungarian.py"}
ROW = re.compile(r"^\| `(\w+)` \| `(.*?)` \| (?:`(--[\w-]+)`)? ?\| (.+) \|$", re.MULTILINE)


def text_of(page: str) -> str:
    return (REPOSITORY / page).read_text(encoding="utf-8")


def headings(page: str) -> set[str]:
    """The names by which a link reaches the headings of a page."""
    titles = re.findall(r"^#+ (.+)$", text_of(page), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", title.lower()).replace(" ", "-") for title in titles}


def test_the_page_of_options_is_what_the_commands_say() -> None:
    told = " ".join(commands_page.page_text().split())
    assert " ".join(text_of("docs/commands.md").split()) == told, (
        "python -m tests.support.commands_page"
    )


@pytest.mark.parametrize("name", commands_page.command_files())
def test_every_option_is_explained(name: str) -> None:
    for words, parser in commands_page.with_subcommands(commands_page.parser_of(name)):
        for action in parser._actions:
            assert action.help, f"{words} {action.dest}"


@pytest.mark.parametrize("name", commands_page.command_files())
def test_every_command_says_its_version(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    parser = commands_page.parser_of(name)
    with pytest.raises(SystemExit) as ended:
        parser.parse_args(["--version"])
    assert not ended.value.code
    project = tomllib.loads(text_of("pyproject.toml"))["project"]
    assert capsys.readouterr().out == f"{project['name']} {project['version']}\n"


def test_the_page_of_the_configuration_has_every_key_with_its_default_and_option() -> None:
    rows = ROW.findall(text_of("docs/configuration.md"))
    told = {key: json.loads(default) for key, default, _, _ in rows}
    assert len(told) == len(rows)
    assert told == {field.name: field.default for field in fields(Config)}
    options = {
        action.dest: action.option_strings[0]
        for action in commands_page.parser_of("main.py")._actions
    }
    for key, _, option, _ in rows:
        assert option == options.get(key, ""), key


def test_the_page_of_the_configuration_names_every_file() -> None:
    page = text_of("docs/configuration.md")
    for path in (REPOSITORY / "configs").iterdir():
        assert path.name in page, path
        if path.name not in ("config_bert.json", "uniter-base.json"):
            read_config_file(path)


@pytest.mark.parametrize("page", PAGES)
def test_links_lead_somewhere(page: str) -> None:
    folder = (REPOSITORY / page).parent
    for target in re.findall(r"\]\(([^)\s]+)\)", text_of(page)):
        if "://" in target:
            continue
        path, _, heading = target.partition("#")
        found = (folder / path).resolve() if path else REPOSITORY / page
        assert found.exists(), target
        if heading:
            assert heading in headings(found.relative_to(REPOSITORY).as_posix()), target


@pytest.mark.parametrize("page", PAGES)
def test_files_of_code_that_are_named_are_there(page: str) -> None:
    named = set(re.findall(r"`((?:\w+/)*\w+\.py)`", text_of(page))) - _ELSEWHERE
    assert not [path for path in named if not (REPOSITORY / path).exists()]


def test_every_page_is_in_the_index() -> None:
    index = text_of("docs/README.md")
    for path in (REPOSITORY / "docs").glob("*.md"):
        assert path.name == "README.md" or f"]({path.name})" in index, path


def test_the_citation_is_of_this_version() -> None:
    citation = yaml.safe_load(text_of("CITATION.cff"))
    project = tomllib.loads(text_of("pyproject.toml"))["project"]
    assert citation["version"] == project["version"]
    assert citation["license"] == project["license"]
    assert text_of("CHANGELOG.md").count(f"\n## {project['version']}\n") == 1


def test_what_moved_is_where_the_changes_say() -> None:
    rows = re.findall(r"^\| `.+` \| (`.+`) \|$", text_of("CHANGELOG.md"), re.MULTILINE)
    for place in re.findall(r"`([\w.]+)`", " ".join(rows)):
        assert pkgutil.resolve_name(place) is not None
