"""Mentions of texts: where pipelines find them, the file they are kept in, and how one is trained.

The pipelines here are trained in seconds on made-up narrations, or not at all.
"""

from __future__ import annotations

import json
import lzma
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from random import Random
from typing import Any

import pytest
import spacy
from spacy.language import Language
from spacy.tokens import Doc

from data.files import DataError
from data.loading.splits import hold_out
from data.mention_spans import gold_spans
from data.mentions.found import (
    cache_path,
    with_found_mentions,
    write_found_mentions,
)
from data.mentions.spacy_pipeline import (
    find_spans,
    load_pipeline,
    score_pipeline,
)
from data.mentions.train_mentions import (
    as_caption,
    train_mention_pipeline,
    unaligned_mentions,
)
from data.mentions.treebank import (
    ParsedSentence,
    Token,
    find_part,
    read_treebank,
)
from data.narration import Mention, Narration
from data.readers import read_narrations
from prepare import main
from tests.support import cin_files, tiny
from utils.errors import InputError
from utils.text.span_scores import MatchScores, score_spans

# Heads and labels of a parse, in spaCy's scheme, for the component below.
PARSES = {
    "He sees the red kite in the background": (
        [1, 1, 4, 4, 1, 1, 7, 5],
        ["nsubj", "ROOT", "det", "amod", "dobj", "prep", "det", "pobj"],
        ["PRON", "VERB", "DET", "ADJ", "NOUN", "ADP", "DET", "NOUN"],
    ),
    "in the photo a man waves": (
        [5, 2, 0, 4, 5, 5],
        ["prep", "det", "pobj", "det", "nsubj", "ROOT"],
        ["ADP", "DET", "NOUN", "DET", "NOUN", "VERB"],
    ),
}


@Language.component("known_parses", assigns=["token.dep", "token.pos"])
def known_parses(document: Doc) -> Doc:
    heads, labels, parts_of_speech = PARSES[document.text]
    return Doc(
        document.vocab,
        words=[token.text for token in document],
        spaces=[bool(token.whitespace_) for token in document],
        heads=heads,
        deps=labels,
        pos=parts_of_speech,
    )


def chunking_pipeline() -> Language:
    pipeline = spacy.blank("en")
    pipeline.add_pipe("known_parses")
    return pipeline


def untrained_categorizer(threshold: float, longest: int = 3) -> Language:
    """A pipeline whose span categorizer has random weights."""
    pipeline = spacy.blank("en")
    suggester = {
        "@misc": "spacy.ngram_range_suggester.v1",
        "min_size": 1,
        "max_size": longest,
    }
    config = {"spans_key": "found", "threshold": threshold, "suggester": suggester}
    categorizer: Any = pipeline.add_pipe("spancat", config=config)
    categorizer.add_label("mention")
    spacy.util.fix_random_seed(0)
    pipeline.initialize()
    return pipeline


def phrases(texts: Sequence[str], pipeline: Language) -> list[list[str]]:
    found = find_spans(pipeline, texts)
    return [
        [text[start:end] for start, end in spans] for text, spans in zip(texts, found, strict=True)
    ]


# Finding


def test_noun_chunks_lose_place_words_and_keep_pronouns() -> None:
    assert phrases(list(PARSES), chunking_pipeline()) == [["He", "the red kite"], ["a man"]]


def test_a_span_categorizer_goes_before_noun_chunks() -> None:
    pipeline = untrained_categorizer(threshold=0.0)
    pipeline.add_pipe("known_parses", first=True)
    ((*_, last),) = phrases(["in the photo a man waves"], pipeline)
    assert last == "waves"


def test_spans_are_sorted_outer_first_without_repeats_or_white_space() -> None:
    text = "He  sees the background"
    (spans,) = find_spans(untrained_categorizer(threshold=0.0), [text])
    assert list(spans) == sorted(set(spans), key=lambda span: (span[0], -span[1]))
    found = [text[start:end] for start, end in spans]
    assert found[:3] == ["He  sees", "He", "sees the background"]
    # What a span categorizer finds is not held to the stop list.
    assert "the background" in found
    assert all(phrase == phrase.strip() != "" for phrase in found)


