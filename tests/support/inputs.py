"""Everything that reads files from elsewhere: a valid tiny folder for each, and how it is read."""

from __future__ import annotations

import functools
import json
import lzma
import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from PIL import Image

from data.check import check_data
from data.encoding.example import Masking
from data.encoding.text import encode_text
from data.encoding.traces import with_usable_traces
from data.encoding.word_vectors import read_word_vectors
from data.files import BadRecord
from data.label_studio.annotations import read_annotations
from data.label_studio.predictions import read_answers
from data.label_studio.tasks import task_of
from data.loading.collate import Collate
from data.loading.dataset import NarrationDataset, SplitData
from data.loading.split_cache import cached_split
from data.media.videos import (
    Video,
    every_nth,
    find_videos,
)
from data.mentions.found import (
    cache_path,
    fingerprint,
    with_found_mentions,
)
from data.mentions.treebank import find_part, read_treebank
from data.narration import Narration
from data.readers import get_reader, read_narrations
from data.readers.localized_narratives import narrative_files, read_narratives
from data.readers.report import ReadReport
from data.readers.tiktalk.heads import read_heads, read_titles
from data.regions.file_names import region_files
from data.regions.head_files import read_head_regions
from data.regions.shards import Shard
from data.regions.store import RegionStore
from data.regions.tsv import read_region_tsv
from data.writers.captions import write_captions
from features.heads.writing import (
    DescribedHead,
    DescribedVideo,
    write_heads,
)
from features.labelled_boxes import read_labelled_boxes
from inference.resolver import Resolver
from metrics.chain_files import read_chain_folder, write_chains
from metrics.coreference.scores import score_chains
from metrics.document_pairs import read_conll
from models.factory import encoder_config_of
from synthetic.dialogues.writing import write_video
from tests.commands import test_convert, test_train_detector
from tests.data import test_label_studio, test_region_tsv
from tests.readers import (
    test_conll as test_reader_conll,
)
from tests.readers import (
    test_corefud as test_reader_corefud,
)
from tests.readers import (
    test_localized_narratives,
)
from tests.readers import (
    test_tiktalk as test_reader_tiktalk,
)
from tests.readers import (
    test_vd_ref as test_reader_vd_ref,
)
from tests.readers import (
    test_vispro as test_reader_vispro,
)
from tests.support import cin_files, tiny
from tests.utils import test_documents
from tests.visualization import test_curves
from tools import convert
from utils.checkpointing.checkpoint import Checkpoint, save_checkpoint
from utils.config import make_config, read_config_file
from utils.errors import InputError
from utils.text.document_files import read_document_file
from utils.text.jsonlines import SYSTEMS, write_jsonlines
from utils.text.languages import ENGLISH, read_language
from utils.thresholds import Thresholds
from visualization.curves import curves_png, read_curves

_SENTENCE = """# text = Men sing, and he's in the park.
1	Men	man	NOUN	NNS	_	2	nsubj	_	_
2	sing	sing	VERB	VBP	_	0	root	_	SpaceAfter=No
3	,	,	PUNCT	,	_	8	punct	_	_
4	and	and	CCONJ	CC	_	8	cc	_	_
5-6	he's	_	_	_	_	_	_	_	_
5	he	he	PRON	PRP	_	8	nsubj	_	_
6	's	be	AUX	VBZ	_	8	cop	_	_
7	in	in	ADP	IN	_	8	case	_	_
8	park	park	NOUN	NN	_	2	conj	_	SpaceAfter=No
9	.	.	PUNCT	.	_	2	punct	_	_

"""


class Input(NamedTuple):
    """One thing that is read.

    Attributes:
        write: fills an empty folder.
        read: reads it, as whoever skips bad records or not.
    """

    write: Callable[[Path], object]
    read: Callable[[Path, bool], object]


def encode(narrations: Sequence[Narration], store: RegionStore | None) -> None:
    """Make a batch of narrations, with all that a batch can hold."""
    encoder = tiny.encoder(
        language=ENGLISH, max_mention_pieces=8, masking=Masking(0.15, seed=0), trace_lag=0
    )
    dataset = NarrationDataset(narrations, store, encoder)
    Collate(tiny.tokenizer())([dataset[0, place] for place in range(len(dataset))])


