"""Which stretches of a text are mentions: scores of all that are not too long."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

# The score of what cannot be a mention. Finite, so that it costs no loss and gives no gradient.
IMPOSSIBLE = -1e4
# About one in a hundred candidates is a mention.
_FIRST_SCORE = -4.5


class MentionDetector(nn.Module):
    """Scores a stretch by its first word-piece, its last one, both together, and its width.

    s(i, j) = a(i)^T U b(j) + u^T a(i) + v^T b(j) + c(j - i), the biaffine score of Dozat and
    Manning (2017) with a term for the width; a and b are small MLPs.

    Args:
        hidden_size: H, of the word-pieces' vectors.
        max_pieces: W, the most word-pieces of a mention.
        dropout: of what the MLPs read and give.
    """

    def __init__(self, hidden_size: int, max_pieces: int, dropout: float) -> None:
        super().__init__()
        self.start = _perceptron(hidden_size, dropout)
        self.end = _perceptron(hidden_size, dropout)
        self.pair = nn.Linear(hidden_size, hidden_size, bias=False)
        self.start_score = nn.Linear(hidden_size, 1, bias=False)
        self.end_score = nn.Linear(hidden_size, 1, bias=False)
        self.width_scores = nn.Parameter(torch.full((max_pieces,), _FIRST_SCORE))
        nn.init.zeros_(self.pair.weight)

    def forward(self, words: Tensor, may_start: Tensor, may_end: Tensor) -> Tensor:
        """Score all stretches.

        What is computed and kept grows with T and W, never with the square of T.

        Args:
            words: [B, T, H].
            may_start: [B, T] bool, whether a mention may begin with a word-piece.
            may_end: [B, T] bool, whether one may end with it.

        Returns:
            [B, T, W], the logits of the stretches from each word-piece on, of one word-piece, two
            and so on; `IMPOSSIBLE` where there can be no mention.
        """
        starts, ends = self.start(words), self.end(words)
        paired = self.pair(starts)
        of_starts, of_ends = self.start_score(starts)[..., 0], self.end_score(ends)[..., 0]
        length = words.shape[1]
        columns = []
        for width, of_width in enumerate(self.width_scores[:length]):
            begin = slice(0, length - width)
            pairs = torch.einsum("bth,bth->bt", paired[:, begin], ends[:, width:])
            logits = pairs.float() + of_starts[:, begin] + of_ends[:, width:] + of_width
            possible = may_start[:, begin] & may_end[:, width:]
            logits = logits.masked_fill(~possible, IMPOSSIBLE)
            columns.append(F.pad(logits, (0, width), value=IMPOSSIBLE))
        scores = torch.stack(columns, dim=-1)
        return F.pad(scores, (0, len(self.width_scores) - scores.shape[-1]), value=IMPOSSIBLE)


def _perceptron(hidden_size: int, dropout: float) -> nn.Module:
    return nn.Sequential(nn.Linear(hidden_size, hidden_size), nn.GELU(), nn.Dropout(dropout))
