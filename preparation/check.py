"""`prepare.py check`: say what a data set's folder holds and lacks."""

from __future__ import annotations

import shlex

from data.check import check_data
from preparation.data_folder import DataFolder
from utils.errors import InputError
from utils.printable import escape_unprintable


def check_folder(folder: DataFolder) -> None:
    """Print what a folder of a data set holds and lacks.

    Raises:
        InputError: no training could start from it.
    """
    check = check_data(folder.dataset, folder.root, skip_bad_records=folder.skip_bad_records)
    print(*(escape_unprintable(line, keep="\n") for line in check.lines), sep="\n")
    if check.options is None:
        raise InputError(f"{folder.root}: no training on {folder.dataset} can start from it")
    start = ["--dataset", folder.dataset, "--data-root", str(folder.root)]
    print("a training can start:", shlex.join(["python", "main.py", *start, *check.options]))
