"""CIN and the Flickr30k part of Localized Narratives, in the files of the published release.

In the data root:

- `cin_annotations/testval_annotations.json`, the labelled narrations of `val` and `test`, and
  `val_image_ids.json` and `test_image_ids.json`, which list their images;
- `cin_annotations/mention_kinds.json`, optional and not in the release: for an image id the subset
  each mention belongs to, in the order of `query`, null for none;
- `flk30k_LN.json` and `flk30k_LN_label.h5`, the captions of `train`, as numbers of words; or, where
  neither is there, the JSON Lines files of Localized Narratives, captions and traces in one (see
  `data/readers/localized_narratives.py`);
- `faster_rcnn_image_features/`, the regions of each split (see `data/regions/store.py`); the images
  of `train` are those of its index;
- `truth/train_annotations.json`, optional and not in the release: annotations of `train`, in the
  form of the labelled ones, of whoever made the captions and knows;
- `flk30k_LN_trace_box/<id>.npy` and `flickr30k-images/<id>.jpg`, both optional.

A narration has the id of its image. Where the image is not in the region store of its split,
`image_id` is None.
"""

from __future__ import annotations

import itertools
from collections import Counter
from collections.abc import Container, Iterable, Sequence
from dataclasses import dataclass, replace
from operator import attrgetter
from pathlib import Path
from typing import Any

from PIL import Image

from data.files import (
    BadRecord,
    DataError,
    bad_record,
    is_text,
    read_id,
    read_image_rows,
)
from data.narration import Box, Mention, Narration
from data.percent_boxes import relative_box
from data.readers.caption_files import caption_files, read_first_captions
from data.readers.expected_files import ExpectedFiles
from data.readers.localized_narratives import narrative_files, read_narratives
from data.readers.report import ReadReport, Record, same_words
from data.regions.detections import LARGEST_COORDINATE
from data.regions.index import (
    find_region_files,
    names_of_region_files,
    region_files,
)
from data.regions.shards import read_made_of
from data.regions.store import RegionStore
from utils.json_files import read_json
from utils.printable import quote

SPLITS = ("train", "val", "test")
LABELLED_SPLIT = "val"
UNLABELLED_SPLIT = "train"
TEST_SPLIT = "test"

_SIZES = ("img_width", "img_height")

RELEASED_NARRATIONS = {"val": 880, "test": 1000}
RELEASED_MENTIONS = 21_246
RELEASED_CHAINS = 3_310


def read(data_root: Path, split: str, report: ReadReport) -> list[Narration]:
    """The narrations of a split: labelled for `val` and `test`, captions alone for `train`.

    Raises:
        DataError: a file is missing or broken.
        BadRecord: a record is wrong, and the report does not skip such.
    """
    beside = _Beside.of(data_root, split)
    if split == UNLABELLED_SPLIT:
        narrations = _read_unlabelled(data_root, beside, report)
    else:
        narrations = _read_labelled(data_root / "cin_annotations", split, beside, report)
    sizes_guessed = sum(n.image_id is not None and n.image_size is None for n in narrations)
    report.count("narrations without regions", sum(n.image_id is None for n in narrations))
    report.count("pictures of unknown size, taken to end where their regions do", sizes_guessed)
    report.count("narrations with a trace", sum(n.trace_path is not None for n in narrations))
    report.count("narrations with a picture", sum(n.image_path is not None for n in narrations))
    return narrations


def open_regions(data_root: Path, split: str, **options: Any) -> RegionStore | None:
    """The regions of a split, or None where none of its region files is there.

    Args:
        options: of `RegionStore.read_files`.

    Raises:
        DataError: some of the files are missing, or broken.
        BadRecord: an image's detections are wrong, and such are not skipped.
    """
    folder = _region_folder(data_root)
    files = find_region_files(folder, split)
    if not files:
        return None
    return RegionStore.read_files(files, made_of=read_made_of(folder, split), **options)


