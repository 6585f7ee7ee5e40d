"""Frames of video files and of folders, and what is wrong with those that cannot be read."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from data.files import BadRecord, DataError
from data.media.videos import (
    Video,
    every_nth,
    find_videos,
    frames_of,
)
from synthetic.dialogues.writing import write_video

COUNT = 12


def shades(size: tuple[int, int] = (32, 48)) -> list[np.ndarray]:
    """Frames that say by their shade which they are."""
    width, height = size
    return [np.full((height, width, 3), 20 * n, dtype=np.uint8) for n in range(COUNT)]


@pytest.fixture
def videos(tmp_path: Path) -> Path:
    """A file and a folder of the same frames."""
    write_video(tmp_path / "file.mp4", shades())
    (tmp_path / "folder").mkdir()
    for number, pixels in enumerate(shades()):
        Image.fromarray(pixels).save(tmp_path / "folder" / f"folder_{number}_1.png")
    return tmp_path


@pytest.mark.parametrize("name", ["file", "folder"])
@pytest.mark.parametrize("step", [1, 5, 40])
def test_every_nth_frame(videos: Path, name: str, step: int) -> None:
    frames = list(every_nth(find_videos(videos)[name], step))
    assert [frame.number for frame in frames] == list(range(0, COUNT, step))
    for frame in frames:
        assert frame.pixels.shape == (48, 32, 3)
        assert abs(frame.pixels.mean() - 20 * frame.number) < 4


@pytest.mark.parametrize("name", ["file", "folder"])
def test_frames_by_their_numbers(videos: Path, name: str) -> None:
    video = find_videos(videos)[name]
    frames = list(frames_of(video, [11, 3, 3]))
    assert [frame.number for frame in frames] == [3, 11]
    assert all(abs(frame.pixels.mean() - 20 * frame.number) < 4 for frame in frames)
    with pytest.raises(BadRecord, match=f"{name}: found no frame 12"):
        list(frames_of(video, [3, 12]))


def test_of_several_images_of_a_frame_the_first_is_it(videos: Path) -> None:
    Image.fromarray(shades()[9]).save(videos / "folder" / "folder_3_0.png")
    (frame,) = frames_of(find_videos(videos)["folder"], [3])
    assert frame.pixels.mean() == 180


def test_a_video_that_lies_is_turned_upright(tmp_path: Path) -> None:
    """As phones film: what is left in the file is to be shown above."""
    lying = np.zeros((32, 48, 3), dtype=np.uint8)
    lying[:, :24] = 200
    path = tmp_path / "video.mp4"
    write_video(path, [lying] * 2)
    content = bytearray(path.read_bytes())
    place = content.index(b"tkhd") + 44
    # A quarter clockwise, in numbers with 16 bits after the point.
    quarter = b"".join(n.to_bytes(4, "big", signed=True) for n in (0, 1 << 16, 0, -1 << 16, 0))
    content[place : place + len(quarter)] = quarter
    path.write_bytes(content)
    frame, _ = every_nth(Video("video", path), 1)
    assert frame.pixels.shape == (48, 32, 3)
    assert frame.pixels[:20].mean() > 180 and frame.pixels[28:].mean() < 20


def broken(folder: Path, what: str) -> Video:
    """A video of which something is wrong."""
    path = folder / "video.mp4"
    write_video(path, shades())
    content = path.read_bytes()
    if what == "truncated":
        path.write_bytes(content[: len(content) // 2])
    elif what == "text":
        path.write_text("no video")
    elif what == "empty":
        path.write_bytes(b"")
    elif what == "no pictures in the folder":
        path.unlink()
        path.mkdir()
    elif what == "broken picture":
        path.unlink()
        path.mkdir()
        (path / "video_0_1.jpg").write_text("no picture")
    elif what == "sizes":
        path.unlink()
        path.mkdir()
        for number, size in enumerate([(8, 8), (8, 6)]):
            Image.new("RGB", size).save(path / f"video_{number}_1.png")
    elif what == "missing":
        path.unlink()
    return Video("video", path)


@pytest.mark.parametrize(
    ("what", "said"),
    [
        ("truncated", "no pictures|cannot be read"),
        ("text", "cannot be read"),
        ("empty", "cannot be read"),
        ("missing", "cannot be read"),
        ("no pictures in the folder", "no frames, expected pictures video_FRAME_N.jpg"),
        ("broken picture", "frame 0: found what cannot be read"),
        ("sizes", "frame 1: found 8 x 6 pixels, expected 8 x 8"),
    ],
)
def test_what_is_wrong_with_a_video_is_said(tmp_path: Path, what: str, said: str) -> None:
    video = broken(tmp_path, what)
    with pytest.raises(BadRecord, match=f"video.*({said})"):
        list(every_nth(video, 1))
    if what != "sizes":
        with pytest.raises(BadRecord, match="video"):
            list(frames_of(video, [0]))


def test_a_file_that_ends_before_its_frames_do(tmp_path: Path) -> None:
    """Where the index of a file stands first, what follows can be cut off unnoticed."""
    path = tmp_path / "video.mp4"
    write_video(path, [np.random.default_rng(n).integers(0, 256, (48, 32, 3), np.uint8)
                       for n in range(COUNT)])  # fmt: skip
    path.write_bytes(index_first(path.read_bytes())[:-9000])
    with pytest.raises(BadRecord, match="video: found .*frames"):
        list(every_nth(Video("video", path), 1))


def index_first(content: bytes) -> bytes:
    """An MP4 file with its `moov` box before the data, as videos for the web have it."""
    boxes = []
    while content:
        size = int.from_bytes(content[:4], "big")
        boxes.append(content[:size])
        content = content[size:]
    kinds = [box[4:8] for box in boxes]
    moov = bytearray(boxes.pop(kinds.index(b"moov")))
    place = moov.index(b"stco") + 12
    for number in range(int.from_bytes(moov[place - 4 : place], "big")):
        entry = slice(place + 4 * number, place + 4 * number + 4)
        moved = int.from_bytes(moov[entry], "big") + len(moov)
        moov[entry] = moved.to_bytes(4, "big")
    boxes.insert(kinds.index(b"mdat"), bytes(moov))
    return b"".join(boxes)


def test_a_folder_without_videos_is_refused(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="has no videos, expected files .mp4"):
        find_videos(tmp_path)
    with pytest.raises(DataError, match="nowhere cannot be read"):
        find_videos(tmp_path / "nowhere")
    write_video(tmp_path / "a.mp4", shades())
    (tmp_path / "a").mkdir()
    with pytest.raises(DataError, match="a and a.mp4 have one id|a.mp4 and a have one id"):
        find_videos(tmp_path)
