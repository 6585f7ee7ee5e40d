"""CorefUD: coreference in CoNLL-U files, of many languages and with trees.

A split is the files `*-train*.conllu`, `*-dev*.conllu` (val) or `*-test*.conllu` of the data root,
each of which may be packed by xz (`.conllu.xz`); `utils/text/conllu_files.py` says what they hold.

A narration is the text of a document, put together again from its words: a space follows each word
but where `SpaceAfter=No` stands. Its id is the document's name with "_" for "/", or the file's name
and the document's number where it has none. Its sentences and their speakers (`# speaker = `) are
those of the file, and the genre (`# meta::genre = ` or `# genre = `) is the kind of its mentions. A
word of a multiword token has the characters that are its own, or where the parts are not the token
put together, those of the whole token.

Mentions of empty nodes alone (zeros) and those that words are left out of (discontinuous ones) have
no span of characters. They are left out and counted; so are mentions whose span is there already.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Container, Iterator
from pathlib import Path

from data.conllu_text import RebuiltText, rebuild_text
from data.files import BadRecord, DataError, bad_record, read_id
from data.narration import Mention, Narration, Sentence
from data.readers.dataset_reader import DatasetReader
from data.readers.expected_files import ExpectedFiles, expected_texts
from data.readers.report import ReadReport
from utils.printable import quote
from utils.text.conllu import ConlluDocument, ConlluError
from utils.text.conllu_files import ENDINGS, ConlluLines, split_documents
from utils.text.genres import genre_of_comments, genre_of_document
from utils.text.spans import Span

_PART_OF_SPLIT = {"train": "train", "val": "dev", "test": "test"}
_DROPPED = {
    "zero": "mentions left out as zeros",
    "discontinuous": "mentions left out as discontinuous",
    "repeated": "mentions dropped as repeats",
}


class CorefUDReader(DatasetReader):
    """Read the documents of CoNLL-U files, as narrations without regions."""

    name = "corefud"
    has_trees = True

    def read(self, data_root: Path, split: str, report: ReadReport) -> list[Narration]:
        """Read the documents of a split's files."""
        narrations: list[Narration] = []
        counts: Counter[str] = Counter()
        for _, narration_id, document in _each_document(data_root, split, report):
            narration, found = _narration(narration_id, document)
            narrations.append(narration)
            counts.update(found)
        report.count("narrations", len(narrations))
        report.count("words", sum(len(narration.words) for narration in narrations))
        report.count_chains(narrations)
        for what, told in _DROPPED.items():
            report.count(told, counts[what])
        report.count("mentions widened to a whole multiword token", counts["widened"])
        if links := counts["links"]:
            report.notes.append(f"{links:,} split antecedents and bridges are not read")
        return narrations

    def read_conllu(
        self, data_root: Path, split: str, *, skip_bad_records: bool = False
    ) -> dict[Path, dict[str, ConlluDocument]]:
        """Read the documents of a split's files."""
        report = ReadReport(self.name, split, skip_bad_records)
        files: dict[Path, dict[str, ConlluDocument]] = {}
        for path, narration_id, document in _each_document(data_root, split, report):
            files.setdefault(path, {})[narration_id] = document
        return files

    def expected_files(self, data_root: Path) -> list[ExpectedFiles]:
        """List the first file of each split, there or not."""
        paths = {
            split: next(iter(_files(data_root, split)), data_root / f"*-{part}*.conllu")
            for split, part in _PART_OF_SPLIT.items()
        }
        return expected_texts(paths, "CorefUD: ufal.mff.cuni.cz/corefud; GUM: its repository")


def _each_document(
    data_root: Path, split: str, report: ReadReport
) -> Iterator[tuple[Path, str, ConlluDocument]]:
    """Yield the file, the narration's id and the content of each document of a split.

    Raises:
        DataError: there is no file of the split, or one cannot be read.
        BadRecord: a document is wrong, and the report does not skip such.
    """
    paths = _files(data_root, split)
    if not paths:
        names = f"*-{_PART_OF_SPLIT[split]}*.conllu or .conllu.xz"
        raise DataError(f"found no file {names} in {data_root}, expected CorefUD's")
    seen: set[str] = set()
    for path in paths:
        try:
            documents = split_documents(path)
        except ConlluError as error:
            raise DataError(str(error)) from error
        for number, lines in enumerate(documents, start=1):
            with report.skipping():
                narration_id, document = _parse(lines, number, seen)
                seen.add(narration_id)
                yield path, narration_id, document


def _parse(lines: ConlluLines, number: int, seen: Container[str]) -> tuple[str, ConlluDocument]:
    """Return the id of the narration of a document, and the document.

    Args:
        number: of the document in its file, counted from 1.
        seen: the ids before it.
    """
    narration_id = _narration_id(lines, number)
    if narration_id in seen:
        found = f"the id {narration_id} before it too"
        raise bad_record(lines.path, f"document {number}", found, "it once")
    try:
        return narration_id, lines.parse()
    except ConlluError as error:
        raise BadRecord(str(error)) from error


def _narration_id(lines: ConlluLines, number: int) -> str:
    """Return the id of the narration of a document.

    Args:
        number: of the document in its file, counted from 1.

    Raises:
        BadRecord: its name is not fit for one.
    """
    file = lines.path.name.split(".")[0]
    written = f"{file}-{number}" if lines.name is None else lines.name.replace("/", "_")
    if (found := read_id(written)) is None:
        name = f"the name {quote(lines.name)}"
        raise bad_record(lines.path, f"document {number}", name, "one fit for an id")
    return found


def _files(data_root: Path, split: str) -> list[Path]:
    """List the files of a split; those that begin with a point are none."""
    return sorted(
        path
        for ending in ENDINGS
        for path in data_root.glob(f"*-{_PART_OF_SPLIT[split]}*{ending}")
        if not path.name.startswith(".")
    )


def _narration(narration_id: str, document: ConlluDocument) -> tuple[Narration, Counter[str]]:
    """Return a document as a narration, and how often what was done with its mentions."""
    rebuilt = rebuild_text(document)
    mentions, counts = _mentions(document, rebuilt)
    counts["links"] = len(document.bridges) + len(document.split_antecedents)
    narration = Narration(
        id=narration_id,
        text=rebuilt.text,
        mentions=tuple(mentions),
        words=tuple(rebuilt.text[start:end] for start, end in rebuilt.words),
        sentences=tuple(
            Sentence(start, end, sentence.comment("speaker") or None)
            for (start, end), sentence in zip(rebuilt.sentences, document.sentences, strict=True)
        ),
        genre=genre_of_document(document),
    )
    return narration, counts


def _mentions(document: ConlluDocument, rebuilt: RebuiltText) -> tuple[list[Mention], Counter[str]]:
    """Return the mentions that are spans of the text, and count what was done with the others.

    Of mentions that start together the longer one is first.
    """
    counts: Counter[str] = Counter()
    genre = genre_of_comments(document)
    mentions: dict[Span, Mention] = {}
    for mention in document.mentions:
        words = rebuilt.words_of(mention)
        if not words:
            counts["zero"] += 1
            continue
        if words[-1] - words[0] >= len(words):
            counts["discontinuous"] += 1
            continue
        span = rebuilt.words[words[0]][0], rebuilt.words[words[-1]][1]
        if span in mentions:
            counts["repeated"] += 1
            continue
        counts["widened"] += rebuilt.is_widened(mention)
        phrase = rebuilt.text[slice(*span)]
        mentions[span] = Mention(*span, phrase, mention.entity, kind=genre)
    return sorted(mentions.values(), key=lambda m: (m.start, -m.end)), counts