def read_truth(data_root: Path) -> dict[str, Narration]:
    """What is known of the narrations of `train`, by id; empty in the release.

    Raises:
        DataError: the file is broken.
        BadRecord: a record is wrong.
    """
    path = data_root / "truth" / "train_annotations.json"
    if not path.exists():
        return {}
    beside = _Beside({}, {}, {})
    records = (
        _annotation(path, number, fields, splits=("train",))
        for number, fields in enumerate(_read_list(path))
    )
    return {record.name: _labelled(record, None, beside) for record in records}


def files(data_root: Path, split: str) -> list[Path]:
    """The files and folders that the unlabelled split is read from, there or not."""
    regions = names_of_region_files(_region_folder(data_root), split)
    captions = _narratives_in_place_of_captions(data_root) or caption_files(data_root)
    beside = [trace_folder(data_root), _image_folder(data_root)]
    return [*itertools.chain.from_iterable(regions), *captions, *beside]


def expected_files(data_root: Path) -> list[ExpectedFiles]:
    """The files of the release, there or not; in place of some, those that stand for them.

    Raises:
        DataError: the regions of a split are there in one piece as well as in shards.
    """
    annotations = data_root / "cin_annotations"
    names = ("testval_annotations.json", "val_image_ids.json", "test_image_ids.json")
    release, project = "the MCR release", "Localized Narratives: their project page"
    narratives = _narratives_in_place_of_captions(data_root)
    captions = tuple(narratives) or caption_files(data_root)
    traces = tuple(narratives) or (trace_folder(data_root),)
    regions = {
        "val": "--no-regions: text alone, no grounding",
        "test": "no test_grounding.py; a model that reads regions is tested on texts alone",
        "train": "no unlabelled part: --no-unlabelled",
    }
    return [
        ExpectedFiles(
            "labelled narrations of val and test",
            tuple(annotations / name for name in names),
            f"CIN annotations: {release}",
            "no labels: a training without --use-ssl and without scores, and nothing to test on",
        ),
        *(
            ExpectedFiles(
                f"regions of {split}",
                _region_paths(data_root, split),
                f"{release}, or `prepare.py regions` makes them from the pictures",
                cost,
            )
            for split, cost in regions.items()
        ),
        ExpectedFiles(
            "captions of train",
            captions,
            f"{release}, or {project}",
            "no unlabelled part: --no-unlabelled",
        ),
        ExpectedFiles(
            "mouse traces",
            traces,
            f"{project}; read from there, or `prepare.py captions` makes them",
            "no --traces",
        ),
        ExpectedFiles(
            "pictures",
            (_image_folder(data_root),),
            "Flickr30k: its project page",
            "nothing in a training; sizes come from the annotations and the regions",
        ),
    ]


def _region_paths(data_root: Path, split: str) -> tuple[Path, ...]:
    folder = _region_folder(data_root)
    found = names_of_region_files(folder, split) or [region_files(folder, split)]
    return tuple(itertools.chain.from_iterable(found))


def trace_folder(data_root: Path) -> Path:
    """Where the mouse traces lie, one file a narration; they are optional."""
    return data_root / "flk30k_LN_trace_box"


def _image_folder(data_root: Path) -> Path:
    return data_root / "flickr30k-images"


def _region_folder(data_root: Path) -> Path:
    return data_root / "faster_rcnn_image_features"


@dataclass(frozen=True)
class _Beside:
    """What lies beside the texts of a split, by image id: regions, traces, images."""

    with_regions: dict[str, None]
    traces: dict[str, tuple[Path, int | None]]  # the file, and where in it the trace begins
    images: dict[str, Path]

    @staticmethod
    def of(data_root: Path, split: str) -> _Beside:
        # The other files of the regions are not needed to read texts.
        files = names_of_region_files(_region_folder(data_root), split)
        indices = [of_shard.index for of_shard in files if of_shard.index.exists()]
        traces = _files_by_id(trace_folder(data_root), ".npy")
        return _Beside(
            with_regions={key: None for index in indices for key in read_image_rows(index)},
            traces={image_id: (path, None) for image_id, path in traces.items()},
            images=_files_by_id(_image_folder(data_root), ".jpg"),
        )

    def narration(
        self,
        image_id: str,
        text: str,
        words: Iterable[str],
        image_size: tuple[int, int] | None,
        mentions: Iterable[Mention] = (),
    ) -> Narration:
        """A narration with what lies beside it."""
        trace_path, trace_offset = self.traces.get(image_id, (None, None))
        return Narration(
            id=image_id,
            text=text,
            mentions=tuple(mentions),
            image_id=image_id if image_id in self.with_regions else None,
            image_size=image_size,
            image_path=self.images.get(image_id),
            trace_path=trace_path,
            trace_offset=trace_offset,
            words=tuple(words),
        )


