"""Input that is broken or means harm: it is refused by name, and nothing else happens."""

from __future__ import annotations

import functools
import json
import math
import shutil
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

import test_coref
import test_grounding
from models.build import encoder_config_of
from tests import cin_files, tiny
from tests.inputs import INPUTS
from tests.mutations import spoil_file
from utils.checkpoint import Checkpoint, save_checkpoint
from utils.errors import InputError, run_command


@pytest.fixture(scope="module")
def written(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Path]:
    """The valid folder of an input, written once."""

    @functools.cache
    def write(name: str) -> Path:
        folder = tmp_path_factory.mktemp("valid") / "input"
        folder.mkdir()
        INPUTS[name].write(folder)
        return folder

    return write


def files_in(folder: Path) -> list[Path]:
    return sorted(folder.rglob("*"))


@pytest.mark.parametrize("name", INPUTS)
def test_the_valid_inputs_are_read(name: str, written: Callable[[str], Path]) -> None:
    for skip in (False, True):
        INPUTS[name].read(written(name), skip)


@pytest.mark.parametrize("name", INPUTS)
def test_spoilt_input_is_read_or_refused_by_name(
    name: str,
    written: Callable[[str], Path],
    spoilt_inputs: Counter[str],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    pytestconfig: pytest.Config,
) -> None:
    """Whatever is done to a file: nothing in it is run, nothing is written, and where it cannot be
    read an `InputError` names it."""
    (tmp_path / "work").mkdir()
    monkeypatch.chdir(tmp_path / "work")
    folder = tmp_path / "input"

    @settings(
        max_examples=math.ceil(pytestconfig.getoption("inputs") / len(INPUTS)),
        derandomize=True,
        database=None,
        deadline=None,
        print_blob=True,
        # What is drawn is small already.
        phases=[Phase.generate],
        suppress_health_check=list(HealthCheck),
    )
    @given(st.data())
    def read_spoilt(data: st.DataObject) -> None:
        shutil.rmtree(folder, ignore_errors=True)
        shutil.copytree(written(name), folder)
        path = data.draw(st.sampled_from([p for p in files_in(folder) if p.is_file()]))
        spoil_file(data.draw, path)
        before = files_in(tmp_path)
        refused = False
        for skip in (False, True):
            try:
                INPUTS[name].read(folder, skip)
            except InputError as error:
                assert str(folder) in str(error)
                assert all(c.isprintable() or c == "\n" for c in str(error))
                refused |= not skip
            assert files_in(tmp_path) == before
        spoilt_inputs["refused" if refused else "read"] += 1

    read_spoilt()


# Each clears a screen, colours, turns the direction of writing, or begins a script.
LIVE = ("\x1b[2J", "\x9b31m", "\u202e", "<script>")


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A checkpoint of the tiny model, with random weights."""
    path = tmp_path_factory.mktemp("checkpoint") / "models.pt"
    model, config = tiny.tiny_model(), tiny.tiny_config()
    encoder, word_pieces = encoder_config_of(model), tiny.word_pieces().to_json()
    save_checkpoint(path, Checkpoint(config, encoder, word_pieces, model.state_dict(), 0, 0.5, {}))
    return path


def live_folder(folder: Path) -> Path:
    """A data folder whose captions, phrases, ids and labels all hold something live."""
    live = "".join(LIVE)
    text = f"A man{live} holds a dog{live}. He pets it."
    mentions = [
        cin_files.MentionNote(f"A man{live}", 0, [[10, 20, 30, 40]]),
        cin_files.MentionNote(f"a dog{live}", 1, [[50, 50, 25, 25]]),
        cin_files.MentionNote("He", 0, [[10, 20, 30, 40]]),
    ]
    bad_id = {**cin_files.annotation("1", "test", text, mentions), "image": f"7{live}"}
    bad_label = cin_files.PictureNote([[0, 0, 1, 1]], [live])
    cin_files.write_cin_folder(
        folder,
        annotations=[cin_files.annotation("201", "test", text, mentions)],
        regions={"test": {"201": bad_label}},
        feature_size=tiny.FEATURE_SIZE,
    )
    annotations = folder / "cin_annotations" / "testval_annotations.json"
    annotations.write_text(json.dumps([*json.loads(annotations.read_text()), bad_id]))
    kinds = {"201": [f"picture{live}", None, None]}
    (folder / "cin_annotations" / "mention_kinds.json").write_text(json.dumps(kinds))
    return folder


def test_nothing_live_of_the_data_is_printed(
    tmp_path: Path, checkpoint: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    options = ["--save_name", str(checkpoint), "--data-root", str(live_folder(tmp_path / "data"))]
    options += ["--device", "cpu", "--output", str(tmp_path / "coref"), "--errors", "--texts"]
    with pytest.raises(SystemExit):
        run_command(lambda: test_coref.main(options))
    refused = capsys.readouterr()
    assert "testval_annotations.json" in refused.err and "\\x1b[2J" in refused.err
    test_coref.main([*options, "--skip-bad-records"])
    resolved = capsys.readouterr()
    assert "\\x1b[2J\\x9b31m\\u202e<script>" in resolved.out
    assert "kind: picture\\x1b[2J" in resolved.out and "missed links" in resolved.out
    test_grounding.main([*options[:-2], "--skip-bad-records"])
    grounded = capsys.readouterr()
    assert "kind: picture\\x1b[2J" in grounded.out
    for printed in (*refused, *resolved, *grounded):
        # The progress bar goes back to the beginning of its line.
        assert all(c.isprintable() or c in "\n\r" for c in printed)


def test_an_error_can_be_printed_whatever_it_quotes() -> None:
    assert str(InputError("a\x1b[2J\udc80\nb")) == "a\\x1b[2J\\udc80\nb"
