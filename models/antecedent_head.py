"""The head that ranks the mentions before each mention as what it refers back to."""

from __future__ import annotations

from typing import cast

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from models.bands import preceding
from utils.batch import MENTION_FEATURES, UNKNOWN_SPEAKER
from utils.text.languages import PRONOUN_KINDS

# Distances from which on each bucket begins.
_BUCKETS = (0, 1, 2, 3, 4, 5, 8, 16, 32, 64)
# How many values each pair feature has: the distance in mentions, that in sentences, the speakers,
# the words, the heads.
_PAIR_SIZES = (len(_BUCKETS), len(_BUCKETS), 3, 2, 2)
# About how many pairs are scored together where no gradient is kept.
_PAIRS_AT_ONCE = 2**14


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
        self.pairs = nn.ModuleList(nn.Embedding(size, inner) for size in _PAIR_SIZES)
        self.dropout = nn.Dropout(dropout)
        self.score = nn.Linear(self.INNER_SIZE, 1)

    def forward(
        self, mentions: Tensor, mention_mask: Tensor, features: Tensor, reach: int
    ) -> Tensor:
        """Rank the antecedents of each mention.

        Args:
            mentions: [B, M, H], in text order.
            mention_mask: [B, M] bool.
            features: [B, M, features] int64, as in `Batch`.
            reach: K, how many mentions before each may be its antecedent.

        Returns:
            [B, M, 1 + K], log-probabilities: that a mention begins a new entity, and that each of
            those before it is its antecedent, a band as in `models/bands.py`; minus infinity where
            there is no mention.
        """
        scores = self._scores(mentions, features, reach)
        before = mention_mask[:, :, None] & preceding(mention_mask, reach)
        scores = scores.masked_fill(~before, float("-inf"))
        return F.pad(scores, (1, 0)).log_softmax(dim=-1)

    def _scores(self, mentions: Tensor, features: Tensor, reach: int) -> Tensor:
        """Score each mention with those before it as its antecedent: [B, M, K]."""
        pronoun = features[..., MENTION_FEATURES.index("pronoun")]
        mention = self.mention(mentions) + self.mention_pronoun(pronoun)
        antecedent = self.antecedent(mentions) + self.antecedent_pronoun(pronoun)
        vectors_before, before = preceding(mentions, reach), preceding(antecedent, reach)
        features_before, pair_vectors = preceding(features, reach), self._pair_vectors()
        # The vectors of all pairs are kept for the gradient alone; without one, those of some
        # mentions go before the next ones' come.
        count = max(mentions.shape[1], 1)
        rows = count
        if not torch.is_grad_enabled():
            rows = max(_PAIRS_AT_ONCE // (max(len(mentions), 1) * (1 + reach)), 1)
        scores = []
        for start in range(0, count, rows):
            block = slice(start, start + rows)
            inner = self.product(mentions[:, block, None] * vectors_before[:, block])
            inner = inner + mention[:, block, None] + before[:, block]
            numbers = _pair_numbers(features[:, block], features_before[:, block])
            inner = inner + F.embedding(numbers, pair_vectors)
            scores.append(self.score(self.dropout(F.relu(inner)))[..., 0].float())
        return torch.cat(scores, dim=1)

    def _pair_vectors(self) -> Tensor:
        """Sum the vectors of the pair features for all of their values: [all of these, inner]."""
        weights = (cast(nn.Embedding, embedding).weight for embedding in self.pairs)
        sums = next(weights)
        for weight in weights:
            sums = (sums[:, None] + weight).flatten(0, 1)
        return sums


def same_chain_probability(log_probabilities: Tensor) -> Tensor:
    """Compute the probability that two mentions within the reach are of one chain.

    Each mention chooses its antecedent independently of the others, so that m and an earlier n are
    of one chain exactly if m's antecedent is n or is of one chain with n: p(m, n) is the sum over
    k < m of p(m's antecedent is k) p(k, n), where p(n, n) = 1. Where k and n are both within the
    reach before m, they are within the reach of each other, so that no other pair is asked for.

    Args:
        log_probabilities: [B, M, 1 + K], as `AntecedentHead` gives them.

    Returns:
        [B, M, K], a band as in `models/bands.py`.
    """
    antecedents = log_probabilities[..., 1:].exp()
    batch, mentions, reach = antecedents.shape
    band = torch.zeros_like(antecedents)
    if not reach:
        return band
    # The pairs of the last K mentions; that of mention k is in slot k modulo K.
    together = torch.eye(reach, device=antecedents.device).expand(batch, -1, -1).clone()
    slots = torch.arange(reach, device=antecedents.device)
    for m in range(1, mentions):
        filled, slot = min(m, reach), m % reach
        # Slot s holds the mention of column (s - m) modulo K.
        columns = (slots[:filled] - m) % reach
        chosen = antecedents[:, m].index_select(1, columns)[:, None]
        row = (chosen @ together[:, :filled, :filled]).clamp(max=1.0)[:, 0]
        band[:, m].index_copy_(1, columns, row)
        together[:, slot, :filled] = row
        together[:, :filled, slot] = row
        together[:, slot, slot] = 1.0
    return band


def _pair_numbers(features: Tensor, before: Tensor) -> Tensor:
    """Give the pair features of mentions and those before them one number.

    It is the row of `_pair_vectors` that stands for them.

    Args:
        features: [B, M, features].
        before: [B, M, K, features].

    Returns:
        [B, M, K] int64.
    """
    own = dict(zip(MENTION_FEATURES, features[:, :, None].unbind(dim=-1), strict=True))
    other = dict(zip(MENTION_FEATURES, before.unbind(dim=-1), strict=True))
    starts = torch.tensor(_BUCKETS, device=features.device)

    def bucket(distance: Tensor) -> Tensor:
        return torch.bucketize(distance.clamp(min=0).contiguous(), starts, right=True) - 1

    def same(name: str) -> Tensor:
        return (own[name] == other[name]).long()

    known = (own["speaker"] != UNKNOWN_SPEAKER) & (other["speaker"] != UNKNOWN_SPEAKER)
    reach = before.shape[2]
    values = (
        bucket(reach - torch.arange(reach, device=features.device)),
        bucket(own["sentence"] - other["sentence"]),
        (same("speaker") + 1) * known,
        same("words"),
        same("head"),
    )
    number = torch.zeros_like(before[..., 0])
    for value, size in zip(values, _PAIR_SIZES, strict=True):
        number = number * size + value
    return number
