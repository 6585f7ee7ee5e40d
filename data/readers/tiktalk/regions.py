"""Which region of a dialogue shows the person of an annotated head box, and whom its mentions mean.

A region shows a box's person where both overlap in the box's frame with an intersection over union
of at least 0.5; no two boxes have the same region. Where that frame was not looked at, a head is on
the straight line between the frames before and after it that were; where it is seen in one of them
alone, it is where it is there.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch
from scipy.optimize import linear_sum_assignment

from data.media.frame_files import RegionFrame, frame_files
from data.narration import NO_REGION, Mention, Narration
from data.readers.tiktalk.heads import HeadBox
from data.regions.head_files import Track, VideoHeads
from utils.boxes import SUFFICIENT_IOU, pairwise_iou
from utils.text.languages import CHINESE


def frames_of_regions(video_id: str, video: VideoHeads, folder: Path) -> tuple[RegionFrame, ...]:
    """Return the frame of each region of a dialogue.

    Args:
        folder: of all frames, a folder for each video in it.
    """
    of_video = folder / video_id
    files = frame_files(of_video, video_id) if of_video.is_dir() else {}
    return tuple(RegionFrame(head.frame, files.get(head.frame)) for head in video.heads)


def match_heads(boxes: Sequence[HeadBox], video: VideoHeads) -> dict[str, int]:
    """Return the region that shows each head, by the head's label, where one does."""
    if not boxes or not video.heads:
        return {}
    overlap = np.zeros((len(boxes), len(video.heads)), dtype=np.float32)
    for row, box in enumerate(boxes):
        for region, head in enumerate(video.heads):
            places = (_place(track, box.frame, video.looked_at) for track in head.tracks)
            there = [place for place in places if place is not None]
            if there:
                annotated = torch.tensor([box.box_xyxy], dtype=torch.float32)
                overlap[row, region] = pairwise_iou(annotated, torch.tensor(there)).max()
    enough = overlap >= SUFFICIENT_IOU
    rows, regions = linear_sum_assignment(-np.where(enough, overlap, 0))
    pairs = zip(rows.tolist(), regions.tolist(), strict=True)
    return {boxes[row].label: region for row, region in pairs if enough[row, region]}


def _place(track: Track, frame: int, looked_at: Sequence[int]) -> tuple[float, ...] | None:
    """Return the box of a track in a frame; None where it is seen neither there nor beside.

    Args:
        looked_at: the frames that were looked at, in ascending order.
    """
    frames = [number for number, _ in track]
    before = max((number for number in looked_at if number <= frame), default=None)
    after = min((number for number in looked_at if number >= frame), default=None)
    if before not in frames and after not in frames:
        return None
    corners = np.array([box for _, box in track]).T
    return tuple(float(np.interp(frame, frames, of_corner)) for of_corner in corners)


def with_heads(
    narration: Narration, boxes: Sequence[HeadBox], regions: Mapping[str, int], video: VideoHeads
) -> Narration:
    """Return the narration of a dialogue with the heads of its video as regions.

    A mention is a `name` where it and the name of the celebrity it means contain one another, a
    `pronoun` where it is one, and else a `noun`.

    Args:
        boxes: its annotated heads.
        regions: what `match_heads` gives for them.
    """
    of_chain: dict[str | None, HeadBox] = {box.label: box for box in boxes}
    people: list[str | None] = [None] * len(video.heads)
    for label, region in regions.items():
        people[region] = of_chain[label].celebrity

    def marked(mention: Mention) -> Mention:
        box = of_chain.get(mention.chain)
        return replace(
            mention,
            kind=_kind(mention.phrase, None if box is None else box.celebrity),
            region=NO_REGION if box is None else regions.get(box.label),
        )

    return replace(
        narration,
        image_id=narration.id,
        image_size=video.size,
        mentions=tuple(map(marked, narration.mentions)),
        people=tuple(people),
    )


def _kind(phrase: str, celebrity: str | None) -> str:
    if CHINESE.kind_of(phrase):
        return "pronoun"
    said, name = phrase.casefold(), (celebrity or "").casefold()
    return "name" if name and (said in name or name in said) else "noun"