def _files_by_id(folder: Path, ending: str) -> dict[str, Path]:
    """The files of a folder by their names without the ending; none where there is no folder."""
    if not folder.is_dir():
        return {}
    files = (path for path in folder.iterdir() if path.name.endswith(ending))
    return {path.name.removesuffix(ending): path for path in files}


def _read_labelled(
    folder: Path, split: str, beside: _Beside, report: ReadReport
) -> list[Narration]:
    path = folder / "testval_annotations.json"
    listed_path = folder / f"{split}_image_ids.json"
    annotations = _read_list(path)
    listed = _read_listed_ids(listed_path, report)
    kinds = _read_kinds(folder / "mention_kinds.json")
    split_of: dict[str, str] = {}
    narrations = []
    for number, fields in enumerate(annotations):
        try:
            record = _annotation(path, number, fields)
            image_id, its_split = record.name, record.fields["split"]
            if image_id in split_of:
                raise record.bad("the same id in an earlier record", "every id once")
            split_of[image_id] = its_split
            if its_split != split:
                continue
            if image_id not in listed:
                raise record.bad(f"an id that {listed_path.name} does not list", "a listed one")
            narrations.append(_labelled(record, kinds.get(image_id), beside))
        except BadRecord as problem:
            report.refuse(problem)
    for image_id in listed:
        if split_of.get(image_id) != split:
            found = f"no {split} narration in {path.name}"
            report.refuse(bad_record(listed_path, image_id, found, "one"))
    for image_id, record in kinds.items():
        if image_id not in split_of:
            report.refuse(record.bad(f"no narration in {path.name}", "one"))
    _count_labelled(narrations, annotations, split, report)
    return narrations


def _read_list(path: Path) -> list[Any]:
    values = read_json(path, DataError)
    if not isinstance(values, list):
        raise DataError(f"{path} holds {quote(values)}, expected a list")
    return values


def _read_listed_ids(path: Path, report: ReadReport) -> dict[str, None]:
    """The ids of a list, each once, in its order."""
    listed: dict[str, None] = {}
    for number, value in enumerate(_read_list(path)):
        image_id = read_id(value)
        if image_id is None:
            found, expected = quote(value), "a number or text fit for an id"
            report.refuse(bad_record(path, f"item {number}", found, expected))
        elif image_id in listed:
            report.refuse(bad_record(path, image_id, "the same id earlier", "every id once"))
        else:
            listed[image_id] = None
    return listed


def _read_kinds(path: Path) -> dict[str, Record]:
    """For an image id the record `kinds` of its mentions."""
    if not path.exists():
        return {}
    values = read_json(path, DataError)
    if not isinstance(values, dict) or None in map(read_id, values):
        raise DataError(f"{path} holds {quote(values)}, expected an object of image ids")
    return {key: Record(path, key, {"kinds": value}) for key, value in values.items()}


def _annotation(
    path: Path, number: int, fields: Any, splits: Sequence[str] = ("val", "test")
) -> Record:
    """A record of the annotations, named by its id; it is known to say its split."""
    if not isinstance(fields, dict):
        raise bad_record(path, f"record {number}", quote(fields), "an object")
    image_id = read_id(fields.get("image"))
    if image_id is None:
        found, expected = f"image {quote(fields.get('image'))}", "text fit for an id"
        raise bad_record(path, f"record {number}", found, expected)
    record = Record(path, image_id, fields)
    expected = " or ".join(splits)
    if record.take("split", str, expected) not in splits:
        raise record.bad(f"split {quote(fields['split'])}", expected)
    return record


