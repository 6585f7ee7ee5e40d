"""Train a model.

The published command, and the same on several machines by `torchrun`:

    python -m torch.distributed.launch --nproc_per_node=4 --use_env main.py --use-ema --use-ssl
        --model_config configs/mcr_config.json --batch 6 --ssl_loss con --label-prop --bbox-reg
        --grounding --save_name final_model/
"""

from __future__ import annotations

import argparse
import dataclasses
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
from torch.utils.tensorboard import SummaryWriter

from data.encoding.example import ExampleEncoder
from data.encoding.tokenizer import load_tokenizer
from data.encoding.word_vectors import look_up_words
from data.loading.loader import worker_errors_explained
from data.loading.training_data import (
    TrainingData,
    read_training_data,
    warn_of_unreachable_mentions,
)
from evaluation.thresholds import default_thresholds
from evaluation.validation import Evaluation, evaluate
from inference.resolver import Resolver
from models.coreference_model import CoreferenceModel
from models.factory import build_from_pretrained, encoder_config_of
from training.batches import make_batches
from training.pseudo_label_quality import measure_pseudo_labels, pseudo_label_sample
from training.train_state import TrainState
from training.trainer import Trainer, find_run_state, prepare_folder
from utils.batch import Batch
from utils.checkpointing.checkpoint import Checkpoint
from utils.checkpointing.random_state import set_seeds
from utils.checkpointing.run_folder import RunFolder
from utils.checkpointing.run_state import check_same_run
from utils.config import (
    FIELD_NAMES,
    Config,
    language_of_features,
    make_config,
    read_config_file,
)
from utils.device import choose_device
from utils.distributed.command import run_command
from utils.distributed.preemption import StopRequests
from utils.distributed.ranks import is_main, process_group
from utils.errors import InputError
from utils.options import add_config_options, add_data_options, command_parser, whole_number_from
from utils.text.languages import read_language

# The fields of the configuration that an option of this command sets, in the order of --help.
CONFIG_OPTIONS = (
    "text_encoder", "accumulation", "epochs", "lr", "seed", "skip_bad_steps", "precision",
    "use_labelled", "unlabelled_root", "cache", "use_unlabelled", "use_pseudo_labels",
    "label_fraction", "coreference_loss", "coreference_head", "grounding", "box_regression",
    "mention_detection", "alignment", "use_traces", "use_ema", "ema_decay", "use_regions",
    "held_out",
)  # fmt: skip


def parse_options(arguments: Sequence[str] | None) -> tuple[argparse.Namespace, Config, list[str]]:
    """Parse the command line.

    Returns:
        The options, the configuration that they and their `--model_config` make, and the keys of
        that file that are not read.

    Raises:
        ConfigError: the file or a value cannot be used.
    """
    parser = command_parser("Train a multimodal coreference model.")
    add_data_options(parser)
    parser.add_argument("--save_name", default="model", help="folder of the run under saved/")
    parser.add_argument(
        "--resume",
        action="store_true",
        help="go on where the run in this folder was left; begin where there is none",
    )
    parser.add_argument(
        "--save-steps",
        type=whole_number_from(1),
        default=1000,
        metavar="N",
        help="save the state of the run every N steps, beside the end of each epoch (1000)",
    )
    parser.add_argument(
        "--keep",
        type=whole_number_from(0),
        default=0,
        metavar="N",
        help="keep the checkpoints of the last N epochs, and the best one; 0 keeps all",
    )
    add_config_options(parser.add_argument_group("configuration"), *CONFIG_OPTIONS)
    options = parser.parse_args(arguments)
    file_values: dict[str, object] = {}
    ignored: list[str] = []
    if options.model_config is not None:
        file_values, ignored = read_config_file(options.model_config)
    on_command_line = {name: value for name, value in vars(options).items() if name in FIELD_NAMES}
    return options, make_config(file_values, on_command_line), ignored


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
    aligns = config.alignment != "off"
    if aligns and not config.use_regions:
        raise InputError("--align aligns with regions: it contradicts --no-regions")
    need_labels = config.grounding or config.box_regression or config.use_pseudo_labels
    if (need_labels or config.mention_detection or aligns) and not config.use_labelled:
        raise InputError(
            "--grounding, --bbox-reg, --label-prop, --detect-mentions and --align need labels: add "
            "--use-ssl"
        )


def main(arguments: Sequence[str] | None = None) -> None:
    """Train as the command line says, and leave a checkpoint of each epoch in the run's folder."""
    options, config, ignored = parse_options(arguments)
    check_can_run(config)
    device = choose_device(options.device)
    stops = StopRequests()
    with process_group(device), stops.heard(), worker_errors_explained():
        if ignored:
            print(f"{options.model_config}: not read by the method: {', '.join(ignored)}")
        trainer, validation = build(config, device, options, stops)
        log = trainer.folder.open_log(trainer.epoch) if is_main() else None
        for epoch, losses in trainer.fit():
            model = trainer.train_state.averaged
            evaluation = validation.evaluate(model)
            may_start = validation.may_start_pseudo_labels(evaluation, epoch)
            if may_start and trainer.start_pseudo_labels():
                print("pseudo-labels count from the next epoch on")
            if log is not None:
                quality = validation.pseudo_label_quality(model)
                report_epoch(log, epoch, losses, evaluation, quality)
                trainer.save_epoch(validation.checkpoint(model, epoch, evaluation))
        if log is not None:
            log.close()
            trainer.folder.finish(config.epochs - 1)
            print(f"saved {trainer.folder.last} and one checkpoint for each epoch")


