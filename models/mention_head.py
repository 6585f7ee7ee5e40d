"""The head that scores every span of a text as a mention, up to a width."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

# The score of what cannot be a mention. Finite, so that it costs no loss and gives no gradient.
IMPOSSIBLE = -1e4
# About one in a hundred candidates is a mention.
_FIRST_SCORE = -4.5
_SIZE = 128


class MentionDetector(nn.Module):
    """Scores a span by its first word-piece, its last one, what stands between, and its width.

    s(i, j) = a(i)^T U b(j) + u^T a(i) + v^T b(j) + f(i, j) + c(j - i): the biaffine score of Dozat
    and Manning (2017), where a and b are small MLPs; f, an MLP that reads the mean of the
    word-pieces from i to j beside the two; and a score of the width.

    Args:
        hidden_size: H, of the word-pieces' vectors.
        max_pieces: W, the most word-pieces of a mention.
        dropout: inside of the MLPs.
    """

    def __init__(self, hidden_size: int, max_pieces: int, dropout: float) -> None:
        super().__init__()
        self.start = nn.Sequential(nn.Linear(hidden_size, _SIZE), nn.GELU(), nn.Dropout(dropout))
        self.end = nn.Sequential(nn.Linear(hidden_size, _SIZE), nn.GELU(), nn.Dropout(dropout))
        self.pair = nn.Linear(_SIZE, _SIZE, bias=False)
        self.start_score = nn.Linear(_SIZE, 1, bias=False)
        self.end_score = nn.Linear(_SIZE, 1, bias=False)
        # The first layer of f, in parts: each is computed once for a word-piece, not for a span.
        self.inner_start = nn.Linear(hidden_size, _SIZE)
        self.inner_end = nn.Linear(hidden_size, _SIZE, bias=False)
        self.inner_mean = nn.Linear(hidden_size, _SIZE, bias=False)
        self.inner_score = nn.Sequential(
            nn.GELU(), nn.Dropout(dropout), nn.Linear(_SIZE, 1, bias=False)
        )
        self.width_scores = nn.Parameter(torch.full((max_pieces,), _FIRST_SCORE))
        nn.init.zeros_(self.pair.weight)

    def forward(self, words: Tensor, may_start: Tensor, may_end: Tensor) -> Tensor:
        """Score all spans.

        What is computed and kept grows with T and W, never with the square of T.

        Args:
            words: [B, T, H].
            may_start: [B, T] bool, whether a mention may begin with a word-piece.
            may_end: [B, T] bool, whether one may end with it.

        Returns:
            [B, T, W], the logits of the spans from each word-piece on, of one word-piece, two
            and so on; `IMPOSSIBLE` where there can be no mention.
        """
        starts, ends = self.start(words), self.end(words)
        paired = self.pair(starts)
        of_starts, of_ends = self.start_score(starts)[..., 0], self.end_score(ends)[..., 0]
        inner_starts, inner_ends = self.inner_start(words), self.inner_end(words)
        # The sum of a span is the difference of two of these.
        sums = F.pad(self.inner_mean(words).float().cumsum(dim=1), (0, 0, 1, 0))
        length = words.shape[1]
        columns = []
        for further, of_width in enumerate(self.width_scores[:length]):
            begin, end = slice(0, length - further), slice(further, None)
            mean = (sums[:, further + 1 :] - sums[:, begin]) / (further + 1)
            inner = self.inner_score(inner_starts[:, begin] + inner_ends[:, end] + mean)[..., 0]
            pairs = torch.einsum("bth,bth->bt", paired[:, begin], ends[:, end])
            logits = pairs.float() + of_starts[:, begin] + of_ends[:, end] + inner + of_width
            possible = may_start[:, begin] & may_end[:, end]
            logits = logits.masked_fill(~possible, IMPOSSIBLE)
            columns.append(F.pad(logits, (0, further), value=IMPOSSIBLE))
        scores = torch.stack(columns, dim=-1)
        return F.pad(scores, (0, len(self.width_scores) - scores.shape[-1]), value=IMPOSSIBLE)