def _write_cin(folder: Path) -> None:
    cin_files.write_cin_folder(folder)
    kinds = {"101": ["a", None, None, "b", None]}
    (folder / "cin_annotations" / "mention_kinds.json").write_text(json.dumps(kinds))
    for image_id, (caption, *_) in cin_files.DEFAULT_CAPTIONS.items():
        cin_files.write_image(folder, image_id, cin_files.WIDTH, cin_files.HEIGHT)
        boxes = np.tile(np.array([0.1, 0.1, 0.5, 0.5, 0.16], np.float32), (len(caption.split()), 1))
        cin_files.write_trace(folder, image_id, boxes)
    mentions = [cin_files.MentionNote("a man", 0)]
    truth = cin_files.annotation("301", "train", "a man rides a horse", mentions)
    (folder / "truth").mkdir()
    (folder / "truth" / "train_annotations.json").write_text(json.dumps([truth]))


def _write_narratives(folder: Path) -> None:
    cin_files.write_cin_folder(folder)
    for name in ("flk30k_LN.json", "flk30k_LN_label.h5"):
        (folder / name).unlink()
    records = test_localized_narratives.RECORDS
    test_localized_narratives.write_narratives(
        folder / test_localized_narratives.FILE_NAME, records
    )


def _read_narratives(folder: Path, skip: bool) -> None:
    _read_cin(folder, skip, "train")
    with tempfile.TemporaryDirectory() as out:
        report = ReadReport("localized_narratives", "train", skip)
        write_captions(Path(out), read_narratives(narrative_files(folder), report))


def _read_cin(folder: Path, skip: bool, split: str) -> None:
    reading = read_narrations("cin", folder, split, skip_bad_records=skip)
    reading.report.lines()
    narrations, _ = with_usable_traces(reading.narrations, skip_bad_records=skip)
    if split == "train":
        get_reader("cin").read_truth(folder)
    sizes = {n.image_id: n.image_size for n in narrations if n.image_size and n.image_id}
    store = get_reader("cin").open_regions(folder, split, image_sizes=sizes, skip_bad_records=skip)
    encode(narrations, store)


def _read_texts(folder: Path, skip: bool, dataset: str, split: str) -> None:
    reading = read_narrations(dataset, folder, split, skip_bad_records=skip)
    reading.report.lines()
    get_reader(dataset).read_pronouns(folder, split, skip_bad_records=skip)
    encode(reading.narrations, None)


def _write_tiktalk(folder: Path) -> None:
    test_reader_tiktalk.write_parts(folder, test_reader_tiktalk.dialogue())


def _read_tiktalk(folder: Path, skip: bool) -> None:
    _read_texts(folder, skip, "tiktalk", "val")
    read_heads(folder, "val", ReadReport("tiktalk", "val", skip))
    list(read_titles(folder, "val", ReadReport("tiktalk", "val", skip)))


def _write_regions(folder: Path) -> None:
    cin_files.write_regions(folder, "val", cin_files.DEFAULT_REGIONS["val"])


def _read_regions(folder: Path, skip: bool) -> None:
    files = [region_files(folder / "faster_rcnn_image_features", "val")]
    with RegionStore.read_files(files, skip_bad_records=skip) as store:
        for image_id in store.image_ids:
            store.read(image_id, None)


def _write_word_vectors(folder: Path) -> None:
    from sense2vec import Sense2Vec

    library = Sense2Vec(shape=(3, 4), senses=["NOUN"])
    for place, key in enumerate(("man|NOUN", "dog|NOUN", "hat|NOUN")):
        library.add(key, np.full(4, place, dtype=np.float32), place + 1)
    library.to_disk(folder)


def _write_found(folder: Path) -> None:
    path = cache_path(folder, "train")
    path.parent.mkdir()
    narrations = [example.narration for example in tiny.examples()]
    mentions = {narration.id: [[0, 2], [0, 1], [3, 5]] for narration in narrations}
    content = {"texts": fingerprint(narrations), "pipeline": {"name": "a"}, "mentions": mentions}
    path.write_text(json.dumps(content))


def _read_found(folder: Path, skip: bool) -> None:
    narrations = [example.narration for example in tiny.examples()]
    encode(with_found_mentions(narrations, cache_path(folder, "train")), None)


