"""The training loop and the evaluation beside it."""

from __future__ import annotations

import dataclasses
import itertools
import math
import sys
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn.parallel import DistributedDataParallel
from torch.utils.data import DataLoader
from tqdm import tqdm

from aligned_heads import (
    choose_head_threshold,
    each_alone,
    gold_chains_of,
    gold_headed_chains,
    headed_chains,
    predicted_chains,
    searches_in_dialogues,
    with_heads,
)
from data.mentions import (
    gold_spans,
)
from data.narration import Narration, counted_mentions
from data.regions import RegionStore
from data.word_vectors import WordVectors
from evaluation.alignment_scores import score_joint, score_retrieval
from evaluation.chains import chains_from_labels, chains_from_similarity, restrict
from evaluation.coreference_scores import score_chains
from evaluation.grounding_scores import GroundedMention, score_grounding
from evaluation.mention_scores import choose_mention_threshold
from learner import Learner
from models.pseudo_labels import (
    PseudoLabelQuality,
    PseudoLabels,
    count_pseudo_labels,
    make_pseudo_labels,
)
from models.training_step import (
    Portion,
    TrainingStep,
    count_things,
    make_portion,
    sum_by_name,
)
from resolver import Resolution, Resolver
from utils.batch import Batch
from utils.config import Config
from utils.distributed import (
    broadcast_object,
    gather_objects,
    interleave,
    is_main,
    share_of,
    sum_over_ranks,
)
from utils.errors import InputError
from utils.meters import Means
from utils.preemption import StopRequests

# Similarities that the threshold is chosen from.
THRESHOLDS = np.round(np.arange(-0.9, 1.0, 0.05), 2)

# Steps in a row that are left out before a training ends: nothing is learned any more.
MOST_SKIPPED = 10


def train_steps(
    training_step: nn.Module,
    learner: Learner,
    batches: TrainingBatches,
    config: Config,
    device: torch.device,
    losses: Means,
    stops: StopRequests,
    bar: tqdm,
    steps: int,
) -> int:
    """Train for some steps.

    Args:
        training_step: a `TrainingStep`, wrapped where there are several ranks.
        losses: of the steps so far; each loss of these is added, summed over all ranks.
        stops: where they agree, these steps end early.
        bar: shows the progress.
        steps: how many to do.

    Returns:
        How many were done.

    Raises:
        InputError: a loss is infinite or not a number.
    """
    before: _Step | None = None
    done = 0
    while done < steps and not stops.agreed(device):
        step = batches.next(device)
        learner.optimizer.zero_grad(set_to_none=True)
        weight = learner.pseudo.next_weight()
        terms = backward(training_step, learner.averaged, step, weight, config)
        now = _Step.of(terms, step, learner)
        if config.skip_bad_steps and (problem := now.problem() or now.gradient_problem(learner)):
            _skip(problem, learner)
        else:
            learner.skipped = 0
            learner.optimizer.step()
            learner.scheduler.step()
            if learner.teacher is not None:
                learner.teacher.update_parameters(learner.model)
            # To read a step's losses waits for the device, which by now has the next step to do.
            if before is not None:
                losses.add(before.losses())
            before = now
        done += 1
        bar.update()
    if before is not None:
        losses.add(before.losses())
    return done


def _skip(problem: str, learner: Learner) -> None:
    """Leave out a step's update, and say why."""
    learner.skipped += 1
    if learner.skipped == MOST_SKIPPED:
        raise InputError(f"{problem}; and so it was in the {MOST_SKIPPED - 1} steps before")
    if is_main():
        tqdm.write(f"left out: {problem}", file=sys.stderr)
    learner.scheduler.step()


def backward(
    training_step: nn.Module,
    labeller: nn.Module,
    step: Sequence[tuple[Batch | None, Batch | None]],
    pseudo_weight: float,
    config: Config,
) -> dict[str, Tensor]:
    """Leave the gradients of a step in the model, the same on every rank.

    Args:
        training_step: as in `train_steps`.
        labeller: makes the pseudo-labels: the averaged model, or the model itself without one.
        step: this rank's labelled and unlabelled batches, one pair after the other.
        pseudo_weight: what the weights of the pseudo-labels' losses are multiplied by; no
            pseudo-labels are made for 0.

    Returns:
        For each loss by name its sum and count over the step and all ranks, [2].
    """
    model, precision = unwrapped(training_step).model, unwrapped(training_step).precision
    portions = []
    for labelled, unlabelled in step:
        labels = None
        if unlabelled is not None and pseudo_weight > 0:
            labels = pseudo_label(labeller, unlabelled, config, precision)
        portions.append(make_portion(labelled, unlabelled, labels, config))
    counts = count_things(portions)

    def learn_from(portion: Portion) -> dict[str, Tensor]:
        loss, totals = training_step(portion, counts, pseudo_weight)
        loss.backward()
        return totals

    model.train()
    with _gradients_added_up(training_step):
        of_portions = [learn_from(portion) for portion in portions[:-1]]
    of_portions.append(learn_from(portions[-1]))
    totals = sum_by_name(of_portions)
    over_ranks = sum_over_ranks(torch.stack(list(totals.values())))
    return {
        name: torch.stack([total, counts[name]])
        for name, total in zip(totals, over_ranks, strict=True)
    }


