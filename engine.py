"""The training loop and the evaluation beside it."""

from __future__ import annotations

import argparse
import dataclasses
import functools
import itertools
import math
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn.parallel import DistributedDataParallel
from torch.optim import AdamW, Optimizer
from torch.optim.lr_scheduler import LambdaLR, LRScheduler
from torch.optim.swa_utils import AveragedModel
from torch.utils.data import DataLoader
from tqdm import trange

from data.mentions import (
    DEFAULT_PIPELINE,
    find_spans,
    gold_spans,
    load_pipeline,
    with_spans,
)
from data.narration import Narration, are_boxes_known, counted_mentions
from data.readers import default_test_split
from data.regions import RegionStore
from data.sources import look_up_words, read_split, say_left_out
from data.word_vectors import WordVectors
from evaluation.chains import chains_from_labels, chains_from_similarity, restrict
from evaluation.coreference_scores import score_chains
from evaluation.grounding_scores import GroundedMention, score_grounding
from evaluation.mention_scores import choose_mention_threshold
from models.coreference_model import CoreferenceModel
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
from utils.config import Config, check_same_architecture, read_config_file
from utils.device import choose_precision
from utils.distributed import (
    broadcast_object,
    gather_objects,
    interleave,
    is_main,
    share_of,
    sum_over_ranks,
)
from utils.errors import InputError
from utils.languages import Language, read_language
from utils.meters import Means

# Similarities that the threshold is chosen from.
THRESHOLDS = np.round(np.arange(-0.9, 1.0, 0.05), 2)


def train_one_epoch(
    training_step: nn.Module,
    labeller: nn.Module,
    teacher: AveragedModel | None,
    batches: TrainingBatches,
    optimizer: Optimizer,
    scheduler: LRScheduler,
    pseudo: PseudoSchedule,
    config: Config,
    device: torch.device,
    progress: str,
) -> dict[str, float]:
    """Train for as many steps as an epoch has.

    Args:
        training_step: a `TrainingStep`, wrapped where there are several ranks.
        labeller: makes the pseudo-labels: the averaged model, or the model itself without one.
        teacher: follows the model after each step; None without averaging.
        pseudo: when pseudo-labels count, and how much.
        progress: what the progress bar says.

    Returns:
        The mean of each loss over the epoch and all ranks, by its name.
    """
    means = Means()
    model = unwrapped(training_step).model
    before: _Step | None = None
    for _ in trange(batches.steps_per_epoch, desc=progress, leave=False, disable=not is_main()):
        step = batches.next(device)
        optimizer.zero_grad(set_to_none=True)
        terms = backward(training_step, labeller, step, pseudo.next_weight(), config)
        optimizer.step()
        scheduler.step()
        if teacher is not None:
            teacher.update_parameters(model)
        # To read a step's losses waits for the device, which by now has the next step to do.
        if before is not None:
            means.add(before.losses())
        before = _Step.done(terms, itertools.chain.from_iterable(step), scheduler)
    if before is not None:
        means.add(before.losses())
    return means.means()


