"""The unlabelled split of CIN: the images of its region index, each with its first caption.

Captions are those of the release (`data/readers/cin/caption_files.py`), or the Localized Narratives
that they were made of, where the release's are not there.
"""

from __future__ import annotations

from collections.abc import Container, Iterable
from dataclasses import replace
from pathlib import Path

from data.files import DataError
from data.narration import Narration
from data.readers.cin.caption_files import caption_files, read_first_captions
from data.readers.cin.files import SplitMedia, region_folder
from data.readers.localized_narratives import narrative_files, read_narratives
from data.readers.report import ReadReport
from data.regions.file_names import region_files


def read_captions(
    data_root: Path, split: str, media: SplitMedia, report: ReadReport
) -> list[Narration]:
    """Read the images of the split's region index, each with its first caption.

    Raises:
        DataError: a file is missing or broken.
        BadRecord: a record or an image is wrong, and the report does not skip such.
    """
    index = region_files(region_folder(data_root), split).image_index
    if not media.with_regions and not index.exists():
        raise DataError(f"{index} is missing; it lists the unlabelled pictures")
    if paths := narratives_in_place_of_captions(data_root):
        captions, traces = _read_first_narratives(paths, media.with_regions, report)
        media = replace(media, traces=traces)
    else:
        captions = read_first_captions(data_root, media.with_regions, report)
    narrations = []
    for image_id in media.with_regions:
        if image_id not in captions:
            continue
        words = captions[image_id]
        with report.skipping():
            image_size = media.image_size(image_id)
            narrations.append(media.narration(image_id, " ".join(words), words, image_size))
    report.count("narrations", len(narrations))
    report.count("pictures without a caption", len(media.with_regions) - len(captions))
    return narrations


def narratives_in_place_of_captions(data_root: Path) -> list[Path]:
    """List the files of Localized Narratives, where the release's captions are not there."""
    published = any(path.exists() for path in caption_files(data_root))
    return [] if published else narrative_files(data_root)


def _read_first_narratives(
    paths: Iterable[Path], image_ids: Container[str], report: ReadReport
) -> tuple[dict[str, tuple[str, ...]], dict[str, tuple[Path, int | None]]]:
    """Read the words of each image's first narrative, and where its trace is."""
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
