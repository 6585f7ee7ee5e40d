"""What a model does not read of the mentions of a narration, to be said wherever it is so."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

from data.encoding.text import encode_text
from data.encoding.tokenizer import Tokenizer
from data.narration import Narration

_NAMED = 3  # narrations that a line names


@dataclass(frozen=True)
class LeftOut:
    """How many mentions of a narration a model leaves out.

    Attributes:
        narration: what it is called.
        unseen: mentions that the model does not see, as they have no word-piece or are over the cap
            of a training.
        beyond_reach: mentions that the model sees and does not compare with all before them.
    """

    narration: str
    unseen: int
    beyond_reach: int


def count_left_out(
    narrations: Iterable[Narration], tokenizer: Tokenizer, max_mentions: int | None, reach: int
) -> Iterator[LeftOut]:
    """Yield what a model leaves out of each narration, whose texts are cut for it.

    Args:
        max_mentions: the cap of a training; None where the model is used.
        reach: how many mentions before each it is compared with.
    """
    for narration in narrations:
        seen = len(encode_text(narration, tokenizer, max_mentions).mention_indices)
        beyond_reach = max(seen - 1 - reach, 0)
        yield LeftOut(narration.id, len(narration.mentions) - seen, beyond_reach)


def left_out_lines(
    counted: Sequence[LeftOut], reach: int, max_mentions: int | None = None
) -> list[str]:
    """Say what a model leaves out, a line for each kind; nothing where it reads everything."""
    why = "have no word-piece; the model does not see them, and each is a chain of its own"
    if max_mentions is not None:
        why = (
            f"are over the cap of {max_mentions} mentions (max_mentions) or have no word-piece; "
            "the training does not see them"
        )
    far = (
        f"have more than {reach} mentions before them (mention_reach); the model compares them "
        f"with the nearest {reach} alone"
    )
    unseen = {one.narration: one.unseen for one in counted if one.unseen}
    beyond = {one.narration: one.beyond_reach for one in counted if one.beyond_reach}
    return [_line(of, what) for of, what in ((unseen, why), (beyond, far)) if of]


def _line(counts: dict[str, int], what: str) -> str:
    named = ", ".join(list(counts)[:_NAMED]) + (", ..." if len(counts) > _NAMED else "")
    return f"{sum(counts.values())} mentions of {len(counts)} narrations ({named}) {what}"
