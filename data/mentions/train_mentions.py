"""Training of a spaCy pipeline that finds mentions, on the gold mentions of narrations.

A span categorizer scores every span of up to as many tokens as nearly all gold mentions have, so
that nested mentions and pronouns are found like others. Narrations are written as people write,
unlabelled captions in lower case with spaces around punctuation: the pipeline learns both forms.

spaCy is imported where it is needed, so that all else works without it.
"""

from __future__ import annotations

import random
import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from statistics import median_low
from typing import TYPE_CHECKING, Any, TypeVar

from tqdm import tqdm

from data.mention_spans import gold_spans
from data.mentions.tok2vec import add_tok2vec
from data.narration import Narration
from utils.errors import InputError
from utils.pretrained import locate_encoder
from utils.text.span_scores import MatchScores, score_spans
from utils.text.spans import Span

if TYPE_CHECKING:
    from spacy.language import Language
    from spacy.training import Example

Item = TypeVar("Item")

TOK2VEC = "tok2vec"
_GROUP = "mentions"
_LABEL = "mention"

_TUNED_ON = 10  # of so many narrations one is not trained on, but sets the threshold
_COVERED = 0.998  # share of the gold mentions that are no longer than the longest candidates
PATIENCE = 3  # epochs without a better F1 until training stops
_THRESHOLDS = [step / 20 for step in range(1, 20)]

_WIDTH = 64  # numbers in the vector of a token
_ROWS = (2000, 500, 500, 500)
_DROPOUT = 0.1
_BATCHES = (4, 16, 1.005)  # narrations of the first batch, of the largest, growth from one to next
_RATE = 1e-3  # learning rate
_TRANSFORMER_RATE = 2e-4  # highest learning rate of all weights where a transformer is tuned

# Words with the apostrophes and hyphens inside them, and single other characters.
_CAPTION_TOKEN = re.compile(r"\w+(?:['’-]\w+)*|[^\w\s]")


@dataclass(frozen=True, slots=True)
class TrainedPipeline:
    """A trained pipeline, and how its training went.

    Attributes:
        pipeline: finds mentions.
        trained_on, tuned_on: how many narrations each was done with.
        epochs: how many it was trained for until it was best.
        threshold: the score from which on a span is a mention, from 0 to 1.
        longest: tokens of the longest mentions that it can find.
        unaligned: gold mentions left out of training as tokens do not begin and end with them.
    """

    pipeline: Language
    trained_on: int
    tuned_on: int
    epochs: int
    threshold: float
    longest: int
    unaligned: int


def train_mention_pipeline(
    narrations: Sequence[Narration],
    *,
    encoder: str = TOK2VEC,
    epochs: int = 20,
    patience: int = PATIENCE,
    seed: int = 0,
) -> TrainedPipeline:
    """Train a pipeline on narrations with gold mentions; a tenth of them sets the threshold.

    Args:
        encoder: `TOK2VEC`, which starts from nothing, or a transformer that `locate_encoder` takes.
        epochs: the most; training stops earlier where the tenth says so.
        patience: epochs without a better F1 on the tenth until it stops. An epoch of few narrations
            has few updates, so that a good pipeline needs many of both.
        seed: of all that is random.

    Raises:
        InputError: the narrations are too few; the transformer cannot be loaded.
    """
    from spacy.util import fix_random_seed

    tuning = narrations[::_TUNED_ON]
    fitted = [n for index, n in enumerate(narrations) if index % _TUNED_ON]
    if not any(narration.mentions for narration in fitted):
        raise InputError(
            f"found {len(narrations)} labelled narrations to train on and to set the threshold "
            "by, expected more"
        )
    fix_random_seed(seed)
    both_forms = [(narration, as_caption(narration)) for narration in fitted]
    pipeline, longest = _untrained(both_forms, encoder)
    examples = [tuple(_example(pipeline, form) for form in forms) for forms in both_forms]
    # Scores of all but hopeless candidates are needed to choose a threshold.
    _set_threshold(pipeline, _THRESHOLDS[0])
    optimizer = _initialize(pipeline, encoder, examples, epochs)
    tuning_forms = [form for written in tuning for form in (written, as_caption(written))]
    rng = random.Random(seed)
    best = _fit(pipeline, optimizer, examples, tuning_forms, epochs, patience, rng)
    pipeline.from_bytes(best.weights)
    _set_threshold(pipeline, best.threshold)
    pipeline.meta["name"] = "mentions"
    return TrainedPipeline(
        pipeline=pipeline,
        trained_on=len(fitted),
        tuned_on=len(narrations) - len(fitted),
        epochs=best.epoch,
        threshold=best.threshold,
        longest=longest,
        unaligned=sum(unaligned_mentions(pipeline, natural) for natural, _ in both_forms),
    )


