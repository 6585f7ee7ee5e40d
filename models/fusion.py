"""The fusion: mentions look at each other and at the regions of the image."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any, cast

from torch import Tensor, nn

from models.attention import Attention, FeedForward, Residual


class Fusion(nn.Module):
    """Layers of self-attention over mentions, cross-attention to regions, and feed-forward.

    Args:
        heads: of the self-attention, as many as the encoder has whose layers it starts from.
        cross_attention_heads: the last of them, in the last layer, grounds: the fewer there are,
            the more of a mention's vector follows the region it is grounded in. A single one starts
            as the similarity of mentions and regions, so that what brings these together grounds.
    """

    def __init__(
        self,
        hidden_size: int,
        layers: int,
        heads: int,
        cross_attention_heads: int,
        feedforward_size: int,
        dropout: float,
        attention_dropout: float,
    ) -> None:
        super().__init__()
        self.layers = cast(
            Sequence[FusionLayer],  # a ModuleList does not say of what it is one
            nn.ModuleList(
                FusionLayer(
                    hidden_size,
                    heads,
                    cross_attention_heads,
                    feedforward_size,
                    dropout,
                    attention_dropout,
                )
                for _ in range(layers)
            ),
        )

    def forward(
        self,
        mentions: Tensor,
        mention_mask: Tensor,
        regions: Tensor,
        region_mask: Tensor,
        reach: int,
    ) -> tuple[Tensor, Tensor]:
        """Fuse mentions with each other and with the regions of their image.

        Args:
            mentions: [B, M, H].
            mention_mask: [B, M] bool.
            regions: [B, R, H].
            region_mask: [B, R] bool.
            reach: how many mentions before and after it a mention looks at.

        Returns:
            fused mentions [B, M, H], and the log of the region attention [B, M, R]: the
            cross-attention of the last layer's last head, a log-softmax over real regions.
        """
        for layer in self.layers[:-1]:
            mentions = layer.among_mentions(mentions, mention_mask, reach)
            attended = layer.cross_attention(mentions, regions, region_mask)
            mentions = layer.add(mentions, attended)
        last = self.layers[-1]
        mentions = last.among_mentions(mentions, mention_mask, reach)
        attended, log_attention = last.cross_attention.with_log_weights(
            mentions, regions, region_mask
        )
        return last.add(mentions, attended), log_attention

    def start_from(self, encoder_layers: Iterable[nn.Module]) -> int:
        """Start self-attention and feed-forward from layers of a BERT-like encoder.

        Returns:
            How many layers could be: those of a form or a size of their own are left as they are.
        """
        started = 0
        for layer, source in zip(self.layers, encoder_layers, strict=False):
            started += layer.start_from(source)
        return started


class FusionLayer(nn.Module):
    """One layer of the fusion."""

    def __init__(
        self,
        hidden_size: int,
        heads: int,
        cross_attention_heads: int,
        feedforward_size: int,
        dropout: float,
        attention_dropout: float,
    ) -> None:
        super().__init__()
        self.self_attention = Attention(hidden_size, heads, attention_dropout)
        self.after_self_attention = Residual(hidden_size, dropout)
        self.cross_attention = Attention(hidden_size, cross_attention_heads, attention_dropout)
        self.after_cross_attention = Residual(hidden_size, dropout)
        self.feedforward = FeedForward(hidden_size, feedforward_size)
        self.after_feedforward = Residual(hidden_size, dropout)
        if cross_attention_heads == 1:
            # It compares whole vectors, in the space where the image-text contrast brings mentions
            # and their regions together.
            self.cross_attention.start_as_similarity()
        # What starts at random adds nothing at first: a mention starts as the text has it.
        for added in (self.self_attention.out, self.cross_attention.out, self.feedforward.out):
            nn.init.zeros_(added.weight)
            nn.init.zeros_(added.bias)

    def among_mentions(self, mentions: Tensor, mention_mask: Tensor, reach: int) -> Tensor:
        """Attend among the mentions: [B, M, H] with a mask [B, M] to [B, M, H]."""
        if mentions.shape[1] <= 1 + reach:
            attended = self.self_attention(mentions, mentions, mention_mask)
        else:
            attended = self.self_attention.among_near(mentions, mention_mask, reach)
        return self.after_self_attention(mentions, attended)

    def add(self, mentions: Tensor, attended: Tensor) -> Tensor:
        """Add what the cross-attention says of mentions to them: both [B, M, H], to [B, M, H]."""
        mentions = self.after_cross_attention(mentions, attended)
        return self.after_feedforward(mentions, self.feedforward(mentions))

    def start_from(self, source: Any) -> bool:
        """Copy the weights of an encoder's layer.

        Args:
            source: a module of any form; those of BERT's and MPNet's can be copied.

        Returns:
            Whether they could be: False where form or size differ.
        """
        try:
            pairs: list[tuple[nn.Linear | nn.LayerNorm, Any]] = [
                *zip(self._attention_parts(), _attention_parts_of(source), strict=True),
                (self.feedforward.inner, source.intermediate.dense),
                (self.feedforward.out, source.output.dense),
                (self.after_feedforward.norm, source.output.LayerNorm),
            ]
        except AttributeError:
            return False
        if any(ours.weight.shape != theirs.weight.shape for ours, theirs in pairs):
            return False
        for ours, theirs in pairs:
            ours.load_state_dict(theirs.state_dict())
        return True

    def _attention_parts(self) -> tuple[nn.Linear | nn.LayerNorm, ...]:
        attention = self.self_attention
        norm = self.after_self_attention.norm
        return attention.query, attention.key, attention.value, attention.out, norm


def _attention_parts_of(layer: Any) -> tuple[Any, ...]:
    """Return query, key, value, output and norm of a layer of BERT's form, or of MPNet's.

    Raises:
        AttributeError: it has another form. So has DeBERTa's, whose attention reads places beside
            words and so has another scale.
    """
    attention = layer.attention
    if hasattr(attention, "attn"):
        own = attention.attn
        return own.q, own.k, own.v, own.o, attention.LayerNorm
    own, output = attention.self, attention.output
    return own.query, own.key, own.value, output.dense, output.LayerNorm