def test_the_number_of_processes_changes_nothing() -> None:
    pipeline = untrained_categorizer(threshold=0.5)
    texts = [f"the man number {n} and his dog {n % 7}" for n in range(150)]
    one = list(find_spans(pipeline, texts))
    assert sum(map(len, one)) > 0
    assert list(find_spans(pipeline, texts, processes=2)) == one


def test_texts_without_words_have_no_mentions() -> None:
    assert phrases(["", "  "], untrained_categorizer(threshold=0.0)) == [[], []]


def test_a_missing_pipeline_says_how_to_get_one(tmp_path: Path) -> None:
    for name in ("no_such_pipeline", str(tmp_path)):
        with pytest.raises(InputError) as error:
            load_pipeline(name)
        for part in (name, "--spacy-model", "spacy download", "prepare.py mention-pipeline"):
            assert part in str(error.value)
        assert "\n" not in str(error.value)


def test_a_pipeline_that_gives_no_spans_is_refused(tmp_path: Path) -> None:
    spacy.blank("en").to_disk(tmp_path / "blank")
    with pytest.raises(InputError, match="needs one with a span categorizer"):
        load_pipeline(str(tmp_path / "blank"))


# Scores


def narration(text: str, *marked: str, id: str = "n") -> Narration:
    """A narration with the mentions of these phrases, each where it occurs first."""
    spans = sorted({(text.index(p), text.index(p) + len(p)) for p in marked})
    mentions = tuple(Mention(s, e, text[s:e], chain="0") for s, e in spans)
    return Narration(id, text, mentions)


def test_only_exact_spans_count() -> None:
    gold = narration("the man and the dog", "the man", "the dog")
    assert score_spans([[(0, 7), (12, 19)]], [gold_spans(gold)]).f1 == 1
    scores = score_spans([[(0, 7), (12, 18), (0, 19)]], [gold_spans(gold)])
    assert (scores.gold, scores.found, scores.right) == (2, 3, 1)
    assert scores.precision == pytest.approx(1 / 3)
    assert scores.recall == 0.5
    assert scores.f1 == pytest.approx(0.4)
    assert MatchScores(0, 0, 0).f1 == 0


# The file


TEXTS = ("A man holds his dog.", "She pets it.", "the cat")


def narrations() -> list[Narration]:
    return [Narration(str(n), text) for n, text in enumerate(TEXTS)]


@pytest.fixture
def cache(tmp_path: Path) -> Path:
    path = cache_path(tmp_path, "train")
    assert write_found_mentions(path, narrations(), untrained_categorizer(0.0), processes=1)
    return path


def test_what_is_written_is_read(cache: Path) -> None:
    expected = list(find_spans(untrained_categorizer(0.0), TEXTS))
    read = with_found_mentions(narrations(), cache)
    assert [n.id for n in read] == ["0", "1", "2"]
    assert [tuple((m.start, m.end) for m in n.mentions) for n in read] == expected
    for n in read:
        assert all(m.phrase == n.text[m.start : m.end] and m.chain is None for m in n.mentions)
        assert not n.is_labelled


def test_gold_mentions_do_not_stay_beside_found_ones(cache: Path) -> None:
    marked = [narration(text, text, id=str(n)) for n, text in enumerate(TEXTS)]
    assert with_found_mentions(marked, cache) == with_found_mentions(narrations(), cache)


def _spoilt(change: Callable[[dict], None]) -> Callable[[Path], None]:
    def spoil(path: Path) -> None:
        content = json.loads(path.read_text())
        change(content)
        path.write_text(json.dumps(content))

    return spoil