def _gradients_added_up(training_step: nn.Module) -> AbstractContextManager[None]:
    """Inside, each rank adds up its own gradients; the next backward pass averages them all."""
    if isinstance(training_step, DistributedDataParallel):
        return training_step.no_sync()
    return nullcontext()


@dataclass(frozen=True)
class _Step:
    """What is to be said of a step when its losses are known."""

    names: tuple[str, ...]
    terms: Tensor  # [losses, 2], their sums and counts
    number: int
    rate: float
    narration_ids: tuple[str, ...]

    @classmethod
    def of(
        cls,
        terms: Mapping[str, Tensor],
        step: Sequence[tuple[Batch | None, Batch | None]],
        learner: Learner,
    ) -> _Step:
        batches = itertools.chain.from_iterable(step)
        ids = (i for batch in batches if batch is not None for i in batch.narration_ids)
        return cls(
            tuple(terms),
            torch.stack(list(terms.values())),
            learner.scheduler.last_epoch + 1,
            learner.scheduler.get_last_lr()[0],
            tuple(ids),
        )

    def losses(self) -> dict[str, tuple[float, float]]:
        """Sum and count of each loss by its name.

        Raises:
            InputError: one is infinite or not a number.
        """
        if problem := self.problem():
            raise InputError(
                f"{problem}; what is saved is of before: --resume --skip-bad-steps goes on without "
                "such steps, or a new run with a lower --lr may help"
            )
        return dict(zip(self.names, map(tuple, self.terms.tolist()), strict=True))

    def problem(self) -> str | None:
        """Says which loss is infinite or not a number; None where all are finite."""
        for name, total in zip(self.names, self.terms[:, 0].tolist(), strict=True):
            if not math.isfinite(total):
                return self._said(f"the loss {name} is {total}")
        return None

    def gradient_problem(self, learner: Learner) -> str | None:
        """Says that a gradient is infinite or not a number; None where all are finite."""
        gradients = [p.grad for p in learner.model.parameters() if p.grad is not None]
        norm = nn.utils.get_total_norm(gradients).item()
        return None if math.isfinite(norm) else self._said(f"the gradient's norm is {norm}")

    def _said(self, what: str) -> str:
        return (
            f"step {self.number}: {what}, at a learning rate of {self.rate:g} and on the "
            f"narrations {', '.join(self.narration_ids)}"
        )


class TrainingBatches:
    """This rank's batches of each step, without end.

    Args:
        loaders: of each part of the data by its name, "labelled" or "unlabelled", over
            `EndlessBatches`; at least one.
        steps_per_epoch: how many steps pass for an epoch.
        accumulation: how many batches of each loader a step takes.
    """

    def __init__(
        self,
        loaders: Mapping[str, DataLoader[Batch]],
        steps_per_epoch: int,
        accumulation: int = 1,
    ) -> None:
        self.steps_per_epoch = steps_per_epoch
        self._accumulation = accumulation
        self._samplers = {name: loader.batch_sampler for name, loader in loaders.items()}
        self._batches = {name: iter(loader) for name, loader in loaders.items()}
        self._steps = 0

    @property
    def sizes(self) -> dict[str, int]:
        """How many narrations each part has."""
        return {name: sampler.size for name, sampler in self._samplers.items()}

    @property
    def taken(self) -> dict[str, int]:
        """How many narrations of each part all ranks have trained on, passes repeated."""
        return {
            name: (sampler.start_step + self._steps) * sampler.step_size
            for name, sampler in self._samplers.items()
        }

    def next(self, device: torch.device) -> list[tuple[Batch | None, Batch | None]]:
        """The labelled and unlabelled batches of the next step, on the device."""
        self._steps += 1
        return [
            (self._next("labelled", device), self._next("unlabelled", device))
            for _ in range(self._accumulation)
        ]

    def _next(self, name: str, device: torch.device) -> Batch | None:
        return next(self._batches[name]).to(device) if name in self._batches else None