def as_caption(narration: Narration) -> Narration:
    """Return the narration as an unlabelled caption would hold it.

    The words are in lower case, words and punctuation joined by spaces, as in the captions of the
    MCR release; each mention keeps its characters.
    """
    places: dict[int, int] = {}  # of each character that is not white space
    words = []
    length = 0
    for token in _CAPTION_TOKEN.finditer(narration.text):
        word = token.group()
        places.update((token.start() + i, length + i) for i in range(len(word)))
        # A few letters are several in lower case and would move the rest.
        words.append(word.lower() if len(word.lower()) == len(word) else word)
        length += len(word) + 1
    text = " ".join(words)
    mentions = []
    for mention, (start, end) in zip(narration.mentions, gold_spans(narration), strict=True):
        start, end = places[start], places[end - 1] + 1
        mentions.append(replace(mention, start=start, end=end, phrase=text[start:end]))
    return replace(narration, text=text, mentions=tuple(mentions), words=())


def unaligned_mentions(pipeline: Language, narration: Narration) -> int:
    """Count the gold mentions that do not begin and end with the pipeline's tokens."""
    document = pipeline.make_doc(narration.text)
    return sum(document.char_span(*span) is None for span in gold_spans(narration))


def _set_threshold(pipeline: Language, threshold: float) -> None:
    # spaCy types a component as nothing but a callable.
    categorizer: Any = pipeline.get_pipe("spancat")
    categorizer.cfg["threshold"] = threshold


def _example(pipeline: Language, narration: Narration) -> Example:
    from spacy.training import Example

    document = pipeline.make_doc(narration.text)
    reference = document.copy()
    spans = [reference.char_span(*span, label=_LABEL) for span in set(gold_spans(narration))]
    reference.spans[_GROUP] = [span for span in spans if span is not None]
    return Example(document, reference)


def _untrained(
    both_forms: Sequence[tuple[Narration, Narration]], encoder: str
) -> tuple[Language, int]:
    """Return an encoder with a span categorizer, and the tokens of its longest candidates."""
    import spacy

    pipeline = spacy.blank("en")
    longest = _longest_candidates(pipeline, [form for forms in both_forms for form in forms])
    if encoder == TOK2VEC:
        tokens = add_tok2vec(pipeline, width=_WIDTH, rows=_ROWS, window=2, depth=2)
    else:
        tokens = _add_transformer(pipeline, encoder)
    suggester = {
        "@misc": "spacy.ngram_range_suggester.v1",
        "min_size": 1,
        "max_size": longest,
    }
    model = {
        "@architectures": "spacy.SpanCategorizer.v1",
        "tok2vec": tokens,
        "reducer": {"@layers": "spacy.mean_max_reducer.v1", "hidden_size": 2 * _WIDTH},
        "scorer": {"@layers": "spacy.LinearLogistic.v1"},
    }
    config = {"spans_key": _GROUP, "suggester": suggester, "model": model}
    pipeline.add_pipe("spancat", config=config)
    return pipeline, longest


def _longest_candidates(pipeline: Language, narrations: Sequence[Narration]) -> int:
    """Return the number of tokens that `_COVERED` of the gold mentions do not exceed."""
    lengths = []
    for narration in narrations:
        document = pipeline.make_doc(narration.text)
        spans = (document.char_span(*span) for span in gold_spans(narration))
        lengths += [len(span) for span in spans if span is not None]
    if not lengths:
        raise InputError(
            f"no gold mention of {len(narrations)} narrations begins and ends with a token: there "
            "is nothing to train on"
        )
    lengths.sort()
    return lengths[int(_COVERED * (len(lengths) - 1))]


def _add_transformer(pipeline: Language, encoder: str) -> dict[str, Any]:
    """Add a pretrained encoder, and return the settings of what listens to it."""
    try:
        import spacy_transformers  # noqa: F401
    except ImportError as error:
        raise InputError(
            f"--encoder {encoder} needs the package spacy-transformers, which cannot be imported "
            f"({error}); --encoder {TOK2VEC} works without it"
        ) from error
    model = {
        "@architectures": "spacy-transformers.TransformerModel.v3",
        "name": locate_encoder(encoder),
        "get_spans": {
            "@span_getters": "spacy-transformers.strided_spans.v1",
            "window": 128,
            "stride": 96,
        },
        "tokenizer_config": {"use_fast": True},
    }
    pipeline.add_pipe("transformer", config={"model": model})
    return {
        "@architectures": "spacy-transformers.TransformerListener.v1",
        "grad_factor": 1.0,
        "pooling": {"@layers": "reduce_mean.v1"},
        "upstream": "*",
    }