@pytest.mark.parametrize(
    ("spoil", "expected"),
    [
        (lambda path: path.unlink(), "is missing"),
        (lambda path: path.write_bytes(path.read_bytes()[:-20]), "is not JSON"),
        (lambda path: path.write_text("[]"), "expected texts and mentions"),
        (_spoilt(lambda content: content["mentions"].pop("1")), "narration 1"),
        (_spoilt(lambda content: content.update(texts="0" * 64)), "other narrations or texts"),
        (_spoilt(lambda content: content["mentions"].update({"2": [[0, 8]]})), "narration 2"),
        (_spoilt(lambda content: content["mentions"].update({"2": [[3, 3]]})), "narration 2"),
        (_spoilt(lambda content: content["mentions"].update({"2": [[4, 7], [0, 3]]})), "sorted"),
        (_spoilt(lambda content: content["mentions"].update({"2": [[0, True]]})), "narration 2"),
        (_spoilt(lambda content: content["mentions"].update({"2": None})), "narration 2"),
    ],
)
def test_a_file_that_does_not_fit_is_refused_and_made_again(
    cache: Path, spoil: Callable[[Path], None], expected: str
) -> None:
    good = cache.read_bytes()
    spoil(cache)
    with pytest.raises(DataError) as error:
        with_found_mentions(narrations(), cache)
    for part in (str(cache), expected, "prepare.py mentions"):
        assert part in str(error.value)
    assert write_found_mentions(cache, narrations(), untrained_categorizer(0.0), processes=1)
    assert cache.read_bytes() == good


@pytest.mark.parametrize(
    "changed",
    [
        [*narrations()[:2], Narration("2", "the hat")],
        [*narrations()[:2], Narration("3", "the cat")],
        narrations()[:2],
        [*narrations(), Narration("3", "")],
    ],
)
def test_other_narrations_are_refused(cache: Path, changed: list[Narration]) -> None:
    with pytest.raises(DataError, match="prepare.py mentions"):
        with_found_mentions(changed, cache)


def test_a_file_is_made_again_for_another_pipeline_only(cache: Path) -> None:
    before = cache.stat().st_mtime_ns
    assert not write_found_mentions(cache, narrations(), untrained_categorizer(0.0), processes=1)
    assert cache.stat().st_mtime_ns == before
    assert write_found_mentions(cache, narrations(), untrained_categorizer(0.9), processes=1)
    assert write_found_mentions(cache, narrations(), untrained_categorizer(0.9, 2), processes=1)


# Captions


TRICKY = [
    narration("A boy's red-white kite, it's big.", "A boy's red-white kite", "A boy's", "it"),
    narration("He  (the man) waves.", "He", "(the man)", "the man"),
    narration("İki Leute\nsind here…", "İki Leute", "Leute\nsind", "here…"),
    narration("the man in the red shirt", "the man in the red shirt", "the red shirt"),
]


@pytest.mark.parametrize("written", TRICKY, ids=lambda written: written.text.split()[0])
def test_a_caption_keeps_the_characters_of_every_mention(written: Narration) -> None:
    def bare(text: str) -> str:
        return "".join(text.split()).casefold()

    caption = as_caption(written)
    assert len(caption.mentions) == len(written.mentions)
    for mention, original in zip(caption.mentions, written.mentions, strict=True):
        assert bare(caption.text[mention.start : mention.end]) == bare(original.phrase)
        assert mention.phrase == caption.text[mention.start : mention.end]
        assert mention.chain == original.chain
    # A caption is a caption already.
    assert as_caption(caption) == caption


def test_a_caption_is_in_lower_case_with_spaces_around_punctuation() -> None:
    caption = as_caption(narration("The man's hat, it's red.", "The man's hat", "it"))
    assert caption.text == "the man's hat , it's red ."
    assert [mention.phrase for mention in caption.mentions] == ["the man's hat", "it"]


def test_mentions_that_tokens_do_not_begin_and_end_with_are_counted() -> None:
    cut = narration("it's redder", "it", "red")
    assert unaligned_mentions(spacy.blank("en"), cut) == 1


# Training


def made_up(count: int, seed: int = 0) -> list[Narration]:
    """Narrations with pronouns, nested mentions and words that are no mentions."""
    random = Random(seed)
    made = []
    for number in range(count):
        text, spans = "", []
        for _ in range(3):
            kind, other = random.sample(["man", "boy", "dog", "girl"], 2)
            colour = random.choice(["red", "blue", "green"])
            shirt = f"the {colour} shirt"
            whole = f"the {kind} in {shirt}"
            for part, mentioned in (
                (whole, True),
                (" sees ", False),
                (f"a {other}", True),
                (", and ", False),
                (random.choice(["he", "she", "it"]), True),
                (" is happy. ", False),
            ):
                if mentioned:
                    spans.append((len(text), len(text) + len(part)))
                if part == whole:
                    spans.append((len(text) + len(whole) - len(shirt), len(text) + len(whole)))
                text += part
        text = text[0].upper() + text[1:].rstrip()
        mentions = tuple(Mention(s, e, text[s:e], chain=str(s)) for s, e in sorted(spans))
        made.append(Narration(str(number), text, mentions))
    return made