def _labelled(record: Record, kinds: Record | None, beside: _Beside) -> Narration:
    text = record.take("captions", str, "the text of the narration")
    if not is_text(text) or not text.strip():
        raise record.bad(f"captions {quote(text)}", "a text that is not blank")
    image_size = _image_size(record, beside.images.get(record.name))
    mentions = sorted(_mentions(record, text, kinds), key=attrgetter("start"))
    return beside.narration(record.name, text, text.split(), image_size, mentions)


def _image_size(record: Record, image: Path | None) -> tuple[int, int] | None:
    """(width, height) in pixels; None of a text without an image."""
    if record.fields.keys().isdisjoint(_SIZES):
        return _size_of_file(record.name, image)
    width, height = (_pixels(record, key) for key in _SIZES)
    return width, height


def _pixels(record: Record, key: str) -> int:
    expected = "a positive number of pixels"
    pixels = int(record.take(key, int, expected))
    if not 0 < pixels < LARGEST_COORDINATE:
        raise record.bad(f"{key} {pixels}", expected)
    return pixels


def _mentions(record: Record, text: str, kinds: Record | None) -> list[Mention]:
    """The mentions of a record, in its order."""
    phrases, spans, chains, boxes = (
        record.take(key, list, "a list with one item a mention")
        for key in ("query", "query_start_end", "cluster", "target_bboxes")
    )
    count = len(phrases)
    if not count == len(spans) == len(chains) == len(boxes):
        found = (
            f"{count} query, {len(spans)} query_start_end, {len(chains)} cluster and "
            f"{len(boxes)} target_bboxes"
        )
        raise record.bad(found, "as many of each")
    subsets = [None] * count if kinds is None else _subsets(kinds, count)
    mentions = []
    for index in range(count):
        start, end = _span(record, index, text, phrases[index], spans[index])
        mentions.append(
            Mention(
                start,
                end,
                phrase=phrases[index],
                chain=_chain(record, index, chains[index]),
                boxes_xyxy=_boxes(record, index, boxes[index]),
                kind=subsets[index],
            )
        )
    return mentions


def _subsets(kinds: Record, count: int) -> list[str | None]:
    """The subset of each mention."""
    expected = f"{count} names of subsets or nulls, one a mention"
    subsets: list[str | None] = kinds.take("kinds", list, expected)
    known = all(subset is None or (is_text(subset) and subset) for subset in subsets)
    if len(subsets) != count or not known:
        raise kinds.bad(quote(subsets), expected)
    return subsets


def _span(record: Record, index: int, text: str, phrase: Any, span: Any) -> tuple[int, int]:
    """First character of a mention and the one after its last."""
    if not is_text(phrase) or not phrase.strip():
        raise record.bad(f"query {index} {quote(phrase)}", "a phrase")
    pair = isinstance(span, list) and len(span) == 2 and all(type(x) is int for x in span)
    if not pair or not 0 <= span[0] < span[1] <= len(text):
        raise record.bad(
            f"query_start_end {index} {quote(span)}",
            f"start and end within a text of {len(text)} characters",
        )
    start, end = span
    if not same_words(text[start:end], phrase):
        raise record.bad(
            f"{quote(text[start:end])} at characters {start} to {end}",
            f"query {index}, {quote(phrase)}",
        )
    return start, end


def _chain(record: Record, index: int, chain: Any) -> str:
    if type(chain) is int or (is_text(chain) and chain):
        return str(chain)
    raise record.bad(f"cluster {index} {quote(chain)}", "a number or text that names a chain")


def _boxes(record: Record, index: int, boxes: Any) -> tuple[Box, ...]:
    """A mention's boxes, relative to the image."""
    if not isinstance(boxes, list):
        raise record.bad(f"target_bboxes {index} {quote(boxes)}", "a list of boxes")
    relative = []
    for percent in boxes:
        box = relative_box(percent)
        if box is None:
            raise record.bad(
                f"the box {quote(percent)} in target_bboxes {index}",
                "x, y, width and height in percent of the picture, inside it and not empty",
            )
        relative.append(box)
    return tuple(relative)