def build(
    config: Config, device: torch.device, options: argparse.Namespace, stops: StopRequests
) -> tuple[Trainer, Validation]:
    """Read the data and build the model, from the start or from where the run was left.

    Raises:
        InputError: the data or the text encoder cannot be had, or nothing can be written.
    """
    # The same on every rank until the model is built; from then on each drops out its own.
    set_seeds(config.seed)
    folder = RunFolder(Path("saved") / options.save_name, options.keep)
    resumed = find_run_state(folder, resume=options.resume)
    # First of all: what cannot be had is said before the data are read.
    tokenizer = load_tokenizer(config.text_encoder)
    data = read_training_data(config, tokenizer, skip_bad_records=options.skip_bad_records)
    word_vectors = look_up_words(config, config.sense2vec, data.narrations())
    if word_vectors is not None:
        # From here on the configuration, and so every checkpoint, says which vectors these are.
        config = dataclasses.replace(
            config,
            word_vector_size=word_vectors.size,
            word_vector_checksum=word_vectors.checksum,
        )
    if config.mention_detection:
        warn_of_unreachable_mentions(data, tokenizer, config)
    encoder = ExampleEncoder(
        tokenizer, config.max_mentions, word_vectors, language_of_features(config)
    )
    seen = {} if resumed is None else resumed.taken
    batches = make_batches(data, encoder, config, options.workers, device, seen)
    if resumed is not None:
        check_same_run(folder.state_file, resumed, config, batches.sizes)
    sample = []
    if config.use_pseudo_labels and is_main():
        sample = pseudo_label_sample(data, encoder, config, device)
    prepare_folder(folder, resumed=resumed is not None)

    model, started = build_from_pretrained(config)
    print(f"{config.text_encoder}: {started} of {config.fusion_layers} fusion layers start from it")
    state = TrainState(model.to(device), config, batches.steps_per_epoch, resumed)
    trainer = Trainer(config, state, batches, folder, stops, options.save_steps, resumed)
    return trainer, Validation(config, data, encoder, sample)


@dataclass(frozen=True)
class Validation:
    """What the model is measured on after each epoch.

    Attributes:
        config: of the run, with the word vectors that were found.
        encoder: of the held-out narrations.
        sample: unlabelled narrations to measure pseudo-labels on; empty where none are measured.
    """

    config: Config
    data: TrainingData
    encoder: ExampleEncoder
    sample: Sequence[Batch]

    def evaluate(self, model: CoreferenceModel) -> Evaluation:
        """Score the model on the held-out narrations; nothing but thresholds without any."""
        thresholds = default_thresholds(self.config)
        if not self.data.held_out.narrations:
            return Evaluation(thresholds, {})
        return evaluate(
            Resolver(model, self.encoder.tokenizer, self.config, thresholds),
            self.data.held_out.narrations,
            self.data.held_out.store,
            counted=self.data.counted,
            word_vectors=self.encoder.word_vectors,
        )

    def may_start_pseudo_labels(self, evaluation: Evaluation, epoch: int) -> bool:
        """Return whether pseudo-labels may count after an epoch.

        The averaged model has to beat on held-out labels what is reached without a model; where
        nothing is held out, the epoch alone decides.
        """
        if not self.config.use_pseudo_labels or epoch + 1 < self.config.pseudo_from_epoch:
            return False
        return not evaluation.scores or evaluation.scores["conll"] > evaluation.floor

    def pseudo_label_quality(self, model: CoreferenceModel) -> dict[str, float]:
        """Return the shares of pseudo-labels made and right, in percent, by name."""
        if not self.sample:
            return {}
        return measure_pseudo_labels(model, self.sample, self.config).named()

    def checkpoint(self, model: CoreferenceModel, epoch: int, evaluation: Evaluation) -> Checkpoint:
        """Return the checkpoint of the model after an epoch."""
        return Checkpoint(
            config=self.config,
            encoder_config=encoder_config_of(model),
            tokenizer=self.encoder.tokenizer.to_json(),
            model_state=model.state_dict(),
            epoch=epoch,
            thresholds=evaluation.thresholds,
            scores=evaluation.scores,
            regions_made_of=self.data.regions_made_of,
        )


def report_epoch(
    log: SummaryWriter,
    epoch: int,
    means: Mapping[str, float],
    evaluation: Evaluation,
    quality: Mapping[str, float],
) -> None:
    """Print one line, and write the same values for TensorBoard."""
    losses = "  ".join(f"{name} {value:.3f}" for name, value in means.items())
    scores = "  ".join(f"{name} {value:.1f}" for name, value in evaluation.scores.items())
    held_out = (
        f"  | held out: {scores}  threshold {evaluation.thresholds.link:.2f}" if scores else ""
    )
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
        log.add_scalar("held_out/threshold", evaluation.thresholds.link, epoch)


if __name__ == "__main__":
    run_command(main)