@pytest.fixture(scope="module")
def trained() -> Language:
    return train_mention_pipeline(made_up(30), epochs=6).pipeline


def test_nested_mentions_and_pronouns_are_found_in_both_forms(trained: Language) -> None:
    unseen = made_up(10, seed=1)
    assert score_pipeline(trained, unseen).f1 > 0.95
    assert score_pipeline(trained, [as_caption(n) for n in unseen]).f1 > 0.95
    text = "The man in the red shirt sees a dog, and he is happy."
    expected = ["The man in the red shirt", "the red shirt", "a dog", "he"]
    assert phrases([text], trained) == [expected]


def test_a_saved_pipeline_finds_the_same(trained: Language, tmp_path: Path) -> None:
    trained.to_disk(tmp_path / "pipeline")
    texts = [n.text for n in made_up(5, seed=2)]
    loaded = load_pipeline(str(tmp_path / "pipeline"))
    assert list(find_spans(loaded, texts)) == list(find_spans(trained, texts))


def test_too_few_narrations_to_train_on_are_refused() -> None:
    for few in ([], made_up(1), [replace(n, mentions=()) for n in made_up(20)]):
        with pytest.raises(InputError, match="labelled narrations"):
            train_mention_pipeline(few, epochs=1)


def test_an_encoder_that_cannot_be_had_is_named(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"empty.*--encoder"):
        train_mention_pipeline(made_up(20), encoder=str(tmp_path / "empty"), epochs=1)


def test_a_transformer_can_be_the_encoder(tmp_path: Path) -> None:
    short = [narration(f"the man and it {n}", "the man", "it", id=str(n)) for n in range(12)]
    trained = train_mention_pipeline(short, encoder=tiny.encoder_folder(), epochs=1)
    assert trained.pipeline.pipe_names == ["transformer", "spancat"]
    categorizer: Any = trained.pipeline.get_pipe("spancat")
    categorizer.cfg["threshold"] = 0.0
    trained.pipeline.to_disk(tmp_path / "pipeline")
    loaded = load_pipeline(str(tmp_path / "pipeline"))
    assert phrases(["the man"], loaded) == [["the man", "the", "man"]]


# Commands


def write_data(folder: Path, labelled: Sequence[Narration]) -> Path:
    """A CIN data root with labelled narrations, and the captions of three others."""
    cin_files.write_annotations(folder, [_record(n, "val") for n in labelled])
    unseen = [as_caption(n) for n in made_up(3, seed=3)]
    captions = {str(900 + n): [caption.text] for n, caption in enumerate(unseen)}
    captions = {key: [" ".join(text.split()[:16])] for key, (text,) in captions.items()}
    cin_files.write_captions(folder, captions)
    images = dict.fromkeys(captions, cin_files.DEFAULT_REGIONS["train"]["301"])
    cin_files.write_regions(folder, "train", images)
    return folder


def _record(of: Narration, split: str) -> dict:
    record = cin_files.annotation(of.id, split, of.text, [])
    count = len(of.mentions)
    return {
        **record,
        "query": [m.phrase for m in of.mentions],
        "query_start_end": [[m.start, m.end] for m in of.mentions],
        "cluster": [m.chain for m in of.mentions],
        "target_bboxes": [[]] * count,
    }


def run(command: str, data: Path, *options: object) -> None:
    main([command, "--dataset", "cin", "--data-root", str(data), *map(str, options)])


