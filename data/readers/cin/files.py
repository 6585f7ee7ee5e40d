"""Where the files of CIN lie in its data root, and what lies beside the text of each image."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from PIL import Image

from data.files import bad_record, read_image_rows
from data.narration import Mention, Narration
from data.regions.file_names import names_of_region_files

UNLABELLED_SPLIT = "train"


def annotation_folder(data_root: Path) -> Path:
    """Return the folder of the labelled narrations."""
    return data_root / "cin_annotations"


def region_folder(data_root: Path) -> Path:
    """Return the folder of the region files of all splits."""
    return data_root / "faster_rcnn_image_features"


def trace_folder(data_root: Path) -> Path:
    """Return the folder of the mouse traces, one file a narration; they are optional."""
    return data_root / "flk30k_LN_trace_box"


def image_folder(data_root: Path) -> Path:
    """Return the folder of the images themselves; they are optional."""
    return data_root / "flickr30k-images"


@dataclass(frozen=True)
class SplitMedia:
    """What lies beside the texts of a split.

    Attributes:
        with_regions: the ids of the images that have regions, in the order of their index.
        traces: by image id the file of the mouse trace, and the byte that its record begins at
            where the file has the traces of many.
        images: by image id the image's own file.
    """

    with_regions: dict[str, None]
    traces: dict[str, tuple[Path, int | None]]
    images: dict[str, Path]

    @classmethod
    def find(cls, data_root: Path, split: str) -> SplitMedia:
        """Look for what is there; the region files but their indices are not read.

        Raises:
            DataError: an index of regions is broken, or they are there in two ways.
        """
        files = names_of_region_files(region_folder(data_root), split)
        indices = [of_shard.image_index for of_shard in files if of_shard.image_index.exists()]
        traces = _files_by_id(trace_folder(data_root), ".npy")
        return cls(
            with_regions={key: None for index in indices for key in read_image_rows(index)},
            traces={image_id: (path, None) for image_id, path in traces.items()},
            images=_files_by_id(image_folder(data_root), ".jpg"),
        )

    def narration(
        self,
        image_id: str,
        text: str,
        words: Iterable[str],
        image_size: tuple[int, int] | None,
        mentions: Iterable[Mention] = (),
    ) -> Narration:
        """Return the narration of an image with what lies beside it."""
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

    def image_size(self, image_id: str) -> tuple[int, int] | None:
        """Read the size of an image from its file's header.

        Returns:
            (width, height) in pixels; None without an image.

        Raises:
            BadRecord: the file is no image.
        """
        path = self.images.get(image_id)
        if path is None:
            return None
        try:
            with Image.open(path) as image:
                return image.size
        except Exception as error:
            # A broken image ends in nearly any kind of error.
            raise bad_record(path, image_id, f"no picture ({error})", "a JPEG file") from error


def _files_by_id(folder: Path, ending: str) -> dict[str, Path]:
    """List the files of a folder, if it is there, by their names without the ending."""
    if not folder.is_dir():
        return {}
    files = (path for path in folder.iterdir() if path.name.endswith(ending))
    return {path.name.removesuffix(ending): path for path in files}
