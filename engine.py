"""The training loop and the evaluation beside it."""

from __future__ import annotations

import argparse
import itertools
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import nn
from torch.optim import AdamW, Optimizer
from torch.optim.lr_scheduler import LambdaLR, LRScheduler
from torch.optim.swa_utils import AveragedModel
from tqdm import tqdm

from data.loaders import count_left_out
from data.narration import Narration, counted_mentions
from data.readers import default_test_split, open_regions, read_narrations
from data.regions import RegionStore
from data.word_pieces import WordPieces
from data.word_vectors import WordVectors, read_word_vectors
from evaluation.chains import chains_from_labels, chains_from_similarity, restrict
from evaluation.coreference_scores import score_chains
from evaluation.grounding_scores import GroundedMention, score_grounding
from models import losses
from models.coreference_model import CoreferenceModel, Output
from resolver import Resolution, Resolver
from utils.batch import Batch
from utils.config import Config, check_same_architecture, read_config_file
from utils.device import choose_device
from utils.distributed import require_single_process
from utils.errors import InputError
from utils.meters import Means

# Similarities that the threshold is chosen from, and the published one.
THRESHOLDS = np.round(np.arange(-0.9, 1.0, 0.05), 2)
PUBLISHED_THRESHOLD = 0.8


def train_one_epoch(
    model: nn.Module,
    teacher: AveragedModel | None,
    loader: Iterable[Batch],
    optimizer: Optimizer,
    scheduler: LRScheduler,
    config: Config,
    device: torch.device,
    progress: str,
) -> dict[str, float]:
    """Train on every batch once.

    Args:
        teacher: follows the model after each step; None without averaging.
        loader: labelled batches with masked words.
        progress: what the progress bar says.

    Returns:
        The mean of each loss over the epoch, by its name.
    """
    weights = loss_weights(config)
    means = Means()
    model.train()
    for batch in tqdm(loader, desc=progress, leave=False):
        batch = batch.to(device)
        terms = loss_terms(model(batch), batch, config)
        loss = losses.weighted_sum(terms, weights)
        optimizer.zero_grad(set_to_none=True)
        loss.backward()
        optimizer.step()
        scheduler.step()
        if teacher is not None:
            teacher.update_parameters(model)
        means.add({name: (t.total.item(), t.count.item()) for name, t in terms.items()})
    return means.means()


def loss_terms(output: Output, batch: Batch, config: Config) -> dict[str, losses.Term]:
    """The losses of a labelled batch by name, without those that the configuration leaves out."""
    coreference: dict[str, Callable[[], losses.Term]] = {
        "con": lambda: losses.contrastive_coreference(
            output, batch, config.coreference_temperature
        ),
        "fro": lambda: losses.frobenius_coreference(output, batch),
        "sigmoid": lambda: losses.sigmoid_coreference(output, batch),
    }
    terms = {"coreference": coreference[config.coreference_loss]()}
    if config.grounding:
        terms["grounding"] = losses.grounding(output, batch)
    if config.box_regression:
        terms["box"] = losses.box_regression(output, batch)
    if config.mlm_probability > 0:
        terms["masked_words"] = losses.masked_words(output, batch)
    terms["image_text"] = losses.image_text_contrast(output, batch, config.image_text_temperature)
    return terms


def loss_weights(config: Config) -> dict[str, float]:
    """The weight of each loss by its name."""
    return {
        "coreference": config.coreference_weight,
        "grounding": config.grounding_weight,
        "box": config.box_weight,
        "masked_words": config.masked_words_weight,
        "image_text": config.image_text_weight,
    }


