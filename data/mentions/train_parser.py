"""Training of a spaCy pipeline that gives noun chunks, on a Universal Dependencies treebank.

It finds mentions where no narrations are labelled, and is what a trained span categorizer is to
beat. spaCy is imported where it is needed, so that all else works without it.
"""

from __future__ import annotations

import random
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from tqdm import tqdm

from data.mentions.tok2vec import add_tok2vec
from data.mentions.treebank import (
    ParsedSentence,
    find_part,
    read_treebank,
)

if TYPE_CHECKING:
    from spacy.language import Language
    from spacy.training import Example

_WIDTH = 96  # numbers in the vector of a token
_ROWS = (5000, 1000, 2500, 1000)
_DROPOUT = 0.1
_WORDS_PER_BATCH = (500, 2000, 1.001)  # of the first batch, of the largest, growth to the next
_LOWER_CASED = 0.5  # share of the sentences that are read in lower case, as captions are


@dataclass(frozen=True, slots=True)
class TrainedParser:
    """A trained pipeline and its scores on the treebank's dev part, from 0 to 1.

    Attributes:
        pipeline: gives parts of speech, a parse and so noun chunks.
        part_of_speech_accuracy: share of the words with the right part of speech.
        unlabelled_attachment, labelled_attachment: share with the right head; with its label too.
    """

    pipeline: Language
    part_of_speech_accuracy: float
    unlabelled_attachment: float
    labelled_attachment: float

    def describe(self) -> str:
        """Return the scores on one line."""
        return (
            f"parts of speech {100 * self.part_of_speech_accuracy:.1f}  "
            f"heads {100 * self.unlabelled_attachment:.1f}  "
            f"heads and labels {100 * self.labelled_attachment:.1f}"
        )


def train_parser(folder: Path, *, epochs: int, seed: int) -> TrainedParser:
    """Train a morphologizer and a parser.

    Args:
        folder: has the train and dev parts of a treebank.
        seed: of all that is random.

    Raises:
        DataError: a part is missing or broken.
    """
    import spacy
    from spacy.training.batchers import minibatch_by_words
    from spacy.util import compounding, fix_random_seed

    sentences = list(read_treebank(find_part(folder, "train")))
    dev_sentences = list(read_treebank(find_part(folder, "dev")))
    fix_random_seed(seed)
    rng = random.Random(seed)
    pipeline = spacy.blank("en")
    _add_components(pipeline)
    examples = [_example(pipeline, sentence) for sentence in sentences]
    optimizer = pipeline.initialize(lambda: examples)
    sizes = compounding(*_WORDS_PER_BATCH)
    for epoch in range(1, epochs + 1):
        drawn = [_example(pipeline, s, lower=rng.random() < _LOWER_CASED) for s in sentences]
        rng.shuffle(drawn)
        with tqdm(total=len(drawn), desc=f"epoch {epoch} of {epochs}", leave=False) as bar:
            # Any iterable of sizes will do.
            for batch in minibatch_by_words(drawn, sizes):  # type: ignore[arg-type]
                pipeline.update(batch, sgd=optimizer, drop=_DROPOUT)
                bar.update(len(batch))
    scores = pipeline.evaluate([_example(pipeline, sentence) for sentence in dev_sentences])
    pipeline.meta["name"] = "parser"
    return TrainedParser(pipeline, scores["pos_acc"], scores["dep_uas"], scores["dep_las"])


def _add_components(pipeline: Language) -> None:
    listener = add_tok2vec(pipeline, width=_WIDTH, rows=_ROWS, window=1, depth=4)
    tagger_model = {"@architectures": "spacy.Tagger.v2", "tok2vec": listener}
    parser_model = {
        "@architectures": "spacy.TransitionBasedParser.v2",
        "state_type": "parser",
        "extra_state_tokens": False,
        "hidden_width": 64,
        "maxout_pieces": 2,
        "use_upper": True,
        "tok2vec": listener,
    }
    pipeline.add_pipe("morphologizer", config={"model": tagger_model})
    pipeline.add_pipe("parser", config={"model": parser_model})


def _example(pipeline: Language, sentence: ParsedSentence, *, lower: bool = False) -> Example:
    from spacy.tokens import Doc
    from spacy.training import Example

    words = [token.text.lower() if lower else token.text for token in sentence]
    spaces = [token.space_after for token in sentence]
    reference = Doc(
        pipeline.vocab,
        words=words,
        spaces=spaces,
        pos=[token.part_of_speech for token in sentence],
        heads=[token.head for token in sentence],
        deps=[token.label for token in sentence],
        sent_starts=[index == 0 for index in range(len(sentence))],
    )
    return Example(Doc(pipeline.vocab, words=words, spaces=spaces), reference)
