"""The head that ranks the mentions before each mention as what it refers back to."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from utils.batch import MENTION_FEATURES, UNKNOWN_SPEAKER
from utils.text.languages import PRONOUN_KINDS

# Distances from which on each bucket begins.
_BUCKETS = (0, 1, 2, 3, 4, 5, 8, 16, 32, 64)


class AntecedentHead(nn.Module):
    """Scores each pair of a mention and one before it against "a new entity", which has 0.

    An MLP over both fused vectors, their product and pair features: how many mentions and how many
    sentences lie between, whether speaker, words and head are the same, and what kind of pronoun
    each of the two is (mention ranking after Lee et al., EMNLP 2017).

    Args:
        hidden_size: H, of the fused mentions.
        dropout: of the MLP's inner layer.
    """

    INNER_SIZE = 256

    def __init__(self, hidden_size: int, dropout: float) -> None:
        super().__init__()
        inner, kinds = self.INNER_SIZE, len(PRONOUN_KINDS)
        self.mention = nn.Linear(hidden_size, inner)
        self.antecedent = nn.Linear(hidden_size, inner, bias=False)
        self.product = nn.Linear(hidden_size, inner, bias=False)
        self.mention_pronoun = nn.Embedding(kinds, inner)
        self.antecedent_pronoun = nn.Embedding(kinds, inner)
        sizes = (len(_BUCKETS), len(_BUCKETS), 3, 2, 2)
        self.pairs = nn.ModuleList(nn.Embedding(size, inner) for size in sizes)
        self.dropout = nn.Dropout(dropout)
        self.score = nn.Linear(self.INNER_SIZE, 1)

    def forward(self, mentions: Tensor, mention_mask: Tensor, features: Tensor) -> Tensor:
        """Rank the antecedents of each mention.

        Args:
            mentions: [B, M, H], in text order.
            mention_mask: [B, M] bool.
            features: [B, M, features] int64, as in `Batch`.

        Returns:
            [B, M, 1 + M], log-probabilities: that a mention begins a new entity, and that each of
            the mentions is its antecedent, minus infinity for those that do not come before it.
        """
        # The vectors of all pairs are kept for the gradient alone; without one, a narration's go
        # before the next one's come.
        together = torch.is_grad_enabled() or not len(mentions)
        parts = [slice(None)] if together else [slice(row, row + 1) for row in range(len(mentions))]
        scores = torch.cat([self._scores(mentions[part], features[part]) for part in parts])
        scores = scores.masked_fill(~earlier(mention_mask), float("-inf"))
        return F.pad(scores, (1, 0)).log_softmax(dim=-1)

    def _scores(self, mentions: Tensor, features: Tensor) -> Tensor:
        """Score each mention with each other one as its antecedent: [B, M, M]."""
        pronoun = features[..., MENTION_FEATURES.index("pronoun")]
        mention = self.mention(mentions) + self.mention_pronoun(pronoun)
        antecedent = self.antecedent(mentions) + self.antecedent_pronoun(pronoun)
        inner = self.product(mentions[:, :, None] * mentions[:, None])
        inner = inner + mention[:, :, None] + antecedent[:, None]
        for embedding, values in zip(self.pairs, _of_pairs(features), strict=True):
            inner = inner + embedding(values)
        return self.score(self.dropout(F.relu(inner)))[..., 0].float()


def earlier(mention_mask: Tensor) -> Tensor:
    """Tell which real mentions come before each real mention: [B, M] bool to [B, M, M]."""
    pairs = mention_mask[:, :, None] & mention_mask[:, None, :]
    return pairs.tril(diagonal=-1)


def same_chain_probability(log_probabilities: Tensor) -> Tensor:
    """Compute the probability that two mentions are of one chain.

    Each mention chooses its antecedent independently of the others, so that m and an earlier n are
    of one chain exactly if m's antecedent is n or is of one chain with n: p(m, n) is the sum over
    k < m of p(m's antecedent is k) p(k, n), where p(n, n) = 1.

    Args:
        log_probabilities: [B, M, 1 + M], as `AntecedentHead` gives them.

    Returns:
        [B, M, M], symmetric, 1 on the diagonal.
    """
    antecedents = log_probabilities[..., 1:].exp()
    together = torch.eye(antecedents.shape[1], device=antecedents.device).expand_as(antecedents)
    together = together.clone()
    for m in range(1, antecedents.shape[1]):
        row = (antecedents[:, m : m + 1, :m] @ together[:, :m, :m]).clamp(max=1.0)
        together[:, m, :m] = row[:, 0]
        together[:, :m, m] = row[:, 0]
    return together


def _of_pairs(features: Tensor) -> list[Tensor]:
    """Return the pair features, each [B, M, M], of each mention with each other."""
    columns = dict(zip(MENTION_FEATURES, features.unbind(dim=-1), strict=True))
    places = torch.arange(features.shape[1], device=features.device).expand(features.shape[:2])

    def distance(of: Tensor) -> Tensor:
        starts = torch.tensor(_BUCKETS, device=of.device)
        apart = (of[:, :, None] - of[:, None]).clamp(min=0)
        return torch.bucketize(apart, starts, right=True) - 1

    def same(name: str) -> Tensor:
        return (columns[name][:, :, None] == columns[name][:, None]).long()

    known = columns["speaker"] != UNKNOWN_SPEAKER
    speakers = (same("speaker") + 1) * (known[:, :, None] & known[:, None])
    return [
        distance(places),
        distance(columns["sentence"]),
        speakers,
        same("words"),
        same("head"),
    ]