def backward(
    training_step: nn.Module,
    labeller: nn.Module,
    step: Sequence[tuple[Batch | None, Batch | None]],
    pseudo_weight: float,
    config: Config,
) -> dict[str, Tensor]:
    """Leave the gradients of a step in the model, the same on every rank.

    Args:
        training_step, labeller: as in `train_one_epoch`.
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
    def done(
        cls,
        terms: Mapping[str, Tensor],
        batches: Iterable[Batch | None],
        scheduler: LRScheduler,
    ) -> _Step:
        ids = (i for batch in batches if batch is not None for i in batch.narration_ids)
        rate = scheduler.get_last_lr()[0]
        together = torch.stack(list(terms.values()))
        return cls(tuple(terms), together, scheduler.last_epoch, rate, tuple(ids))

    def losses(self) -> dict[str, tuple[float, float]]:
        """Sum and count of each loss by its name.

        Raises:
            InputError: one is infinite or not a number.
        """
        found = dict(zip(self.names, map(tuple, self.terms.tolist()), strict=True))
        for name, (total, _) in found.items():
            if not math.isfinite(total):
                raise InputError(
                    f"step {self.number}: the loss {name} is {total}, at a learning rate of "
                    f"{self.rate:g} and on the narrations {', '.join(self.narration_ids)}; a lower "
                    "--lr may help; what is saved is of the epochs before"
                )
        return found


class TrainingBatches:
    """This rank's batches of each step, without end.

    Args:
        labelled: a loader over `EndlessBatches`; None where none are trained on; likewise
            `unlabelled`. One of them is there.
        steps_per_epoch: how many steps pass for an epoch.
        accumulation: how many batches of each loader a step takes.
    """

    def __init__(
        self,
        labelled: DataLoader[Batch] | None,
        unlabelled: DataLoader[Batch] | None,
        steps_per_epoch: int,
        accumulation: int = 1,
    ) -> None:
        self.steps_per_epoch = steps_per_epoch
        self._accumulation = accumulation
        self._labelled = None if labelled is None else iter(labelled)
        self._unlabelled = None if unlabelled is None else iter(unlabelled)

    def next(self, device: torch.device) -> list[tuple[Batch | None, Batch | None]]:
        """The labelled and unlabelled batches of the next step, on the device."""
        return [self._next_pair(device) for _ in range(self._accumulation)]

    def _next_pair(self, device: torch.device) -> tuple[Batch | None, Batch | None]:
        labelled = None if self._labelled is None else next(self._labelled).to(device)
        unlabelled = None if self._unlabelled is None else next(self._unlabelled).to(device)
        return labelled, unlabelled


class PseudoSchedule:
    """How much the losses against pseudo-labels count, step by step.

    Nothing until `start` is called, then linearly more up to the whole.

    Args:
        ramp_steps: until the whole; 0 is the whole at once.
    """

    def __init__(self, ramp_steps: float) -> None:
        self.ramp_steps = ramp_steps
        self._since_start: int | None = None

    def start(self) -> bool:
        """Let them count from the next step on; returns whether they did not before."""
        if self._since_start is not None:
            return False
        self._since_start = 0
        return True

    def next_weight(self) -> float:
        """What to multiply the weights of the next step by."""
        if self._since_start is None:
            return 0.0
        self._since_start += 1
        return min(1.0, self._since_start / max(self.ramp_steps, 1.0))


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


def make_optimizer(model: CoreferenceModel, config: Config) -> Optimizer:
    """AdamW; biases and norms do not decay. The pretrained text encoder has a learning rate of its
    own, and so has what finds mentions."""
    pretrained = set(model.text_encoder.body.parameters())
    finder = set() if model.mention_detector is None else set(model.mention_detector.parameters())
    others = set(model.parameters()) - pretrained - finder
    parts = (
        (1.0, pretrained),
        (config.new_parts_lr_factor, others),
        (config.mention_lr_factor, finder),
    )
    groups = [
        {
            "params": [p for p in model.parameters() if p in part and (p.dim() > 1) == decays],
            "lr": config.lr * factor,
            "weight_decay": config.weight_decay if decays else 0.0,
        }
        for factor, part in parts
        for decays in (True, False)
    ]
    return AdamW(groups, fused=True)


def make_scheduler(optimizer: Optimizer, config: Config, steps_per_epoch: int) -> LRScheduler:
    """A linear rise over the warm-up epochs, then a factor every few epochs; set at every step."""
    warmup_steps = config.warmup_epochs * steps_per_epoch

    def factor(step: int) -> float:
        if step < warmup_steps:
            return min(1.0, (step + 1) / warmup_steps)
        epochs = (step - warmup_steps) / steps_per_epoch
        return config.lr_step_factor ** int(epochs // config.lr_step_epochs)

    return LambdaLR(optimizer, factor)


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
    """

    threshold: float
    scores: Mapping[str, float]
    floor: float = 0.0
    mention_threshold: float | None = None


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


