"""The types of command-line options."""

from __future__ import annotations

import argparse
from pathlib import Path

import pytest

import predict
import test_alignment
import test_coref
import test_grounding
from tools import curves, image_convert_base64, label_studio, score
from utils.options import file_to_write, folder_to_write


def test_what_cannot_be_written_is_refused(tmp_path: Path) -> None:
    file, folder, new = tmp_path / "file", tmp_path / "folder", tmp_path / "new" / "er"
    file.touch()
    folder.mkdir()
    loose = tmp_path / "loose"
    loose.symlink_to(tmp_path / "nowhere")
    for path in (file, new, loose):
        assert file_to_write(str(path)) == path
    for path in (folder, new):
        assert folder_to_write(str(path)) == path
    assert folder_to_write(".") == Path()
    assert file_to_write("name") == Path("name")
    for path in (folder, Path()):
        with pytest.raises(
            argparse.ArgumentTypeError, match=r"found the folder .*, expected a file"
        ):
            file_to_write(str(path))
    for path in (file, loose):
        with pytest.raises(
            argparse.ArgumentTypeError, match=r"found the file .*, expected a folder"
        ):
            folder_to_write(str(path))
    for find in (file_to_write, folder_to_write):
        with pytest.raises(argparse.ArgumentTypeError, match=r"new' below the file '.*file'"):
            find(str(file / "new"))


@pytest.mark.parametrize(
    ("main", "words"),
    [
        (test_coref.main, "--save_name none --conll FILE"),
        (test_coref.main, "--save_name none --output FILE"),
        (test_coref.main, "--save_name none --json FOLDER"),
        (test_grounding.main, "--save_name none --page FOLDER"),
        (test_alignment.main, "--save_name none --page FILE/page.html"),
        (predict.main, "--save_name none --text x --page FOLDER"),
        (score.main, "FOLDER FOLDER --json FOLDER"),
        (curves.main, "FOLDER --out FOLDER"),
        (image_convert_base64.main, "--pictures FOLDER --out FOLDER"),
        (label_studio.main, "export --jsonl FILE --out FILE"),
        (label_studio.main, "agreement FILE --json FOLDER"),
    ],
)
def test_commands_refuse_it_before_their_work(
    main, words: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "a").mkdir()
    (tmp_path / "b").touch()
    words = words.replace("FOLDER", str(tmp_path / "a")).replace("FILE", str(tmp_path / "b"))
    with pytest.raises(SystemExit) as ended:
        main(words.split())
    assert ended.value.code == 2
    assert f"error: argument {words.split()[-2]}: found " in capsys.readouterr().err
    assert not any((tmp_path / "a").iterdir()) and not (tmp_path / "b").read_bytes()
