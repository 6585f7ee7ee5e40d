"""Writes generated dialogues as TikTalkCoref's repository has them, with their videos."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from random import Random
from typing import Any

import av
import numpy as np
from PIL import Image
from threadpoolctl import threadpool_limits

from synthetic.dialogues.drawing import (
    DrawnFrame,
    SeenHead,
    draw_video,
)
from synthetic.dialogues.moving import (
    FRAMES,
    HEIGHT,
    WIDTH,
    stage,
)
from synthetic.dialogues.people import (
    CELEBRITIES,
    FEMALE,
    MALE,
    Person,
    make_celebrity,
    make_pair,
    make_person,
)
from synthetic.dialogues.telling import (
    SPEAKERS,
    Told,
    Who,
    tell,
)
from utils.files import write_text

_FIRST_ID = 7_000_000_000_000_000_001
_FRAMES_PER_SECOND = 8
_BIT_RATE = 2_000_000
_COUNTS = ((1, 2, 3, 4), (25, 47, 18, 10))  # of people in a video, and how often
_WITH_CELEBRITIES = 0.45  # share of the videos
_A_PAIR = 0.35  # share of the videos with a man and a woman of whom a hat or glasses say no gender
# Shares of train, val and test in tenths, as in the release.
_SPLITS = ("train",) * 8 + ("val", "test")
_NO_LABEL = "none"
_WHOLE = 0.95  # share of a head that is seen where a box is annotated
_LABELLED_FRAMES = 4  # of a video that only detectors are trained on
_HALF = 0.5  # share of a head from which a detector is to find it


@dataclass(frozen=True, slots=True, eq=False)
class Video:
    """A video that is drawn: who is in it, and what each frame shows."""

    people: tuple[Person, ...]
    frames: tuple[DrawnFrame, ...]


@dataclass(frozen=True, slots=True)
class Sample:
    """What the files say of one dialogue.

    Attributes:
        record: a line of the annotations.
        celebrity: whether a head of it is a celebrity's.
        title: of the video.
        truth: where every head is in every frame, and the kinds of the mentions.
    """

    record: dict[str, Any]
    celebrity: bool
    title: str
    truth: dict[str, Any]


def write_dialogues(
    folder: Path, seed: int, dialogues: int, faces: int, processes: int
) -> Iterator[int]:
    """Draw, tell and write dialogues, and images of other people to train a detector on.

    Args:
        folder: an empty folder.
        seed: of everybody's looks and of all dialogues; dialogue n of a seed is the same however
            many there are.
        dialogues: how many.
        faces: how many further videos the images for detectors are taken from.
        processes: how many draw side by side; the files do not depend on it.

    Yields:
        How many videos are done, after each.
    """
    for name in ("frames", "videos", "faces/pictures"):
        (folder / name).mkdir(parents=True)
    samples: list[Sample] = []
    images: list[dict[str, Any]] = []
    # One thread each: more would wait for each other.
    with ProcessPoolExecutor(processes, initializer=threadpool_limits, initargs=(1,)) as pool:
        jobs = [(folder, seed, number) for number in range(dialogues)]
        for sample in pool.map(_make_sample, jobs, chunksize=4):
            samples.append(sample)
            yield len(samples)
        jobs = [(folder, seed, number) for number in range(faces)]
        for number, of_video in enumerate(pool.map(_make_images, jobs, chunksize=4), start=1):
            images += of_video
            yield dialogues + number
    splits = _splits(samples)
    _write_lines(folder / "all_textual_and_visual_annotations.jsonl", [s.record for s in samples])
    _write_lines(folder / "split.jsonl", splits)
    titles = [{"video_id": s.record["doc_key"], "title": s.title} for s in samples]
    _write_lines(folder / "video_titles.jsonl", titles)
    _write_lines(folder / "truth.jsonl", [s.truth for s in samples])
    write_text(folder / "faces" / "heads.json", json.dumps(_labelled_boxes(images, False)))
    write_text(folder / "faces" / "faces.json", json.dumps(_labelled_boxes(images, True)))
    write_text(folder / "README", _readme(seed, samples, splits, images))


def _make_sample(job: tuple[Path, int, int]) -> Sample:
    """Draw one video and the dialogue about it; the frames and the video are written at once."""
    folder, seed, number = job
    random, people, told = told_cast(seed, number)
    video = _draw(people, random)
    video_id = str(_FIRST_ID + number)
    (folder / "frames" / video_id).mkdir()
    for frame, drawn in enumerate(video.frames):
        Image.fromarray(drawn.pixels).save(
            folder / "frames" / video_id / _frame_name(video_id, frame), quality=92
        )
    write_video(folder / "videos" / f"{video_id}.mp4", [drawn.pixels for drawn in video.frames])
    labels, boxes = _annotated(video_id, video, told, random)
    return Sample(
        _record(video_id, told, labels, boxes),
        any(box["if_celebrity"] for box in boxes),
        _title(people, random),
        {
            "doc_key": video_id,
            "kinds": [mention.kind for mention in told.mentions],
            "heads": [
                _truth_of(head, people, frame)
                for frame, drawn in enumerate(video.frames)
                for head in drawn.heads
            ],
        },
    )


def _make_images(job: tuple[Path, int, int]) -> list[dict[str, Any]]:
    """Draw one more video and write some frames of it; return what is to be found in them."""
    folder, seed, number = job
    random = Random(f"{seed}/faces/{number}")
    people = tuple(
        make_person(f"face {number}/{n}", "", random.choice((MALE, FEMALE)), random)
        for n in range(random.choices(*_COUNTS)[0])
    )
    video = _draw(people, random)
    images = []
    for place in range(_LABELLED_FRAMES):
        frame = FRAMES * place // _LABELLED_FRAMES + number % (FRAMES // _LABELLED_FRAMES)
        name = f"{number}_{frame}.jpg"
        drawn = video.frames[frame]
        Image.fromarray(drawn.pixels).save(folder / "faces" / "pictures" / name, quality=92)
        heads = [_truth_of(h, people, frame) for h in drawn.heads if h.visible >= _HALF]
        images.append({"file_name": name, "heads": heads})
    return images


def told_cast(seed: int, number: int) -> tuple[Random, tuple[Person, ...], Told]:
    """Draw the first cast of this seed and number that can be spoken of, and tell of it."""
    attempt = 0
    while True:
        random = Random(f"{seed}/{number}/{attempt}")
        people, absent = _cast(seed, number, random)
        told = tell(people, absent, random)
        if told is not None:
            return random, people, told
        attempt += 1


def _cast(seed: int, number: int, random: Random) -> tuple[tuple[Person, ...], list[Person]]:
    """Choose who is in the video, and celebrities who are not."""
    celebrities = [make_celebrity(seed, n) for n in range(CELEBRITIES)]
    random.shuffle(celebrities)
    if random.random() < _A_PAIR:
        return make_pair(f"person {number}", random), celebrities
    count = random.choices(*_COUNTS)[0]
    famous = random.random() < _WITH_CELEBRITIES
    people = tuple(
        celebrities[n]
        if famous and random.random() < 0.8
        else make_person(f"person {number}/{n}", "", random.choice((MALE, FEMALE)), random)
        for n in range(count)
    )
    return people, celebrities[count:]


def _draw(people: tuple[Person, ...], random: Random) -> Video:
    return Video(people, tuple(draw_video(people, stage(len(people), random), random)))


def write_video(path: Path, frames: Sequence[np.ndarray]) -> None:
    """Write frames [height, width, 3] uint8, of even sides, as an MPEG-4 video."""
    height, width, _ = frames[0].shape
    with av.open(str(path), "w", options={"fflags": "+bitexact"}) as container:
        stream = container.add_stream("mpeg4", rate=_FRAMES_PER_SECOND)
        stream.width, stream.height, stream.pix_fmt = width, height, "yuv420p"
        stream.bit_rate = _BIT_RATE
        # Threads would share the bits out otherwise on another machine.
        stream.codec_context.thread_count = 1
        for pixels in frames:
            container.mux(stream.encode(av.VideoFrame.from_ndarray(pixels, format="rgb24")))
        container.mux(stream.encode(None))


def _frame_name(video_id: str, frame: int) -> str:
    return f"{video_id}_{frame}_1.jpg"


def _truth_of(head: SeenHead, people: Sequence[Person], frame: int) -> dict[str, Any]:
    return {
        "frame": frame,
        "person": people[head.person].key,
        "bbox": list(head.box_xyxy),
        "visible": head.visible,
    }


def _annotated(
    video_id: str, video: Video, told: Told, random: Random
) -> tuple[dict[Who, str], list[dict[str, Any]]]:
    """Label everybody who is spoken of, and box the heads of those who are seen whole."""
    numbers: dict[int, str] = {}
    labels: dict[Who, str] = {}
    boxes = []
    for who in dict.fromkeys(mention.who for mention in told.mentions):
        if isinstance(who, str) or not (shots := _whole_frames(video, who)):
            labels[who] = _NO_LABEL
            continue
        frame = random.choice(shots)
        for person in sorted(who):
            numbers.setdefault(person, f"C{len(numbers) + 1}")
        label = labels[who] = "".join(sorted(numbers[person] for person in who))
        corners = [h.box_xyxy for h in video.frames[frame].heads if h.person in who]
        lefts, tops, rights, bottoms = zip(*corners, strict=True)
        boxes.append(
            {
                "cur_frame": frame,
                "cur_frame_path": f"frames/{video_id}/{_frame_name(video_id, frame)}",
                "bbox": [min(lefts), min(tops), max(rights), max(bottoms)],
                "box_labels": label,
                "if_celebrity": video.people[min(who)].name if len(who) == 1 else "",
                "region_image_path": f"faces_all/{video_id}_{frame}_1_{label}.jpg",
            }
        )
    return labels, boxes


def _whole_frames(video: Video, who: frozenset[int]) -> list[int]:
    """Find the frames in which all of them are seen whole."""
    return [
        number
        for number, frame in enumerate(video.frames)
        if sum(head.person in who and head.visible >= _WHOLE for head in frame.heads) == len(who)
    ]


def _record(
    video_id: str, told: Told, labels: dict[Who, str], boxes: list[dict[str, Any]]
) -> dict[str, Any]:
    """Make a line of the annotations."""
    characters = [character for turn in told.turns for character in turn]
    chains: dict[Who, list[list[int]]] = {who: [] for who in labels}
    for mention in told.mentions:
        chains[mention.who].append([mention.first, mention.last])
    first, second = map(len, told.turns)
    return {
        "doc_key": video_id,
        "genre": "wb",
        "sentences": [list(turn) for turn in told.turns],
        "clusters": list(chains.values()),
        "clusters_str": [
            ["".join(characters[begin : end + 1]) for begin, end in spans]
            for spans in chains.values()
        ],
        "speaker_ids": [[SPEAKERS[0]] * first, [SPEAKERS[1]] * second],
        "sentence_map": [[0] * first, [1] * second],
        "subtoken_map": [list(range(first)), list(range(first, first + second))],
        "entity_label": list(labels.values()),
        "visual_annotations": boxes,
    }


def _title(people: Sequence[Person], random: Random) -> str:
    """Choose what the video is called; half of those with a celebrity name one."""
    names = [person.name for person in people if person.name]
    words = random.choice(
        ("今天也很开心", "这段你看了几遍", "名场面来了", "一起来看看", "生活记录")
    )
    return (
        f"#{random.choice(names)} {words}" if names and random.random() < 0.5 else f"#日常 {words}"
    )


def _splits(samples: Sequence[Sample]) -> list[dict[str, str]]:
    """Assign each dialogue to a split, celebrities and others in the same shares."""
    seen: Counter[bool] = Counter()
    lines = []
    for sample in samples:
        place = seen[sample.celebrity]
        seen[sample.celebrity] += 1
        kind = "celeb" if sample.celebrity else "no_celeb"
        split = _SPLITS[place % len(_SPLITS)]
        lines.append({"video_id": sample.record["doc_key"], "video_type": kind, "split": split})
    return lines


def _labelled_boxes(images: Sequence[dict[str, Any]], tell_whose: bool) -> dict[str, Any]:
    """Write down heads in COCO's form; where it is told whose they are, that is the attribute."""
    heads = [(n, head) for n, image in enumerate(images) for head in image["heads"]]
    annotations = []
    for number, (image, head) in enumerate(heads, start=1):
        x1, y1, x2, y2 = head["bbox"]
        box = {"image_id": image, "category_id": 1, "bbox": [x1, y1, x2 - x1, y2 - y1]}
        whose = {"attribute": head["person"]} if tell_whose else {}
        annotations.append({"id": number, **box, **whose})
    return {
        "images": [
            {"id": number, "file_name": image["file_name"], "width": WIDTH, "height": HEIGHT}
            for number, image in enumerate(images)
        ],
        "categories": [{"id": 1, "name": "head"}],
        "annotations": annotations,
    }