def _count_labelled(
    narrations: list[Narration], annotations: list[Any], split: str, report: ReadReport
) -> None:
    mentions = [mention for narration in narrations for mention in narration.mentions]
    chains = Counter((n.id, mention.chain) for n in narrations for mention in n.mentions)
    report.count("narrations", len(narrations), RELEASED_NARRATIONS[split])
    report.count("mentions", len(mentions))
    report.count("mentions without a box", sum(not mention.boxes_xyxy for mention in mentions))
    report.count("chains", len(chains))
    report.count("narrations without mentions", sum(not n.mentions for n in narrations))
    # The release states these two for both splits together.
    mention_count, chain_count = _count_both_splits(annotations)
    report.count("mentions in val and test", mention_count, RELEASED_MENTIONS)
    report.count("chains of several mentions in val and test", chain_count, RELEASED_CHAINS)


def _count_both_splits(annotations: list[Any]) -> tuple[int, int]:
    """Mentions, and chains of more than one mention, in whatever records have them."""
    mention_count = chain_count = 0
    for fields in annotations:
        clusters = fields.get("cluster") if isinstance(fields, dict) else None
        if isinstance(clusters, list):
            members = Counter(chain for chain in clusters if isinstance(chain, int | str))
            mention_count += members.total()
            chain_count += sum(count > 1 for count in members.values())
    return mention_count, chain_count


def _read_unlabelled(data_root: Path, beside: _Beside, report: ReadReport) -> list[Narration]:
    """The images of the region index, each with its first caption."""
    index = region_files(_region_folder(data_root), UNLABELLED_SPLIT).index
    if not beside.with_regions and not index.exists():
        raise DataError(f"{index} is missing; it lists the unlabelled pictures")
    if paths := _narratives_in_place_of_captions(data_root):
        captions, traces = _read_first_narratives(paths, beside.with_regions, report)
        beside = replace(beside, traces=traces)
    else:
        captions = read_first_captions(data_root, beside.with_regions, report)
    narrations = []
    for image_id in beside.with_regions:
        if image_id not in captions:
            continue
        words = captions[image_id]
        try:
            image_size = _size_of_file(image_id, beside.images.get(image_id))
        except BadRecord as problem:
            report.refuse(problem)
            continue
        narrations.append(beside.narration(image_id, " ".join(words), words, image_size))
    report.count("narrations", len(narrations))
    report.count("pictures without a caption", len(beside.with_regions) - len(captions))
    return narrations


def _narratives_in_place_of_captions(data_root: Path) -> list[Path]:
    """The files of Localized Narratives, where the release's captions are not there."""
    published = any(path.exists() for path in caption_files(data_root))
    return [] if published else narrative_files(data_root)


def _read_first_narratives(
    paths: Iterable[Path], image_ids: Container[str], report: ReadReport
) -> tuple[dict[str, tuple[str, ...]], dict[str, tuple[Path, int | None]]]:
    """The words of each image's first narrative, and where its trace is."""
    captions: dict[str, tuple[str, ...]] = {}
    traces: dict[str, tuple[Path, int | None]] = {}
    further = 0
    for narrative in read_narratives(paths, report, image_ids):
        if narrative.image_id in captions:
            further += 1
        else:
            captions[narrative.image_id] = narrative.words
            traces[narrative.image_id] = (narrative.path, narrative.offset)
    report.count("further narratives of the same pictures, not read", further)
    return captions, traces


def _size_of_file(image_id: str, path: Path | None) -> tuple[int, int] | None:
    """(width, height) in pixels as the image's header has it; None without an image."""
    if path is None:
        return None
    try:
        with Image.open(path) as image:
            return image.size
    except Exception as error:
        # A broken image ends in nearly any kind of error.
        raise bad_record(path, image_id, f"no picture ({error})", "a JPEG file") from error
