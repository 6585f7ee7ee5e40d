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
from pathlib import Path
from typing import Any

from data.narration import Narration
from data.readers.cin.annotations import read_annotations, read_truth
from data.readers.cin.caption_files import caption_files
from data.readers.cin.captions import narratives_in_place_of_captions, read_captions
from data.readers.cin.files import (
    UNLABELLED_SPLIT,
    SplitMedia,
    annotation_folder,
    image_folder,
    region_folder,
    trace_folder,
)
from data.readers.dataset_reader import DatasetReader
from data.readers.expected_files import ExpectedFiles
from data.readers.report import ReadReport
from data.regions.file_names import expected_region_paths, names_of_region_files
from data.regions.shards import read_made_of


class CinReader(DatasetReader):
    """Read the labelled narrations of `val` and `test`, and the captions of `train`."""

    name = "cin"
    labelled_split = "val"
    unlabelled_split = UNLABELLED_SPLIT

    def read(self, data_root: Path, split: str, report: ReadReport) -> list[Narration]:
        """Read the narrations of a split: captions alone for `train`, else labelled ones."""
        media = SplitMedia.find(data_root, split)
        read_texts = read_captions if split == UNLABELLED_SPLIT else read_annotations
        narrations = read_texts(data_root, split, media, report)
        sizes_guessed = sum(n.image_id is not None and n.image_size is None for n in narrations)
        report.count("narrations without regions", sum(n.image_id is None for n in narrations))
        report.count("pictures of unknown size, taken to end where their regions do", sizes_guessed)
        report.count("narrations with a trace", sum(n.trace_path is not None for n in narrations))
        report.count("narrations with a picture", sum(n.image_path is not None for n in narrations))
        return narrations

    def expected_files(self, data_root: Path) -> list[ExpectedFiles]:
        """List the files of the release, there or not; in place of some, what stands for them."""
        annotations = annotation_folder(data_root)
        names = ("testval_annotations.json", "val_image_ids.json", "test_image_ids.json")
        release, project = "the MCR release", "Localized Narratives: their project page"
        narratives = narratives_in_place_of_captions(data_root)
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
                "no labels: a training without --use-ssl and without scores, and nothing to test "
                "on",
            ),
            *(
                ExpectedFiles(
                    f"regions of {split}",
                    expected_region_paths(region_folder(data_root), split),
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
                (image_folder(data_root),),
                "Flickr30k: its project page",
                "nothing in a training; sizes come from the annotations and the regions",
            ),
        ]

    def region_folder(self, data_root: Path) -> Path:
        """Return the folder of the region files of all splits."""
        return region_folder(data_root)

    def regions_made_of(self, data_root: Path, split: str) -> dict[str, Any] | None:
        """Read the settings of the detector that found the regions of a split."""
        return read_made_of(region_folder(data_root), split)

    def unlabelled_files(self, data_root: Path) -> list[Path]:
        """List the files and folders that `train` is read from, there or not."""
        regions = names_of_region_files(region_folder(data_root), UNLABELLED_SPLIT)
        captions = narratives_in_place_of_captions(data_root) or caption_files(data_root)
        media = [trace_folder(data_root), image_folder(data_root)]
        return [*itertools.chain.from_iterable(regions), *captions, *media]

    def read_truth(self, data_root: Path) -> dict[str, Narration]:
        """Read what is known of the narrations of `train`, by id; empty in the release."""
        return read_truth(data_root)

    def trace_folder(self, data_root: Path) -> Path:
        """Return where the mouse traces lie, one file a narration; they are optional."""
        return trace_folder(data_root)
