"""Ways to spoil a file, drawn by hypothesis: its bytes, its values, or the file as a whole."""

from __future__ import annotations

import copy
import io
import json
import os
import pickle
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import torch
from hypothesis import note
from hypothesis import strategies as st

# What a payload makes, in the working folder, where it is run.
MARKER = "owned"

Draw = Callable[[st.SearchStrategy[Any]], Any]
Spoil = Callable[[Draw, Path], None]


class Payload:
    """An object that makes a folder where it is unpickled."""

    def __reduce__(self) -> tuple[Any, ...]:
        return os.mkdir, (MARKER,)


class Raw:
    """JSON as it is written, where Python's own writer would not write it."""

    def __init__(self, text: str) -> None:
        self.text = text

    def __repr__(self) -> str:
        return f"Raw({self.text[:12]!r}, {len(self.text)} characters)"


JUNK: tuple[Any, ...] = (
    *(None, True, False, 0, 1, -1, 2, 3, 7, 100, 10**6, -(2**31), 2**63, 2**64, 10**30, -(10**30)),
    *(0.5, -0.5, 1e-320, 1e300, float("nan"), float("inf"), float("-inf")),
    *("", " ", "\0", "a\0b", ".", "..", "../a", "/a", "a\\b", "a/../../b", "a" * 10**6),
    *("\ud800", "e\u0301", "\u0301", "\u202e", "\x1b[2J", "\x9b31m", "\u2028", "<script>"),
    *("\N{GRINNING FACE}", "0", "1", "-1", "nan", "101", "val", "train"),
    *([], {}, [[]], [[], []], [None], [0], [[0, 1]], {"a": 1}, ["a"], [0, 0, 0, 0]),
    *([float("nan")] * 4, [-5, -5, -1, -1], [90, 90, 90, 90], [3, 2, 1, 0], [1e300] * 4),
    *(Raw("9" * 5000), Raw("1e999"), Raw('{"a": 1, "a": 2}'), Raw("[0, 1], [0, 1]")),
    *(Raw("[" * 60 + "]" * 60), Raw("[" * 10**5 + "]" * 10**5), Raw('{"a":' * 10**4 + "0")),
    Raw("[" + "[0, 1], " * 10**4 + "[0, 1]]"),
)


def spoil_file(draw: Draw, path: Path) -> None:
    """Spoil one file in a way that is drawn; what is done is noted."""
    ways: list[Spoil] = [spoil_bytes, spoil_bytes, replace_file]
    if spoil_content := _BY_ENDING.get(path.suffix):
        ways += [spoil_content] * 5
    way = draw(st.sampled_from(ways))
    note(f"{way.__name__} {path.name}")
    way(draw, path)


def replace_file(draw: Draw, path: Path) -> None:
    """Put something that is no such file in its place, or nothing."""
    other = draw(st.sampled_from(("nothing", "folder", "nowhere", "itself", "payload", "array")))
    note(f"by {other}")
    path.unlink()
    if other == "folder":
        path.mkdir()
    elif other == "nowhere":
        path.symlink_to(path.with_name("nowhere"))
    elif other == "itself":
        path.symlink_to(path)
    elif other == "payload":
        path.write_bytes(pickle.dumps(Payload(), draw(st.integers(0, 5))))
    elif other == "array":
        with path.open("wb") as file:
            np.save(file, np.array([Payload()], dtype=object), allow_pickle=True)


def spoil_bytes(draw: Draw, path: Path) -> None:
    """Cut bytes out, put some in, or change some."""
    content = path.read_bytes()
    first, last = sorted((draw(st.integers(0, len(content))), draw(st.integers(0, len(content)))))
    before, within, after = content[:first], content[first:last], content[last:]
    some = draw(st.binary(min_size=1, max_size=8))
    spoilt = {
        "empty": b"",
        "cut short": before,
        "cut out": before + after,
        "cut a byte": before + content[first + 1 :],
        "put in": before + some + content[first:],
        "changed": before + some + content[first + len(some) :],
        "repeated": before + within + within + after,
        "flipped": before + bytes(255 - byte for byte in content[first : first + 1])
        + content[first + 1 :],
        "in another encoding": content.decode("latin-1").encode("utf-16"),
        "with a mark": b"\xef\xbb\xbf" + content,
        "with other ends of lines": content.replace(b"\n", b"\r\n"),
        "long": content + b" 1" * 5 * 10**5,
    }  # fmt: skip
    how = draw(st.sampled_from(sorted(spoilt)))
    note(f"{how}, {first} to {last}, {some!r}")
    path.write_bytes(spoilt[how])