def _readme(
    seed: int,
    samples: Sequence[Sample],
    splits: Sequence[dict[str, str]],
    images: Sequence[dict[str, Any]],
) -> str:
    """Say what the folder holds, and how much of it."""
    records = [sample.record for sample in samples]
    kinds = Counter(kind for sample in samples for kind in sample.truth["kinds"] if kind)
    parts = Counter((line["video_type"], line["split"]) for line in splits)
    lines = [
        "Generated dialogues about drawn people, in the files of TikTalkCoref's repository.",
        f"Nothing in them is of others. Made by tools/make_dialogues.py with seed {seed}.",
        "",
        "all_textual_and_visual_annotations.jsonl, split.jsonl, video_titles.jsonl: as released,",
        "    for tools/data_split.py",
        f"videos/: {FRAMES} frames of {WIDTH} x {HEIGHT} each; frames/: the same as pictures",
        "faces/: pictures of other people: heads.json to train a detector on, faces.json with",
        "    whose face it is, to train a face encoder on",
        "truth.jsonl: whose head is where in every frame, and the mentions that looks decide;",
        "    to measure with, training must not read it",
        "",
        f"{len(samples)} dialogues, {sum(map(_mentions, records))} mentions, "
        f"{sum(len(r['clusters']) for r in records)} chains, "
        f"{sum(len(r['visual_annotations']) for r in records)} head boxes, "
        f"{len(images)} pictures of other people",
        "mentions that looks decide: "
        + ", ".join(f"{count} by {kind}" for kind, count in sorted(kinds.items())),
    ]
    lines += [f"{kind} {split}: {count}" for (kind, split), count in sorted(parts.items())]
    return "\n".join(lines) + "\n"


def _mentions(record: dict[str, Any]) -> int:
    return sum(map(len, record["clusters"]))


def _write_lines(path: Path, records: Sequence[dict[str, Any]]) -> None:
    write_text(path, "".join(json.dumps(r, ensure_ascii=False) + "\n" for r in records))
