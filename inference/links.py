"""How likely the mentions of a narration are of one chain with those before them."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from utils.errors import InputError

# Of each mention that many links are kept in an answer, and none with a lower score.
LINKS_OF_A_MENTION = 5
LOWEST_LINK = 0.01


@dataclass(frozen=True)
class MentionLinks:
    """The scores of the links of mentions with those before them, as far back as the reach.

    Attributes:
        mentions: M, how many the narration has.
        seen: [S] int64, the indices of those that the model saw, in their order.
        scores: [S, K] float32, of each mention seen and the K seen before it, the farthest first;
            the first mentions have fewer, and what stands in their place is not read.
    """

    mentions: int
    seen: np.ndarray
    scores: np.ndarray

    @property
    def beyond_reach(self) -> int:
        """How many mentions have others before them that they are not compared with."""
        reach: int = self.scores.shape[1]
        return max(len(self.seen) - 1 - reach, 0)

    def above(self, threshold: float) -> np.ndarray:
        """Return the links with a score strictly above a threshold.

        Returns:
            [links, 2] int64, each a mention and one before it.

        Raises:
            InputError: a score or the threshold is not a number, as those of a broken model are.
        """
        if np.isnan(self.scores).any() or np.isnan(threshold):
            raise InputError("the score of a link or its threshold is NaN, expected numbers")
        return self._links((self.scores > threshold) & self._exists)[0]

    def best(self) -> list[tuple[int, int, float]]:
        """Return the best links of each mention, at most `LINKS_OF_A_MENTION`.

        Returns:
            The mention, the one before it and their score, which is `LOWEST_LINK` at least; by the
            mention, then from the best on.
        """
        scores = np.where(self._exists & (self.scores >= LOWEST_LINK), self.scores, -np.inf)
        kept = np.zeros(scores.shape, dtype=bool)
        first = max(scores.shape[1] - LINKS_OF_A_MENTION, 0)
        columns = np.argsort(scores, axis=1, kind="stable")[:, first:]
        np.put_along_axis(kept, columns, True, axis=1)
        links, values = self._links(kept & np.isfinite(scores))
        order = np.lexsort((-values, links[:, 0]))
        return [
            (mention, before, score)
            for (mention, before), score in zip(
                links[order].tolist(), values[order].tolist(), strict=True
            )
        ]

    def similarity(self) -> np.ndarray:
        """Return the scores of all pairs, [M, M] float32.

        -1 between mentions that were not compared, 1 of each with itself.
        """
        pairs = np.full((self.mentions, self.mentions), -1.0, dtype=np.float32)
        links, scores = self._links(self._exists)
        later, earlier = links.T
        pairs[later, earlier] = pairs[earlier, later] = scores
        np.fill_diagonal(pairs, 1.0)
        return pairs

    @property
    def _exists(self) -> np.ndarray:
        """Tell which scores are of two mentions: [S, K] bool."""
        reach = self.scores.shape[1]
        exists: np.ndarray = np.arange(reach) >= reach - np.arange(len(self.seen))[:, None]
        return exists

    def _links(self, chosen: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Return chosen links, [links, 2] int64, and their scores; `chosen` is [S, K] bool."""
        rows, columns = np.nonzero(chosen)
        pairs = np.stack([rows, rows - self.scores.shape[1] + columns], axis=1)
        links: np.ndarray = self.seen[pairs]
        return links, self.scores[rows, columns]