def test_from_labels_to_found_mentions(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    data = write_data(tmp_path / "data", made_up(30))
    pipeline = tmp_path / "pipeline"
    run("mention-pipeline", data, "--out", pipeline, "--epochs", 6)
    printed = capsys.readouterr().out
    assert "held out" in printed and "written as captions" in printed
    run("score-mentions", data, "--split", "val", "--spacy-model", pipeline)
    assert "F1" in capsys.readouterr().out
    run("mentions", data, "--spacy-model", pipeline)
    captions = read_narrations("cin", data, "train").narrations
    found = with_found_mentions(captions, cache_path(data, "train"))
    assert all(n.mentions for n in found)
    run("mentions", data, "--spacy-model", pipeline, "--processes", 1)
    assert "up to date" in capsys.readouterr().out
    with pytest.raises(InputError, match="not an empty folder"):
        run("mention-pipeline", data, "--out", pipeline)


def test_held_out_narrations_are_never_trained_on(tmp_path: Path) -> None:
    """The weights do not change with what the held-out narrations say, but with any other."""
    labelled = made_up(24)
    kept, held_out = hold_out(labelled, 0.1)
    assert held_out
    other = {n.id: replace(n, mentions=n.mentions[::2]) for n in labelled}
    weights = {}
    for name, changed in (("first", []), ("held", held_out), ("kept", kept[1:2])):
        ids = {n.id for n in changed}
        said = [other[n.id] if n.id in ids else n for n in labelled]
        data = write_data(tmp_path / name, said)
        run("mention-pipeline", data, "--out", tmp_path / f"{name}-out", "--epochs", 1)
        models = (tmp_path / f"{name}-out" / pipe / "model" for pipe in ("tok2vec", "spancat"))
        weights[name] = [model.read_bytes() for model in models]
    assert weights["held"] == weights["first"]
    assert weights["kept"] != weights["first"]


def test_a_data_set_without_an_unlabelled_split_has_no_mentions_to_find(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="vd_ref has no unlabelled split"):
        main(["mentions", "--dataset", "vd_ref", "--data-root", str(tmp_path)])


# Treebanks


def conllu(*words: str) -> str:
    """A sentence; each word is text/part of speech/head/label, with `_` where no space follows."""
    lines = []
    for number, word in enumerate(words, start=1):
        text, part_of_speech, head, label = word.rstrip("_").split("/")
        notes = "SpaceAfter=No" if word.endswith("_") else "_"
        lines.append(f"{number}\t{text}\t_\t{part_of_speech}\t_\t_\t{head}\t{label}\t_\t{notes}\n")
    return "".join(lines) + "\n"


SENTENCES = {
    conllu(
        "He/PRON/4/nsubj", "is/AUX/4/cop", "a/DET/4/det", "man/NOUN/0/root", "in/ADP/7/case",
        "the/DET/7/det", "park/NOUN/4/nmod_", "./PUNCT/4/punct",
    ): ["He", "a man", "the park"],
    conllu(
        "A/DET/2/det", "boy/NOUN/6/nsubj", "and/CCONJ/5/cc", "his/PRON/5/nmod:poss",
        "dog/NOUN/2/conj", "saw/VERB/0/root", "Frank/PROPN/6/obj", "Sinatra/PROPN/7/flat",
    ): ["A boy", "his dog", "Frank Sinatra"],
    conllu(
        "It/PRON/2/nsubj", "came/VERB/0/root", "out/ADP/7/case", "of/ADP/7/case",
        "Ben/PROPN/7/nmod:poss_", "'s/PART/5/case", "house/NOUN/2/obl",
    ): ["It", "Ben's house"],
    conllu("In/ADP/3/case", "a/DET/3/det", "house/NOUN/0/root"): ["a house"],
    conllu("He/PRON/3/nsubj_", "'s/AUX/3/cop", "happy/ADJ/0/root"): ["He"],
}  # fmt: skip


def chunks_of(sentence: ParsedSentence) -> list[str]:
    document = Doc(
        spacy.blank("en").vocab,
        words=[token.text for token in sentence],
        spaces=[token.space_after for token in sentence],
        pos=[token.part_of_speech for token in sentence],
        heads=[token.head for token in sentence],
        deps=[token.label for token in sentence],
    )
    return [chunk.text for chunk in document.noun_chunks]


def write_treebank(folder: Path) -> Path:
    folder.mkdir()
    # The parser learns no label that is rarer than thirty.
    for part, times in (("train", 30), ("dev", 1)):
        (folder / f"xx-ud-{part}.conllu").write_text("".join(SENTENCES) * times)
    return folder


def test_sentences_of_a_treebank_have_the_noun_chunks_of_english(tmp_path: Path) -> None:
    treebank = write_treebank(tmp_path / "treebank")
    sentences = list(read_treebank(find_part(treebank, "dev")))
    assert [chunks_of(sentence) for sentence in sentences] == list(SENTENCES.values())


def assert_is_a_tree(sentence: Sequence[Token]) -> None:
    assert sum(token.head == place for place, token in enumerate(sentence)) == 1
    for place in range(len(sentence)):
        for _ in sentence:
            place = sentence[place].head
        assert sentence[place].head == place


def test_contracted_words_are_read_in_their_parts(tmp_path: Path) -> None:
    path = tmp_path / "xx-ud-dev.conllu"
    path.write_text(
        "# text = I don't know\n1\tI\t_\tPRON\t_\t_\t4\tnsubj\t_\t_\n"
        "2-3\tdon't\t_\t_\t_\t_\t_\t_\t_\t_\n2\tdo\t_\tAUX\t_\t_\t4\taux\t_\t_\n"
        "3\tn't\t_\tPART\t_\t_\t4\tadvmod\t_\t_\n3.1\tx\t_\tX\t_\t_\t_\t_\t_\t_\n"
        "4\tknow\t_\tVERB\t_\t_\t0\troot\t_\t_\n"
    )
    (sentence,) = read_treebank(path)
    written = "".join(token.text + " " * token.space_after for token in sentence)
    assert written.strip() == "I don't know"
    assert_is_a_tree(sentence)


@pytest.mark.parametrize("end", ["\n", "\r\n"])
@pytest.mark.parametrize("packed", [False, True])
def test_marks_and_line_ends_are_no_part_of_a_treebank(
    tmp_path: Path, end: str, packed: bool
) -> None:
    plain = find_part(write_treebank(tmp_path / "plain"), "dev")
    path = tmp_path / ("x.conllu.xz" if packed else "x.conllu")
    content = ("\ufeff" + plain.read_text().replace("\n", end)).encode()
    path.write_bytes(lzma.compress(content) if packed else content)
    assert list(read_treebank(path)) == list(read_treebank(plain))


def test_a_broken_treebank_is_named(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="expected one"):
        find_part(tmp_path, "dev")
    path = tmp_path / "xx-ud-dev.conllu.xz"
    path.write_bytes(b"nothing packed")
    with pytest.raises(DataError, match=path.name):
        list(read_treebank(find_part(tmp_path, "dev")))
    path = tmp_path / "other.conllu"
    for wrong in ("1\tI\n", conllu("I/PRON/7/root"), conllu("I/PRON/x/root")):
        path.write_text(wrong)
        with pytest.raises(DataError, match="sentence 1"):
            list(read_treebank(path))


def test_a_trained_parser_is_a_pipeline_with_noun_chunks(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    treebank, out = write_treebank(tmp_path / "treebank"), tmp_path / "parser"
    main(["parser", "--treebank", str(treebank), "--out", str(out), "--epochs", "4"])
    assert "parts of speech 100.0" in capsys.readouterr().out
    ((first, *_),) = phrases(["He is a man in the park."], load_pipeline(str(out)))
    assert first == "He"


# Real data


def test_mentions_of_vd_ref_align_in_both_forms(real_data: Path) -> None:
    if not (real_data / "vdref").is_dir():
        pytest.skip(f"no vdref in {real_data}")
    pipeline = spacy.blank("en")
    dialogues = read_narrations("vd_ref", real_data / "vdref", "val").narrations
    assert sum(len(n.mentions) for n in dialogues) > 1000
    assert sum(unaligned_mentions(pipeline, n) for n in dialogues) == 0
    assert sum(unaligned_mentions(pipeline, as_caption(n)) for n in dialogues) == 0


def test_sentences_of_a_real_treebank_stay_trees(real_data: Path) -> None:
    if not (real_data / "ud_ewt").is_dir():
        pytest.skip(f"no ud_ewt in {real_data}")
    sentences = list(read_treebank(find_part(real_data / "ud_ewt", "dev")))
    assert len(sentences) == 2001
    for sentence in sentences:
        assert_is_a_tree(sentence)