def pseudo_label(
    labeller: nn.Module, batch: Batch, config: Config, precision: torch.dtype = torch.float32
) -> PseudoLabels:
    """Targets of an unlabelled batch: of its clean texts, without dropout, without gradient."""
    labeller.eval()
    with torch.inference_mode():
        output = labeller(dataclasses.replace(batch, masked_token_ids=None), precision)
    return make_pseudo_labels(
        output,
        batch,
        positive_above=config.pseudo_positive_above,
        negative_below=config.pseudo_negative_below,
        region_above=config.pseudo_region_above,
        propagation_steps=config.pseudo_propagation_steps,
    )


def pseudo_label_quality(
    labeller: nn.Module, batches: Iterable[Batch], config: Config, device: torch.device
) -> PseudoLabelQuality:
    """Measure the pseudo-labels of narrations, against their truth where a batch knows it."""
    counts: Counter[str] = Counter()
    for batch in batches:
        batch = batch.to(device)
        counts.update(count_pseudo_labels(pseudo_label(labeller, batch, config), batch))
    return PseudoLabelQuality.of(counts)


def unwrapped(training_step: nn.Module) -> TrainingStep:
    """The `TrainingStep` inside DistributedDataParallel, or the one that is not wrapped."""
    return getattr(training_step, "module", training_step)


@dataclass(frozen=True)
class Evaluation:
    """Scores of held-out narrations, and the threshold that they come with.

    Attributes:
        threshold: the similarity above which two mentions are linked.
        scores: in percent, by name.
        floor: the CoNLL F1, in percent, that is reached without a model: by every mention alone or
            all in one chain, whichever is better.
        mention_threshold: the probability above which a stretch of a text is a mention; None where
            the model finds none.
        head_threshold: the cosine above which a chain is shown by its region; None where the model
            aligns nothing.
    """

    threshold: float
    scores: Mapping[str, float]
    floor: float = 0.0
    mention_threshold: float | None = None
    head_threshold: float | None = None


def evaluate(
    resolver: Resolver,
    narrations: Sequence[Narration],
    store: RegionStore | None,
    *,
    boxes_known: bool,
    word_vectors: WordVectors | None = None,
) -> Evaluation:
    """Choose the thresholds on held-out narrations and score them with these.

    Scores are pooled over documents, with gold mentions and with singletons; beside them stands the
    F1 of the mentions that the model finds, where it finds some. The ranks share the narrations,
    and each gets the scores of all.
    """
    resolutions = resolve_on_all_ranks(resolver, narrations, store, word_vectors=word_vectors)
    found = None
    if resolutions is not None:
        found = _score_held_out(resolutions, narrations, store, boxes_known)
        if resolver.config.alignment != "off":
            by_chain = resolver.config.alignment == "chain"
            found = _with_alignment(found, resolutions, by_chain=by_chain)
    if resolver.config.mention_detection:
        scores = resolver.score_mentions(share_of(narrations), word_vectors=word_vectors)
        shares = gather_objects(list(scores))
        if found is not None and shares is not None:
            threshold, mentions = choose_mention_threshold(
                interleave(shares), list(map(gold_spans, narrations))
            )
            found = dataclasses.replace(
                found,
                scores={**found.scores, "mentions": 100 * mentions.f1},
                mention_threshold=threshold,
            )
    return broadcast_object(found)


def resolve_on_all_ranks(
    resolver: Resolver,
    narrations: Sequence[Narration],
    store: RegionStore | None,
    find: Callable[[Sequence[Narration]], list[Narration]] | None = None,
    **options: Any,
) -> list[Resolution] | None:
    """Resolve narrations, each on one of the ranks.

    Args:
        find: gives narrations the mentions that are found in them; None to take those they have.
        options: of `Resolver.resolve`.

    Returns:
        The resolutions in the order of the narrations, on the first rank; None on the others.
    """
    if not is_main():
        options = options | {"progress": None}
    share = share_of(narrations) if find is None else find(share_of(narrations))
    shares = gather_objects(list(resolver.resolve(share, store, **options)))
    return None if shares is None else interleave(shares)


