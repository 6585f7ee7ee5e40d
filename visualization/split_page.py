"""The page of the predictions of a split: texts with gold and system chains, images, errors."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence, Sized
from dataclasses import dataclass, field, replace
from itertools import chain
from pathlib import Path

from PIL import Image

from data.files import BadRecord
from data.media.images import ImageFile, read_image
from data.narration import Narration
from data.readers.report import ReadReport
from evaluation.coreference_report import CoreferenceReport
from evaluation.gold_and_system import GoldAndSystem
from evaluation.grounding import grounded_by_span
from inference.resolution import Resolution
from inference.split_predictions import SplitPredictions
from metrics.certainty import Certainty, Name
from metrics.chains import Chains
from metrics.coreference.scores import SHOWN_SCORES, score_chains
from metrics.error_analysis.box_errors import find_wrong_boxes
from metrics.error_analysis.errors import Error
from metrics.grounding_scores import GroundingScores, pronouns_of
from utils.checkpointing.run_folder import RunFolder
from utils.errors import InputError
from utils.files import write_text
from utils.text.spans import Span
from visualization.page import page_html
from visualization.page_content import (
    PageAnnotation,
    PageBox,
    PageImage,
    PageText,
    ScoreIntervals,
    SpeakerTurn,
    image_uri,
    score_intervals,
)

# Where the intervals of the scores on the pages stand.
_COREFERENCE_SCORES: Mapping[str, Name] = {
    "CoNLL F1": SHOWN_SCORES["CoNLL"],
    **{title: SHOWN_SCORES[title] for title in ("MUC", "B3", "CEAFe", "LEA")},
}
_GROUNDING_SCORES: Mapping[str, Name] = {
    "boxes": ("overall",),
    "of nouns": ("nouns",),
    "of pronouns": ("pronouns",),
}


def write_coreference_page(
    path: Path,
    split: SplitPredictions,
    sides: GoldAndSystem,
    report: CoreferenceReport | None,
    *,
    has_boxes: bool,
) -> None:
    """Write the page of a split's chains and of what is wrong with them, and say so.

    Args:
        path: the file to write.
        split: the predictions.
        sides: the chains to show.
        report: their scores; None where there are no gold chains.
        has_boxes: whether to show predicted boxes, and which are wrong where that is known.

    Raises:
        BadRecord: an image cannot be read, and bad records are not skipped.
    """
    scores, intervals = {}, None
    if report is not None:
        pooled = report.scores.pooled
        intervals = score_intervals(report.certainty["pooled"], _COREFERENCE_SCORES)
        scores = {"CoNLL F1": pooled.conll, "MUC": pooled.muc.f1, "B3": pooled.b3.f1}
        scores |= {"CEAFe": pooled.ceafe.f1, "LEA": pooled.lea.f1}
    scores_of = {
        document: {"CoNLL F1": 100 * _conll_of(sides.gold[document], sides.system[document])}
        for document in sides.gold
    }
    judged = _Judgement(_percent(scores), intervals, scores_of, sides.errors.found)
    _write_page(path, "Coreference", split, sides, judged, has_boxes=has_boxes)


def write_grounding_page(
    path: Path,
    split: SplitPredictions,
    sides: GoldAndSystem,
    scores: GroundingScores,
    certainty: Certainty,
) -> None:
    """Write the page of a split's boxes and of those that are wrong, and say so.

    Args:
        path: the file to write.
        split: the predictions.
        sides: the chains to show.
        scores: of the boxes.
        certainty: of these scores.

    Raises:
        BadRecord: an image cannot be read, and bad records are not skipped.
    """
    shares = {"boxes": scores.any_box.overall, "of nouns": scores.any_box.nouns}
    shares |= {"of pronouns": scores.any_box.pronouns, "best region": scores.oracle}
    judged = _Judgement(_percent(shares), score_intervals(certainty, _GROUNDING_SCORES))
    _write_page(path, "Grounding", split, sides, judged, has_boxes=True)


def _conll_of(gold: Chains[int], system: Chains[int]) -> float:
    """Return the CoNLL F1 of one narration, from 0 to 1."""
    return score_chains({"": gold}, {"": system}).pooled.conll


def _percent(scores: Mapping[str, float | None]) -> dict[str, float]:
    """Return in percent the scores that are known."""
    return {name: 100 * score for name, score in scores.items() if score is not None}


@dataclass(frozen=True)
class _Judgement:
    """Scores and errors of the chains on a page.

    Attributes:
        scores: of the split, in percent, by their names.
        intervals: of these scores, where they are known.
        scores_of: of each narration, likewise.
        errors: of the chains.
    """

    scores: Mapping[str, float]
    intervals: ScoreIntervals | None = None
    scores_of: Mapping[str, Mapping[str, float]] = field(default_factory=dict)
    errors: Sequence[Error] = ()


def _write_page(
    path: Path,
    what: str,
    split: SplitPredictions,
    sides: GoldAndSystem,
    judged: _Judgement,
    *,
    has_boxes: bool,
) -> None:
    """Write a page, and say so; errors of boxes and the share of right boxes are added."""
    grounded = grounded_by_span(split) if has_boxes else {}
    pronouns = pronouns_of(split.language)
    wrong = {name: find_wrong_boxes(name, grounded[name], pronouns) for name in grounded}
    all_wrong = list(chain.from_iterable(wrong.values()))
    errors_of: defaultdict[str, list[Error]] = defaultdict(list)
    for error in [*judged.errors, *all_wrong]:
        errors_of[error.document].append(error)
    report = ReadReport(split.dataset, split.name, split.skip_bad_records)
    texts = []
    for text in page_texts(split, sides, has_boxes, report):
        name = text.title
        of_boxes = _box_score(grounded.get(name, ()), wrong.get(name, ()))
        text_scores = {**judged.scores_of.get(name, {}), **of_boxes}
        texts.append(replace(text, errors=errors_of[name], scores=text_scores))
    of_boxes = _box_score(list(chain.from_iterable(grounded.values())), all_wrong)
    page = page_html(
        texts,
        title=page_title(what, split),
        scores={**judged.scores, **of_boxes},
        intervals=judged.intervals,
        figures=training_curves(split.checkpoint),
    )
    write_text(path, page)
    print(f"wrote the page of {len(texts)} narrations to {path}")
    if report.skipped:
        print("\n".join(report.lines()))


def page_title(what: str, split: SplitPredictions) -> str:
    """Return what is shown of which split, and by which run."""
    run = split.checkpoint.resolve().parent.name
    return f"{what}: {split.dataset}, {split.folder}, by {run}"


def training_curves(checkpoint: Path) -> list[tuple[str, bytes]]:
    """Draw the training curves of a checkpoint that lies in the folder of its run.

    Returns:
        Title and PNG; nothing where there is no log or it cannot be read, which is printed.
    """
    run = checkpoint.resolve().parent
    if not RunFolder(run).log.is_dir():
        return []
    # Here, as matplotlib takes a second to import.
    from visualization.curves import curves_png, read_curves

    try:
        return [("Training", curves_png({run.name: read_curves(run)}))]
    except InputError as error:
        print(f"the page has no training curves: {error}")
        return []


def page_texts(
    split: SplitPredictions, sides: GoldAndSystem, has_boxes: bool, report: ReadReport
) -> Iterator[PageText]:
    """Yield the narrations under their ids, in their order, with their sides and images.

    Args:
        split: the predictions.
        sides: the chains to show.
        has_boxes: whether to show predicted boxes.
        report: counts the images that cannot be read.
    """
    system, gold = sides.system_span_chains, sides.gold_span_chains
    for narration, resolution in zip(sides.narrations, split.resolutions, strict=True):
        boxes = boxes_by_span(resolution) if has_boxes else {}
        known = narration.id in gold
        yield PageText(
            title=narration.id,
            text=narration.text,
            system=PageAnnotation(system[narration.id], boxes),
            gold=PageAnnotation(gold[narration.id], _gold_boxes(narration)) if known else None,
            images=_images(narration, report),
            turns=speaker_turns(narration),
        )


def _gold_boxes(narration: Narration) -> dict[Span, Sequence[PageBox]]:
    return {
        (mention.start, mention.end): [PageBox(box_xyxy) for box_xyxy in mention.boxes_xyxy]
        for mention in narration.mentions
        if mention.boxes_xyxy
    }


def _box_score(mentions: Sized, wrong: Sized) -> dict[str, float]:
    return {"boxes": 100 - 100 * len(wrong) / len(mentions)} if mentions else {}


def resolved_text(title: str, resolution: Resolution, image: Image.Image | None) -> PageText:
    """Return what a page shows of a text that was resolved.

    Args:
        image: what the text is about, in RGB; None for a text alone.
    """
    spans = [(mention.start, mention.end) for mention in resolution.mentions]
    chains = [[spans[index] for index in chain] for chain in resolution.chains]
    return PageText(
        title=title,
        text=resolution.narration.text,
        system=PageAnnotation(chains, boxes_by_span(resolution)),
        images=() if image is None else (PageImage(image.size, image_uri(image)),),
    )


def boxes_by_span(resolution: Resolution) -> dict[Span, Sequence[PageBox]]:
    """Return the predicted boxes of the mentions that the model read, by span."""
    if resolution.boxes_xyxy is None or resolution.box_scores is None:
        return {}
    boxes = zip(resolution.boxes_xyxy.tolist(), resolution.box_scores.tolist(), strict=True)
    return {
        (mention.start, mention.end): [PageBox(tuple(box_xyxy), score=score)]
        for mention, (box_xyxy, score) in zip(resolution.mentions, boxes, strict=True)
        if score > 0
    }


def _images(narration: Narration, report: ReadReport) -> tuple[PageImage, ...]:
    """Return the image of a narration; an empty frame of its size where it is not at hand."""
    if narration.image_path is not None:
        try:
            # As it is stored, as the boxes of data sets are.
            image = read_image(ImageFile(narration.id, narration.image_path))
            return (PageImage(image.size, image_uri(image)),)
        except BadRecord as problem:
            report.refuse(problem)
    return () if narration.image_size is None else (PageImage(narration.image_size),)


def speaker_turns(narration: Narration) -> list[SpeakerTurn]:
    """Return where the speaker of a narration changes; nothing where speakers are not known."""
    turns: list[SpeakerTurn] = []
    for sentence in narration.sentences:
        is_new = not turns or turns[-1].speaker != sentence.speaker
        if sentence.speaker is not None and is_new:
            turns.append(SpeakerTurn(sentence.start, sentence.speaker))
    return turns