def _cached(folder: Path, read: Callable[[Callable[[str], None]], SplitData]) -> SplitData:
    return cached_split(
        folder / "cache", "made", {}, read, lambda n: encode_text(n, tiny.tokenizer(), 128)
    )


def _write_cached(folder: Path) -> None:
    files = region_files(folder / "faster_rcnn_image_features", "val")
    images = {"man": cin_files.ImageNote([[0, 0, 20, 20]], ["man"], ["tall"])}
    cin_files.write_regions(folder, "val", {**cin_files.DEFAULT_REGIONS["val"], **images})
    narrations = [example.narration for example in tiny.examples()]
    source = SplitData(narrations, RegionStore.read_files([files], skip_bad_records=True), traced=1)
    _cached(folder, lambda say: source)


def _read_cached(folder: Path, skip: bool) -> None:
    source = _cached(folder, lambda say: SplitData([], None))
    narrations, store = source.narrations, source.store
    assert store is not None
    dataset = NarrationDataset(narrations, store, tiny.encoder(), source.texts)
    for place, narration in enumerate(narrations):
        if narration.image_id in store:
            Collate(tiny.tokenizer())([dataset[0, place]])
    for image_id in ("man", "101", "102"):
        if image_id in store:
            store.read(image_id, (200, 100))


def _read_tsv(folder: Path, skip: bool) -> None:
    problems: list[BadRecord] = []
    words = test_region_tsv.OBJECTS
    list(read_region_tsv(folder / "regions.tsv", words, words, problems.append if skip else None))


def _write_language(folder: Path) -> None:
    words = {
        "pronouns": {"masculine": ["he"], "plural": ["they"]},
        "articles": ["the"],
        "modifier_starts": ["in"],
        "head_starts": [],
        "possessive_endings": ["'s"],
    }
    (folder / "language.json").write_text(json.dumps(words))


def _read_a_language(folder: Path, skip: bool) -> None:
    language = read_language(str(folder / "language.json"))
    language.kind_of("the man")
    language.head_word("the man's hat in it")


def _write_config(folder: Path) -> None:
    (folder / "configs").mkdir()
    values = {"bert_config": "configs/bert.json", "temp": 0.1, "lr": 1, "hidden_act": "gelu"}
    (folder / "configs" / "config.json").write_text(json.dumps({**values, "language": "en"}))
    layers = {"num_hidden_layers": 4, "fusion_layer": 2, "type_vocab_size": 2}
    (folder / "configs" / "bert.json").write_text(json.dumps(layers))


def _read_config(folder: Path, skip: bool) -> None:
    values, _ = read_config_file(folder / "configs" / "config.json")
    make_config(values, {})


def _write_checkpoint(folder: Path) -> None:
    model, config = tiny.tiny_model(), tiny.tiny_config()
    encoder, tokenizer = encoder_config_of(model), tiny.tokenizer().to_json()
    content = Checkpoint(
        config, encoder, tokenizer, model.state_dict(), 0, Thresholds(0.8), {"conll": 1.0}
    )
    save_checkpoint(folder / "models.pt", content)


def _read_checkpoint(folder: Path, skip: bool) -> None:
    Resolver.from_checkpoint(folder / "models.pt", torch.device("cpu"))


def _write_chain_files(folder: Path) -> None:
    write_chains(folder / "gold", "101", [["a man0", "he1"], ["a dog2"]])
    links = [["a man0", "he1"]]
    graph = {"name": "103", "type": "graph", "mentions": ["a man0", "he1"], "links": links}
    (folder / "gold" / "103.json").write_text(json.dumps(graph))


def _read_chain_files(folder: Path, skip: bool) -> None:
    chains = read_chain_folder(folder / "gold")
    score_chains(chains, chains)


def _read_conll_file(folder: Path, skip: bool) -> None:
    chains = read_conll(folder / "gold.conll")
    score_chains(chains, chains)


def _write_conll(folder: Path, *names: str) -> None:
    documents = [test_reader_conll.written(f"bn/{part}", part) for part in range(2)]
    for name in names:
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("".join(documents))


def _write_treebank(folder: Path) -> None:
    (folder / "en-ud-dev.conllu").write_text(_SENTENCE * 2)
    (folder / "en-ud-train.conllu.xz").write_bytes(lzma.compress(_SENTENCE.encode()))


