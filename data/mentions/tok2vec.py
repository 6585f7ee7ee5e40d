"""spaCy's encoder that starts from nothing, for the pipelines that are trained here."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from spacy.language import Language


def add_tok2vec(
    pipeline: Language, *, width: int, rows: Sequence[int], window: int, depth: int
) -> dict[str, Any]:
    """Add the encoder to a pipeline.

    Args:
        width: of a token's vector.
        rows: of the tables of norms, prefixes, suffixes and shapes.
        window: tokens to each side that a layer sees.
        depth: layers.

    Returns:
        The settings of what listens to it.
    """
    model = {
        "@architectures": "spacy.Tok2Vec.v2",
        "embed": {
            "@architectures": "spacy.MultiHashEmbed.v2",
            "width": width,
            "rows": list(rows),
            "attrs": ["NORM", "PREFIX", "SUFFIX", "SHAPE"],
            "include_static_vectors": False,
        },
        "encode": {
            "@architectures": "spacy.MaxoutWindowEncoder.v2",
            "width": width,
            "window_size": window,
            "maxout_pieces": 3,
            "depth": depth,
        },
    }
    pipeline.add_pipe("tok2vec", config={"model": model})
    return {"@architectures": "spacy.Tok2VecListener.v1", "width": width, "upstream": "*"}
