"""The parts of a Transformer layer, with post-normalisation as in BERT."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, cast

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.overrides import TorchFunctionMode

from utils.errors import InputError


class Attention(nn.Module):
    """Multi-head attention of queries over keys; padded keys are masked.

    A row of queries without any real key gets zeros, and so do all where there are no keys at all.
    """

    def __init__(self, hidden_size: int, heads: int, attention_dropout: float) -> None:
        super().__init__()
        if hidden_size % heads:
            raise InputError(
                f"{heads} attention heads do not divide a hidden size of {hidden_size}"
            )
        self.heads = heads
        self.attention_dropout = attention_dropout
        self.query = nn.Linear(hidden_size, hidden_size)
        self.key = nn.Linear(hidden_size, hidden_size)
        self.value = nn.Linear(hidden_size, hidden_size)
        self.out = nn.Linear(hidden_size, hidden_size)

    def start_as_similarity(self) -> None:
        """Let each head attend by the dot product of queries and keys as they are."""
        for scored in (self.query, self.key):
            nn.init.eye_(scored.weight)
            nn.init.zeros_(scored.bias)

    def forward(self, queries: Tensor, keys: Tensor, key_mask: Tensor) -> Tensor:
        """Attend from each query to the real keys.

        Args:
            queries: [B, Q, H].
            keys: [B, K, H].
            key_mask: [B, K] bool, True for real keys.

        Returns:
            [B, Q, H].
        """
        if not keys.shape[1]:
            return torch.zeros_like(queries)
        return self._attend(*self._projected(queries, keys), keys, key_mask)

    def among_near(self, vectors: Tensor, mask: Tensor, reach: int) -> Tensor:
        """Attend from each vector to the real ones that stand at most a reach before or after it.

        What is computed and kept at once grows with the reach, never with N.

        Args:
            vectors: [B, N, H].
            mask: [B, N] bool, True for real ones.
            reach: at least 1.

        Returns:
            [B, N, H].
        """
        query, key = self._projected(vectors, vectors)
        value = self._split(self.value(vectors))
        places = torch.arange(vectors.shape[1], device=vectors.device)
        attended = []
        for start in range(0, vectors.shape[1], reach):
            own = slice(start, start + reach)
            near = slice(max(start - reach, 0), start + 2 * reach)
            apart = (places[own, None] - places[near]).abs()
            # Padding attends to itself at least: a row of nothing would divide by zero.
            seen = mask[:, None, near] & (apart <= reach) | (apart == 0)
            attended.append(
                self._weighted(query[:, :, own], key[:, :, near], value[:, :, near], seen[:, None])
            )
        return self.out(torch.cat(attended, dim=2).transpose(1, 2).flatten(2))

    def with_log_weights(
        self, queries: Tensor, keys: Tensor, key_mask: Tensor
    ) -> tuple[Tensor, Tensor]:
        """Attend, and tell what the last head attends to.

        Returns:
            [B, Q, H], and the log-softmax of the last head's attention before dropout, [B, Q, K];
            padded keys hold the lowest finite number, so that sums with zeros stay zero.
        """
        if not keys.shape[1]:
            return torch.zeros_like(queries), queries.new_zeros(*queries.shape[:2], 0)
        query, key = self._projected(queries, keys)
        scores = query[:, -1] @ key[:, -1].transpose(1, 2)
        scores = scores.float() / query.shape[-1] ** 0.5
        lowest = torch.finfo(scores.dtype).min
        log_weights = scores.masked_fill(~key_mask[:, None, :], lowest).log_softmax(dim=-1)
        log_weights = log_weights.masked_fill(~key_mask[:, None, :], lowest)
        return self._attend(query, key, keys, key_mask), log_weights

    def _projected(self, queries: Tensor, keys: Tensor) -> tuple[Tensor, Tensor]:
        """Project [B, Q, H] and [B, K, H] to what is compared, [B, heads, Q or K, H / heads]."""
        return self._split(self.query(queries)), self._split(self.key(keys))

    def _attend(self, query: Tensor, key: Tensor, keys: Tensor, key_mask: Tensor) -> Tensor:
        has_keys = key_mask.any(dim=1)
        # A row without keys would divide by zero: it attends to its padding and is zeroed below.
        mask = (key_mask | ~has_keys[:, None])[:, None, None, :]
        attended = self._weighted(query, key, self._split(self.value(keys)), mask)
        return self.out(attended.transpose(1, 2).flatten(2)) * has_keys[:, None, None]

    def _weighted(self, query: Tensor, key: Tensor, value: Tensor, mask: Tensor) -> Tensor:
        return F.scaled_dot_product_attention(
            query,
            key,
            value,
            attn_mask=mask,
            dropout_p=self.attention_dropout if self.training else 0.0,
        )

    def _split(self, vectors: Tensor) -> Tensor:
        """Split [B, N, H] to [B, heads, N, H / heads]."""
        return vectors.unflatten(-1, (self.heads, -1)).transpose(1, 2)


class Residual(nn.Module):
    """LayerNorm of a vector plus what a part adds to it, after dropout."""

    def __init__(self, hidden_size: int, dropout: float) -> None:
        super().__init__()
        self.dropout = nn.Dropout(dropout)
        self.norm = nn.LayerNorm(hidden_size)

    def forward(self, vectors: Tensor, added: Tensor) -> Tensor:
        """Add and normalise; both [..., H] and so is what is returned."""
        return self.norm(vectors + self.dropout(added))


class FeedForward(nn.Sequential):
    """Two linear layers with GELU between; [..., H] to [..., H]."""

    def __init__(self, hidden_size: int, inner_size: int) -> None:
        super().__init__(
            nn.Linear(hidden_size, inner_size), nn.GELU(), nn.Linear(inner_size, hidden_size)
        )

    @property
    def inner(self) -> nn.Linear:
        """The first layer."""
        return cast(nn.Linear, self[0])

    @property
    def out(self) -> nn.Linear:
        """The last layer."""
        return cast(nn.Linear, self[-1])


class Float32Attention(TorchFunctionMode):
    """Compute scaled-dot-product attention in float32 inside the block, under the CPU's autocast.

    The CPU's bfloat16 kernel is slower than that of float32, several times so in the backward pass
    of small heads. A mode reaches the attention of the text encoder's own layers too.
    """

    def __torch_function__(
        self,
        function: Callable[..., Any],
        types: Sequence[type],
        arguments: Sequence[Any] = (),
        options: Mapping[str, Any] | None = None,
    ) -> Any:
        options = options or {}
        if function is not F.scaled_dot_product_attention:
            return function(*arguments, **options)
        with torch.autocast("cpu", enabled=False):
            attended = function(
                *map(_in_float32, arguments), **{k: _in_float32(v) for k, v in options.items()}
            )
        given = next(v for v in (*arguments, *options.values()) if isinstance(v, Tensor))
        return attended.to(given.dtype)


def _in_float32(value: Any) -> Any:
    return value.float() if isinstance(value, Tensor) and value.is_floating_point() else value