def _initialize(
    pipeline: Language, encoder: str, examples: Sequence[tuple[Example, ...]], epochs: int
) -> Any:
    """Make the weights, and return the optimizer."""
    from thinc.api import Adam, warmup_linear

    def natural() -> list[Example]:
        return [forms[0] for forms in examples]

    if encoder == TOK2VEC:
        pipeline.initialize(natural)
        return Adam(_RATE, L2=0.01, use_averages=True)
    try:
        pipeline.initialize(natural)
    except (OSError, ValueError) as error:
        reason = str(error).strip().splitlines()[0]
        raise InputError(
            f"the encoder {encoder!r} cannot be loaded ({reason}); --encoder takes {TOK2VEC}, a "
            "hub name or a folder"
        ) from error
    steps = _updates(len(examples), epochs)
    schedule = warmup_linear(_TRANSFORMER_RATE, steps // 10, steps)
    # A step takes its rate from any iterable of rates.
    return Adam(schedule, L2=0.01, use_averages=False)  # type: ignore[arg-type]


def _updates(narrations: int, epochs: int) -> int:
    """Count the batches that `_fit` makes of so many narrations, if it does not stop before."""
    from spacy.util import compounding

    sizes = compounding(*_BATCHES)
    batches = (_minibatches(range(narrations), sizes) for _ in range(epochs))
    return sum(1 for of_epoch in batches for _ in of_epoch)


def _minibatches(items: Iterable[Item], sizes: Iterable[float]) -> Iterator[list[Item]]:
    """Yield the items in batches of the next sizes, which are rounded down."""
    from spacy.util import minibatch

    # spaCy has no types here.
    batches: Iterator[list[Item]] = minibatch(items, sizes)  # type: ignore[no-untyped-call]
    return batches


@dataclass(frozen=True, slots=True)
class _Best:
    """The state of a pipeline after the epoch that found the mentions of the tuning part best."""

    epoch: int
    f1: float
    threshold: float
    weights: bytes


def _fit(
    pipeline: Language,
    optimizer: Any,
    examples: Sequence[tuple[Example, ...]],
    tuning: Sequence[Narration],
    epochs: int,
    patience: int,
    rng: random.Random,
) -> _Best:
    """Train until the F1 of the tuning part stops growing.

    An epoch has every narration once, in one of its forms.

    Args:
        examples: the forms of each narration.
        rng: draws the forms and the order.
    """
    from spacy.util import compounding

    best = _Best(epoch=0, f1=-1.0, threshold=0.5, weights=b"")
    sizes = compounding(*_BATCHES)
    for epoch in range(1, epochs + 1):
        drawn = [rng.choice(forms) for forms in examples]
        rng.shuffle(drawn)
        with tqdm(total=len(drawn), desc=f"epoch {epoch}", leave=False) as bar:
            for batch in _minibatches(drawn, sizes):
                pipeline.update(batch, sgd=optimizer, drop=_DROPOUT)
                optimizer.step_schedules()
                bar.update(len(batch))
        # What is judged and kept are the averaged weights, where the optimizer averages them.
        with pipeline.use_params(optimizer.averages):
            threshold, scores = _tune(pipeline, tuning)
            print(f"epoch {epoch}  tuning part: {scores}  threshold {threshold:.2f}", flush=True)
            if scores.f1 > best.f1:
                best = _Best(epoch, scores.f1, threshold, pipeline.to_bytes())
        if best.f1 == 1.0 or epoch - best.epoch == patience:
            break
    return best


def _tune(pipeline: Language, narrations: Sequence[Narration]) -> tuple[float, MatchScores]:
    """Return the threshold with the best F1, the middle one of several, and its scores."""
    gold = list(map(gold_spans, narrations))
    scored: list[dict[Span, float]] = []
    for document in pipeline.pipe(narration.text for narration in narrations):
        group = document.spans[_GROUP]
        spans = [(span.start_char, span.end_char) for span in group]
        scored.append(dict(zip(spans, group.attrs["scores"].tolist(), strict=True)))
    scores = {
        threshold: score_spans(
            [[span for span, score in spans.items() if score >= threshold] for spans in scored],
            gold,
        )
        for threshold in _THRESHOLDS
    }
    highest = max(score.f1 for score in scores.values())
    threshold = median_low(t for t, score in scores.items() if score.f1 == highest)
    return threshold, scores[threshold]