_JUNK = st.sampled_from(JUNK)


def spoil_values(draw: Draw, tree: Any, junk: st.SearchStrategy = _JUNK) -> Any:
    """The values with one or two of them taken away, repeated, moved or replaced by junk."""
    root = [copy.deepcopy(tree)]
    for _ in range(draw(st.integers(1, 2))):
        places = list(_places(root))
        parent, key = draw(st.sampled_from(places))
        how = draw(st.sampled_from(("junk", "junk", "junk", "none", "twice", "other", "near")))
        if how == "none" and parent is not root:
            del parent[key]
        elif how == "twice" and isinstance(parent, list) and parent is not root:
            parent.insert(key, copy.deepcopy(parent[key]))
        elif how == "twice" and isinstance(parent, dict):
            parent[str(draw(junk))] = copy.deepcopy(parent[key])
        elif how == "other":
            other_parent, other_key = draw(st.sampled_from(places))
            parent[key] = copy.deepcopy(other_parent[other_key])
        elif how == "near" and type(parent[key]) in (int, float):
            parent[key] += draw(st.integers(-3, 3))
        else:
            parent[key] = copy.deepcopy(draw(junk))
        note(f"{how} at {key!r}")
    return root[0]


def _places(root: list[Any]) -> Iterator[tuple[Any, Any]]:
    """Every place of a tree of values, as what holds it and its key or index."""
    waiting: list[Any] = [root]
    while waiting:
        parent = waiting.pop()
        for key, value in parent.items() if isinstance(parent, dict) else enumerate(parent):
            yield parent, key
            if isinstance(value, dict | list) and len(value) < 1000:
                waiting.append(value)


def as_json(tree: Any) -> bytes:
    """The values as JSON, raw pieces as they are."""
    raw: list[str] = []

    def put_aside(value: Any) -> str:
        raw.append(value.text)
        return f"raw {len(raw) - 1} raw"

    text = json.dumps(tree, default=put_aside)
    for number, piece in enumerate(raw):
        text = text.replace(f'"raw {number} raw"', piece)
    return text.encode()


def spoil_json(draw: Draw, path: Path) -> None:
    path.write_bytes(as_json(spoil_values(draw, json.loads(path.read_bytes()))))


def spoil_json_lines(draw: Draw, path: Path) -> None:
    records = spoil_values(draw, [json.loads(line) for line in path.read_bytes().splitlines()])
    records = records if isinstance(records, list) else [records]
    path.write_bytes(b"".join(as_json(record) + b"\n" for record in records))


def spoil_columns(draw: Draw, path: Path) -> None:
    """Other columns in one or two lines, which tabs stand between."""
    rows = [line.split("\t") for line in path.read_text().split("\n")]
    junk = [str(value) for value in JUNK if isinstance(value, str | int | float)]
    junk += ["9" * 5000, "1-2", "1.1", "(0", "0)", "(0+1)", "Entity=(e1-", "TRUE"]
    for _ in range(draw(st.integers(1, 2))):
        row = draw(st.sampled_from(rows))
        column = draw(st.integers(0, len(row) - 1))
        how = draw(
            st.sampled_from(("junk", "junk", "other", "none", "twice", "row none", "row twice"))
        )
        note(f"{how} in column {column} of {row!r:.200}")
        if how == "junk":
            row[column] = draw(st.sampled_from(junk))
        elif how == "other":
            row[column] = draw(st.sampled_from(draw(st.sampled_from(rows))))
        elif how == "none" and len(row) > 1:
            del row[column]
        elif how == "twice":
            row.insert(column, row[column])
        elif how == "row none" and len(rows) > 1:
            rows.remove(row)
        elif how == "row twice":
            rows.insert(rows.index(row), list(row))
    content = "\n".join("\t".join(row) for row in rows)
    # Half a surrogate pair is no UTF-8, and so something to refuse.
    path.write_bytes(content.encode("utf-8", "surrogatepass"))


def spoil_ids(draw: Draw, path: Path) -> None:
    """Other ids and rows in a pickled dict, or what would run code among them."""
    spoilt = spoil_values(draw, pickle.loads(path.read_bytes()))
    if draw(st.integers(0, 3)) == 0:
        spoilt = {**spoilt, "evil": Payload()} if isinstance(spoilt, dict) else Payload()
    if isinstance(spoilt, Raw):
        spoilt = 10**400
    path.write_bytes(pickle.dumps(spoilt, draw(st.integers(0, 5))))