def _score_held_out(
    resolutions: Sequence[Resolution],
    narrations: Sequence[Narration],
    store: RegionStore | None,
    boxes_known: bool,
) -> Evaluation:
    threshold = choose_threshold(resolutions, boxes_known=boxes_known)
    chains = system_chains(resolutions, boxes_known=boxes_known, threshold=threshold)
    gold = gold_chains(narrations, boxes_known=boxes_known)
    pooled = score_chains(gold, chains).pooled
    scores = {"conll": pooled.conll, "muc": pooled.muc.f1, "b3": pooled.b3.f1}
    scores |= {"ceafe": pooled.ceafe.f1, "lea": pooled.lea.f1}
    scores = {name: 100 * value for name, value in scores.items()}
    if store is not None and boxes_known:
        grounded = score_grounding(grounded_mentions(resolutions))
        if grounded.any_box.overall is not None:
            scores["grounding"] = 100 * grounded.any_box.overall
    counts = {document: sum(map(len, of_document)) for document, of_document in gold.items()}
    trivial = (
        {document: chains_from_labels(range(count)) for document, count in counts.items()},
        {document: chains_from_labels([0] * count) for document, count in counts.items()},
    )
    floor = max(score_chains(gold, system).pooled.conll for system in trivial)
    return Evaluation(threshold, scores, 100 * floor)


def _with_alignment(
    found: Evaluation, resolutions: Sequence[Resolution], *, by_chain: bool
) -> Evaluation:
    """The evaluation with how heads are found: R@1 in the dialogues, by gold chains where a mention
    is compared by its chain, and the joint F1 of chains and heads."""
    resolutions = with_heads(resolutions)
    if not resolutions:
        return found
    chains_of = predicted_chains(found.threshold)
    compared = gold_chains_of if by_chain else each_alone
    recall = score_retrieval(searches_in_dialogues(resolutions, compared)).overall
    threshold = choose_head_threshold(resolutions, chains_of, by_chain=by_chain)
    system = headed_chains(resolutions, chains_of, by_chain=by_chain, threshold=threshold)
    gold = gold_headed_chains([resolution.narration for resolution in resolutions])
    scores = {"joint": 100 * score_joint(gold, system).overall.f1}
    if recall is not None:
        scores["heads"] = 100 * recall.found[0]
    return dataclasses.replace(found, scores={**found.scores, **scores}, head_threshold=threshold)


def choose_threshold(resolutions: Sequence[Resolution], *, boxes_known: bool) -> float:
    """The similarity threshold with the highest pooled CoNLL F1; the middle one of equals."""
    gold = gold_chains([r.narration for r in resolutions], boxes_known=boxes_known)
    conll = np.asarray(
        [
            score_chains(
                gold, system_chains(resolutions, boxes_known=boxes_known, threshold=float(t))
            ).pooled.conll
            for t in THRESHOLDS
        ]
    )
    best = np.flatnonzero(conll >= conll.max() - 1e-9)
    return float(THRESHOLDS[best[len(best) // 2]])


def gold_chains(
    narrations: Iterable[Narration], *, boxes_known: bool
) -> dict[str, list[list[int]]]:
    """Gold chains over the counted mentions of each narration, which are numbered from 0."""
    chains = {}
    for narration in narrations:
        counted = counted_mentions(narration, boxes_known=boxes_known)
        chains[narration.id] = chains_from_labels([narration.mentions[i].chain for i in counted])
    return chains


def system_chains(
    resolutions: Iterable[Resolution], *, boxes_known: bool, threshold: float
) -> dict[str, list[list[int]]]:
    """Predicted chains over the counted mentions of each narration, which are numbered from 0.

    Chains are found over all mentions of a narration and then left with those that count.
    """
    chains = {}
    for resolution in resolutions:
        counted = counted_mentions(resolution.narration, boxes_known=boxes_known)
        found = chains_from_similarity(resolution.similarity, threshold)
        chains[resolution.narration.id] = restrict(found, counted)
    return chains


def grounded_mentions(resolutions: Iterable[Resolution]) -> list[GroundedMention]:
    """What the grounding scores need of every mention that has a gold box."""
    return [
        GroundedMention(
            phrase=mention.phrase,
            gold_boxes_xyxy=np.asarray(mention.boxes_xyxy, dtype=np.float32),
            box_xyxy=None if resolution.boxes_xyxy is None else resolution.boxes_xyxy[index],
            regions_xyxy=resolution.regions_xyxy,
            kind=mention.kind,
        )
        for resolution in resolutions
        for index, mention in enumerate(resolution.narration.mentions)
        if mention.boxes_xyxy
    ]