def _read_treebank(folder: Path, skip: bool) -> None:
    for part in ("dev", "train"):
        list(read_treebank(find_part(folder, part)))


def _write_json_lines(folder: Path, system: str) -> None:
    """Write a document as a system's examples are, and as its predictions may be."""
    write_jsonlines(folder / "a.jsonl", [test_documents.DOCUMENT], system)
    with (folder / "a.jsonl").open("a") as file:
        for number, fields in enumerate(test_documents.SPELLINGS):
            if ("cased_words" in fields) == (system == "wl-coref"):
                names = {key: f"d{number}" for key in ("doc_key", "document_id") if key in fields}
                file.write(json.dumps({**fields, **names}) + "\n")


def _read_converted(folder: Path, skip: bool, name: str) -> None:
    """Write the documents of a file in every format, and read what is written."""
    with tempfile.TemporaryDirectory() as out:
        for target in ("a.conll", "a.conllu", "a.jsonl", "chains"):
            _convert(folder / name, Path(out) / target)


def _write_predictions(folder: Path) -> None:
    (folder / "predicted.conll").write_text(test_convert.CONLL)
    test_reader_corefud.write(folder, "gold.conllu")


def _read_predictions(folder: Path, skip: bool) -> None:
    with tempfile.TemporaryDirectory() as out:
        target = Path(out) / "a.conllu"
        _convert(folder / "predicted.conll", target, "--into", str(folder / "gold.conllu"))


def _convert(source: Path, target: Path, *options: str) -> None:
    """Convert a file; what is refused leaves nothing behind, all else can be read."""
    before = list(target.parent.iterdir())
    try:
        convert.main([str(source), str(target), *options])
    except InputError:
        assert list(target.parent.iterdir()) == before
        raise
    if target.is_dir():
        read_chain_folder(target)
    else:
        read_document_file(target)


def _write_export(folder: Path) -> None:
    narrations = [test_label_studio.NARRATION, Narration("102", "He sings.")]
    (folder / "export.json").write_text(json.dumps(test_label_studio.exported(narrations)))


def _read_export(folder: Path, skip: bool) -> None:
    report = ReadReport("label_studio", "val", skip)
    for narration in read_annotations(folder / "export.json", report):
        task_of(narration, "", "model")


def _write_answers(folder: Path) -> None:
    box = [0.1, 0.2, 0.5, 0.75]
    chains = [{"mentions": [0, 2], "box_xyxy": box}, {"mentions": [1], "box_xyxy": None}]
    mentions = [{"start": start, "end": end} for start, end in ((0, 5), (12, 17), (19, 21))]
    answer = {"text": "A man holds a dog. He pets it.", "image": "1.jpg", "image_size": [200, 100]}
    answer |= {"mentions": mentions, "chains": chains}
    (folder / "answers.jsonl").write_text(json.dumps(answer) + '\n{"text": "He sings."}\n')


def _read_answers(folder: Path, skip: bool) -> None:
    for narration in read_answers(folder / "answers.jsonl", ReadReport("answers", "", skip)):
        task_of(narration, "", "model")


def _write_lines(folder: Path, name: str, key: str, dialogue: dict) -> None:
    lines = [json.dumps({**dialogue, key: number}) for number in ("7", "8")]
    (folder / name).write_text("\n".join(lines) + "\n")


def _write_videos(folder: Path) -> None:
    shades = [np.full((16, 16, 3), 40 * n, dtype=np.uint8) for n in range(3)]
    write_video(folder / "file.mp4", shades)
    (folder / "folder").mkdir()
    for number, pixels in enumerate(shades):
        Image.fromarray(pixels).save(folder / "folder" / f"folder_{number}_1.png")


def _read_videos(folder: Path, skip: bool) -> None:
    for video in find_videos(folder).values():
        list(every_nth(video, 2))


def _write_heads(folder: Path) -> None:
    track = ((0, (1.0, 2.0, 6.0, 8.0)), (2, (2.0, 2.0, 7.0, 8.0)))
    pixels, feature = np.zeros((6, 5, 3), dtype=np.uint8), np.ones(4, dtype=np.float32)
    head = DescribedHead(2, np.array([2, 2, 7, 8], np.float32), feature, pixels, (track,))
    seen = DescribedVideo((16, 16), (0, 2), [head], 4)
    shard = Shard("val", [Video("7", folder), Video("8", folder)])
    write_heads(folder, shard, lambda video: seen, done=lambda: None, refuse=lambda problem: None)


