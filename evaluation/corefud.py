"""The chains of a split as CorefUD has them: scored with matched mentions, and in CoNLL-U files."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from data.narration import Narration, keep_mentions
from data.readers import get_reader
from data.writers.conll import cuts_words, document_of, mention_words
from data.writers.corefud import with_predictions
from evaluation.gold_and_system import GoldAndSystem
from inference.split_predictions import SplitPredictions
from metrics.chains import Chains
from metrics.coreference.certainty import SystemScores, score_system
from metrics.corefud.documents import (
    CorefudDocument,
    document_without_trees,
    headless_note,
    scored_documents,
)
from metrics.corefud.matching import Matching
from metrics.corefud.scores import score_corefud
from utils.errors import InputError
from utils.text.conllu import ConlluDocument
from utils.text.conllu_files import write_documents


@dataclass(frozen=True)
class CorefudReport:
    """How well the chains of a split are found where mentions are matched as CorefUD does.

    Attributes:
        scores: of the system.
        left_out: how many there are of what is not predicted, or not scored as it was found.
        notes: what else is to be said of the mentions.
    """

    scores: SystemScores
    left_out: Mapping[str, int]
    notes: Sequence[str]

    def to_json(self) -> dict[str, Any]:
        """Return what `tools/score.py` writes, and what is left out."""
        return {**self.scores.to_json(), "left_out": dict(self.left_out)}

    def format(self) -> str:
        """Return tables to read, in percent."""
        tables = f"mentions matched as CorefUD does\n\n{self.scores.format()}"
        return "\n".join(filter(None, [tables, _told(self.left_out), *self.notes]))


def check_matching(dataset: str, matching: Matching | None) -> None:
    """Refuse a way to match mentions that a data set has no trees for.

    Raises:
        InputError: it has none.
    """
    if matching not in (None, "exact") and not get_reader(dataset).has_trees:
        raise InputError(
            f"--match {matching}: the data set {dataset} has no trees, so the heads of its "
            "mentions are not known; found mentions can be matched with --match exact"
        )


def score_matched(
    split: SplitPredictions, sides: GoldAndSystem, matching: Matching
) -> CorefudReport:
    """Score the chains of a split as the CorefUD scorer does.

    Gold is what the files of the data set hold, with the mentions that a model cannot predict;
    without CoNLL-U files it is the counted mentions, as words.

    Args:
        sides: of the split.
        matching: of mentions.

    Raises:
        InputError: the files cannot be read, or the head of a mention is wrong there.
    """
    if get_reader(split.dataset).has_trees:
        gold, system, left_out = _with_trees(split, sides)
    else:
        gold, system, left_out = _without_trees(sides)
    scores = score_corefud(gold, system, matching, also_without_singletons=True)
    if not sides.singletons:
        assert scores.pooled_without_singletons is not None
        scores = replace(
            scores, pooled=scores.pooled_without_singletons, pooled_without_singletons=None
        )
    notes = (headless_note(*side) for side in (("gold", gold), ("predicted", system)))
    return CorefudReport(
        score_system({split.name: scores.run}),
        {what: count for what, count in left_out.items() if count},
        [note for note in notes if note and matching != "exact"],
    )


def write_conllu_files(folder: Path, split: SplitPredictions, sides: GoldAndSystem) -> None:
    """Write the files of a data set of CoNLL-U anew, with the predicted chains alone.

    Raises:
        InputError: the files cannot be read, or are in the folder themselves.
    """
    for path, (_, predicted, left_out) in _predictions(split, sides).items():
        target = folder / path.name
        if target.exists() and target.samefile(path):
            raise InputError(f"--conll {folder}: found the data there, expected another folder")
        write_documents(target, predicted)
        print(f"wrote {len(predicted)} documents to {target}")
        if told := _told(left_out):
            print(f"warning: {target}: {told}")


def _told(left_out: Mapping[str, int]) -> str:
    """Say what is not predicted, or not as it was found; nothing where there is no such thing."""
    counts = [f"{count:,} {what}" for what, count in left_out.items() if count]
    return f"left out or changed: {', '.join(counts)}" if counts else ""


_Predictions = tuple[list[ConlluDocument], list[ConlluDocument], Counter[str]]


def _predictions(split: SplitPredictions, sides: GoldAndSystem) -> dict[Path, _Predictions]:
    """Return for each file its documents, these with predicted chains, and what they leave out."""
    files = get_reader(split.dataset).read_conllu(
        split.data_root, split.name, skip_bad_records=split.skip_bad_records
    )
    narrations = {narration.id: narration for narration in sides.narrations}
    found = {}
    for path, documents in files.items():
        counts: Counter[str] = Counter()
        predicted = []
        for name, gold in documents.items():
            of_document = document_of(narrations[name], sides.system[name])
            predicted.append(with_predictions(gold, of_document, counts))
            counts += _other_than_found(narrations[name], sides.system[name])
        found[path] = list(documents.values()), predicted, counts
    return found


_Sides = tuple[list[CorefudDocument], list[CorefudDocument], Counter[str]]


def _with_trees(split: SplitPredictions, sides: GoldAndSystem) -> _Sides:
    """Return gold and predictions as they are scored, and what the predictions leave out."""
    gold: list[CorefudDocument] = []
    system: list[CorefudDocument] = []
    left_out: Counter[str] = Counter()
    for path, (documents, predicted, counts) in _predictions(split, sides).items():
        gold += scored_documents(path, documents)
        system += scored_documents(path, predicted)
        left_out += counts
    return gold, system, left_out


def _without_trees(sides: GoldAndSystem) -> _Sides:
    """Return both sides of the labelled narrations as they are scored, and what they leave out."""
    sides = sides.labelled
    left_out: Counter[str] = Counter()
    gold, system = [], []
    for narration in sides.narrations:
        of_gold, of_system = sides.gold[narration.id], sides.system[narration.id]
        gold.append(document_without_trees(document_of(narration, of_gold)))
        system.append(document_without_trees(document_of(narration, of_system)))
        left_out += _other_than_found(narration, [*of_gold, *of_system])
    return gold, system, left_out


def _other_than_found(narration: Narration, chains: Chains[int]) -> Counter[str]:
    """Count the mentions of chains that are no whole words."""
    of_chains = keep_mentions(narration, sorted({m for chain in chains for m in chain}))
    return Counter(
        {
            "mentions that touch no word": mention_words(of_chains).count(None),
            "mentions that cut words, of which they get all": cuts_words(of_chains),
        }
    )
