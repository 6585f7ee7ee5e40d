"""Links of mentions, made of the scores of all pairs."""

from __future__ import annotations

import numpy as np

from inference.links import MentionLinks


def links_of(similarity: np.ndarray) -> MentionLinks:
    """The links that have these scores, [M, M]; each mention reaches all before it."""
    mentions = len(similarity)
    reach = max(mentions - 1, 0)
    scores = np.zeros((mentions, reach), dtype=np.float32)
    for mention in range(mentions):
        scores[mention, reach - mention :] = similarity[mention, :mention]
    return MentionLinks(mentions, np.arange(mentions), scores)
