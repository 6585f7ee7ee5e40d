"""The page of a split whose chains have heads: dialogues, and the frames that show the heads."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path

from data.files import BadRecord
from data.media.frame_files import RegionFrame
from data.media.images import ImageFile, read_image
from data.narration import Narration
from data.readers import get_reader
from data.readers.report import ReadReport
from inference.resolution import Resolution
from inference.split_predictions import SplitPredictions
from metrics.alignment_scores import SHOWN_JOINT_SCORES, Documents, HeadedChain, JointScores
from metrics.certainty import Certainty
from metrics.error_analysis.errors import WRONG_BOXES, Error
from utils.files import write_text
from utils.text.languages import Language
from visualization.page import page_html
from visualization.page_content import (
    PageAnnotation,
    PageBox,
    PageImage,
    PageText,
    image_uri,
    score_intervals,
)
from visualization.split_page import (
    page_title,
    speaker_turns,
    training_curves,
)


def write_heads_page(
    path: Path,
    split: SplitPredictions,
    resolutions: Sequence[Resolution],
    gold: Documents,
    system: Documents,
    scores: JointScores,
    certainty: Certainty,
) -> None:
    """Write the page of dialogues, and say so.

    Args:
        path: the file to write.
        split: the predictions.
        resolutions: of the dialogues to show.
        gold: their chains with heads.
        system: likewise.
        scores: of all of them.
        certainty: of these scores.

    Raises:
        BadRecord: a frame cannot be read, and bad records are not skipped.
    """
    frames = get_reader(split.dataset).read_frames(split.data_root, split.name)
    report = ReadReport(split.dataset, split.name, split.skip_bad_records)
    texts = []
    for resolution in resolutions:
        name = resolution.narration.id
        shown = _page_text(resolution, frames[name], gold[name], system[name], report)
        wrong = list(_wrong_heads(shown, gold[name], system[name], split.language))
        texts.append(replace(shown, errors=wrong))
    figures = training_curves(split.checkpoint)
    title = page_title("Chains and heads", split)
    f1 = {
        "chains and heads": scores.overall.f1,
        "those with a head": scores.headed.f1,
        "chains alone": scores.mentions_alone.f1,
    }
    intervals = score_intervals(certainty, dict(zip(f1, SHOWN_JOINT_SCORES.values(), strict=True)))
    percent = {name: 100 * share for name, share in f1.items()}
    page = page_html(texts, title=title, scores=percent, intervals=intervals, figures=figures)
    write_text(path, page)
    print(f"\nwrote the page of {len(texts)} dialogues to {path}")
    if report.skipped:
        print("\n".join(report.lines()))


def _page_text(
    resolution: Resolution,
    frames: Sequence[RegionFrame],
    gold: Sequence[HeadedChain],
    system: Sequence[HeadedChain],
    report: ReadReport,
) -> PageText:
    """Return a dialogue with the frames that its heads are cut from, each of them once."""
    narration, boxes = resolution.narration, resolution.regions_xyxy.tolist()
    by_number = {frame.number: frame for frame in frames}
    numbers = sorted(by_number)

    def side(chains: Sequence[HeadedChain]) -> PageAnnotation:
        of_mentions = {
            span: [PageBox(tuple(boxes[chain.head]), numbers.index(frames[chain.head].number))]
            for chain in chains
            if chain.head is not None and 0 <= chain.head < len(boxes)
            for span in chain.mentions
        }
        return PageAnnotation([sorted(chain.mentions) for chain in chains], of_mentions)

    return PageText(
        title=narration.id,
        text=narration.text,
        system=side(system),
        gold=side(gold),
        images=[_image(by_number[n], narration, report) for n in numbers],
        turns=speaker_turns(narration),
    )


def _image(frame: RegionFrame, narration: Narration, report: ReadReport) -> PageImage:
    """Return a frame, an empty one of its proportions where its image is not at hand."""
    caption = f"frame {frame.number}"
    if frame.path is not None:
        try:
            image = read_image(ImageFile(f"{narration.id}, {caption}", frame.path))
            return PageImage(image.size, image_uri(image), caption)
        except BadRecord as problem:
            report.refuse(problem)
    # What has frames has their size.
    assert narration.image_size is not None
    return PageImage(narration.image_size, None, caption)


def _wrong_heads(
    page_text: PageText,
    gold: Sequence[HeadedChain],
    system: Sequence[HeadedChain],
    language: Language,
) -> Iterator[Error]:
    """Yield an error for each gold mention whose head is not that of the system, or that has a head
    on one side only.
    """
    system_head = {span: chain.head for chain in system for span in chain.mentions}
    for chain in gold:
        for span in sorted(chain.mentions):
            if system_head.get(span) != chain.head:
                kind = "pronouns" if language.kind_of(page_text.text[slice(*span)]) else "nouns"
                yield Error(page_text.title, WRONG_BOXES, kind, (span,))