def make_optimizer(model: CoreferenceModel, config: Config) -> Optimizer:
    """AdamW; biases and norms do not decay, the pretrained text encoder has its own rate."""
    pretrained = set(model.text_encoder.body.parameters())
    groups = [
        {
            "params": [p for p in model.parameters() if (p in pretrained, p.dim() > 1) == kind],
            "lr": config.lr * (1.0 if kind[0] else config.new_parts_lr_factor),
            "weight_decay": config.weight_decay if kind[1] else 0.0,
        }
        for kind in itertools.product((True, False), repeat=2)
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
    """

    threshold: float
    scores: Mapping[str, float]


def evaluate(
    resolver: Resolver,
    narrations: Sequence[Narration],
    store: RegionStore | None,
    *,
    boxes_known: bool,
    word_vectors: WordVectors | None = None,
) -> Evaluation:
    """Choose the threshold on held-out narrations and score them with it.

    Scores are pooled over documents, with gold mentions and with singletons.
    """
    resolutions = list(resolver.resolve(narrations, store, word_vectors=word_vectors))
    threshold = choose_threshold(resolutions, boxes_known=boxes_known)
    chains = system_chains(resolutions, boxes_known=boxes_known, threshold=threshold)
    pooled = score_chains(gold_chains(narrations, boxes_known=boxes_known), chains).pooled
    scores = {"conll": pooled.conll, "muc": pooled.muc.f1, "b3": pooled.b3.f1}
    scores |= {"ceafe": pooled.ceafe.f1, "lea": pooled.lea.f1}
    scores = {name: 100 * value for name, value in scores.items()}
    if store is not None and boxes_known:
        grounded = score_grounding(grounded_mentions(resolutions))
        if grounded.any_box.overall is not None:
            scores["grounding"] = 100 * grounded.any_box.overall
    return Evaluation(threshold, scores)


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


def open_split_regions(
    config: Config, dataset: str, data_root: Path, split: str
) -> RegionStore | None:
    """The regions that a model reads of a split; None where it reads the texts alone.

    Raises:
        InputError: the files are broken, or their features are of another size than the model's.
    """
    if not config.use_regions:
        return None
    store = open_regions(dataset, data_root, split, config.max_regions)
    if store is None:
        print(f"{dataset} {split} has no regions: the texts are read alone")
    elif store.feature_size != config.region_feature_size:
        raise InputError(
            f"{data_root}: the regions of {split} have features of {store.feature_size} numbers, "
            f"the model takes {config.region_feature_size} (region_feature_size)"
        )
    return store


def look_up_words(
    config: Config, folder: str, narrations: Iterable[Narration]
) -> WordVectors | None:
    """The vectors that a model reads of the words of narrations; None where it reads none.

    Args:
        folder: of sense2vec vectors; empty for none.

    Raises:
        InputError: the folder cannot be read, or holds other vectors than the configuration says.
    """
    if not folder:
        return None
    vectors = read_word_vectors(Path(folder), (narration.text for narration in narrations))
    if config.word_vector_size not in (0, vectors.size):
        raise InputError(
            f"--sense2vec: the vectors in {folder} have {vectors.size} numbers, the model takes "
            f"{config.word_vector_size} (word_vector_size)"
        )
    if config.word_vector_checksum not in (0, vectors.checksum):
        raise InputError(
            f"--sense2vec: {folder} holds other vectors than the model was trained with: found "
            f"the checksum {vectors.checksum}, expected {config.word_vector_checksum}"
        )
    print(
        f"{folder}: {len(vectors.rows)} of {vectors.looked_up} distinct words have a vector of "
        f"{vectors.size} numbers"
    )
    return vectors


def report_left_out(
    narrations: Sequence[Narration], word_pieces: WordPieces, max_mentions: int
) -> None:
    """Say how many mentions the model will not see."""
    left_out = count_left_out(narrations, word_pieces, max_mentions)
    if left_out:
        print(
            f"warning: {sum(left_out.values())} mentions of {len(left_out)} narrations lie beyond "
            f"the encoder's {word_pieces.limit} word-pieces, are over the cap of {max_mentions} "
            "mentions, or have no word-piece; the model does not see them, and each is a chain of "
            "its own"
        )


@dataclass(frozen=True)
class ResolvedSplit:
    """A split as a test command sees it.

    Attributes:
        name: of the split.
        boxes_known: whether any of its mentions has a box.
        resolutions: one for each narration, in their order.
    """

    name: str
    boxes_known: bool
    resolutions: Sequence[Resolution]


def resolver_for_test(options: argparse.Namespace) -> Resolver:
    """The model that a test command's options name.

    Raises:
        InputError: the checkpoint cannot be used, or the options contradict it.
    """
    require_single_process()
    resolver = Resolver.from_checkpoint(options.save_name, choose_device(options.device))
    if options.model_config is not None:
        values, _ = read_config_file(options.model_config)
        check_same_architecture(values, resolver.config, options.model_config, options.save_name)
    if getattr(options, "sense2vec", "") and not resolver.config.word_vector_size:
        raise InputError(f"--sense2vec: {options.save_name} was trained without word vectors")
    if options.box_regression and not resolver.config.box_regression:
        raise InputError(f"--bbox-reg: the box head of {options.save_name} was not trained")
    return resolver


def resolve_split(resolver: Resolver, options: argparse.Namespace) -> ResolvedSplit:
    """Read a split and resolve it; data set and folder are the checkpoint's where none are given.

    Raises:
        InputError: the data cannot be read.
    """
    config = resolver.config
    dataset = getattr(options, "dataset", config.dataset)
    data_root = Path(getattr(options, "data_root", config.data_root))
    split = options.split or default_test_split(dataset)
    reading = read_narrations(dataset, data_root, split, skip_bad_records=options.skip_bad_records)
    print("\n".join(reading.report.lines()))
    report_left_out(reading.narrations, resolver.word_pieces, config.max_mentions)
    resolutions = resolver.resolve(
        reading.narrations,
        open_split_regions(config, dataset, data_root, split),
        word_vectors=look_up_words(
            config, getattr(options, "sense2vec", config.sense2vec), reading.narrations
        ),
        batch=getattr(options, "batch", 32),
        workers=options.workers,
        progress=f"resolving {split}",
    )
    return ResolvedSplit(split, reading.boxes_known, list(resolutions))
