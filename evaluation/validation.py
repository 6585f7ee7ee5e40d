"""Score a model on held-out narrations and choose its thresholds."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from data.encoding.word_vectors import WordVectors
from data.mention_spans import gold_spans
from data.narration import Narration, keep_mentions
from data.regions.store import RegionStore
from evaluation.gold_and_system import gold_chains, system_chains
from evaluation.grounding import grounded_mentions
from evaluation.head_alignment import (
    gold_chains_of,
    gold_headed_chains,
    headed_chains,
    resolutions_with_heads,
    searches_in_dialogues,
    singleton_chains_of,
    system_chains_at,
)
from evaluation.thresholds import (
    choose_head_threshold,
    choose_link_threshold,
    choose_mention_threshold,
)
from inference.resolution import Resolution
from inference.resolver import Resolver
from inference.split_predictions import resolve_on_all_ranks
from metrics.alignment_scores import score_joint, score_retrieval
from metrics.chains import chains_from_labels
from metrics.coreference.scores import score_chains
from metrics.grounding_scores import score_grounding
from utils.distributed.ranks import (
    broadcast_object,
    gather_objects,
    interleave,
    share_of,
)
from utils.thresholds import Thresholds


@dataclass(frozen=True)
class Evaluation:
    """Scores of held-out narrations, and the thresholds that they come with.

    Attributes:
        thresholds: those with the best scores.
        scores: in percent, by name.
        floor: the CoNLL F1, in percent, that is reached without a model: by every mention alone or
            all in one chain, whichever is better.
    """

    thresholds: Thresholds
    scores: Mapping[str, float]
    floor: float = 0.0


def evaluate(
    resolver: Resolver,
    narrations: Sequence[Narration],
    store: RegionStore | None,
    *,
    counted: Sequence[Sequence[int]],
    word_vectors: WordVectors | None = None,
) -> Evaluation:
    """Choose the thresholds on held-out narrations and score them with these.

    Scores are pooled over documents, with gold mentions and with singletons; beside them stands the
    F1 of the mentions that the model finds, where it finds some. The ranks share the narrations,
    and each gets the scores of all.

    Args:
        store: the regions of the narrations' images; None to read the texts alone.
        counted: the indices of the mentions of each narration that scores count.
        word_vectors: of the narrations' words, for a model that was trained with such.
    """
    resolutions = resolve_on_all_ranks(resolver, narrations, store, word_vectors=word_vectors)
    evaluation = None
    if resolutions is not None:
        evaluation = _score_held_out(resolutions, counted, with_boxes=store is not None)
        if resolver.config.alignment != "off":
            by_chain = resolver.config.alignment == "chain"
            evaluation = _with_alignment(evaluation, resolutions, by_chain=by_chain)
    if resolver.config.mention_detection:
        scores = resolver.score_mentions(share_of(narrations), word_vectors=word_vectors)
        shares = gather_objects(list(scores))
        if evaluation is not None and shares is not None:
            threshold, mentions = choose_mention_threshold(
                interleave(shares), list(map(gold_spans, narrations))
            )
            evaluation = dataclasses.replace(
                evaluation,
                scores={**evaluation.scores, "mentions": 100 * mentions.f1},
                thresholds=dataclasses.replace(evaluation.thresholds, mention=threshold),
            )
    evaluation = broadcast_object(evaluation)
    assert evaluation is not None  # the first rank has all resolutions
    return evaluation


def _score_held_out(
    resolutions: Sequence[Resolution], counted: Sequence[Sequence[int]], *, with_boxes: bool
) -> Evaluation:
    narrations = [resolution.narration for resolution in resolutions]
    gold = gold_chains(map(keep_mentions, narrations, counted))
    threshold = choose_link_threshold(resolutions, counted, gold)
    chains = system_chains(resolutions, counted, threshold)
    pooled = score_chains(gold, chains).pooled
    scores = {"conll": pooled.conll, "muc": pooled.muc.f1, "b3": pooled.b3.f1}
    scores |= {"ceafe": pooled.ceafe.f1, "lea": pooled.lea.f1}
    scores = {name: 100 * value for name, value in scores.items()}
    if with_boxes:
        grounded = score_grounding(grounded_mentions(resolutions))
        if grounded.any_box.overall is not None:
            scores["grounding"] = 100 * grounded.any_box.overall
    counts = {document: sum(map(len, of_document)) for document, of_document in gold.items()}
    trivial = (
        {document: chains_from_labels(range(count)) for document, count in counts.items()},
        {document: chains_from_labels([0] * count) for document, count in counts.items()},
    )
    floor = max(score_chains(gold, system).pooled.conll for system in trivial)
    return Evaluation(Thresholds(threshold), scores, 100 * floor)


def _with_alignment(
    evaluation: Evaluation, resolutions: Sequence[Resolution], *, by_chain: bool
) -> Evaluation:
    """Add how well heads are found: R@1 in the dialogues, and the joint F1 of chains and heads.

    The first is by gold chains where a mention is compared by its chain.
    """
    resolutions = resolutions_with_heads(resolutions)
    if not resolutions:
        return evaluation
    chains_of = system_chains_at(evaluation.thresholds.link)
    compared = gold_chains_of if by_chain else singleton_chains_of
    recall = score_retrieval(searches_in_dialogues(resolutions, compared)).overall
    threshold = choose_head_threshold(resolutions, chains_of, by_chain=by_chain)
    system = headed_chains(resolutions, chains_of, by_chain=by_chain, threshold=threshold)
    gold = gold_headed_chains([resolution.narration for resolution in resolutions])
    scores = {"joint": 100 * score_joint(gold, system).overall.f1}
    if recall is not None:
        scores["heads"] = 100 * recall.found[0]
    return dataclasses.replace(
        evaluation,
        scores={**evaluation.scores, **scores},
        thresholds=dataclasses.replace(evaluation.thresholds, head=threshold),
    )