@dataclass(frozen=True)
class ResolvedSplit:
    """A split as a test command sees it.

    Attributes:
        dataset: the data set that it is a split of.
        data_root: the folder that it was read from.
        name: of the split.
        language: of its texts.
        boxes_known: whether any of its mentions has a box.
        narrations: as they were read.
        mentions: what was resolved, "gold" or where they were found.
        resolutions: one for each narration, in their order; their mentions are the narration's own
            or those that were found in it.
    """

    dataset: str
    data_root: Path
    name: str
    language: Language
    boxes_known: bool
    narrations: Sequence[Narration]
    mentions: str
    resolutions: Sequence[Resolution]

    @property
    def folder(self) -> str:
        """Where what is said of it is written; of found mentions in a place of their own."""
        return self.name if self.mentions == "gold" else f"{self.name}-{self.mentions}"


def resolver_for_test(options: argparse.Namespace, device: torch.device) -> Resolver:
    """The model that a test command's options name, on the device.

    Raises:
        InputError: the checkpoint cannot be used, or the options contradict it.
    """
    precision = choose_precision(options.precision, device)
    resolver = Resolver.from_checkpoint(options.save_name, device, precision)
    if hasattr(options, "language"):
        resolver.config = dataclasses.replace(resolver.config, language=options.language)
    if options.model_config is not None:
        values, _ = read_config_file(options.model_config)
        check_same_architecture(values, resolver.config, options.model_config, options.save_name)
    if getattr(options, "sense2vec", "") and not resolver.config.word_vector_size:
        raise InputError(f"--sense2vec: {options.save_name} was trained without word vectors")
    if options.box_regression and not resolver.config.box_regression:
        raise InputError(f"--bbox-reg: the box head of {options.save_name} was not trained")
    if options.mentions == "predicted" and not resolver.config.mention_detection:
        raise InputError(
            f"--mentions predicted: {options.save_name} was not trained to find mentions (main.py "
            "--detect-mentions)"
        )
    if options.spacy_model is not None and options.mentions != "spacy":
        raise InputError(f"--spacy-model finds nothing with --mentions {options.mentions}")
    return resolver


def mention_finder(
    resolver: Resolver, options: argparse.Namespace, word_vectors: WordVectors | None
) -> Callable[[Sequence[Narration]], list[Narration]] | None:
    """What finds the mentions that a test command's options ask for; None for gold mentions.

    Raises:
        InputError: the spaCy pipeline cannot be used.
    """
    if options.mentions == "gold":
        return None
    if options.mentions == "predicted":
        return functools.partial(
            resolver.find_mentions,
            word_vectors=word_vectors,
            batch=getattr(options, "batch", 32),
            workers=options.workers,
            progress="finding mentions" if is_main() else None,
        )
    pipeline = load_pipeline(options.spacy_model or DEFAULT_PIPELINE)

    def find(narrations: Sequence[Narration]) -> list[Narration]:
        found = find_spans(pipeline, (narration.text for narration in narrations))
        return [with_spans(n, spans) for n, spans in zip(narrations, found, strict=True)]

    return find


def resolve_split(resolver: Resolver, options: argparse.Namespace) -> ResolvedSplit | None:
    """Read a split and resolve it; data set and folder are the checkpoint's where none are given.

    Returns:
        None on every rank but the first.

    Raises:
        InputError: the data cannot be read.
    """
    config = resolver.config
    language = read_language(config.language)
    dataset = getattr(options, "dataset", config.dataset)
    data_root = Path(getattr(options, "data_root", config.data_root))
    split = options.split or default_test_split(dataset)
    is_gold = options.mentions == "gold"
    source = read_split(
        config,
        resolver.word_pieces,
        dataset,
        data_root,
        split,
        uses_mentions=is_gold,
        skip_bad_records=options.skip_bad_records,
    )
    narrations = source.narrations
    word_vectors = look_up_words(
        config, getattr(options, "sense2vec", config.sense2vec), narrations
    )
    resolutions = resolve_on_all_ranks(
        resolver,
        narrations,
        source.store,
        mention_finder(resolver, options, word_vectors),
        word_vectors=word_vectors,
        batch=getattr(options, "batch", 32),
        workers=options.workers,
        progress=f"resolving {split}",
    )
    if resolutions is None:
        return None
    if not is_gold:
        resolved = [resolution.narration for resolution in resolutions]
        say_left_out(resolved, resolver.word_pieces, config.max_mentions)
    return ResolvedSplit(
        dataset,
        data_root,
        split,
        language,
        are_boxes_known(narrations),
        narrations,
        options.mentions,
        resolutions,
    )
