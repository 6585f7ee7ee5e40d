"""Pictures as base64 are the images."""

from __future__ import annotations

import base64
import io
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from data.files import DataError
from tools import image_convert_base64


def _write_images(folder: Path) -> dict[str, np.ndarray]:
    folder.mkdir()
    images = {}
    for place, name in enumerate(("7_0_1_C1.png", "8_30_1_C1C2.png")):
        pixels = np.full((4, 6 + place, 3), 90 * place, dtype=np.uint8)
        Image.fromarray(pixels).save(folder / name)
        images[name.removesuffix(".png")] = pixels
    return images


def test_each_line_is_the_id_and_the_image(tmp_path: Path) -> None:
    images = _write_images(tmp_path / "heads")
    out = tmp_path / "out.tsv"
    image_convert_base64.main(["--pictures", str(tmp_path / "heads"), "--out", str(out)])
    lines = [line.split("\t") for line in out.read_text().splitlines()]
    assert [image_id for image_id, _ in lines] == list(images)
    for image_id, content in lines:
        # Chinese-CLIP decodes with the other alphabet of base64, which reads this one too.
        decoded = Image.open(io.BytesIO(base64.urlsafe_b64decode(content)))
        assert np.array_equal(np.asarray(decoded), images[image_id])


def test_a_broken_image_leaves_no_file(tmp_path: Path) -> None:
    _write_images(tmp_path / "heads")
    (tmp_path / "heads" / "9.png").write_bytes(b"no picture")
    out = tmp_path / "out.tsv"
    with pytest.raises(DataError, match="9.png"):
        image_convert_base64.main(["--pictures", str(tmp_path / "heads"), "--out", str(out)])
    assert not out.exists()