def spoil_hdf5(draw: Draw, path: Path) -> None:
    """A dataset of another type or shape, with other numbers, or none."""
    with h5py.File(path, "r+") as file:
        name = draw(st.sampled_from(sorted(file)))
        values = file[name][:]
        del file[name]
        how = draw(st.sampled_from(("junk", "none", "group", "promise", *["array"] * 4)))
        note(f"{how} for {name}")
        if how == "group":
            file.create_group(name)
        elif how == "promise":
            shape = (2**36, *values.shape[1:])
            file.create_dataset(name, shape, values.dtype, chunks=(8, *values.shape[1:]))
        elif how == "array":
            file[name] = _spoilt_array(draw, values)
        elif how == "junk":
            file[name] = draw(st.sampled_from((0, float("nan"), "text", [b"\1"], [[[1]]], [])))


def spoil_array(draw: Draw, path: Path) -> None:
    """An array of another type or shape, or with other numbers, or a header that lies."""
    values = np.load(path)
    if draw(st.booleans()):
        np.save(path, _spoilt_array(draw, values))
        return
    size = draw(st.sampled_from((10**6, 10**12, 2**62, -1)))
    header = {"descr": values.dtype.str, "fortran_order": False, "shape": (size, 5)}
    written = io.BytesIO()
    np.lib.format.write_array_header_1_0(written, header)
    path.write_bytes(written.getvalue() + values.tobytes())


def _spoilt_array(draw: Draw, values: np.ndarray) -> np.ndarray:
    number = draw(st.sampled_from((0, -1, 1, 2**31, 2**63 - 1, np.nan, np.inf, 1e300, -1e300)))
    kind = draw(st.sampled_from(("<i8", "<u8", "<i4", "<f4", "<f8", "<f2", "<c8", "?", "S3", "V4")))
    how = draw(st.sampled_from(("number", "type", "shape", "shorter", "longer", "none")))
    note(f"{how}, {number}, {kind}")
    with np.errstate(all="ignore"):
        if how == "number" and values.size and values.dtype.kind in "iuf":
            wide = values.astype(np.float64)
            wide.flat[draw(st.integers(0, wide.size - 1))] = number
            exact = values.dtype.kind == "f" or np.isfinite(number)
            return wide.astype(values.dtype) if exact else wide
        if how == "type":
            numbers = values.dtype.kind in "iuf" and kind != "V4"
            return values.astype(kind) if numbers else np.zeros(values.shape, kind)
        if how == "shape":
            return values.reshape(draw(st.sampled_from(((-1,), (1, *values.shape), (-1, 1)))))
        if how == "shorter":
            return values[:-1]
        if how == "longer":
            return np.concatenate([values, values])
        return values[:0]


def spoil_checkpoint(draw: Draw, path: Path) -> None:
    """Other values than those of a checkpoint, or what would run code among them."""
    # Sizes that would take all memory are no matter of the file's form.
    small = [
        value for value in JUNK
        if not isinstance(value, Raw) and not (type(value) is int and abs(value) > 100)
    ]  # fmt: skip
    junk = st.sampled_from([*small, torch.zeros(2, 3), torch.tensor(float("nan"))])
    content = torch.load(path, weights_only=True)
    texts = ("encoder_config", "word_pieces")
    for name in texts:
        content[name] = json.loads(content[name])
    part = draw(st.sampled_from((None, *content)))
    if part is None:
        content = spoil_values(draw, content, junk)
    else:
        content[part] = spoil_values(draw, content[part], junk)
    if draw(st.integers(0, 5)) == 0:
        content = {**content, "model": Payload()} if isinstance(content, dict) else Payload()
    if isinstance(content, dict):
        for name in texts:
            if isinstance(content.get(name), dict):
                content[name] = json.dumps(content[name], default=str)
    torch.save(content, path)


_BY_ENDING: dict[str, Spoil] = {
    ".json": spoil_json,
    ".jsonlines": spoil_json_lines,
    ".jsonl": spoil_json_lines,
    ".tsv": spoil_columns,
    ".conll": spoil_columns,
    ".v4_gold_conll": spoil_columns,
    ".conllu": spoil_columns,
    ".pkl": spoil_ids,
    ".h5": spoil_hdf5,
    ".hdf5": spoil_hdf5,
    ".npy": spoil_array,
    ".pt": spoil_checkpoint,
}
