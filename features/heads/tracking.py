"""Which heads in the frames of a video are one person's.

Heads of neighbouring frames are linked to tracklets where their boxes overlap and their faces are
alike; where a person is hidden, leaves, or the video is cut, a tracklet ends, and the next one
begins. Tracklets whose faces are alike are then joined, as Li et al. (TikTalkCoref, ACL 2025) do.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from scipy.optimize import linear_sum_assignment

from utils.boxes import pairwise_iou
from utils.vectors import normalize_rows

LEAST_COSINE = 0.6  # as published
_LEAST_OVERLAP = 0.3  # IoU of a head in one frame with itself in the next

Tracklet = list[int]
"""Rows of the heads of one person in frames that follow each other."""


@dataclass(frozen=True, slots=True, eq=False)
class Heads:
    """The heads that were found in a video, frame by frame.

    Attributes:
        frames: [heads] int64, number of the frame of each, in ascending order.
        boxes_xyxy: [heads, 4] float32, pixels.
        face_features: [heads, size] float32, which tell one face from another.
    """

    frames: np.ndarray
    boxes_xyxy: np.ndarray
    face_features: np.ndarray


def link_tracklets(heads: Heads, looked_at: Sequence[int], least_cosine: float) -> list[Tracklet]:
    """Link the heads of one person through frames that follow each other.

    From each frame to the next, the heads are matched so that the sum of overlap and cosine is
    largest (Hungarian assignment).

    Args:
        looked_at: numbers of all frames that heads were looked for in, ascending.
        least_cosine: of the features of two faces, above which they can be one person's.
    """
    directions = normalize_rows(heads.face_features)
    boxes = torch.from_numpy(heads.boxes_xyxy)
    tracklets: list[Tracklet] = []
    before: list[Tracklet] = []
    for frame in looked_at:
        rows = np.flatnonzero(heads.frames == frame)
        last = np.array([tracklet[-1] for tracklet in before], dtype=np.int64)
        overlap = pairwise_iou(boxes[last], boxes[rows]).numpy()
        cosine = directions[last] @ directions[rows].T
        possible = (overlap >= _LEAST_OVERLAP) & (cosine > least_cosine)
        # An impossible pair is worth nothing.
        pairs = zip(*linear_sum_assignment(-np.where(possible, overlap + cosine, 0)), strict=True)
        follows = {int(rows[new]): before[old] for old, new in pairs if possible[old, new]}
        now = []
        for row in rows.tolist():
            if row not in follows:
                follows[row] = []
                tracklets.append(follows[row])
            follows[row].append(row)
            now.append(follows[row])
        before = now
    return tracklets


def join_tracklets(
    heads: Heads, tracklets: Sequence[Tracklet], least_cosine: float = LEAST_COSINE
) -> list[list[int]]:
    """Return groups of tracklets that are one person's, each group by the tracklets' indices.

    The two groups whose mean features are most alike are joined first, as long as any two are
    alike enough. Groups that are seen in one frame together are two persons', however alike.

    Args:
        least_cosine: of two mean features, above which groups are joined.
    """
    groups = [[number] for number in range(len(tracklets))]
    directions = normalize_rows(heads.face_features)
    sums = np.array([directions[tracklet].sum(axis=0) for tracklet in tracklets])
    frames = [set(heads.frames[tracklet].tolist()) for tracklet in tracklets]
    # Each group and itself too.
    together = np.array([[bool(one & other) for other in frames] for one in frames])
    while len(groups) > 1:
        means = normalize_rows(sums)
        cosine = np.where(together, -np.inf, means @ means.T)
        first, second = sorted(map(int, np.unravel_index(cosine.argmax(), cosine.shape)))
        if cosine[first, second] <= least_cosine:
            break
        groups[first] += groups.pop(second)
        sums[first] += sums[second]
        together[first] |= together[second]
        together[:, first] = together[first]
        sums = np.delete(sums, second, axis=0)
        together = np.delete(np.delete(together, second, axis=0), second, axis=1)
    return groups