INPUTS: dict[str, Input] = {
    "cin val": Input(_write_cin, functools.partial(_read_cin, split="val")),
    "cin train": Input(_write_cin, functools.partial(_read_cin, split="train")),
    "data check": Input(
        _write_cin, lambda folder, skip: check_data("cin", folder, skip_bad_records=skip)
    ),
    "localized narratives": Input(_write_narratives, _read_narratives),
    "vd_ref": Input(
        lambda folder: _write_lines(folder, "val.jsonlines", "id", test_reader_vd_ref.DIALOGUE),
        functools.partial(_read_texts, dataset="vd_ref", split="val"),
    ),
    "vispro": Input(
        lambda folder: _write_lines(
            folder, "val.vispro.1.1.jsonlines", "doc_key", test_reader_vispro.DIALOGUE
        ),
        functools.partial(_read_texts, dataset="vispro", split="val"),
    ),
    "litbank": Input(
        lambda folder: _write_conll(folder, "conll/44_a_brat.conll", "conll/1_b_brat.conll"),
        functools.partial(_read_texts, dataset="litbank", split="val"),
    ),
    "conll": Input(
        lambda folder: _write_conll(folder, "val/bn/a.v4_gold_conll"),
        functools.partial(_read_texts, dataset="conll", split="val"),
    ),
    "corefud": Input(
        lambda folder: test_reader_corefud.write(folder, "a-dev.conllu"),
        functools.partial(_read_texts, dataset="corefud", split="val"),
    ),
    "tiktalk": Input(_write_tiktalk, _read_tiktalk),
    "regions": Input(_write_regions, _read_regions),
    "region tsv": Input(
        lambda folder: test_region_tsv.written(
            folder, [test_region_tsv.without_labels(), test_region_tsv.with_labels(image_id="8")]
        ),
        _read_tsv,
    ),
    "label studio": Input(_write_export, _read_export),
    "answers": Input(_write_answers, _read_answers),
    "training log": Input(
        lambda folder: test_curves.log_scores(folder, 0, [10, 20]),
        lambda folder, skip: curves_png({"run": read_curves(folder)}),
    ),
    "labelled boxes": Input(
        lambda folder: test_train_detector.labelled(folder, 1),
        lambda folder, skip: read_labelled_boxes(folder / "boxes.json"),
    ),
    "videos": Input(_write_videos, _read_videos),
    "heads": Input(_write_heads, lambda folder, skip: read_head_regions(folder, "val")),
    "word vectors": Input(
        _write_word_vectors, lambda folder, skip: read_word_vectors(folder, ["a man's hat", "dog"])
    ),
    "found mentions": Input(_write_found, _read_found),
    "prepared split": Input(_write_cached, _read_cached),
    "language": Input(_write_language, _read_a_language),
    "configuration": Input(_write_config, _read_config),
    "checkpoint": Input(_write_checkpoint, _read_checkpoint),
    "chain files": Input(_write_chain_files, _read_chain_files),
    "conll file": Input(lambda folder: _write_conll(folder, "gold.conll"), _read_conll_file),
    "treebank": Input(_write_treebank, _read_treebank),
    **{
        f"JSON lines of {system}": Input(
            functools.partial(_write_json_lines, system=system),
            functools.partial(_read_converted, name="a.jsonl"),
        )
        for system in SYSTEMS
    },
    "GAP": Input(
        lambda folder: test_documents.gap(folder, test_documents.COLUMNS, test_documents.PASSAGE),
        functools.partial(_read_converted, name="gap.tsv"),
    ),
    "converted conll": Input(
        lambda folder: (folder / "a.conll").write_text(test_convert.CONLL),
        functools.partial(_read_converted, name="a.conll"),
    ),
    "converted conllu": Input(
        lambda folder: test_reader_corefud.write(folder, "a.conllu"),
        functools.partial(_read_converted, name="a.conllu"),
    ),
    "predictions of conllu": Input(_write_predictions, _read_predictions),
}
